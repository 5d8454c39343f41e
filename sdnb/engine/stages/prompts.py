"""Prompts become contexts, what the UNet attends to; a model keeps those it encoded lately."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sdnb.engine.model import Model
from sdnb.engine.networks import text
from sdnb.engine.networks.tokenizer import Tokens
from sdnb.engine.prompt_cache import EncodedPrompt
from sdnb.request import Resolved, checks, lora, prompt


def encode(model: Model, request: Resolved) -> tuple[list[Tensor], list[str]]:
    """The contexts of a request, `[1, 77, d]` each on the model's device: negative and prompt, or
    the only one that its cfg needs; and notes. Raises ValueError as `prompt.parse`.
    """
    wanted = [request.negative, lora.words(request.prompt)]
    notes = []
    if request.cfg in (0, 1):
        unused = wanted.pop(1 - int(request.cfg))
        if unused:
            notes.append(
                f"{checks.shown(unused)} has no effect at cfg {request.cfg:g}: 1 follows the "
                "prompt alone, 0 the negative prompt alone."
            )
    parsed = {words: prompt.parse(words) for words in wanted}  # before any work: it may refuse
    encoded = model.prompts.known(parsed)
    if len(encoded) < len(parsed):
        with model.weights.use("text") as device:
            for words in [words for words in parsed if words not in encoded]:
                encoded[words] = _encoded(model, words, parsed[words], device)
    model.prompts.keep(encoded)
    contexts = [encoded[words].context.to(model.device) for words in wanted]
    return contexts, notes + [note for words in wanted for note in encoded[words].notes]


def _encoded(
    model: Model, words: str, fragments: Sequence[prompt.Fragment], device: torch.device
) -> EncodedPrompt:
    tokens = [model.tokenizer(fragment.text) for fragment in fragments]
    notes = [_truncation(t) for t in tokens if t.dropped]
    shares = prompt.normalised(fragments)
    rest = 1 - math.fsum(shares)
    if rest > 1e-6:
        tokens, shares = [*tokens, model.tokenizer("")], [*shares, rest]
        notes.append(_CANCELLED)
    context = text.weighted(model.text, tokens, shares, device)
    notes += [trap.message for trap in prompt.traps(words)]
    return EncodedPrompt(context.to(model.dtype).cpu(), tuple(notes))


_CANCELLED = (
    "The weights below zero all but cancel the others, or more: the empty prompt was added to make "
    "up for it. What is to stay away does so better in the negative prompt."
)


def _truncation(tokens: Tokens) -> str:
    left = tokens.dropped.strip()
    return f"{tokens.count} tokens where {tokens.room} fit; left out of the prompt: {left!r}."
