"""What the prompts of a picture were chosen from, in AUTOMATIC1111's text: writing and reading.

sd-dynamic-prompts writes it in lines of its own behind the values:

    Steps: 20, Sampler: Euler, Seed: 7
    Template: a {red|blue} cat
    Negative Template: {fog|rain}

As the last lines they would be taken for values by programs that do not know them, so that sdnb
writes both among the values.
"""

from __future__ import annotations

from sdnb.request import Request

_TEMPLATE, _NEGATIVE_TEMPLATE = "Template", "Negative Template"


def write(request: Request) -> dict[str, str | None]:
    """The values to write; None for one that is not there."""
    return {
        _TEMPLATE: request.template or None,
        _NEGATIVE_TEMPLATE: request.negative_template or None,
    }


def read(text: str, values: dict[str, str]) -> dict[str, str]:
    """What the prompts were chosen from, as sd-dynamic-prompts writes it in lines of their own
    behind the values, and sdnb among the values; taken out of these.
    """
    own = values.pop(_TEMPLATE, ""), values.pop(_NEGATIVE_TEMPLATE, "")
    lines = f"\n{text}"
    behind = lines[lines.rfind("\nSteps: ") + 1 :].partition("\n")[2]
    if behind.startswith(f"{_NEGATIVE_TEMPLATE}: "):
        behind = f"\n{behind}"
    elif not behind.startswith(f"{_TEMPLATE}: "):
        behind = ""
    if behind:
        prompt, _, negative = behind.partition(f"\n{_NEGATIVE_TEMPLATE}: ")
        own = prompt.removeprefix(f"{_TEMPLATE}: "), negative
    fields = zip(("template", "negative_template"), own, strict=True)
    return {name: template.strip() for name, template in fields if template.strip()}
