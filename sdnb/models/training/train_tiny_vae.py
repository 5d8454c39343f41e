"""`python -m sdnb.models.training.train_tiny_vae`: a tiny VAE (TAESD) for a model's latents.

The decoder learns the pictures that the full decoder makes of scenes' latents and of noised,
blended and faded ones; the encoder learns the full encoder's latents; both together learn the
scenes. The loss of pictures is that of the full VAE (`train_vae.difference`) with more of
L2. There is no discriminator: drawings have no texture to invent.

    python -m sdnb.models.training.train_tiny_vae --data data --out tiny_vae --minutes 20

`--out` is a folder as diffusers' `AutoencoderTiny.save_pretrained` writes it, whole after every
save.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdnb import assets
from sdnb.engine import pixels
from sdnb.engine.checkpoint import names
from sdnb.engine.full_precision import full_precision
from sdnb.engine.networks.config import VAEConfig
from sdnb.engine.networks.tiny_vae import Block, Conv, TinyVAE
from sdnb.engine.networks.vae import VAE
from sdnb.images import contact_sheet

from . import held_out, judges, processes, recipe
from .batches import Batches, stream
from .catalog import Catalog
from .optimiser import Optimiser
from .painter import Painter
from .processes import say
from .tiny_pairs import PairRing, Pairs
from .train_vae import difference

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_START = time.monotonic()
_SAVING = 20.0  # seconds of `--within` for the last save and its figures
_FAINT = 0.2  # what the last convolution of a residual block is of the usual one at first
_SQUARES = 3.0  # more weight for L2 than `difference` has: the goal is a PSNR
_LATENT = 0.5  # weight of the encoder's latents
_BOTH = 0.25  # weight of scenes through both halves
_SHOWN = 16  # pictures of the sheet


def main() -> None:
    """Train for `--minutes` or until `--within` seconds are over, save, and print the figures."""
    args = _parser().parse_args()
    device = processes.join()
    torch.manual_seed(1)
    batches = stream(Batches(args.data, args.fresh, seed=args.seed), args.workers)
    config = recipe.of(args.model / "tokenizer", args.size)
    full = VAE(config.vae)
    recipe.load_part(full, config, "vae", args.model)
    full.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    trainer = TinyVAETrainer(args, config.vae, device)
    catalog = Catalog(args.data)
    painter = Painter(catalog.sprites(threads=8), args.size, device)
    ring = PairRing(full, painter, batches, args.room)
    while ring.filled < min(args.fill, args.room):
        ring.renew()
    say(f"{ring.filled} scenes after {time.monotonic() - _START:.0f} s")
    trainer.train(ring)
    held = [picture.to(device) for picture in held_out.pictures(catalog, args.size, args.held_out)]
    with full_precision():
        say("held out:", json.dumps(judges.tiny_vae_figures(full, trainer.kept, held)))
        if args.sheet:
            sheet(full, trainer.kept, held[:_SHOWN]).save(args.sheet)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the tiny VAE's folder")
    parser.add_argument(
        "--model", type=Path, default=assets.embedded_model(), help="a model's folder"
    )
    parser.add_argument("--init", type=Path, help="a tiny VAE's folder to go on from")
    parser.add_argument("--sheet", type=Path, help="a picture of held-out scenes to look at")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument(
        "--within",
        type=float,
        default=math.inf,
        help="seconds from the start of the program in which it is done, if that is less",
    )
    parser.add_argument("--snap", type=float, default=60, help="seconds between saves")
    parser.add_argument("--width", type=int, default=32, help="channels of every layer")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3, help="the learning rate at its top")
    parser.add_argument("--warm", type=int, default=200, help="steps until the rate is there")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--fresh", type=int, default=32, help="new scenes at a time")
    parser.add_argument("--every", type=int, default=2, help="steps between new scenes")
    parser.add_argument("--fill", type=int, default=2048, help="scenes to begin with")
    parser.add_argument("--room", type=int, default=24576, help="scenes kept, 410 kB each")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--seed", type=int, default=21, help="of the scenes")
    parser.add_argument("--held-out", type=int, default=held_out.SCENES, help="scenes at the end")
    return parser


class TinyVAETrainer:
    """The tiny VAE, the running mean of its weights, and the loop that trains and saves it."""

    def __init__(self, args: argparse.Namespace, full: VAEConfig, device: torch.device) -> None:
        self.args, self.device = args, device
        config = VAEConfig(
            tiny=True, channels=(args.width,) * len(full.channels), blocks=3,
            latent_channels=full.latent_channels, scale=1.0,
        )  # fmt: skip
        self.vae, self.kept = (TinyVAE(config) for _ in range(2))
        if args.init:
            read(self.vae, args.init)
        else:
            begin(self.vae)
        for module in (self.vae, self.kept):
            module.to(device, memory_format=torch.channels_last)
        self.kept.eval().requires_grad_(False)
        self.optimiser = Optimiser([self.vae], decay=1e-4, mean=0.999)

    def loss(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The loss, and for the log the mean squares `[2]` of both halves' errors."""
        scenes, latents, decoded, pictures = pairs
        with torch.autocast(self.device.type, torch.bfloat16):
            made = self.vae.decode(decoded)
            coded = self.vae.encode(scenes)
            again = self.vae.decode(coded[::2])
        wrong, off = made.float() - pictures, coded.float() - latents
        loss = _pictures(wrong) + _LATENT * (off.abs().mean() + off.square().mean())
        loss = loss + _BOTH * _pictures(again.float() - scenes[::2])
        return loss, torch.stack([wrong.detach().square().mean(), off.detach().square().mean()])

    def train(self, ring: PairRing) -> None:
        """Take steps until the time is over."""
        args, began, elapsed, step, saves, errors = self.args, time.monotonic(), 0.0, 0, 1, []
        left = args.within - (began - _START) - _SAVING
        seconds = processes.agreed(min(60 * args.minutes, max(left, 1.0)))
        say(f"{seconds:.0f} s of training")
        while elapsed < seconds:
            if step % args.every == 0:
                ring.renew()
            loss, error = self.loss(ring.draw(args.batch))
            loss.backward()
            self.optimiser.step(self.rate(step, elapsed / seconds))
            errors.append(error)
            step += 1
            elapsed = processes.agreed(time.monotonic() - began)
            if step % 250 == 0 or step in (2, 20, 100):
                decoder, latent = torch.stack(errors).mean(0).tolist()
                decibels = 10 * math.log10(4 / decoder)
                say(f"step {step}, {elapsed:.0f} s: {decibels:.2f} dB, latents {latent:.5f}")
                errors = []
            if elapsed > saves * args.snap:
                self.save()
                saves += 1
        self.save()
        say(f"{step} steps, {step * args.batch} pictures")

    def rate(self, step: int, share: float) -> float:
        """The rate: up in `--warm` steps, then down by a cosine to the end."""
        falling = 0.5 + 0.5 * math.cos(math.pi * min(1.0, share))
        return float(self.args.rate * min(1.0, (step + 1) / self.args.warm) * falling + 1e-6)

    def save(self) -> None:
        """Save the running mean of the weights."""
        self.optimiser.averaged([self.kept])
        if processes.rank() == 0:
            write(self.kept, self.args.out)


def _pictures(error: Tensor) -> Tensor:
    return difference(error) + _SQUARES * error.square().mean()


@torch.no_grad()
def begin(vae: TinyVAE) -> None:
    """Weights to begin from, by which maps keep their size: there are no norms that see to it."""
    for module in vae.modules():
        if isinstance(module, Conv):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                module.bias.zero_()
    for module in vae.modules():
        if isinstance(module, Block):
            module.conv[-1].weight *= _FAINT


def write(vae: TinyVAE, folder: Path) -> None:
    """Write a tiny VAE as diffusers does, in half precision; what was there is replaced at once."""
    folder.mkdir(parents=True, exist_ok=True)
    aside, own = folder / (_WEIGHTS + ".part"), vae.state_dict()
    rows = names.vae_table(vae.config)
    stored = {row.diffusers: own[row.compvis].detach().cpu().half().contiguous() for row in rows}
    save_file(stored, aside, {"format": "pt"})
    aside.replace(folder / _WEIGHTS)
    levels, blocks, width = len(vae.config.channels), vae.config.blocks, vae.config.channels[0]
    config = {
        "_class_name": "AutoencoderTiny",
        "decoder_block_out_channels": [width] * levels,
        "encoder_block_out_channels": [width] * levels,
        "latent_channels": vae.config.latent_channels,
        "num_decoder_blocks": [blocks] * (levels - 1) + [1],
        "num_encoder_blocks": [1] + [blocks] * (levels - 1),
        "scaling_factor": 1.0,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def read(vae: TinyVAE, folder: Path) -> None:
    """Fill a tiny VAE with the weights that `write` or diffusers wrote, of the same shape."""
    stored, rows = load_file(folder / _WEIGHTS), names.vae_table(vae.config)
    vae.load_state_dict({row.compvis: stored[row.diffusers].float() for row in rows})


@torch.no_grad()
def sheet(full: VAE, tiny: TinyVAE, pictures: list[Tensor]) -> Image.Image:
    """Two scenes a row: by the full decoder, by the tiny one, and their difference four times."""
    shown: list[Image.Image] = []
    for picture in pictures:
        latent = full.encode(picture)
        a, b = full.decode(latent).clamp(-1, 1), tiny.decode(latent).clamp(-1, 1)
        shown += map(pixels.image, (a, b, (b - a) * 4))
    return contact_sheet.sheet(shown, 6)


if __name__ == "__main__":
    main()
