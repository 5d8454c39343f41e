"""`python -m sdnb.models.training.train_unet`: trains the denoiser and its text encoder.

The loss is SD 1.x's (`noising`), with predicted noise and one caption in ten left empty for
guidance. AdamW's rate is steady at first and then falls linearly; the running mean is saved.

    torchrun --nproc-per-node 2 -m sdnb.models.training.train_unet --data data --out model

It compiles first and then waits for `model/vae`, so that it can be started beside `train_vae`.
`--init` goes on from another model: its weights, its tokenizer (another one gives other ids to the
same words) and its autoencoder (another one's latents mean something else).
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from sdnb.engine.checkpoint import export
from sdnb.engine.networks.config import ModelConfig
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.engine.networks.vae import VAE

from . import processes, recipe
from .batches import Batches, stream
from .catalog import Catalog
from .latents import Ring
from .noising import Noising
from .optimiser import Optimiser
from .painter import Painter
from .processes import say
from .timed import TimedUNet

_EMPTY = 0.1  # share of the captions
_STEADY = 0.4  # share of the time at the full rate
_LOOK = 10  # steps between looks at the clock, which all processes share
_SAVING = 8.0  # seconds of `--within` for the last save
_START = time.monotonic()


def main() -> None:
    """Train for `--seconds`, counted from the first latents; save at the end and at `--snap`."""
    args = _parser().parse_args()
    device = processes.join()
    torch.manual_seed(1)  # the same weights in every process
    trainer = Trainer(args, device)
    torch.manual_seed(2000 + processes.rank())
    scenes = Batches(args.data, args.fresh, seed=7 + processes.rank(), tokens=trainer.tokenizer)
    batches = stream(scenes, args.workers)  # the workers start while the net compiles
    trainer.rehearse()
    vae = trainer.awaited_vae()
    painter = Painter(Catalog(args.data).sprites(threads=8), args.size, device)
    ring = Ring(vae, painter, batches, args.room)
    while ring.filled < args.fill:
        ring.renew()
    trainer.train(ring)
    processes.leave()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument(
        "--vae", type=Path, help="a model's folder with its vae; --init's or --out by default"
    )
    parser.add_argument("--init", type=Path, help="a model's folder to go on from")
    parser.add_argument(
        "--new-words", action="store_true", help="the data's tokenizer, grown from --init's"
    )
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument(
        "--within",
        type=float,
        default=math.inf,
        help="seconds from the start of the program in which it is done, if that is less",
    )
    parser.add_argument("--snap", type=float, default=400, help="seconds between saves")
    parser.add_argument("--wait", type=float, default=900, help="seconds to wait for the VAE")
    parser.add_argument("--batch", type=int, default=256, help="latents a step and process")
    parser.add_argument("--rate", type=float, default=1.2e-3, help="the learning rate at its top")
    parser.add_argument("--warm", type=int, default=400, help="steps until the rate is there")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--fresh", type=int, default=128, help="new scenes at a time")
    parser.add_argument("--every", type=int, default=8, help="steps between new scenes")
    parser.add_argument("--fill", type=int, default=16384, help="latents to begin with")
    parser.add_argument("--room", type=int, default=262144, help="latents kept")
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--compile", action="store_true", help="for a GPU")
    return parser


class Trainer:
    """The two networks, their optimiser and loss, and the loop that trains and saves them."""

    def __init__(self, args: argparse.Namespace, device: torch.device) -> None:
        if args.new_words and not args.init:
            raise SystemExit("--new-words goes on from a model: name it with --init")
        words = args.data if args.new_words else args.init or args.data
        tokenizer = words / "tokenizer"
        self.args, self.device, self.tokenizer = args, device, tokenizer
        self.vae = (args.vae or args.init or args.out) / "vae"
        self.config: ModelConfig = recipe.of(tokenizer, args.size)
        self.unet, self.text = self._networks()
        self.kept = self._networks()  # for the mean weights
        if args.init:
            recipe.load_part(self.unet, self.config, "unet", args.init)
            grown = tokenizer if args.new_words else None
            recipe.load_part(self.text, self.config, "text", args.init, grown)
        self.optimiser = Optimiser([self.unet, self.text], decay=0.01, mean=0.9995)
        self.noising = Noising(self.config.noise, device)
        self.forward = torch.compile(self.unet, dynamic=False) if args.compile else self.unet
        self.empty = torch.tensor(Tokenizer(tokenizer)("").ids, device=device)  # [77]

    def _networks(self) -> tuple[TimedUNet, torch.nn.Module]:
        unet = TimedUNet(self.config.unet).to(self.device, memory_format=torch.channels_last)
        return unet, recipe.new_text(self.config.text).to(self.device)

    def loss(self, latents: Tensor, ids: Tensor) -> Tensor:
        """For latents `[b, 4, h, w]` and ids `[b, 77]`, some of which are emptied here."""
        emptied = torch.rand(len(ids), 1, device=self.device) < _EMPTY
        ids = torch.where(emptied, self.empty, ids)
        with torch.autocast(self.device.type, torch.bfloat16):
            context = self.text(ids)
            return self.noising.loss(self.forward, latents, context)

    def rehearse(self) -> None:
        """Compile both passes on noise, and drop the gradients."""
        side = self.args.size // 8
        noise = torch.randn(self.args.batch, 4, side, side, device=self.device)
        self.loss(noise, self.empty.expand(len(noise), -1)).backward()
        self.unet.zero_grad()
        self.text.zero_grad()
        say("compiled" if self.args.compile else "rehearsed")

    def awaited_vae(self) -> VAE:
        """The autoencoder, once its trainer has saved it; TimeoutError after `--wait` seconds."""
        began = time.monotonic()
        while not self.vae.exists():
            if time.monotonic() - began > self.args.wait:
                raise TimeoutError(f"no {self.vae} after {self.args.wait:.0f} s")
            time.sleep(0.5)
        vae = VAE(self.config.vae)
        recipe.load_part(vae, self.config, "vae", self.vae.parent)
        return vae.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    def train(self, ring: Ring) -> None:
        """Take steps until the time is over."""
        began, elapsed, step, saves, losses = time.monotonic(), 0.0, 0, 1, []
        left = self.args.within - (began - _START) - _SAVING
        seconds = processes.agreed(min(self.args.seconds, max(left, 1.0)))
        say(f"{began - _START:.0f} s of preparation, {seconds:.0f} s of training")
        while elapsed < seconds:
            if step % self.args.every == 0:
                ring.renew()
            loss = self.loss(*ring.draw(self.args.batch))
            loss.backward()
            self.optimiser.step(self.rate(step, elapsed / seconds))
            losses.append(loss.detach())
            step += 1
            if step % _LOOK == 0:
                elapsed = processes.agreed(time.monotonic() - began)
            if step % 250 == 0 or step == 10:
                mean_loss = torch.stack(losses).mean().item()
                say(f"step {step}, {elapsed:.0f} s: loss {mean_loss:.4f}, {ring.filled} latents")
                losses = []
            if elapsed > saves * self.args.snap:
                self.save(self.args.out / f"snap{saves}")
                saves += 1
        self.save(self.args.out)
        say(f"{step} steps, {step * self.args.batch * processes.world()} pictures")

    def rate(self, step: int, share: float) -> float:
        """The rate: up in `--warm` steps, then steady, then down linearly to the end."""
        falling = min(1.0, (1 - share) / (1 - _STEADY))
        return max(self.args.rate * min(1.0, (step + 1) / self.args.warm) * falling, 1e-6)

    def save(self, folder: Path) -> None:
        """Save the mean weights in a whole model's folder, which can be loaded."""
        if processes.rank() == 0:
            self.optimiser.averaged(self.kept)
            for module, part in zip(self.kept, ("unet", "text"), strict=True):
                export.write_part(module, self.config, part, folder)
            recipe.save_rest(self.config, self.tokenizer, folder)
            recipe.copied(self.vae, folder / "vae")


if __name__ == "__main__":
    main()
