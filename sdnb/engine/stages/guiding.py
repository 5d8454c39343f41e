"""Guidance over the calls of a run, with the shortcuts of `request.guidance_steps`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sdnb.engine.diffusion.denoise import guided
from sdnb.request.guidance_steps import APART, GUIDED, Guess, GuidanceSteps


class Guiding:
    """How the pictures of one pass are guided, call by call.

    `scales` `[texts - 1 (+ 2), b, 1, 1, 1]` are those of `denoise.guided`, of pictures with these
    `cfgs`. Where the guess without words is not made anew, its distance from the guess with words
    is kept from the last call that made both.
    """

    def __init__(self, steps: GuidanceSteps, scales: Tensor, cfgs: Sequence[float]) -> None:
        self.steps = steps
        self._scales = {True: scales, False: _without(scales, cfgs, max(steps.texts - 1, 1))}
        self._distance: Tensor | None = None

    def to(self, device: torch.device) -> None:
        """Have the scales on this device."""
        self._scales = {on: each.to(device, torch.float32) for on, each in self._scales.items()}

    def scales(self, guess: Guess) -> Tensor:
        """The scales of a call."""
        return self._scales[guess.guided]

    def guided(self, guess: Guess, output: Tensor) -> Tensor:
        """What is predicted `[b, 4, h/8, w/8]`, of the output of the pass that a call took."""
        if guess.reads == GUIDED:
            return output
        if guess.reads == APART:
            without, words = output.float().chunk(2)  # [b, 4, h/8, w/8] each
            self._distance = words - without
            return guided(without, [words], self.scales(guess))
        if not guess.guided:
            return output
        if self._distance is None:
            raise RuntimeError("a guess without words is used again before there was one")
        words = output.float()
        return guided(words - self._distance, [words], self.scales(guess))


def _without(scales: Tensor, cfgs: Sequence[float], others: int) -> Tensor:
    """The scales at cfg 1, where nothing is rescaled: prompts that AND joins keep their weights."""
    plain = scales[:others] / torch.tensor(cfgs)[None, :, None, None, None]
    rescale = scales[others:]
    if not len(rescale):
        return plain
    return torch.cat([plain, torch.zeros_like(rescale[:1]), torch.ones_like(rescale[1:])])
