"""Prompts become contexts, what the UNet attends to; a model keeps those it encoded lately."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from sdnb.engine.model import Model
from sdnb.engine.networks import text
from sdnb.engine.networks.chunks import Chunk
from sdnb.engine.prompt_cache import EncodedPrompt, PromptKey
from sdnb.engine.stages.contexts import Text
from sdnb.images.used_files import UsedFile
from sdnb.request import Resolved, checks, digests, prompt
from sdnb.request.prompt import popular_embeddings
from sdnb.request.prompt.guidance import guidance
from sdnb.request.prompt.values import PromptPart

NO_EMBEDDINGS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Encoded:
    """The prompts of a request: its texts over the run, negative first, or the only one that it
    needs; of each but the first how far to go from the first towards it; notes; and the files of
    the embeddings in them.
    """

    texts: list[Text]
    scales: list[float]
    notes: list[str]
    files: tuple[UsedFile, ...]

    def noted(self, request: Resolved) -> Resolved:
        """The request with the digests of these embeddings."""
        own = {f"{file.kind}:{file.name}": file.hash for file in self.files}
        return replace(request, digests=digests.joined(request.digests, own))


@dataclass(frozen=True)
class _Cut:
    """A text, cut into chunks: in "blocks" those of each block, with their shares, else of all."""

    blocks: list[list[Chunk]]
    shares: list[float]
    notes: tuple[str, ...]
    files: tuple[UsedFile, ...]  # of its embeddings


def encode(
    model: Model, request: Resolved, embeddings: Mapping[str, Any] = NO_EMBEDDINGS
) -> Encoded:
    """The contexts of a request, `[1, 77 k, d]` each for k chunks, on the model's device.

    `embeddings` are textual inversions by name, each with `vectors` `[n, d]`, a `sha256`, and the
    LoRA that it is `inside`. Raises ValueError as `prompt.parse`, for a clip_skip beyond the text
    encoder's layers, and for an embedding of another width.
    """
    wanted = guidance(request)
    skip = _clip_skip(model, request)
    cut: dict[PromptKey, _Cut] = {}  # before any work: it may refuse
    keys: dict[str, PromptKey] = {}
    for words in dict.fromkeys(words for part in wanted.texts for _, words in part.stages):
        key, its = _cut(model, words, request.syntax, skip, embeddings)
        keys[words], cut[key] = key, its
    encoded = model.prompts.known(cut)
    if len(encoded) < len(cut):
        with model.weights.use("text") as device:
            for key in [key for key in cut if key not in encoded]:
                encoded[key] = _encoded(model, key, cut[key], device)
    model.prompts.keep(encoded)
    by_words = {words: encoded[key] for words, key in keys.items()}
    texts = [_over_the_run(model, part, by_words, request.syntax) for part in wanted.texts]
    notes = [note for found in by_words.values() for note in found.notes]
    notes.append(popular_embeddings.missing(keys, embeddings))
    if request.syntax == "comfy":
        notes.append(popular_embeddings.bare(keys, embeddings))
    if skip > 1 and request.syntax.startswith("a1111") and model.config.text.padding == 0:
        notes.append(_IGNORED_THERE)
    files = dict.fromkeys(file for its in cut.values() for file in its.files)
    notes = [*wanted.notes, *dict.fromkeys(filter(None, notes))]
    return Encoded(texts, wanted.scales, notes, tuple(files))


def _clip_skip(model: Model, request: Resolved) -> int:
    layers = model.config.text.layers
    skip = request.clip_skip or 1
    if skip > layers:
        raise ValueError(
            f"clip_skip={skip} is beyond the text encoder of {model.name}, which has {layers} "
            "layers; 1 reads the last"
        )
    return skip


def _cut(
    model: Model, words: str, syntax: str, skip: int, embeddings: Mapping[str, Any]
) -> tuple[PromptKey, _Cut]:
    """A text in chunks, and the key of its encoding."""
    fragments = prompt.parse(words, syntax)
    notes, shares = [], [1.0]
    if syntax == "blocks":
        blocks = [model.tokenizer.chunks([f], syntax, embeddings) for f in fragments]
        shares = prompt.normalised(fragments)
        rest = 1 - math.fsum(shares)
        if rest > 1e-6:
            blocks, shares = [*blocks, model.tokenizer.chunks([], syntax)], [*shares, rest]
            notes.append(_CANCELLED)
    else:
        blocks = [model.tokenizer.chunks(fragments, syntax, embeddings)]
    used = {e.name: e for block in blocks for chunk in block for _, e in chunk.embeddings}
    for name, embedding in used.items():
        width = embedding.vectors.shape[-1]
        if width != model.config.text.width:
            raise ValueError(
                f"the embedding {checks.shown(name)} is {width} wide, and the text encoder of "
                f"{model.name} {model.config.text.width}: it is for another kind of model; take "
                "its name out of the prompt"
            )
    if used:
        notes.append(f"Embeddings in the prompt: {', '.join(sorted(map(_named, used.values())))}.")
    its = tuple(sorted(e.sha256 + e.inside for e in used.values()))
    key = PromptKey(words.strip(), syntax, skip, its)
    # A LoRA's own embeddings have no file of their own: the LoRA is named.
    files = tuple(UsedFile("embedding", e.name, e.sha256) for e in used.values() if not e.inside)
    return key, _Cut(blocks, shares, tuple(notes), files)


def _named(embedding: Any) -> str:
    name = str(embedding.name)
    return f"{name} (in {embedding.inside})" if embedding.inside else name


def _encoded(model: Model, key: PromptKey, cut: _Cut, device: torch.device) -> EncodedPrompt:
    if key.syntax == "blocks":
        context = text.averaged(model.text, cut.blocks, cut.shares, device, key.clip_skip)
        return _kept(model, context, cut)
    (chunks,) = cut.blocks
    z = text.encode(model.text, chunks, device, key.clip_skip)
    weights = torch.tensor([chunk.weights for chunk in chunks], device=device)
    if (weights == 1).all():
        means = z.float().mean((1, 2)).tolist()
        return _kept(model, z.flatten(0, 1)[None], cut, tuple(zip(means, means, strict=True)))
    if key.syntax == "comfy":
        empty = text.encode(model.text, model.tokenizer.chunks([]), device, key.clip_skip)
        z = text.away_from_empty(z, weights, empty)
        return _kept(model, z.flatten(0, 1)[None], cut)
    z, means = text.multiplied(z, weights, restore=key.syntax == "a1111")
    return _kept(model, z.flatten(0, 1)[None], cut, means)


def _kept(
    model: Model, context: Tensor, cut: _Cut, means: Sequence[tuple[float, float]] = ()
) -> EncodedPrompt:
    return EncodedPrompt(context.to(model.dtype).cpu(), cut.notes, tuple(means))


def _over_the_run(
    model: Model, part: PromptPart, encoded: Mapping[str, EncodedPrompt], syntax: str
) -> Text:
    """The contexts of one text: each distinct one is on the device once."""
    words = [words for _, words in part.stages]
    contexts = {w: encoded[w].context.to(model.device) for w in dict.fromkeys(words)}
    if syntax == "a1111" and len(contexts) > 1:
        contexts = _restored_together(words, contexts, encoded)
    return Text([(until, contexts[w]) for until, w in part.stages])


def _restored_together(
    words: Sequence[str], contexts: Mapping[str, Tensor], encoded: Mapping[str, EncodedPrompt]
) -> dict[str, Tensor]:
    """The contexts with the means of all stages restored at once, as AUTOMATIC1111 does: its batch
    holds all texts of a schedule, and a mean is taken over the batch, chunk by chunk.
    """
    length = max(len(encoded[w].means) for w in words)
    rows = [
        [encoded[w].means[i] for w in words if i < len(encoded[w].means)] for i in range(length)
    ]
    sums = torch.tensor([[math.fsum(mean) for mean in zip(*row, strict=True)] for row in rows])
    factors = text.restoring(sums[:, 0], sums[:, 1])
    restored = {}
    for w, context in contexts.items():
        own = torch.tensor(encoded[w].means)
        change = factors[: len(own)] / text.restoring(own[:, 0], own[:, 1])
        chunks = context.unflatten(1, (len(own), -1))  # [1, k, 77, d]
        change = change.to(context)[None, :, None, None]
        restored[w] = (chunks * change).flatten(1, 2)
    return restored


# FrozenOpenCLIPEmbedderWithCustomWords in its `modules/sd_hijack_open_clip.py`.
_IGNORED_THERE = (
    "AUTOMATIC1111 ignores the clip skip with models of SD 2.x, and here it counts: take it off "
    "for a picture as there."
)

_CANCELLED = (
    "The weights below zero all but cancel the others, or more: the empty prompt was added to make "
    "up for it. What is to stay away does so better in the negative prompt."
)
