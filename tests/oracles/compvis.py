"""The original's DDIM and PLMS, written out from the papers in its own coordinates.

x here is variance preserving (x = sqrt(a) x0 + sqrt(1 - a) noise), a the cumulative product of
alphas, and every loop runs down the original's timesteps, `range(0, 1000, 1000 // n) + 1`, each
with the a of its own and of the next timestep, the last one with a at t = 0.
DDIM: equations 12 and 16 of https://arxiv.org/abs/2010.02502. PLMS: the pseudo linear multistep of
https://arxiv.org/abs/2202.09778, begun with two evaluations as in CompVis' repository.
"""

from __future__ import annotations

from itertools import pairwise

import torch


def table(steps=1000, beta_start=0.00085, beta_end=0.012):
    betas = torch.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


def path(n):
    """(timestep, its a, the next a), from noise to picture."""
    a = table()
    times = [t + 1 for t in range(0, 1000, 1000 // n)]
    return [(t, a[t], a[below]) for below, t in pairwise([0, *times])][::-1]


def _ddim_step(x, e, a, a_next, eta=0.0, noise=None):
    spread = eta * ((1 - a_next) / (1 - a)).sqrt() * (1 - a / a_next).sqrt()
    x0 = (x - (1 - a).sqrt() * e) / a.sqrt()
    x = a_next.sqrt() * x0 + (1 - a_next - spread**2).sqrt() * e
    return x if noise is None else x + spread * noise


def ddim(eps, x, n, eta=0.0, noise=None):
    """x [b, 4, h, w] of unit variance; eps(x, t) the network; noise() a fresh draw."""
    for t, a, a_next in path(n):
        x = _ddim_step(x, eps(x, t), a, a_next, eta, noise() if eta else None)
    return x


def plms(eps, x, n):
    old = []
    steps = path(n)
    for i, (t, a, a_next) in enumerate(steps):
        e = eps(x, t)
        if not old:
            t_next = steps[min(i + 1, n - 1)][0]
            mixed = (e + eps(_ddim_step(x, e, a, a_next), t_next)) / 2
        elif len(old) == 1:
            mixed = (3 * e - old[-1]) / 2
        elif len(old) == 2:
            mixed = (23 * e - 16 * old[-1] + 5 * old[-2]) / 12
        else:
            mixed = (55 * e - 59 * old[-1] + 37 * old[-2] - 9 * old[-3]) / 24
        x = _ddim_step(x, mixed, a, a_next)
        old = [*old[-2:], e]
    return x
