"""Assigns weights from disk to a module, strictly and one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from sdnb.engine.checkpoint.tensors import LazyTensor, keep_open
from sdnb.headers.errors import CheckpointError, in_words, listed

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
    number of elements of each weight that was read.

    Raises CheckpointError, before it reads any, with the names of the missing, unexpected and
    misshapen weights; also where one cannot be read, or takes more memory than there is.
    """
    check_weights(module, tensors, what=what)
    with keep_open():
        for name in sorted(
            module.state_dict(keep_vars=True),
            key=lambda n: (str(tensors[n].file), tensors[n].offset),
        ):
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            old = new = getattr(owner, leaf)
            wanted = dtype if old.is_floating_point() else old.dtype
            with in_words(tensors[name].file):  # it may be larger than the computer's memory
                if old.device != torch.device(device) or old.dtype != wanted:
                    new = torch.empty_strided(old.shape, old.stride(), dtype=wanted, device=device)
                with torch.inference_mode(new.is_inference()):  # as it was made in
                    tensors[name].read_into(new)
            if on_weight is not None:
                on_weight(new.numel())
            if new is not old:
                parameter = isinstance(old, nn.Parameter)
                setattr(owner, leaf, nn.Parameter(new, requires_grad=False) if parameter else new)


def check_weights(module: nn.Module, tensors: Tensors, *, what: str) -> None:
    """Raises CheckpointError, as `assign_weights` does, where a module's weights are not these."""
    shapes = {name: tuple(old.shape) for name, old in module.state_dict(keep_vars=True).items()}
    compare(shapes, tensors, what)


def compare(expected: Mapping[str, tuple[int, ...]], tensors: Tensors, what: str) -> None:
    """Raises CheckpointError unless the tensors have the expected names and shapes."""
    faults = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - expected.keys()),
        "misshapen": [
            f"{name} is {list(tensors[name].shape)}, not {list(expected[name])}"
            for name in sorted(expected.keys() & tensors.keys())
            if tensors[name].shape != expected[name]
        ],
    }
    told = [f"{len(names)} {word}: {listed(names)}" for word, names in faults.items() if names]
    if told:
        raise CheckpointError(
            f"the weights of the {what} do not fit it. " + ". ".join(told) + ". "
            "Nothing was loaded: a model with wrong weights would only make noise."
        )
