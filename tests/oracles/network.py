"""A small random network in a UNet's place: smooth, bounded, and it looks at the timestep."""

from __future__ import annotations

import torch


class RandomNetwork(torch.nn.Module):
    """predict(x [b, 4, h, w], t) -> [b, 4, h, w], of the size of a noise prediction."""

    def __init__(self, seed=0, width=16, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape, scale):
            values = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
            return torch.nn.Parameter(values.to(dtype), requires_grad=False)

        self.inward = normal(width, 4, 3, 3, scale=0.15)
        self.outward = normal(4, width, 3, 3, scale=0.1)
        self.time = normal(width, scale=1.0)

    def forward(self, x, t):
        hidden = torch.nn.functional.conv2d(x, self.inward, padding=1)
        hidden = torch.tanh(hidden + self.time[:, None, None] * (t / 1000))
        return 0.8 * x + torch.nn.functional.conv2d(hidden, self.outward, padding=1)
