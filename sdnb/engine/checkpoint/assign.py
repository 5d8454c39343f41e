"""Assigns weights from disk to a module, strictly and one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from sdnb.engine.checkpoint.errors import CheckpointError, listed
from sdnb.engine.checkpoint.tensors import LazyTensor, keep_open

Tensors = Mapping[str, LazyTensor]


def assign_weights(
    module: nn.Module,
    tensors: Tensors,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    what: str,
    on_weight: Callable[[int], object] | None = None,
) -> None:
    """Give every weight of `module` its values, as `dtype` on `device`: in the storage that it has
    there, or in a new one where it is on the meta device or elsewhere.

    Memory grows by the weights' size at `dtype` and a window of 32 MB. Each weight keeps its memory
    layout in the module (e.g. channels last) and takes no gradient. `on_weight` is called with the
    number of elements of each weight after it is assigned.

    Raises CheckpointError, before it reads any, with the names of the missing, unexpected and
    misshapen weights.
    """
    expected = {
        name: tuple(tensor.shape) for name, tensor in module.state_dict(keep_vars=True).items()
    }
    compare(expected, {name: tensor.shape for name, tensor in tensors.items()}, what)
    with keep_open():
        for name in sorted(
            expected, key=lambda name: (str(tensors[name].file), tensors[name].offset)
        ):
            owner, leaf = _owner(module, name)
            old = getattr(owner, leaf)
            weight_dtype = dtype if old.is_floating_point() else old.dtype
            if old.device == torch.device(device) and old.dtype == weight_dtype:
                with torch.inference_mode(old.is_inference()):  # as it was made in
                    tensors[name].read_into(old)
                new = old
            else:
                new = torch.empty_strided(
                    old.shape, old.stride(), dtype=weight_dtype, device=device
                )
                tensors[name].read_into(new)
            if on_weight is not None:
                on_weight(new.numel())
            if new is old:
                continue
            if isinstance(old, nn.Parameter):
                owner.register_parameter(leaf, nn.Parameter(new, requires_grad=False))
            else:
                owner.register_buffer(leaf, new)


def compare(
    expected: Mapping[str, tuple[int, ...]], actual: Mapping[str, tuple[int, ...]], what: str
) -> None:
    """Raises CheckpointError unless both have the same names with the same shapes."""
    missing = sorted(expected.keys() - actual.keys())
    unexpected = sorted(actual.keys() - expected.keys())
    misshapen = [
        f"{name} is {list(actual[name])}, not {list(expected[name])}"
        for name in sorted(expected.keys() & actual.keys())
        if tuple(actual[name]) != tuple(expected[name])
    ]
    parts = [
        f"{len(names)} {word}: {listed(names)}"
        for word, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("misshapen", misshapen),
        )
        if names
    ]
    if parts:
        raise CheckpointError(
            f"the weights of the {what} do not fit it. " + ". ".join(parts) + ". "
            "Nothing was loaded: a model with wrong weights would only make noise."
        )


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf
