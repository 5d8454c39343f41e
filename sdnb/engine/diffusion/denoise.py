"""Denoisers: from what a network predicts to `denoise(x, sigma) -> x0`, and wrappers round that.

x is a clean latent plus sigma times unit noise; x0 is the guess at the clean latent. Samplers know
nothing else, so guidance, inpainting and the kind of prediction are functions of a denoiser.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sdnb.engine.diffusion.schedule import NoiseSchedule

__all__ = [
    "Denoise",
    "Predict",
    "blend",
    "combine",
    "eps_denoiser",
    "inpainting",
]

Denoise = Callable[[Tensor, float], Tensor]  # (x [b, 4, h, w], sigma) -> x0 [b, 4, h, w]
Predict = Callable[
    [Tensor, float], Tensor
]  # (x of unit variance, timestep) -> the network's output


def eps_denoiser(predict: Predict, schedule: NoiseSchedule, prediction: str = "eps") -> Denoise:
    """A denoiser from a network trained to predict the noise ("eps") or the velocity ("v").

    The network sees x scaled to unit variance and a timestep, fractional between the table's
    entries. Its answer is brought to x's dtype: the sampler's state keeps its precision.
    Sources: Karras et al. 2022, table 1 (VP), https://arxiv.org/abs/2206.00364; v: Salimans & Ho
    2022, https://arxiv.org/abs/2202.00512. Raises ValueError for another prediction.
    """
    if prediction not in ("eps", "v"):
        raise ValueError(f"prediction is {prediction!r}; a network predicts 'eps' or 'v'")

    def denoise(x: Tensor, sigma: float) -> Tensor:
        scale = 1 / math.sqrt(1 + sigma * sigma)  # c_in; also sqrt(a), the signal's share
        output = predict(x * scale, schedule.sigma_to_t(sigma)).to(x.dtype)
        if prediction == "eps":
            return x - output * sigma
        return x * (scale * scale) - output * (sigma * scale)

    return denoise


def combine(uncond: Tensor, cond: Tensor, cfg: float | Tensor) -> Tensor:
    """Classifier-free guidance: cfg 0 is uncond, 1 cond, above 1 exaggerates their difference; a
    tensor [b, 1, 1, 1] holds one for each picture.

    Linear, so the same on x0, on noise and on v. Ho & Salimans 2022, https://arxiv.org/abs/2207.12598
    (cfg is the paper's w + 1, as in the original's `--scale`).
    """
    return uncond + (cond - uncond) * cfg


def blend(kept: Tensor, new: Tensor, mask: Tensor) -> Tensor:
    """`new` where mask is 1, `kept` where it is 0, both exactly; a mixture between.

    kept, new [b or 1, 4, h, w]; mask [b or 1, 1, h, w] in 0..1; floats of one dtype and device.
    """
    return torch.lerp(kept, new, mask)


def inpainting(denoise: Denoise, latent: Tensor, mask: Tensor, noise: Tensor) -> Denoise:
    """Regenerate where mask is 1, keep `latent` where it is 0.

    The network always sees the kept part at the noise level of the rest, with one fixed noise, and
    what it says of the kept part is replaced by the truth. So `Step.denoised` holds the latent
    there exactly; x still carries rounding and the last sigma's noise: end a run with
    `blend(latent, finish(x, sigma), mask)`.

    latent, noise [b or 1, 4, h, w]; mask [b or 1, 1, h, w]. RePaint's known-region step (Lugmayr et
    al. 2022, https://arxiv.org/abs/2201.09865, equation 8), with the noise drawn once.
    """

    def denoise_inside(x: Tensor, sigma: float) -> Tensor:
        x = blend(latent + noise * sigma, x, mask)
        return blend(latent, denoise(x, sigma), mask)

    return denoise_inside
