"""Small control networks of random weights, written in the layouts that people have."""

from __future__ import annotations

from pathlib import Path

import torch
from oracles import diffusers_control as oracle
from oracles.diffusers_models import linear, random_weights
from safetensors.torch import save_file
from torch import Tensor

from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.controlnet import ControlNet, ControlNetConfig
from sdnb.engine.networks.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sdnb.engine.networks.unet import UNet

Tensors = dict[str, Tensor]
#: Of the model of `oracles.tiny_pipeline`, but for the last width: diffusers' light adapters have
#: two last levels of one width.
UNET = UNetConfig(channels=(32, 64, 64, 64), heads=4, context_dim=48, groups=8)
NET = ControlNetConfig(UNET, hint_widths=(8, 8, 16, 24))
FULL = T2IAdapterConfig(UNET.channels)
LIGHT = T2IAdapterConfig(UNET.channels, 4, light=True, inner=(8, 16, 16, 16))


def weights(config: object = NET, seed: int = 0) -> Tensors:
    kinds = {UNetConfig: UNet, ControlNetConfig: ControlNet, T2IAdapterConfig: T2IAdapter}
    with torch.device("meta"):
        module = kinds[type(config)](config)
    return random_weights(module, seed)


def written(layout: str, folder: Path, wanted: Tensors, base: Tensors, config=NET) -> Path:
    """The file or folder of a layout that holds these weights; `base` are the denoiser's."""
    path = folder / f"{layout}.safetensors"
    prefixed = {f"control_model.{name}": t for name, t in wanted.items()}
    if layout in ("1.1", "1.0"):
        whole = {"model.diffusion_model." + name: t for name, t in base.items()}
        path = path.with_suffix(".pth")
        torch.save({"state_dict": {**(whole if layout == "1.0" else {}), **prefixed}}, path)
        return path
    if layout.startswith(("diffusers", "kohya")):
        module = oracle.controlnet(config, wanted, as_linear=bool(config.unet.head_width))
        if layout == "kohya":
            return _saved(path, {oracle.kohya_name(n): t for n, t in module.state_dict().items()})
        if layout == "diffusers, one file":
            return _saved(path, module.state_dict())
        ending = {"variant": "fp16"} if "variant" in layout else {}
        module.save_pretrained(folder / layout, safe_serialization="bin" not in layout, **ending)
        return folder / layout
    if layout.startswith("difference"):
        prefix = "" if "cropped" in layout else "control_model."
        less = {f"{prefix}{n}": t - base.get(n, 0) for n, t in wanted.items()}
        less = {n: t for n, t in less.items() if t.abs().max() >= 1e-6}  # as its script does
        return _saved(path, {**less, "difference": torch.tensor(1.0)})
    stored = {"prefixed": prefixed, "cropped": wanted, "linear": linear(wanted)}
    return _saved(path, stored[layout])


def control_lora(path: Path, base: Tensors, config=NET, rank: int = 4) -> tuple[Path, Tensors]:
    """A control-LoRA over the denoiser's weights, and the network that it means."""
    generator = torch.Generator().manual_seed(9)
    stored: Tensors = {"lora_controlnet": torch.zeros(1)}
    meant = {}
    for name, own in weights(config, 4).items():
        layer = name.removesuffix(".weight")
        if name not in base:  # zero convolutions, and the hint's encoder
            stored[name] = meant[name] = own
        elif own.ndim > 1 and "emb" not in name:
            out, *rest = own.shape
            up = 0.1 * torch.randn(out, rank, *[1] * (own.ndim - 2), generator=generator)
            down = torch.randn(rank, *rest, generator=generator) / own[0].numel() ** 0.5
            stored[f"{layer}.up"], stored[f"{layer}.down"] = up, down
            product = up.flatten(1) @ down.flatten(1)
            meant[name] = base[name][:, : own.shape[1]] + product.view(own.shape)
        elif name.endswith("bias"):  # some are whole
            stored[name] = meant[name] = own
        else:
            meant[name] = base[name]
    return _saved(path, stored), meant


def t2i(layout: str, folder: Path, config: T2IAdapterConfig, seed: int = 2) -> tuple[Path, Tensors]:
    """An adapter in a layout, and its weights by TencentARC's names."""
    wanted, path = weights(config, seed), folder / "t2i.safetensors"
    if layout.startswith("diffusers"):
        module = oracle.t2i(config, wanted)
        if "one file" in layout:
            return _saved(path, module.state_dict()), wanted
        module.save_pretrained(folder / "t2i", safe_serialization="bin" not in layout)
        return folder / "t2i", wanted
    if layout == "its own":
        return _saved(path, wanted), wanted
    stored = {
        "its own, .pth": wanted, "of a parallel run": {f"module.{n}": t for n, t in wanted.items()},
        "prefixed": {f"adapter.{n}": t for n, t in wanted.items()},
        "in a dictionary": {"adapter": wanted},
    }  # fmt: skip
    torch.save(stored[layout], path.with_suffix(".pth"))
    return path.with_suffix(".pth"), wanted


def _saved(path: Path, tensors: Tensors) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path
