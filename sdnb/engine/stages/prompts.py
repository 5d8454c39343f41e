"""From the words of a request to what the UNet attends to; a model keeps what it encoded lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sdnb.engine.networks import text
from sdnb.request import checks, prompt

if TYPE_CHECKING:
    from sdnb.engine.loading import Model
    from sdnb.engine.networks.tokenizer import Tokens
    from sdnb.request.request import Request

_PROMPTS = 64  # encoded prompts that a model keeps: 118 KB each in half precision


def encode(model: Model, request: Request) -> tuple[list[Tensor], list[str]]:
    """The prompts of a resolved request `[1, 77, d]`: negative and prompt, or the only one that its
    cfg needs; and what is to be said of them. Raises ValueError as `prompt.parse`.
    """
    wanted = [request.negative, request.prompt]
    notes = []
    if request.cfg in (0, 1):
        unused = wanted.pop(1 - int(request.cfg))
        if unused:
            notes.append(
                f"{checks.shown(unused)} has no effect at cfg {request.cfg:g}: 1 follows the "
                "prompt alone, 0 the negative prompt alone."
            )
    parsed = {words: prompt.parse(words) for words in wanted}  # before any work: it may refuse
    known = {words: model.prompts[words] for words in parsed if words in model.prompts}
    if len(known) < len(parsed):
        with model.use("text") as device:
            for words in [words for words in parsed if words not in known]:
                known[words] = _encoded(model, words, parsed[words], device)
    _remember(model.prompts, known)
    encoded = [known[words][0].to(model.device) for words in wanted]
    return encoded, notes + [note for words in wanted for note in known[words][1]]


def _encoded(
    model: Model, words: str, fragments: Sequence[prompt.Fragment], device: torch.device
) -> tuple[Tensor, list[str]]:
    """A prompt `[1, 77, d]` on the CPU, and what is to say of it."""
    tokens = [model.tokenizer(fragment.text) for fragment in fragments]
    encoded = text.encode(model.text, tokens, device)  # [n, 77, d]
    context = text.average(encoded, prompt.normalised(fragments))
    notes = [_truncation(t) for t in tokens if t.dropped]
    notes += [trap.message for trap in prompt.traps(words)]
    return context.to(model.dtype).cpu(), notes


def _remember(prompts: dict[str, tuple[Tensor, list[str]]], new: Mapping[str, Any]) -> None:
    """Keep the last ones: a grid asks for the same words in each cell, a panel at each click."""
    for words, encoded in new.items():
        prompts.pop(words, None)
        prompts[words] = encoded
    while len(prompts) > _PROMPTS:
        del prompts[next(iter(prompts))]


def _truncation(tokens: Tokens) -> str:
    left = tokens.dropped.strip()
    return f"{tokens.count} tokens where {tokens.room} fit; left out of the prompt: {left!r}."
