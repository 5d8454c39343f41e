"""Files of control networks, adapters and tiny autoencoders made to harm whoever opens them.

`FILES` is the table of them, as that of `hostile_checkpoints`; each is opened for a model of the
usual proportions, so that nothing but the file is at fault.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from helpers.hostile_checkpoints import (
    ESCAPE,
    Shapes,
    headed,
    laid_out,
    saved,
    shapes,
    text,
    zipped,
)
from sdnb.engine.checkpoint import names, read
from sdnb.engine.networks.config import TINY_VAE, ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.engine.networks.controlnet import ControlNetConfig

MODEL = ModelConfig(
    unet=UNetConfig(channels=(32, 64, 64, 64), heads=4, context_dim=48, groups=8),
    vae=VAEConfig(channels=(32, 32, 32, 32), blocks=1),
    text=TextConfig(vocab=100, width=48, layers=1, heads=1, hidden=48),
)
HINT = ControlNetConfig().hint_widths
ADAPTER = {"conv_in.weight": (32, 192, 3, 3), "conv_in.bias": (32,)}
BLOCK = {"block1.weight": (1,), "block1.bias": (1,), "block2.weight": (1,), "block2.bias": (1,)}


def net(config: ModelConfig = MODEL) -> Shapes:
    """Every tensor of a ControlNet for this model."""
    return {row.compvis: row.shape for row in names.controlnet_table(config.unet, HINT)}


def tiny() -> Shapes:
    """Every tensor of a tiny autoencoder."""
    return {row.compvis: row.shape for row in names.vae_table(TINY_VAE)}


def model() -> dict[str, torch.Tensor]:
    return {name: torch.zeros(shape) for name, shape in shapes(MODEL).items()}


def open_net(path: Path) -> None:
    """Open a control network and match it with the model."""
    from sdnb.engine.adapters.control_file import matched, open_control

    found = matched(open_control(path), MODEL, {})
    found.build()


def open_vae(path: Path) -> None:
    """Read a model of the same proportions with this VAE in place of its own."""
    read(saved(path.with_name("model.ckpt"), model()), vae=path)


def _command(path: Path, name: str) -> Path:
    """A pickle whose tensor of this name is the answer of a command."""
    command = f"touch {path.with_name('ran')}"
    call = f"c{os.name}\nsystem\n".encode() + b"(" + text(command) + b"tR"
    return zipped(path, b"}" + text(name) + call + b"s.")


def _of_one_number(path: Path, shapes: Shapes) -> Path:
    one = torch.zeros(1)
    return saved(path, {name: one.expand(shape) for name, shape in shapes.items()})


def _less(path: Path, shapes: Shapes, data: int) -> Path:
    """A header of these tensors before so little data."""
    header, _ = laid_out(shapes)
    return headed(path, header, data)


def _beside(path: Path, yaml: str) -> Path:
    path = path.with_suffix(".safetensors")
    path.with_suffix(".yaml").write_text(yaml, "utf-8")
    return headed(path, *laid_out(net()))


def _folder(path: Path, config: str) -> Path:
    path.mkdir()
    (path / "config.json").write_text(config, "utf-8")
    headed(path / "diffusion_pytorch_model.safetensors", *laid_out(net()))
    return path


def _pair(path: Path) -> Path:
    """An encoder whose decoder is a trap."""
    _command(path.with_name("taesd_decoder.pth"), "0.weight")
    half = {n.removeprefix("encoder."): s for n, s in tiny().items() if n.startswith("encoder.")}
    return headed(path.with_name("taesd_encoder.safetensors"), *laid_out(half))


Open = Callable[[Path], object]


# What it is -> how it is opened, how it is written, and what its error says; None: it opens.
FILES: dict[str, tuple[Open, Callable[[Path], Path], str | None]] = {
    "net: as it should be": (open_net, lambda p: headed(p, *laid_out(net())), None),
    "net: empty file": (open_net, lambda p: headed(p, b""), "begins with zeros"),
    "net: command in a pickle": (
        open_net,
        lambda p: _command(p, "zero_convs.0.0.weight"),
        "is read and never run",
    ),
    "net: full size of one number": (
        open_net,
        lambda p: _of_one_number(p, net(ModelConfig())),
        "repeat each other",
    ),
    "net: 10 GB in a header": (
        open_net,
        lambda p: _less(p, net() | {"time_embed.0.weight": (50_000, 50_000)}, 1000),
        "is truncated",
    ),
    "net: 600 hints": (
        open_net,
        lambda p: headed(
            p,
            *laid_out(
                net() | {f"input_hint_block.{n}.weight": (2, 2, 3, 3) for n in range(16, 999)}
            ),
        ),
        "halves its hint \\d+ times",
    ),
    "net: 900 blocks": (
        open_net,
        lambda p: headed(
            p,
            *laid_out(
                net()
                | {f"input_blocks.{n}.0.in_layers.2.weight": (64, 64, 3, 3) for n in range(12, 900)}
            ),
        ),
        "888 unexpected",
    ),
    "net: a name with escapes": (
        open_net,
        lambda p: headed(p, *laid_out(net() | {ESCAPE + "a" * 100_000: (1,)})),
        "1 unexpected",
    ),
    "net: YAML of 200 MB": (open_net, lambda p: _beside(p, " " * (200 << 20)), "at most 65,536"),
    "net: config.json nested deeply": (
        open_net,
        lambda p: _folder(p, '{"a":' * 100_000),
        "nested too deeply",
    ),
    "net: config.json of 200 MB": (
        open_net,
        lambda p: _folder(p, " " * (200 << 20)),
        "at most 4,194,304",
    ),
    "adapter: 1,000 blocks": (
        open_net,
        lambda p: headed(
            p,
            *laid_out(
                ADAPTER
                | {f"body.{n}.{leaf}": shape for n in range(1000) for leaf, shape in BLOCK.items()}
            ),
        ),
        "4000 misshapen",
    ),
    "adapter: a light one 100,000 wide, of 1,000 blocks": (
        open_net,
        lambda p: headed(
            p,
            *laid_out(
                {
                    f"body.{n}.{leaf}": shape
                    for n in range(4)
                    for leaf, shape in {
                        "in_conv.weight": (100_000, 192, 1, 1),
                        "out_conv.weight": (64, 1, 1, 1),
                        "body.999.block1.weight": (1, 1, 3, 3),
                    }.items()
                }
            ),
        ),
        "4,000 blocks, and there are 12 tensors",
    ),
    "adapter: command in a pickle": (
        open_net,
        lambda p: _command(p, "conv_in.weight"),
        "is read and never run",
    ),
    "tiny VAE: as it should be": (open_vae, lambda p: headed(p, *laid_out(tiny())), None),
    "tiny VAE: command in a pickle": (
        open_vae,
        lambda p: _command(p, "encoder.0.weight"),
        "is read and never run",
    ),
    "tiny VAE: command in its other half": (open_vae, _pair, "decoder.pth.*never run"),
    "tiny VAE: of one number": (open_vae, lambda p: _of_one_number(p, tiny()), "repeat each other"),
    "tiny VAE: 10 GB in a header": (
        open_vae,
        lambda p: _less(p, tiny() | {"encoder.0.weight": (50_000, 50_000)}, 1000),
        "is truncated",
    ),
    "tiny VAE: 900 layers": (
        open_vae,
        lambda p: headed(
            p,
            *laid_out(
                tiny() | {f"encoder.{n}.conv.0.weight": (64, 64, 3, 3) for n in range(15, 900)}
            ),
        ),
        "885 unexpected",
    ),
    "tiny VAE: a scale of 16 GB": (
        open_vae,
        lambda p: saved(
            p,
            {f"taesd_{n}": torch.zeros(s) for n, s in tiny().items()}
            | {"vae_scale": torch.zeros(1).expand(1 << 32)},
        ),
        "expected one",
    ),
}
