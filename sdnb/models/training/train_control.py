"""`python -m sdnb.models.training.train_control`: a T2I-Adapter for a model, by hints of one kind.

The model's weights stay; the loss is the one that it was trained with, at the times of
`EarlyNoising`. A share of the captions is left empty, so that the adapter must say the shape alone.
The hint is never left out: without it there is no adapter.

    python -m sdnb.models.training.train_control --kind sketch --data data --out sketch --minutes 20

`--out` is a folder as diffusers' `T2IAdapter.save_pretrained` writes it, whole after every save.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sdnb import assets
from sdnb.engine.adapters.control_file import matched, open_control
from sdnb.engine.networks.config import ModelConfig
from sdnb.engine.networks.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.engine.networks.vae import VAE

from . import processes, recipe
from .catalog import Catalog
from .drawn_hints import CHANNELS, KINDS
from .hinted import HintedBatches, HintRing, stream
from .noising import EarlyNoising
from .optimiser import Optimiser
from .processes import say
from .timed import TimedUNet

_EMPTY = 0.25  # share of the captions
_STEADY = 0.4  # share of the time at the full rate
_BLOCKS = 2  # a level
_LOOK = 10  # steps between looks at the clock
_FAINT = 0.1  # what the first convolution's weights are of the usual ones
_WEIGHTS = "diffusion_pytorch_model.safetensors"

#: Latents `[b, 4, h, w]`, hints `[b, c, 8 h, 8 w]` and ids `[b, 77]`.
Drawn = tuple[Tensor, Tensor, Tensor]


def main() -> None:
    """Train for `--minutes`, counted from the first latents; save every `--snap` seconds."""
    args = _parser().parse_args()
    device = processes.join()
    torch.manual_seed(1)
    sprites = Catalog(args.data).sprites(threads=8)
    batches = HintedBatches(
        args.data, sprites, args.kind, args.fresh, size=args.size,
        tokens=args.model / "tokenizer", seed=args.seed,
    )  # fmt: skip
    source = stream(batches, args.workers)  # the workers start before the card is in use
    trainer = ControlTrainer(args, device)
    ring = HintRing(trainer.vae, source, args.room, args.size, args.kind)
    held = ring.set_aside()
    while ring.filled < min(args.fill, args.room):
        ring.renew()
    say(f"{ring.filled} pictures with hints")
    trainer.train(ring, held)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kind", choices=tuple(KINDS), required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the adapter's folder")
    parser.add_argument(
        "--model", type=Path, default=assets.embedded_model(), help="a model's folder"
    )
    parser.add_argument("--init", type=Path, help="an adapter to go on from")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--snap", type=float, default=60, help="seconds between saves")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-3, help="the learning rate at its top")
    parser.add_argument("--warm", type=int, default=200, help="steps until the rate is there")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--fresh", type=int, default=64, help="new pictures at a time")
    parser.add_argument("--every", type=int, default=1, help="steps between new pictures")
    parser.add_argument("--fill", type=int, default=8192, help="pictures to begin with")
    parser.add_argument("--room", type=int, default=49152, help="pictures kept")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--seed", type=int, default=11, help="of the scenes")
    parser.add_argument("--compile", action="store_true", help="for a GPU")
    return parser


class ControlTrainer:
    """The adapter, the frozen model that it steers, and the loop that trains and saves it."""

    def __init__(self, args: argparse.Namespace, device: torch.device) -> None:
        self.args, self.device = args, device
        config = recipe.of(args.model / "tokenizer", args.size)
        self.unet = TimedUNet(config.unet)
        self.text, self.vae = recipe.new_text(config.text), VAE(config.vae)
        for module, part in ((self.unet, "unet"), (self.text, "text"), (self.vae, "vae")):
            recipe.load_part(module, config, part, args.model)
            module.to(device).eval().requires_grad_(False)
        for module in (self.unet, self.vae):
            module.to(memory_format=torch.channels_last)
        self.config = T2IAdapterConfig(config.unet.channels, _BLOCKS, CHANNELS[args.kind])
        self.adapter, self.kept = (self._network() for _ in range(2))
        if args.init:
            _read(self.adapter, args.init, config)
        self.optimiser = Optimiser([self.adapter], decay=0.01, mean=0.9995)
        self.noising = EarlyNoising(config.noise, device)
        self.forward: Any = self.unet
        if args.compile:
            self.forward = torch.compile(self.unet, dynamic=False)
        self.empty = torch.tensor(Tokenizer(args.model / "tokenizer")("").ids, device=device)

    def _network(self) -> T2IAdapter:
        """An adapter whose maps are faint at first."""
        adapter = T2IAdapter(self.config)
        with torch.no_grad():
            adapter.conv_in.weight *= _FAINT
            for name, p in adapter.named_parameters():
                if name.endswith("bias"):
                    p.zero_()
        return adapter.to(self.device, memory_format=torch.channels_last)

    def loss(self, drawn: Drawn, forward: Any = None, *, steered: bool = True) -> Tensor:
        """For latents `[b, 4, h, w]`, hints `[b, c, 8 h, 8 w]` in 0..1 and ids `[b, 77]`."""
        latents, hints, ids = drawn
        with torch.autocast(self.device.type, torch.bfloat16):
            context = self.text(ids)
            maps = self.adapter(hints.contiguous(memory_format=torch.channels_last))
            net = partial(forward or self.forward, maps=maps if steered else ())
            return self.noising.loss(net, latents, context)

    def train(self, ring: HintRing, held: Drawn) -> None:
        """Take steps until the time is over."""
        args, began, elapsed, step, saves, losses = self.args, time.monotonic(), 0.0, 0, 1, []
        while elapsed < 60 * args.minutes:
            if step % args.every == 0:
                ring.renew()
            latents, hints, ids = ring.draw(args.batch)
            emptied = torch.rand(len(ids), 1, device=self.device) < _EMPTY
            loss = self.loss((latents, hints, ids.where(~emptied, self.empty)))
            loss.backward()
            self.optimiser.step(self.rate(step, elapsed / (60 * args.minutes)))
            losses.append(loss.detach())
            step += 1
            if step == 1:
                began = time.monotonic()  # compiling is not counted
            if step % _LOOK == 0:
                elapsed = time.monotonic() - began
            if step % 100 == 0 or step == 10:
                mean_loss = torch.stack(losses).mean().item()
                say(f"step {step}, {elapsed:.0f} s: loss {mean_loss:.4f}, {ring.filled} pictures")
                losses = []
            if elapsed > saves * args.snap:
                self.save(held)
                saves += 1
        self.save(held)
        say(f"{step} steps, {step * args.batch} pictures")

    def rate(self, step: int, share: float) -> float:
        """The rate: up in `--warm` steps, then steady, then down linearly to the end."""
        falling = min(1.0, (1 - share) / (1 - _STEADY))
        return max(self.args.rate * min(1.0, (step + 1) / self.args.warm) * falling, 1e-6)

    def save(self, held: Drawn) -> None:
        """Save the mean weights, and say what they are worth on pictures that were set aside: the
        loss with their hints, without, and with each other's.
        """
        self.optimiser.averaged([self.kept])
        write(self.kept, self.args.out)
        self.kept, self.adapter = self.adapter, self.kept
        latents, hints, ids = held
        others = latents, hints.roll(1, 0), ids
        values = [self._worth(held), self._worth(held, steered=False), self._worth(others)]
        self.kept, self.adapter = self.adapter, self.kept
        words = zip(("with hints", "without", "with others'"), values, strict=True)
        say("saved; set aside: " + ", ".join(f"{word} {value:.4f}" for word, value in words))

    def _worth(self, drawn: Drawn, *, steered: bool = True) -> float:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):  # the same noise and times each time
            torch.manual_seed(0)
            return self.loss(drawn, self.unet, steered=steered).item()


def write(adapter: T2IAdapter, folder: Path) -> None:
    """Write an adapter as diffusers does, in half precision; what was there is replaced at once."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / (_WEIGHTS + ".part")
    blocks = adapter.config.blocks
    stored = {
        _theirs(name, blocks): p.detach().cpu().half().contiguous()
        for name, p in adapter.state_dict().items()
    }
    save_file(stored, aside, {"format": "pt"})
    aside.replace(folder / _WEIGHTS)
    config = {
        "_class_name": "T2IAdapter",
        "adapter_type": "full_adapter",
        "channels": adapter.config.channels,
        "downscale_factor": adapter.config.factor,
        "in_channels": adapter.config.hint_channels,
        "num_res_blocks": blocks,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _theirs(name: str, blocks: int) -> str:
    """diffusers' name of a weight: "body.5.block1.weight" is of the third level's second block."""
    match = re.fullmatch(r"body\.(\d+)\.(.+)", name)
    if match is None:
        return f"adapter.{name}"
    level, block = divmod(int(match[1]), blocks)
    inside = "" if match[2].startswith("in_conv") else f"resnets.{block}."
    return f"adapter.body.{level}.{inside}{match[2]}"


def _read(adapter: T2IAdapter, path: Path, config: ModelConfig) -> None:
    """Fill an adapter with the weights of a file or folder of the same shape."""
    tensors = matched(open_control(path), config, {}).tensors
    for name, p in adapter.state_dict().items():
        tensors[name].read_into(p)


if __name__ == "__main__":
    main()
