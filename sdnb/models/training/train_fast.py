"""`python -m sdnb.models.training.train_fast`: a LoRA with which a model needs four steps.

The fast model, which is the model with the LoRA, learns to go in one step without guidance where
the model alone goes in several with guidance (`segments`): guided distillation (Meng et al. 2022,
https://arxiv.org/abs/2210.03142) onto the fixed levels of a short run, with the fast model's own
states among the beginnings. Only captions are needed, and noise.

    python -m sdnb.models.training.train_fast --data data --out fast.safetensors --seconds 900

The file is whole after every save, every `--snap` seconds, and brings the settings that it wants;
`--init` goes on from one.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sdnb import assets
from sdnb.engine import checkpoint
from sdnb.engine.diffusion.schedule import NoiseSchedule
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.request.plain_words import counted

from . import processes, recipe
from .batches import Batch, Batches, stream
from .low_rank import LowRank
from .optimiser import Optimiser
from .processes import say
from .segments import Cuts, Learnt, Segments, Teacher, errors, noise_in, scaled
from .timed import TimedUNet

_STEADY = 0.4  # share of the time at the full rate
_SAVING = 8.0  # seconds of `--within` for the last save
SAMPLER, SCHEDULE = "ddim", "trailing"  # of the fast run
_START = time.monotonic()


def main() -> None:
    """Train for `--seconds`, counted from the first segments; save at the end and at `--snap`."""
    args = _parser().parse_args()
    device = processes.join()
    torch.manual_seed(1)  # the same weights in every process
    trainer = FastTrainer(args, device)
    torch.manual_seed(3000 + processes.rank())
    tokens = args.model / "tokenizer"
    captions = Batches(args.data, args.fresh, seed=17 + processes.rank(), tokens=tokens)
    held = Batches(args.data, args.fresh, seed=97, tokens=tokens)
    segments = trainer.segments(stream(captions, args.workers), args.room)
    trainer.rehearse()
    trainer.set_aside(trainer.segments(stream(held, 0), args.fresh * args.steps))
    while segments.filled < min(args.fill, args.room):
        segments.renew(trainer.fast, 0.0)
    trainer.train(segments)
    processes.leave()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of sprites: its captions")
    parser.add_argument("--out", type=Path, required=True, help="the LoRA, a .safetensors file")
    parser.add_argument(
        "--model", type=Path, default=assets.embedded_model(), help="a model's folder"
    )
    parser.add_argument("--init", type=Path, help="a LoRA to go on from")
    parser.add_argument("--rank", type=int, default=12, help="12 is just below 4 MB")
    parser.add_argument("--steps", type=int, default=4, help="of the fast run")
    parser.add_argument("--cfg", type=float, help="the teacher's; the model's own by default")
    parser.add_argument("--teacher", default="dpmpp_2m", help="the teacher's sampler")
    parser.add_argument("--substeps", type=int, default=4, help="its steps for one of the fast run")
    parser.add_argument("--own", type=float, default=0.5, help="share of the fast run's own states")
    parser.add_argument(
        "--between", type=float, default=0.25, help="share of beginnings between two levels"
    )
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument(
        "--within",
        type=float,
        default=math.inf,
        help="seconds from the start of the program in which it is done, if that is less",
    )
    parser.add_argument("--snap", type=float, default=60, help="seconds between saves")
    parser.add_argument("--batch", type=int, default=128, help="segments a step and process")
    parser.add_argument("--rate", type=float, default=1e-3, help="the learning rate at its top")
    parser.add_argument("--warm", type=int, default=100, help="steps until the rate is there")
    parser.add_argument("--size", type=int, help="of pictures; the model's own by default")
    parser.add_argument("--fresh", type=int, default=64, help="new walks from noise at a time")
    parser.add_argument("--every", type=int, default=4, help="steps between new walks")
    parser.add_argument("--fill", type=int, default=4096, help="segments to begin with")
    parser.add_argument("--room", type=int, default=32768, help="segments kept")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="for a GPU")
    return parser


class FastTrainer:
    """The model as teacher and as pupil, the LoRA over the pupil, and the loop that trains it."""

    def __init__(self, args: argparse.Namespace, device: torch.device) -> None:
        self.args, self.device = args, device
        self.config = config = checkpoint.read(args.model).config
        if config.noise.prediction != "eps":
            raise SystemExit(
                f"{args.model} predicts {config.noise.prediction}; a model that predicts the noise "
                "(eps) is expected: --model names it"
            )
        side = (args.size or config.settings.width) // 8
        self.shape = config.vae.latent_channels, side, side
        self.unet, teacher = (self._network("unet", TimedUNet(config.unet)) for _ in range(2))
        self.text = self._network("text", recipe.new_text(config.text))
        self.lora, self.kept = (LowRank(self.unet, args.rank) for _ in range(2))
        if args.init:
            self.lora.read(args.init)
        self.optimiser = Optimiser([self.lora], decay=0.0, mean=0.999)
        forward: Any = torch.compile(self.unet, dynamic=False) if args.compile else self.unet
        walking: Any = torch.compile(teacher, dynamic=False) if args.compile else teacher
        self.forward, self.fast = self._half(forward), self._half(self.unet)
        noise = config.noise
        schedule = NoiseSchedule(noise.steps, noise.beta_start, noise.beta_end)
        self.cuts = Cuts(schedule, SCHEDULE, args.steps, args.substeps)
        cfg = config.settings.cfg if args.cfg is None else args.cfg
        self.teacher = Teacher(self._half(walking), schedule, cfg, args.teacher)
        self.empty = torch.tensor(Tokenizer(args.model / "tokenizer")("").ids, device=device)

    def _network(self, part: str, module: nn.Module) -> Any:
        recipe.load_part(module, self.config, part, self.args.model)
        module.to(self.device).eval().requires_grad_(False)
        return module.to(memory_format=torch.channels_last) if part == "unet" else module

    def _half(self, forward: Any) -> Any:
        def call(*inputs: Tensor) -> Any:
            with torch.autocast(self.device.type, torch.bfloat16):
                return forward(*inputs)

        return call

    @torch.no_grad()
    def encode(self, ids: Tensor) -> Tensor:
        """What captions `[b, 77]` mean, `[b, 77, d]`."""
        context: Tensor = self._half(self.text)(ids)
        return context.float()

    def segments(self, batches: Iterator[Batch], room: int) -> Segments:
        """An empty store of segments, which these captions will fill."""
        return Segments(
            self.cuts, self.teacher, batches, self.encode, empty=self.empty, room=room,
            shape=self.shape,
        )  # fmt: skip

    def loss(self, learnt: Learnt, forward: Any = None) -> Tensor:
        """The mean square errors `[b]` at the segments' ends."""
        context = self.encode(learnt.ids)
        found = noise_in(
            forward or self.forward, learnt.states, learnt.sigmas, learnt.times, context
        )
        return errors(found, learnt)

    def rehearse(self) -> None:
        """Compile all passes on noise, and drop the gradients."""
        args = self.args
        noise = torch.randn(max(args.batch, args.fresh), *self.shape, device=self.device)
        context = self.encode(self.empty[None]).expand(len(noise), -1, -1)
        few = noise[: args.fresh]
        self.teacher.walk(few, context[: args.fresh], context[:1], self.cuts.levels[0][:2])
        noise, context = noise[: args.batch], context[: args.batch]
        ones = torch.ones(len(noise), device=self.device)
        self.lora.lay()
        noise_in(self.forward, noise, ones, ones, context).mean().backward()
        self.lora.pull()
        self.lora.zero_grad()
        say("compiled" if args.compile else "rehearsed")

    def set_aside(self, segments: Segments) -> None:
        """Keep walks of the teacher that are never trained on, and say how far the model is from
        them without further training.
        """
        self.walked = segments.renew(self.fast, 0.0)
        rows = torch.arange(segments.filled, device=self.device)
        self.held = segments.at(rows, torch.zeros_like(rows))
        self.told(0, 0.0)

    def train(self, segments: Segments) -> None:
        """Take steps until the time is over."""
        args, began, elapsed, step, saves, losses = self.args, time.monotonic(), 0.0, 0, 1, []
        left = args.within - (began - _START) - _SAVING
        seconds = processes.agreed(min(args.seconds, max(left, 1.0)))
        say(f"{began - _START:.0f} s of preparation, {seconds:.0f} s of training")
        while elapsed < seconds:
            if step % args.every == 0:
                segments.renew(self.fast, args.own)
            self.lora.lay()
            loss = self.loss(segments.draw(args.batch, args.between)).mean()
            loss.backward()
            self.lora.pull()
            self.optimiser.step(self.rate(step, elapsed / seconds))
            losses.append(loss.detach())
            step += 1
            elapsed = processes.agreed(time.monotonic() - began)
            if step % 100 == 0 or step == 10:
                mean_loss = torch.stack(losses).mean().item()
                say(f"step {step}, {elapsed:.0f} s: loss {mean_loss:.5f}, {segments.filled} kept")
                losses = []
            if elapsed > saves * args.snap:
                self.save(step, elapsed)
                saves += 1
        self.save(step, elapsed)
        say(f"{step} steps, {step * args.batch * processes.world()} segments")

    def rate(self, step: int, share: float) -> float:
        """The rate: up in `--warm` steps, then steady, then down linearly to the end."""
        falling = min(1.0, (1 - share) / (1 - _STEADY))
        return max(self.args.rate * min(1.0, (step + 1) / self.args.warm) * falling, 1e-6)

    def save(self, step: int, seconds: float) -> None:
        """Save the mean of the matrices, and say how far from the teacher it comes."""
        self.optimiser.averaged([self.kept])
        if processes.rank() == 0:
            self.kept.write(self.args.out, metadata(self.args.out.stem, self.args.steps))
        self.told(step, seconds, self.kept)

    @torch.no_grad()
    def told(self, step: int, seconds: float, lora: LowRank | None = None) -> None:
        """Say by how much the walks that were set aside are missed: each segment's end in one step,
        and the latent at the end of a whole run from the same noise; root mean squares.
        """
        (lora or self.lora).lay()
        missed = self.loss(self.held, self.fast).sqrt()
        each = [missed[self.held.segments == i].mean().item() for i in range(self.args.steps)]
        noise, latents, ids = self.walked
        x, context = noise, self.encode(ids.long())
        for i, levels in enumerate(self.cuts.levels):
            time_at = torch.full((len(x),), self.cuts.times[i][0], device=x.device)
            sigma = torch.full_like(time_at, levels[0])
            if i == 0:
                x = x * scaled(sigma)
            x = x + noise_in(self.fast, x, sigma, time_at, context) * (levels[-1] - levels[0])
        whole = (x - latents).square().mean((1, 2, 3)).sqrt().mean().item()
        shown = ", ".join(f"{value:.4f}" for value in each)
        say(f"step {step}, {seconds:.0f} s, set aside: run {whole:.4f}, segments {shown}")


def metadata(name: str, steps: int) -> dict[str, str]:
    """What the file says of itself: for how many steps it is, and of which sampler; sdnb takes its
    settings from the title (`sdnb.library.few_steps`).
    """
    return {
        "modelspec.title": f"{name}, ddim distilled, {counted(steps, 'step')}",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.usage_hint": f"{counted(steps, 'step')} of {SAMPLER} at cfg 1, without negative "
        f"prompt; timesteps {SCHEDULE} (diffusers: timestep_spacing='{SCHEDULE}')",
        "ss_base_model_version": "sd_v1",
    }


if __name__ == "__main__":
    main()
