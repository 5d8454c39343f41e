"""`python -m sdnb.models.training.train_vae`: trains the autoencoder on composed scenes.

The loss is L1 + L2, gradients at four scales and a tiny KL. There is no perceptual net and no
discriminator, so that the weights come from the sprites alone. Two things make the latents easy to
diffuse: noise before decoding, and equivariance (turning, mirroring or halving the latent must do
the same to the picture; EQ-VAE, https://arxiv.org/abs/2502.09509). At the end their mean and
deviation are folded into the 1x1 convolutions, so that SD 1.x's factor 0.18215 holds.

    torchrun --nproc-per-node 2 -m sdnb.models.training.train_vae --data data --out model
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sdnb.engine.checkpoint import export
from sdnb.engine.networks.vae import VAE, ResnetBlock

from . import judges, linear_start, photos, processes, recipe
from .batches import Batch, Batches, stream
from .catalog import Catalog
from .optimiser import Optimiser
from .painter import Painter
from .processes import say

_LOOK = 10  # steps between looks at the clock, which all processes share
_KL = 1e-5
_NOISE = 0.08  # share of the latents' deviation: the most that is added before decoding


def main() -> None:
    """Train for `--seconds`, save, and print the PSNR of held-out scenes."""
    args = _parser().parse_args()
    if (args.out / "vae").exists():  # train_unet would take that one and not wait
        raise FileExistsError(f"{args.out / 'vae'} is there already: train into another folder")
    device = processes.join()
    torch.manual_seed(0)
    config = recipe.of(args.data / "tokenizer", args.size)
    vae, kept = (VAE(config.vae).to(device, memory_format=torch.channels_last) for _ in range(2))
    linear_start.prepare(vae)
    torch.manual_seed(1000 + processes.rank())
    painter = Painter(Catalog(args.data).sprites(threads=8), args.size, device)
    batches = stream(Batches(args.data, args.batch, seed=100 + processes.rank()), args.workers)
    optimiser = Optimiser([vae], decay=1e-3, mean=0.999)
    _train(vae, painter, batches, optimiser, args)
    if processes.rank() == 0:
        optimiser.averaged([kept])
        kept.eval().requires_grad_(False)
        calibrate(kept, painter, batches, args.calibrate)
        export.write_part(kept, config, "vae", args.out)
        held = stream(Batches(args.data, 16, seed=9, which="held"), 0)
        values = [judges.coded_psnr(kept, painter(next(held)[0])) for _ in range(args.held_out)]
        say(f"held-out PSNR {torch.cat(values).mean().item():.2f} dB")
    processes.leave()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs to learn a little from")
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--seconds", type=float, default=230)
    parser.add_argument("--batch", type=int, default=24, help="pictures a step and process")
    parser.add_argument("--rate", type=float, default=6e-4, help="the learning rate at its top")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--compile", action="store_true", help="the residual blocks (for a GPU)")
    parser.add_argument("--calibrate", type=int, default=2048, help="pictures measured at the end")
    parser.add_argument("--held-out", type=int, default=16, help="batches of 16 at the end")
    return parser


def _train(
    vae: VAE, painter: Painter, batches: Iterator[Batch], optimiser: Optimiser,
    args: argparse.Namespace,
) -> None:  # fmt: skip
    if args.compile:
        _compile_blocks(vae)
    photographs = photos.read(args.photos, painter.device)
    began, share, step, errors = math.inf, 0.0, 0, []
    while share < 1:
        if step == (20 if args.compile else 0):  # the clock starts after compiling
            began = time.monotonic()
        pictures = painter(next(batches)[0]).contiguous(memory_format=torch.channels_last)
        if photographs:
            pictures[:1] = photos.crop(photographs, args.size)
        loss, error = _loss(vae, pictures)
        loss.backward()
        warm = min(1.0, (step + 1) / 200)
        optimiser.step(args.rate * warm * (0.5 + 0.5 * math.cos(math.pi * share)) + 1e-6)
        errors.append(error)
        if step % _LOOK == 0:
            share = processes.agreed(max(0.0, time.monotonic() - began) / args.seconds)
        step += 1
        if step in (20, 100) or step % 500 == 0:
            say(f"step {step}: {10 * math.log10(4 / torch.stack(errors).mean().item()):.2f} dB")
            errors = []


def _compile_blocks(vae: VAE) -> None:
    """Compile the residual blocks one by one: those of one shape share the work."""
    torch._dynamo.config.cache_size_limit = 256  # noqa: SLF001
    for module in vae.modules():
        if isinstance(module, ResnetBlock):
            module.compile(dynamic=False)


def _loss(vae: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and its mean squared error for the log."""
    with torch.autocast(x.device.type, torch.bfloat16):
        moments = vae.quant_conv(vae.encoder(x))
    mean, log_variance = moments.float().chunk(2, 1)
    log_variance = log_variance.clamp(-20, 10)
    z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    noise = _NOISE * torch.rand(len(z), 1, 1, 1, device=z.device)
    z = z + torch.randn_like(z) * z.detach().std() * noise
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    z, y = _moved(z, x)
    with torch.autocast(x.device.type, torch.bfloat16):
        z = z.contiguous(memory_format=torch.channels_last)
        decoded = vae.decoder(vae.post_quant_conv(z))
    error = decoded.float() - y
    return difference(error) + _KL * kl, error.detach().square().mean()


def _moved(z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Latents and pictures, one time in five turned, mirrored or halved together."""
    chance = torch.rand(()).item()
    if chance < 0.05:
        quarters = int(torch.randint(1, 4, ()))
        return z.rot90(quarters, (2, 3)), x.rot90(quarters, (2, 3))
    if chance < 0.1:
        return z.flip(3), x.flip(3)
    if chance < 0.2:
        return F.avg_pool2d(z, 2), F.avg_pool2d(x, 2)
    return z, x


def difference(error: Tensor) -> Tensor:
    """L1 + L2 of a difference of pictures, and L1 of its gradients at four scales: edges matter."""
    loss = error.abs().mean() + error.square().mean()
    for scale in range(4):
        if scale:
            error = F.avg_pool2d(error, 2)
        across = (error[..., 1:] - error[..., :-1]).abs().mean()
        down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        loss = loss + 0.5 * (1 + scale / 2) * (across + down)
    return loss


@torch.no_grad()
def calibrate(vae: VAE, painter: Painter, batches: Iterator[Batch], count: int) -> None:
    """Give each channel of the scaled latents mean 0 and deviation 1, by the 1x1 convolutions."""
    measured: list[Tensor] = []
    while sum(map(len, measured)) < count:
        measured.append(vae.encode(painter(next(batches)[0])) / vae.config.scale)
    z = torch.cat(measured)
    mean, wide = z.mean((0, 2, 3)), z.std((0, 2, 3)) * vae.config.scale
    say("latents: correlation", torch.corrcoef(z.transpose(0, 1).flatten(1)).cpu().numpy().round(2))
    quant, post, n = vae.quant_conv, vae.post_quant_conv, len(mean)
    # The decoder's side has the inverse of z -> (z - mean) / wide.
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight *= wide[None, :, None, None]
    quant.weight[:n] /= wide[:, None, None, None]
    quant.bias[:n] = (quant.bias[:n] - mean) / wide
    quant.bias[n:] -= 2 * wide.log()  # the log variances


if __name__ == "__main__":
    main()
