"""A LoRA from a few pictures: what they have in common becomes something to add to a model.

The weights of the model stay. Beside each layer of the UNet's attention stand two narrow matrices,
`down` `[rank, in]` and `up` `[out, rank]`, whose product is added to its weight (Hu et al. 2021,
https://arxiv.org/abs/2106.09685); only these learn. On the embedded model that takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm.auto import trange

from sdnb.engine import pixels
from sdnb.engine.stages import adapt
from sdnb.request import Request

from .low_rank import LowRank
from .noising import Noising
from .timed import TimedUNet

if TYPE_CHECKING:
    from PIL import Image

    from sdnb.engine.model import Model

_LAYERS = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")


def train_lora(
    model: Model,
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    path: str | Path,
    *,
    init: str | Path | None = None,
    rank: int = 4,
    steps: int = 30,
    batch: int = 2,
    rate: float = 2e-2,
    seed: int = 0,
) -> Path:
    """Train a LoRA of the model's UNet, without what earlier requests have laid over it, and write
    it to `path`, in the names of kohya's trainer.

    `pictures` are all of one size, a multiple of 8, and `captions` say what each shows; what no
    caption says is what the LoRA learns. Each step sees `batch` of them. `init` is the file of an
    earlier LoRA of the same rank, from which it goes on.

    Raises ValueError where `init` has another rank, or is for another UNet.
    """
    torch.manual_seed(seed)
    unet = TimedUNet(model.config.unet).requires_grad_(False)
    with model.run_lock.ask() as turn:
        turn.wait()
        adapt.put_in_force(model, adapt.choose(model, Request("")))
        unet.load_state_dict(model.unet.state_dict())
        latents, contexts = _encoded(model, pictures, captions)
    unet.to(memory_format=torch.channels_last)
    lora = LowRank(unet, rank, wanted=lambda name: name.endswith(_LAYERS))
    if init is not None:
        lora.read(Path(init))
    optimiser = torch.optim.AdamW(lora.parameters(), rate, betas=(0.9, 0.99))
    noising = Noising(model.config.noise, torch.device("cpu"))
    for step in trange(steps, desc="training"):
        at = torch.randint(len(latents), (batch,))
        lora.lay()
        noising.loss(unet, latents[at], contexts[at]).backward()
        lora.pull()
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimiser.step()
        optimiser.zero_grad()
    about = {"num_train_images": len(pictures), "steps": steps, "learning_rate": rate, "seed": seed}
    lora.write(Path(path), {f"ss_{name}": str(value) for name, value in about.items()})
    return Path(path)


@torch.no_grad()
def _encoded(
    model: Model, pictures: Sequence[Image.Image], captions: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """The latents `[n, 4, h/8, w/8]` of the pictures, and the contexts `[n, 77, d]`."""
    kind = model.vae.quant_conv.weight.dtype
    latents = [model.vae.encode(pixels.tensor(each).to(kind)).float() for each in pictures]
    ids = torch.tensor([model.tokenizer(caption).ids for caption in captions])
    return torch.cat(latents), model.text(ids).float()
