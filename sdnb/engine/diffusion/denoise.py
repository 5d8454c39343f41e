"""Denoisers: functions `denoise(x, sigma) -> x0`, which are all that a sampler knows of a model.

x is a clean latent plus sigma times unit noise, and x0 is the guess at the clean latent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sdnb.engine.diffusion.schedule import NoiseSchedule

Denoise = Callable[[Tensor, float], Tensor]  # (x [b, 4, h, w], sigma) -> x0 [b, 4, h, w]
Predict = Callable[[Tensor, float], Tensor]  # (x of unit variance, timestep) -> network's output


def eps_denoiser(predict: Predict, schedule: NoiseSchedule, prediction: str = "eps") -> Denoise:
    """A denoiser from a network trained to predict the noise ("eps") or the velocity ("v").

    The network gets x scaled to unit variance, and a timestep that may be fractional. Its output is
    cast to x's dtype, so that the sampler's state keeps its precision. Sources: Karras et al. 2022,
    table 1 (VP), https://arxiv.org/abs/2206.00364; for v, Salimans & Ho 2022,
    https://arxiv.org/abs/2202.00512. Raises ValueError for another prediction.
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
    """Classifier-free guidance: cfg 0 gives uncond, 1 gives cond, and more exaggerates the
    difference. A tensor [b, 1, 1, 1] holds one cfg for each picture.

    It is linear, and so the same on x0, on noise and on v. Source: Ho & Salimans 2022, equation 6,
    https://arxiv.org/abs/2207.12598; cfg is the paper's w + 1.
    """
    return uncond + (cond - uncond) * cfg


def guided(first: Tensor, others: Sequence[Tensor], scales: Tensor) -> Tensor:
    """Guidance of predictions `[b, 4, h, w]` away from the first, by `scales` `[n, b, 1, 1, 1]`: of
    each other one how far towards it, which is cfg where there is one prompt. With cfg_rescale two
    more: the share of the result that is brought to the deviation of the prompt's own prediction,
    picture by picture, and 1 / cfg. Without it a large cfg exaggerates contrast and colours.

    Source: Lin et al. 2023, section 3.4, https://arxiv.org/abs/2305.08891. Several prompts: Liu et
    al. 2022, equation 12, https://arxiv.org/abs/2206.01714; their own prediction is that of cfg 1.
    """
    out = combine(first, others[0], scales[0])
    for other, scale in zip(others[1:], scales[1:]):  # noqa: B905 - two more scales may follow
        out = out + (other - first) * scale
    if len(scales) == len(others):
        return out
    share, one = scales[-2:]
    deviations = [x.std(dim=(1, 2, 3), keepdim=True) for x in (combine(first, out, one), out)]
    return out * (share * (deviations[0] / deviations[1]) + (1 - share))


def blend(kept: Tensor, new: Tensor, mask: Tensor) -> Tensor:
    """Give exactly `new` where mask is 1, exactly `kept` where it is 0, and a mixture between.

    kept and new are [b or 1, 4, h, w], mask is [b or 1, 1, h, w] in 0..1.
    """
    return torch.lerp(kept, new, mask)


def inpainting(denoise: Denoise, latent: Tensor, mask: Tensor, noise: Tensor) -> Denoise:
    """A denoiser that regenerates where mask is 1 and keeps `latent` where it is 0.

    The network sees the kept part at the noise level of the rest, and its answer there is replaced
    by the latent, which `Step.denoised` then holds exactly. x still carries the last sigma's noise:
    end a run with `blend(latent, finish(x, sigma), mask)`.

    latent and noise are [b or 1, 4, h, w], mask is [b or 1, 1, h, w]. This is the known-region step
    of RePaint (Lugmayr et al. 2022, equation 8, https://arxiv.org/abs/2201.09865) with one noise
    for all steps.
    """

    def denoise_inside(x: Tensor, sigma: float) -> Tensor:
        x = blend(latent + noise * sigma, x, mask)
        return blend(latent, denoise(x, sigma), mask)

    return denoise_inside
