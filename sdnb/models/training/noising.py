"""The training loss: SD 1.x's noising process."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sdnb.engine.diffusion.schedule import NoiseSchedule
from sdnb.engine.networks.config import NoiseConfig

_SNR = 5.0  # min-SNR's gamma (https://arxiv.org/abs/2303.09556)
_OFFSET = 0.1
_MOST_WEIGHT = 8.0

#: Noisy latents `[b, 4, h, w]`, times `[b]` and contexts `[b, 77, d]` to the predicted noise.
Forward = Callable[[Tensor, Tensor, Tensor], Tensor]


class Noising:
    """Draws times and noise, and weighs the errors.

    Min-SNR gives the importance of a time. Its root is the density with which times are drawn, and
    again the weight of their loss. A part of the noise is common to each whole channel, because
    SD's last time is not pure noise: without it, white or black pictures come out grey
    (https://www.crosslabs.org/blog/diffusion-with-offset-noise).
    """

    def __init__(self, config: NoiseConfig, device: torch.device) -> None:
        kept = NoiseSchedule(config.steps, config.beta_start, config.beta_end).alphas
        snr = kept / (1 - kept)
        root = (snr.clamp(max=_SNR) / snr).sqrt()
        density = root / root.sum()
        self.kept = kept.float().to(device)  # share of the signal's power at each time
        self.cumulative = density.cumsum(0).float().to(device)
        self.weight = (root / (root * density).sum()).float().to(device)  # 1 on average

    def loss(self, forward: Forward, latents: Tensor, context: Tensor) -> Tensor:
        """The weighted mean square error of the predicted noise, for latents of unit variance."""
        n, device = len(latents), latents.device
        times = torch.searchsorted(self.cumulative, torch.rand(n, device=device))
        times = times.clamp_max(len(self.kept) - 1)
        kept = self.kept[times].view(-1, 1, 1, 1)
        common = torch.randn(n, latents.shape[1], 1, 1, device=device)
        noise = torch.randn_like(latents) + _OFFSET * common
        noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        error = forward(noisy, times, context).float() - noise
        return (error.square().mean((1, 2, 3)) * self.weight[times]).mean()

    def of_noise(self, unet: Forward, prediction: str) -> Forward:
        """The UNet as one that predicts the noise: from v it follows, v being
        `sqrt(kept) * noise - sqrt(1 - kept) * x0` (Salimans and Ho 2022,
        https://arxiv.org/abs/2202.00512).
        """
        if prediction == "eps":
            return unet

        def noise(noisy: Tensor, times: Tensor, context: Tensor) -> Tensor:
            kept = self.kept[times].view(-1, 1, 1, 1)
            return kept.sqrt() * unet(noisy, times, context).float() + (1 - kept).sqrt() * noisy

        return noise


class EarlyNoising(Noising):
    """The noising of a control network: mostly late times, at which a run begins and decides where
    things stand.

    A time is `1 - u^3` of the way to pure noise (T2I-Adapter's cubic sampling, Mou et al. 2023,
    https://arxiv.org/abs/2302.08453). There the noise is easily told, so that errors are small
    whatever the hint says: they count more by the root of the noise's share.
    """

    def __init__(self, config: NoiseConfig, device: torch.device) -> None:
        super().__init__(config, device)
        share = torch.arange(1, config.steps + 1, device=device) / config.steps
        self.cumulative = 1 - (1 - share) ** (1 / 3)
        density = self.cumulative.diff(prepend=self.cumulative.new_zeros(1))
        weight = ((1 - self.kept) / self.kept).sqrt().clamp(max=_MOST_WEIGHT)
        self.weight = weight / (weight * density).sum()
