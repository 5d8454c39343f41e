"""The parts of a model, each of which a memory plan places on its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from sdnb.engine import memory
from sdnb.engine.memory import Placed
from sdnb.engine.networks.tiny_vae import TinyVAE


@dataclass
class Part:
    """A part of a model that is placed on its own, and where it is."""

    network: str  # whose weights these are
    role: str  # by which a plan says where it is: text, unet, control, vae, tiny_vae
    module: nn.Module
    placed: Placed | None = None
    how: tuple[object, ...] = ()  # the placement, and the storage of what is streamed
    size: int = 0  # bytes, in the numbers that the model computes in
    in_turn: int = 0  # of them, what is there at once where it is read from its file


def parts_of(name: str, network: nn.Module) -> dict[str, Part]:
    """The parts of a network: itself, but for a VAE, whose halves work at different times."""
    if isinstance(network, TinyVAE):
        prefix = "tiny_" if name == "tiny_vae" else ""
        halves = {"encoder": network.encoder, "decoder": network.decoder}
        return {prefix + half: Part(name, "tiny_vae", its) for half, its in halves.items()}
    if name != "vae":
        return {name: Part(name, name, network)}
    encoder = nn.ModuleList([network.encoder, network.quant_conv])
    decoder = nn.ModuleList([network.decoder, network.post_quant_conv])
    return {"encoder": Part(name, name, encoder), "decoder": Part(name, name, decoder)}


def names(network: nn.Module) -> dict[tuple[int, str], str]:
    """The names of a network's weights, by the table of the module that holds each, as `memory` has
    it, and by its leaf.
    """
    return {
        (id(table), leaf): f"{path}.{leaf}" if path else leaf
        for path, module in network.named_modules()
        for table in (module._parameters, module._buffers)  # noqa: SLF001 - as in `memory.flat`
        for leaf in table
    }


def in_turn(module: nn.Module) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]]:
    """The blocks of a network in order of execution, what works once a run, and those of the blocks
    that a shallow pass calls, if it has such; none of one that comes as a whole.
    """
    if not hasattr(module, "execution_order"):
        return [], [], []
    short = module.shallow_order() if hasattr(module, "shallow_order") else []
    return module.execution_order(), module.once_a_run(), short


def sizes(module: nn.Module, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of a part's weights, and of those that are there at once where they are read from
    their file.
    """
    numbers = sum(weight.numel() for weight in module.parameters())
    size = numbers * dtype.itemsize
    units, once, _ = in_turn(module)
    if not units:
        return size, size
    ring, _ = memory.streaming_bytes(units, once, 0)
    return size, ring
