"""What a model of few steps learns from: where its teacher's many guided steps lead.

The levels of noise that the fast run visits cut the way from noise to a latent into segments. The
teacher, the same model with guidance, walks each segment in several steps of a good sampler. The
fast model shall come to the segment's end in one: a step of Euler's (DDIM) goes along a straight
line, so its target is the slope of the line between the segment's ends.

No pictures are needed: the ways begin in noise, as those of a run do, and captions steer them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sdnb.engine.diffusion import schedule as levels_of
from sdnb.engine.diffusion.denoise import combine, eps_denoiser
from sdnb.engine.diffusion.samplers import SAMPLERS
from sdnb.engine.diffusion.schedule import NoiseSchedule

from .batches import Batch
from .noising import Forward

_LAST = 2.5  # the power by which the last segment's steps become shorter


class Cuts:
    """The levels of noise of a run of few steps, and those between them at which a teacher steps.

    `levels[i]` are those of segment i, `substeps + 1` of them, from `ends[i]` to `ends[i + 1]`:
    evenly spaced in time, but in the last segment closer and closer, since a step to level 0 loses
    what is finer than the level that it begins at. `times` are their timesteps; that of level 0 is
    never asked for.
    """

    def __init__(self, schedule: NoiseSchedule, name: str, steps: int, substeps: int) -> None:
        if substeps < 1:
            raise ValueError(f"substeps is {substeps}; 1 or more is expected")
        self.ends = levels_of.sigmas(name, steps, schedule)
        self.levels, self.times = [], []
        for first, last in zip(self.ends, self.ends[1:], strict=False):
            high, low = (schedule.sigma_to_t(level) if level else 0.0 for level in (first, last))
            shares = [(1 - j / substeps) ** (1 if last else _LAST) for j in range(substeps + 1)]
            times = [low + (high - low) * share for share in shares]
            self.times.append(times)
            inner = map(schedule.t_to_sigma, times[1:-1])
            self.levels.append([first, *inner, last])


class Learnt(NamedTuple):
    """What one step of training is made of."""

    states: Tensor  # [b, 4, h, w], a latent plus sigma times noise
    sigmas: Tensor  # [b]
    times: Tensor  # [b]
    ends: Tensor  # [b], the levels of the segments' ends
    slopes: Tensor  # [b, 4, h, w], the noise that a step to the end should take away
    ids: Tensor  # [b, 77]
    segments: Tensor  # [b]


def scaled(sigmas: Tensor) -> Tensor:
    """What a state is divided by to have unit variance, as the UNet wants it: `[b, 1, 1, 1]`."""
    return (1 + sigmas.square()).sqrt().view(-1, 1, 1, 1)


@dataclass
class Teacher:
    """A model with guidance, along a segment. It takes both halves of guidance in one pass."""

    forward: Forward
    schedule: NoiseSchedule
    cfg: float
    sampler: str

    def walk(
        self, start: Tensor, context: Tensor, empty: Tensor, levels: Sequence[float]
    ) -> list[Tensor]:
        """The states at each of `levels`, of which the first is `start` `[b, 4, h, w]`. `context`
        `[b, 77, d]` is what the captions mean, `empty` `[1, 77, d]` what no words mean.
        """
        both = torch.cat([empty.expand_as(context), context])

        def predict(x: Tensor, time: float) -> Tensor:
            seen = x.repeat(2, 1, 1, 1).contiguous(memory_format=torch.channels_last)
            at = torch.full((len(seen),), time, device=x.device)
            uncond, cond = self.forward(seen, at, both).float().chunk(2)
            return combine(uncond, cond, self.cfg)

        denoise = eps_denoiser(predict, self.schedule)
        states = [start]
        with torch.no_grad(), closing(SAMPLERS[self.sampler](denoise, start, levels)) as steps:
            states += [step.x.clone() for step in steps]
        return states


class Segments:
    """Segments that the teacher walked, the newest `room` of them, each used several times.

    A walk begins in noise. At the end of each segment the next one begins where the teacher came,
    or, for a share `own` of the walks, where the fast model itself comes in one step: so it learns
    to set right what it did wrong. States are kept at unit variance and in half precision.
    """

    def __init__(
        self, cuts: Cuts, teacher: Teacher, batches: Iterator[Batch],
        encode: Callable[[Tensor], Tensor], *, empty: Tensor, room: int, shape: Sequence[int],
    ) -> None:  # fmt: skip
        self.cuts, self.teacher, self.batches, self.encode = cuts, teacher, batches, encode
        self.empty = encode(empty[None])  # [1, 77, d]
        device = empty.device
        between = len(cuts.levels[0])
        self.states = torch.empty(room, between, *shape, dtype=torch.float16, device=device)
        self.ids = torch.empty(room, 77, dtype=torch.int16, device=device)
        self.segment = torch.empty(room, dtype=torch.int64, device=device)
        self.sigmas = torch.tensor(cuts.levels, device=device)  # [segments, between]
        self.times = torch.tensor(cuts.times, device=device)
        self.filled = self._next = 0

    @torch.no_grad()
    def renew(self, fast: Forward, own: float) -> tuple[Tensor, Tensor, Tensor]:
        """Walk from fresh noise for a batch of captions, over the oldest segments. Returns the
        noise, the teacher's latents `[n, 4, h, w]` (where `own` is 0), and the ids.
        """
        _, ids = next(self.batches)
        ids = ids.to(self.ids.device)
        context = self.encode(ids.long())
        noise = torch.randn(len(ids), *self.states.shape[2:], device=ids.device)
        x = noise * float(scaled(self.sigmas[0, :1]))  # as a run begins
        for i, levels in enumerate(self.cuts.levels):
            states = self.teacher.walk(x, context, self.empty, levels)
            self._keep(states, ids, i)
            theirs, start = states[-1], self.sigmas[i, :1].expand(len(ids))
            at = self.times[i, :1].expand(len(ids))
            slope = noise_in(fast, x, start, at, context)
            ours = x + slope * (levels[-1] - levels[0])
            mine = torch.rand(len(ids), 1, 1, 1, device=x.device) < own
            x = torch.where(mine, ours, theirs)
        return noise, x, ids

    def _keep(self, states: Sequence[Tensor], ids: Tensor, segment: int) -> None:
        if self._next + len(ids) > len(self.ids):
            self._next = 0
        at = slice(self._next, self._next + len(ids))
        for j, state in enumerate(states):
            self.states[at, j] = (state / scaled(self.sigmas[segment, j : j + 1])).half()
        self.ids[at], self.segment[at] = ids, segment
        self._next = at.stop
        self.filled = max(self.filled, at.stop)

    def draw(self, count: int, between: float = 0.0) -> Learnt:
        """Random segments, from their beginnings; for a share `between` of them from one of the
        teacher's states on the way, since a run that begins with a picture may begin there.
        """
        device = self.ids.device
        rows = torch.randint(self.filled, (count,), device=device)
        last = self.states.shape[1] - 1
        on_the_way = torch.rand(count, device=device) < between
        places = torch.randint(last, (count,), device=device).where(on_the_way, 0)
        return self.at(rows, places)

    def at(self, rows: Tensor, places: Tensor) -> Learnt:
        """Those of these rows, from these places on the way, 0 for the beginning."""
        segment = self.segment[rows]
        sigmas, ends = self.sigmas[segment, places], self.sigmas[segment, -1]
        first = self.states[rows, places].float() * scaled(sigmas)
        last = self.states[rows, -1].float() * scaled(ends)
        slopes = (first - last) / (sigmas - ends).view(-1, 1, 1, 1)
        return Learnt(
            first, sigmas, self.times[segment, places], ends, slopes, self.ids[rows].long(), segment
        )


def noise_in(
    forward: Forward, states: Tensor, sigmas: Tensor, times: Tensor, context: Tensor
) -> Tensor:
    """The noise that a UNet sees in states of levels `sigmas` `[b]`, in float32."""
    seen = (states / scaled(sigmas)).contiguous(memory_format=torch.channels_last)
    return forward(seen, times, context).float()


def errors(found: Tensor, learnt: Learnt) -> Tensor:
    """By how much a step with the slopes `found` misses the segments' ends: the mean square `[b]`
    of the states there, at unit variance.
    """
    length = (learnt.sigmas - learnt.ends).square() / (1 + learnt.ends.square())
    return (found - learnt.slopes).square().mean((1, 2, 3)) * length
