"""How prompts are read. A syntax says what weighs words, and how such words are encoded:

* "blocks", sdnb's own and the original's: `a castle:3 fog:1`, each block encoded alone, the
  encodings averaged;
* "a1111", AUTOMATIC1111's: `(castle:1.2), [fog]`, BREAK, AND, `[from:to:when]`, `[a|b]`; encodings
  are multiplied, and their mean is restored. "a1111_no_norm" does not restore it;
* "comfy", ComfyUI's: `(castle:1.2)` goes so far away from the encoding of the empty prompt.

`parts` gives the texts of a prompt over a run, `parse` the runs of one such text. No text is lost.

Before all of these come templates, in every syntax: `expand` gives the prompt that a seed makes of
`a {red|blue} __animals__`, `every` gives all of them; `templates` says how they are written.
"""

from __future__ import annotations

from sdnb.request import checks, lora
from sdnb.request.choices import SYNTAXES
from sdnb.request.prompt import a1111, blocks, comfy
from sdnb.request.prompt.blocks import escaped, normalised
from sdnb.request.prompt.expanding import Every, every, expand, is_template
from sdnb.request.prompt.templates import literal, parsed
from sdnb.request.prompt.values import Fragment, PromptError, PromptPart, Trap
from sdnb.request.prompt.wildcards import Wildcards

__all__ = [
    "Every",
    "Fragment",
    "PromptError",
    "PromptPart",
    "Trap",
    "Wildcards",
    "check",
    "escaped",
    "every",
    "expand",
    "is_template",
    "literal",
    "normalised",
    "parse",
    "parts",
    "traps",
]  # fmt: skip

#: Steps of a run whose number is not known.
_STEPS = 20


def parts(
    text: str, syntax: str = "blocks", calls: int = _STEPS, *, negative: bool = False
) -> list[PromptPart]:
    """The texts that AND joins, each with its words over `calls` calls of the denoiser; in other
    syntaxes than AUTOMATIC1111's, and most times there, one. Raises PromptError.
    """
    text = _text(text, syntax)
    if syntax.startswith("a1111"):
        return a1111.parts(text, calls, negative=negative)
    return [PromptPart(1.0, 0, len(text), ((calls, text),))]


def parse(text: str, syntax: str = "blocks") -> list[Fragment]:
    """The runs of a text, each with its weight. An empty text is one empty run.

    Raises PromptError for a weight that is not finite, for weights of blocks that sum to zero, and
    for brackets a hundred deep.
    """
    text = _text(text, syntax)
    if syntax.startswith("a1111"):
        return a1111.parse(text)
    return comfy.parse(text) if syntax == "comfy" else blocks.parse(text)


def traps(
    text: str, syntax: str = "blocks", calls: int = _STEPS, *, negative: bool = False
) -> list[Trap]:
    """What may have been meant otherwise than it is read, in order. Raises PromptError."""
    text = _text(text, syntax)
    if syntax.startswith("a1111"):
        return a1111.traps(text, calls, negative=negative)
    return comfy.traps(text) if syntax == "comfy" else blocks.traps(text)


def check(prompt: str, negative: str, syntax: str = "blocks", steps: int | None = None) -> None:
    """Raise PromptError where one of the prompts cannot be read, and ValueError for a tag of a LoRA
    that cannot be done. Of a template, only how it is written is looked at: its words are not
    chosen yet.
    """
    for text, is_negative in ((prompt, False), (negative, True)):
        if parsed(text) is not None:
            continue
        plain = text if is_negative else lora.split_tags(text)[0]
        for part in parts(plain, syntax, steps or _STEPS, negative=is_negative):
            for words in {words for _, words in part.stages}:
                parse(words, syntax)


def _text(text: str, syntax: str) -> str:
    checks.choice("syntax", syntax, SYNTAXES)
    if not isinstance(text, str):
        raise TypeError(f"prompt={checks.shown(text)} is not text")
    return text
