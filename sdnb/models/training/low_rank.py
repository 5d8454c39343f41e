"""A LoRA over a UNet while it is trained, and its file.

The UNet stays a plain module, which compiles and runs as it always does: `lay` writes each weight
plus the product of its two narrow matrices into it, and `pull` brings the gradients of the weights
back to the matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sdnb.engine.checkpoint import names
from sdnb.engine.networks.unet import UNet

# The first and last layers and the time's are left as they are: few trainers change them, and not
# every loader knows their names.
_LEFT_OUT = ("time_embed.", "input_blocks.0.", "out.")


class LowRank(nn.Module):
    """Matrices `downs` `[rank, in]` and `ups` `[out, rank]` for each layer of a UNet that `wanted`
    takes by diffusers' name of its weight, convolutions as `[rank, in, k, k]` and
    `[out, rank, 1, 1]` in the file. Their products are 0 at first.

    The UNet's own weights at that moment are what is added to.
    """

    def __init__(
        self, unet: UNet, rank: int, wanted: Callable[[str], bool] = lambda _: True
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank is {rank}; 1 or more is expected")
        self.rank = rank
        rows = [
            row for row in names.unet_table(unet.config)
            if len(row.shape) > 1
            and not row.compvis.startswith(_LEFT_OUT)
            and wanted(row.diffusers)
        ]  # fmt: skip
        self.stems = ["lora_unet_" + _flat(row.diffusers) for row in rows]
        self.names = [row.compvis for row in rows]  # of the weights
        self.shapes = [row.shape for row in rows]
        self._targets = [unet.get_parameter(name) for name in self.names]
        self._own = [weight.detach().clone() for weight in self._targets]
        for weight in self._targets:
            weight.requires_grad_(True)
        self._sums: list[Tensor] = []
        self.downs, self.ups = nn.ParameterList(), nn.ParameterList()
        for weight, shape in zip(self._own, self.shapes, strict=True):
            out, into = shape[0], prod(shape[1:])
            down = torch.randn(rank, into, device=weight.device) / into**0.5
            self.downs.append(nn.Parameter(down))
            self.ups.append(nn.Parameter(torch.zeros(out, rank, device=weight.device)))

    def lay(self) -> None:
        """Write the sums into the UNet, for the next pass forward and back."""
        self._sums = [
            own + (up @ down).view(own.shape)
            for own, down, up in zip(self._own, self.downs, self.ups, strict=True)
        ]
        with torch.no_grad():
            torch._foreach_copy_(self._targets, self._sums)

    def pull(self) -> None:
        """Take the gradients that a pass back left at the UNet's weights; those are cleared."""
        torch.autograd.backward(self._sums, [weight.grad for weight in self._targets])
        for weight in self._targets:
            weight.grad = None
        self._sums = []

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the file in kohya's names and half precision; what was there is replaced at
        once.
        """
        stored = {}
        for stem, shape, down, up in zip(
            self.stems, self.shapes, self.downs, self.ups, strict=True
        ):
            ones = [1] * (len(shape) - 2)
            stored[f"{stem}.lora_down.weight"] = _half(down).view(self.rank, *shape[1:])
            stored[f"{stem}.lora_up.weight"] = _half(up).view(shape[0], self.rank, *ones)
            stored[f"{stem}.alpha"] = torch.tensor(float(self.rank), dtype=torch.float16)
        about = {
            "ss_output_name": path.stem, "ss_network_module": "networks.lora",
            "ss_network_dim": str(self.rank), "ss_network_alpha": str(self.rank),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(path.name + ".part")
        save_file(stored, aside, {**about, **metadata})
        aside.replace(path)

    @torch.no_grad()
    def read(self, path: Path) -> None:
        """Take the matrices of a file that `write` wrote. ValueError for one of another rank, or
        for other layers.
        """
        with safe_open(path, "pt") as file:
            expected = {f"{stem}.lora_down.weight" for stem in self.stems}
            found = {name for name in file.keys() if name.endswith("lora_down.weight")}  # noqa: SIM118
            if found != expected:
                raise ValueError(
                    f"{path} has {len(found)} layers, of which {len(found & expected)} are among "
                    f"the {len(expected)} of this UNet: take a file that was trained for it"
                )
            for stem, down, up in zip(self.stems, self.downs, self.ups, strict=True):
                theirs = file.get_tensor(f"{stem}.lora_down.weight")
                if len(theirs) != self.rank:
                    raise ValueError(
                        f"{path} has rank {len(theirs)} and {self.rank} was asked: go on with "
                        f"rank {len(theirs)}"
                    )
                down.copy_(theirs.view(down.shape))
                up.copy_(file.get_tensor(f"{stem}.lora_up.weight").view(up.shape))


def _flat(name: str) -> str:
    return name.removesuffix(".weight").replace(".", "_")


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().half().contiguous()
