"""AdamW with clipped gradients, averaged over processes, and a running mean of the weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from . import processes

_LONGEST = 1.0  # a longer gradient, of all weights together, is clipped


class Optimiser:
    """Steps the weights of `modules`, and keeps their running mean, which the trainers save.

    At these rates the mean is far better than the last weights (https://arxiv.org/abs/2206.00364).
    """

    def __init__(self, modules: Iterable[nn.Module], *, decay: float, mean: float) -> None:
        self.weights = [p for module in modules for p in module.parameters()]
        self.means = [p.detach().clone() for p in self.weights]
        self.mean, self.steps = mean, 0
        self._adam = torch.optim.AdamW(self.weights, betas=(0.9, 0.99), weight_decay=decay)

    def step(self, rate: float) -> None:
        """One step with the gradients that `backward` left, which are cleared."""
        self._clip()
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self.steps += 1
        recent = (self.steps + 1) / (self.steps + 10)  # at first the mean covers few steps
        with torch.no_grad():
            torch._foreach_lerp_(self.means, self.weights, 1 - min(self.mean, recent))

    @torch.no_grad()
    def _clip(self) -> None:
        """Average the gradients over the processes and clip them; 0 if they are not finite."""
        for p in self.weights:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        # In one tensor, so that the processes exchange one message.
        flat = processes.mean_(torch.cat([p.grad.reshape(-1) for p in self.weights]))
        length = flat.norm()
        flat = flat.where(length.isfinite(), 0.0)
        flat *= (_LONGEST / (length + 1e-6)).nan_to_num(0.0).clamp(max=1.0)
        parts = flat.split([p.numel() for p in self.weights])
        for p, part in zip(self.weights, parts, strict=True):
            p.grad.copy_(part.view(p.shape))

    @torch.no_grad()
    def averaged(self, modules: Iterable[nn.Module]) -> None:
        """Copy the running mean into modules of the same shapes, in the same order."""
        into = [p for module in modules for p in module.parameters()]
        for p, mean in zip(into, self.means, strict=True):
            p.copy_(mean)
