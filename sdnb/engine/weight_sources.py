"""Where a model's weights are on disk, and what is added to them: each can be read again at any
time, as what the checkpoint has with what is laid over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sdnb.engine.adapters import NOTHING, Overlay, merge
from sdnb.engine.checkpoint import CheckpointError, Tensors
from sdnb.engine.checkpoint.tensors import copied

Additions = Mapping[str, Sequence[merge.Addition]]


class WeightSources:
    """The weights of networks by name, in the numbers of `dtype`, with an `overlay` if there is
    one. A file that is another one by now is refused, not read.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        #: What is laid over the checkpoint; None: a change of it broke off half-way.
        self.overlay: Overlay | None = NOTHING
        self._tensors: dict[str, Tensors] = {}
        self._additions: dict[str, Additions] = {}  # of a network's own file
        self._stamps: dict[str, dict[Path, tuple[int, int]]] = {}  # size and time of their files

    def __getitem__(self, network: str) -> Tensors:
        return self._tensors[network]

    def add(self, network: str, tensors: Tensors, additions: Additions | None = None) -> None:
        """Take in a network: `tensors`, and what is added to some of them."""
        self._tensors[network], self._additions[network] = tensors, additions or {}
        files = {tensor.file for tensor in tensors.values()}
        self._stamps[network] = {file: _stamp(file) for file in files}

    def drop(self, network: str) -> None:
        """Forget a network."""
        del self._tensors[network], self._additions[network], self._stamps[network]

    def place(self, network: str, weight: str) -> tuple[str, int]:
        """The file of a weight and where it begins there: in this order they are read fastest."""
        tensor = self._tensors[network][weight]
        return str(tensor.file), tensor.offset

    def check(self, network: str, weights: Iterable[str], why: str) -> None:
        """Raise CheckpointError where a file of these weights is gone or is another one; `why` says
        for what they are read again.
        """
        for file in {self._tensors[network][weight].file for weight in weights}:
            if _stamp(file) != self._stamps[network][file]:
                raise CheckpointError(
                    f"{file}, from which this model was loaded, is gone or was changed since. "
                    f"{why}: put the file back, or load the model again."
                )

    def read(self, network: str, weight: str, target: Tensor, over: Overlay | None = None) -> None:
        """Fill `target` with a weight as it is with the overlay, or with `over` in its place. It is
        rounded to the model's numbers, of whatever dtype the target is.
        """
        overlay = over or self.overlay or NOTHING
        own = self._additions[network].get(weight, ())
        additions = [*own, *overlay.of(network, weight)]
        merge.write_sum(self._tensors[network][weight], additions, target, self.dtype)

    def read_in_turn(self, network: str, weights: Sequence[tuple[str, Tensor]]) -> None:
        """Fill each of these weights' targets without mapping the files, which may change while a
        run goes on. Raises as `check` does.
        """
        self.check(network, [name for name, _ in weights], _IN_TURN)
        with copied():
            for name, target in sorted(weights, key=lambda pair: self.place(network, pair[0])):
                self.read(network, name, target)


_IN_TURN = "By this memory plan its weights stay there, and are read while pictures are made"


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
