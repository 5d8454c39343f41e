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
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from tqdm.auto import trange

from sdnb.engine import pixels

from .noising import Noising
from .timed import TimedUNet

if TYPE_CHECKING:
    from PIL import Image

    from sdnb.engine.model import Model

_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")


class Added(nn.Module):
    """A weight `[out, in]` plus the product of two narrow matrices, which is 0 at first."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        out, into = weight.shape
        self.down = nn.Parameter(torch.randn(rank, into) / into**0.5)
        self.up = nn.Parameter(torch.zeros(out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def train_lora(
    model: Model,
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    path: str | Path,
    *,
    rank: int = 4,
    steps: int = 30,
    batch: int = 2,
    rate: float = 2e-2,
    seed: int = 0,
) -> Path:
    """Train a LoRA of the model's UNet, and write it to `path`, in the names of kohya's trainer.

    `pictures` are all of one size, a multiple of 8, and `captions` say what each shows; what no
    caption says is what the LoRA learns. Each step sees `batch` of them.
    """
    torch.manual_seed(seed)
    latents, contexts = _encoded(model, pictures, captions)
    unet = TimedUNet(model.config.unet).requires_grad_(False)
    unet.load_state_dict({name: p.float() for name, p in model.unet.state_dict().items()})
    unet.to(memory_format=torch.channels_last)
    added = _added(unet, rank)
    optimiser = torch.optim.AdamW(added.parameters(), rate, betas=(0.9, 0.99))
    noising = Noising(model.config.noise, torch.device("cpu"))
    for step in trange(steps, desc="training"):
        at = torch.randint(len(latents), (batch,))
        loss = noising.loss(unet, latents[at], contexts[at])
        loss.backward()
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimiser.step()
        optimiser.zero_grad()
    return _write(added, rank, Path(path))


@torch.no_grad()
def _encoded(
    model: Model, pictures: Sequence[Image.Image], captions: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """The latents `[n, 4, h/8, w/8]` of the pictures, and the contexts `[n, 77, d]`."""
    kind = model.vae.quant_conv.weight.dtype
    latents = [model.vae.encode(pixels.tensor(each).to(kind)).float() for each in pictures]
    ids = torch.tensor([model.tokenizer(caption).ids for caption in captions])
    return torch.cat(latents), model.text(ids).float()


def _added(unet: nn.Module, rank: int) -> nn.ModuleDict:
    """Lay matrices over the weights of the attention; they are kept by the layers' names."""
    added = nn.ModuleDict()
    for name, layer in unet.named_modules():
        if isinstance(layer, nn.Linear) and name.endswith(_LAYERS):
            added[name.replace(".", "_")] = Added(layer.weight, rank)
    layers = {name.replace(".", "_"): layer for name, layer in unet.named_modules()}
    for name, module in added.items():
        parametrize.register_parametrization(layers[name], "weight", module)
    return added


def _write(added: nn.ModuleDict, rank: int, path: Path) -> Path:
    stored = {}
    for name, module in added.items():
        stored[f"lora_unet_{name}.lora_down.weight"] = module.down.detach().half()
        stored[f"lora_unet_{name}.lora_up.weight"] = module.up.detach().half()
        stored[f"lora_unet_{name}.alpha"] = torch.tensor(float(rank))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(stored, path, {"ss_output_name": path.stem, "ss_network_dim": str(rank)})
    return path
