"""A model that is known in closed form: every value of the latent is drawn from N(MEAN, STD^2).

Then x at level sigma is N(MEAN, STD^2 + sigma^2), the best guess at x0 is linear in x, and the
probability-flow ODE moves every x along its quantile.
"""

from __future__ import annotations

import math

MEAN, STD = 0.4, 0.6


def denoise(x, sigma):
    """E[x0 | x], exactly."""
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def flow(x, sigma, to):
    """Where the probability-flow ODE takes x from level sigma to level `to`, exactly."""
    return MEAN + (x - MEAN) * math.sqrt((STD**2 + to**2) / (STD**2 + sigma**2))


def consistent(x, sigma):
    """What a perfectly distilled consistency model answers: the flow's end."""
    return flow(x, sigma, 0.0)
