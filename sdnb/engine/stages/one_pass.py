"""One pass of the UNet, with guidance and control, as functions that a graph may record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sdnb.engine import memory
from sdnb.engine.diffusion.denoise import guided
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.controlnet import ControlNet
from sdnb.engine.networks.resnet import repeat_batch
from sdnb.engine.planning.footprint import is_beside
from sdnb.request.deep_steps import KEEPS, SHALLOW, WHOLE


def guided_pass(
    unet: Callable[..., Any],
    dtype: torch.dtype,
    groups: int,
    has_extra: bool,
    tensors: Sequence[Tensor],
    *,
    control: ControlPass | None = None,
    apart: bool = False,
    depth: str = WHOLE,
    merge: float = 0.0,
) -> Tensor | tuple[Tensor, ...]:
    """What the UNet predicts for one step, `[b, 4, h/8, w/8]`, in float32 where there is guidance;
    with `apart`, what it predicts for each text, one after the other `[texts * b, 4, h/8, w/8]`.
    With depth `KEEPS` also the deep feature of each group of texts; with `SHALLOW` those are among
    the tensors. `merge` is the UNet's.

    `tensors` are x, the time's row, the scales of guidance, what a 9-channel model also sees if
    `has_extra`, the deep features, the tensors of `control`, then keys and values of each group of
    texts: one group where all of them go in one call.
    """
    x, row, scale, *rest = tensors
    latent = x
    if has_extra:
        x, rest = torch.cat([x, rest[0]], dim=1), rest[1:]  # [b, 9, h/8, w/8]
    kept, rest = (rest[:groups], rest[groups:]) if depth == SHALLOW else ([], rest)
    b = len(x)
    x = x.to(dtype, memory_format=torch.channels_last)
    steered = None
    if control is not None:
        latent = latent.to(dtype, memory_format=torch.channels_last) if has_extra else x
        steered, rest = control.taken(rest, groups)
    size = len(rest) // groups
    how: dict[str, Any] = {"keep": True} if depth == KEEPS else {}
    how |= {"merge": merge} if merge else {}
    outputs, deep = [], []
    for i in range(groups):
        text = rest[i * size : (i + 1) * size]
        words = [*zip(text[::2], text[1::2], strict=True)]
        if depth == SHALLOW:
            outputs.append(unet(x, row, words, kept=kept[i], **how))
            continue
        if steered is None:
            output = unet(x, row, words, **how)
        else:
            with steered.residuals(latent, i, groups) as residuals:
                maps = steered.features(b, i, groups)
                output = unet(x, row, words, residuals, maps, **how)
        if depth == KEEPS:
            output, feature = output
            deep.append(feature)
        outputs.append(output)
    predicted = _predicted(outputs, b, scale, apart=apart)
    return (predicted, *deep) if deep else predicted


def _predicted(outputs: list[Tensor], pictures: int, scale: Tensor, *, apart: bool) -> Tensor:
    """What is predicted, of the UNet's output for each group of texts."""
    if apart:
        return torch.cat(outputs)
    if len(outputs) == 1 and len(outputs[0]) == pictures:
        return outputs[0]
    if len(outputs) == 1:
        outputs = list(outputs[0].chunk(len(outputs[0]) // pictures))
    first, *others = (output.float() for output in outputs)
    return guided(first, others, scale)


# -- control networks ------------------------------------------------------------------------------
#: What networks add to the UNet's skip connections and behind its middle, or what gives it.
Residuals = list[Tensor] | Callable[[], list[Tensor]]


@dataclass(frozen=True)
class NetInPass:
    """A control network; its maps may be for all texts but the first, and averaged over h and w."""

    module: ControlNet
    prompt_only: bool
    averaged: bool


@dataclass(frozen=True)
class ControlPass:
    """The networks that work in a pass. `everywhere` and `prompts` say whether there are maps of
    adapters for all texts, and for all but the first of them; `beside`, whether the
    networks may work beside the UNet's way down, as they can in a graph.
    """

    nets: tuple[NetInPass, ...]
    everywhere: bool
    prompts: bool
    texts: int
    unet: UNetConfig
    beside: bool = False

    def taken(self, tensors: Sequence[Tensor], groups: int) -> tuple[ControlTensors, list[Tensor]]:
        """Its own tensors, and those behind them: a row for each network, then of each its hint,
        its maps' weights, and keys and values of each group of texts; then the adapters' maps.
        """
        count = len(self.nets)
        rows, rest = list(tensors[:count]), list(tensors[count:])
        own: list[tuple[Tensor, Tensor, list[list[Tensor]]]] = []
        for net in self.nets:
            hint, weights, *rest = rest
            reads = max(groups - net.prompt_only, 1)
            size = net.module.attentions * 2
            keys = [rest[i * size : (i + 1) * size] for i in range(reads)]
            own.append((hint, weights, keys))
            rest = rest[reads * size :]
        levels = len(self.unet.channels)
        maps = []
        for there in (self.everywhere, self.prompts):
            maps.append(rest[:levels] if there else [])
            rest = rest[levels:] if there else rest
        return ControlTensors(self, rows, own, maps[0], maps[1]), rest


@dataclass(frozen=True)
class ControlTensors:
    """The tensors of a `ControlPass`."""

    of: ControlPass
    rows: list[Tensor]
    own: list[tuple[Tensor, Tensor, list[list[Tensor]]]]
    everywhere: list[Tensor]
    prompts: list[Tensor]

    @contextmanager
    def residuals(self, x: Tensor, group: int, groups: int) -> Iterator[Residuals]:
        """What the UNet adds for a group of texts; x `[b, 4, h/8, w/8]`."""
        works = any(group or groups == 1 or not net.prompt_only for net in self.of.nets)
        if not (works and self.of.beside and is_beside(x.shape)):
            yield self._residuals(x, group, groups)
            return
        with memory.Beside(lambda: self._residuals(x, group, groups), x) as maps:
            yield maps

    def _residuals(self, x: Tensor, group: int, groups: int) -> list[Tensor]:
        total: list[Tensor] = []
        for net, row, (hint, weights, keys) in zip(self.of.nets, self.rows, self.own, strict=True):
            apart = groups > 1 and net.prompt_only
            if apart and group == 0:
                continue
            text = keys[group - apart]
            maps = net.module(x, row, [*zip(text[::2], text[1::2], strict=True)], hint)
            if net.averaged:
                maps = [each.mean(dim=(2, 3), keepdim=True) for each in maps]
            maps = [each.mul_(weight) for each, weight in zip(maps, weights, strict=True)]
            if groups == 1 and net.prompt_only:
                maps = [_behind_first(each, len(x), self.of.texts) for each in maps]
            total = [_sum(a, b) for a, b in zip(total, maps, strict=True)] if total else maps
        return total

    def features(self, pictures: int, group: int, groups: int) -> dict[int, Tensor]:
        """The adapters' maps, by the input block behind which they are added."""
        maps, prompts = self.everywhere, self.prompts
        if prompts and groups == 1 and self.of.texts > 1:
            wide = [each.expand(pictures, -1, -1, -1) for each in prompts]
            prompts = [_behind_first(each, pictures, self.of.texts) for each in wide]
        if prompts and (groups == 1 or group > 0):
            maps = [a + b for a, b in zip(maps, prompts, strict=True)] if maps else prompts
        size = self.of.unet.blocks + 1
        return {level * size + size - 1: each for level, each in enumerate(maps)}


def _behind_first(x: Tensor, pictures: int, texts: int) -> Tensor:
    """A map for all texts but the first with nothing for that one before it: `[b * texts, ...]`."""
    rows = repeat_batch(x, pictures * (texts - 1) // len(x))
    return torch.cat([torch.zeros_like(rows[:pictures]), rows])


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """The sum, in the first one where it can be: with little memory each map counts. Where texts
    still share the rows of one of them, the other has more.
    """
    if one.shape == other.shape:
        return one.add_(other)
    rows = max(len(one), len(other))
    return repeat_batch(one, rows // len(one)) + repeat_batch(other, rows // len(other))
