"""`Stored`: where a tensor lies in a file, before anything of it is read."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

MOST_DIMENSIONS = 32  # of a tensor; a network's have four


class Dtype(NamedTuple):
    """A type of numbers: torch's name of it, and the bytes that one takes."""

    name: str  # "float16"
    itemsize: int


def whole_numbers(values: object) -> tuple[int, ...]:
    """The sizes, strides or positions that a file states, as they are.

    Raises ValueError unless they are at most 32 whole numbers from 0 to 2**48: a product or a
    message of more grows with the square of their number.
    """
    if not isinstance(values, (list, tuple)) or len(values) > MOST_DIMENSIONS:
        raise ValueError(f"a tensor has a list of at most {MOST_DIMENSIONS} sizes")
    if not all(type(n) is int and 0 <= n < 2**48 for n in values):
        raise ValueError("a size or position of a tensor is a whole number from 0 to 2**48")
    return tuple(values)


@dataclass(frozen=True)
class Stored:
    """One tensor of a file, `stride` in elements (None: contiguous)."""

    file: Path
    offset: int  # of the first element, in bytes from the file's start
    shape: tuple[int, ...]
    dtype: Dtype
    stride: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor itself, in its stored type."""
        return self.count * self.dtype.itemsize

    @property
    def extent(self) -> int:
        """Bytes from the first element to the end of the last one, in the file."""
        if self.stride is None or self.count == 0:
            return self.nbytes
        last = sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        return (last + 1) * self.dtype.itemsize
