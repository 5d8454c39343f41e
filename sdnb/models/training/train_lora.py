"""A LoRA from a few pictures: what they have in common becomes something to add to a model.

The weights of the model stay. Beside each layer of the UNet's attention stand two narrow matrices,
`down` `[rank, in]` and `up` `[out, rank]`, whose product is added to its weight (Hu et al. 2021,
https://arxiv.org/abs/2106.09685); only these learn. On the embedded model that takes seconds on a
CPU; a model of Stable Diffusion wants a card.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from . import copies
from .copies import Picture
from .course import Course, told
from .low_rank import LowRank
from .noising import Noising

if TYPE_CHECKING:
    from sdnb.engine.model import Model

_LAYERS = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")


def train_lora(
    model: Model,
    pictures: Sequence[Picture],
    captions: Sequence[str],
    path: str | Path,
    *,
    size: int | None = None,
    init: str | Path | None = None,
    rank: int = 4,
    convolutions: bool = False,
    steps: int = 30,
    batch: int = 2,
    rate: float = 2e-2,
    seed: int = 0,
    resume: bool = False,
) -> Path:
    """Train a LoRA of the model's UNet, without what requests have laid over it, and write it to
    `path`, in the names of kohya's trainer. It computes where the model does.

    `pictures` are images or their files, and `captions` say what each shows; what no caption says
    is what the LoRA learns. They are all of one size, a multiple of 8; with `size` they are cropped
    to a square and resized. Each step sees `batch` of them. With `convolutions` all layers learn,
    not only those of the attention, which trainers call a LoCon. `init` is the file of an earlier
    LoRA of the same rank and layers, from which it goes on. `resume` goes on where a training of
    the same arguments was interrupted: what that needs is kept beside `path` until it is done.

    Raises ValueError where pictures and captions do not match, where `init` has another rank or is
    for another UNet, and where another training was interrupted.
    """
    copies.check(model, pictures, captions)
    device = model.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        latents = copies.latents(model, pictures, size)
        contexts = copies.contexts(model, captions)
        unet = copies.unet(model)
        lora = LowRank(unet, rank, wanted=lambda name: convolutions or name.endswith(_LAYERS))
        if init is not None:
            lora.read(Path(init))
        about = told(model, pictures, steps=steps, batch=batch, rate=rate, seed=seed)
        which = {**about, "rank": str(rank), "captions": copies.digest(captions)}
        course = Course(
            Path(path), list(lora.parameters()), device,
            steps=steps, rate=rate, about=which, resume=resume,
        )  # fmt: skip
        noising = Noising(model.config.noise, device)
        predict = noising.of_noise(unet, model.config.noise.prediction)

        def backward() -> None:
            at = torch.randint(len(latents), (batch,))
            lora.lay()
            with copies.half_on(device):
                loss = noising.loss(predict, latents[at], contexts[at])
            loss.backward()
            lora.pull()

        course.run(backward)
    lora.write(Path(path), {f"ss_{name}": value for name, value in about.items()})
    return Path(path)
