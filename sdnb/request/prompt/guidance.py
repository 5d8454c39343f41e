"""Which texts guide a run, and how far: the negative prompt, and the parts of the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdnb.request import checks, lora
from sdnb.request.choices import PASSES
from sdnb.request.prompt import parts, traps
from sdnb.request.prompt.values import PromptPart

if TYPE_CHECKING:
    from sdnb.request.request import Resolved


@dataclass(frozen=True)
class Guidance:
    """The texts that are encoded for a request: `texts[0]` and, from there towards each of the
    others, so many times their difference as `scales` say. One text alone has no scales.
    """

    texts: list[PromptPart]
    scales: list[float]
    notes: list[str]

    def at(self, call: int) -> tuple[str, ...]:
        """The words of each text at a call of the denoiser."""
        return tuple(text.at(call) for text in self.texts)


def guidance(request: Resolved) -> Guidance:
    """What a request asks for: its negative prompt and its prompt, or the only one that its cfg
    needs; with AND, several prompts. Their stages count the calls of the denoiser in a run from
    noise alone. One that begins with a picture makes fewer, and begins with the first stage all the
    same, as in AUTOMATIC1111. Raises PromptError.
    """
    calls = request.steps * PASSES.get(request.sampler, 1)
    syntax, words = request.syntax, lora.words(request.prompt)
    (negative,) = parts(request.negative, syntax, calls, negative=True)
    scaled = [(part, request.cfg * part.weight) for part in parts(words, syntax, calls)]
    used = [(part, scale) for part, scale in scaled if scale != 0]
    notes: list[str] = []
    scales: list[float] = []
    if not used:
        texts, unused = [negative], words
    elif len(used) == 1 and used[0][1] == 1:
        texts, unused = [used[0][0]], request.negative
    else:
        texts, unused = [negative, *(part for part, _ in used)], ""
        scales = [scale for _, scale in used]
    if unused:
        notes.append(
            f"{checks.shown(unused)} has no effect at cfg {0 if not used else 1}: 1 follows the "
            "prompt alone, 0 the negative prompt alone."
        )
    if used:
        notes += [trap.message for trap in traps(words, syntax, calls)]
    if negative in texts:
        notes += [trap.message for trap in traps(request.negative, syntax, calls, negative=True)]
    return Guidance(texts, scales, list(dict.fromkeys(notes)))
