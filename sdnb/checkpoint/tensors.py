"""A tensor that is still on disk: where its bytes are, and how to bring them to where they belong.

Nothing is mapped. Bytes go through one small buffer that stays in the processor's cache, so the
resident memory is the target's and no more, on every system; a target of the same type is filled by
the kernel directly. (A memory map counts every touched page as resident until it is given back.)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from sdnb.checkpoint.errors import CheckpointError

# Elements a piece: it fits the second-level cache together with its converted copy, and torch
# converts that many in the calling thread (its grain size). Larger ones wake torch's thread pool
# each time, which on busy cores took ten times as long.
STEP = 32768
CHUNK = 8 * STEP  # bytes of the buffer: a piece of the widest type


@dataclass(frozen=True)
class LazyTensor:
    """One tensor of a file, `stride` in elements (None: contiguous)."""

    file: Path
    offset: int  # of the first element, in bytes from the file's start
    shape: tuple[int, ...]
    dtype: torch.dtype
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

    def reshaped(self, shape: tuple[int, ...]) -> LazyTensor:
        """The same elements in another shape, e.g. [c, c] as a 1x1 convolution's [c, c, 1, 1].

        Raises ValueError when the counts differ or the tensor is stored transposed in a way that
        does not carry over.
        """
        if prod(shape) != self.count:
            raise ValueError(f"{self.shape} has {self.count} elements, {shape} has {prod(shape)}")
        if self.stride is None:
            return replace(self, shape=shape)
        kept = [(n, s) for n, s in zip(self.shape, self.stride, strict=True) if n != 1]
        if [n for n, _ in kept] != [n for n in shape if n != 1]:
            raise ValueError(f"a tensor stored with stride {self.stride} cannot become {shape}")
        strides = iter([s for _, s in kept])
        return replace(
            self, shape=shape, stride=tuple(1 if n == 1 else next(strides) for n in shape)
        )

    def read_into(self, target: Tensor) -> None:
        """Fill `target` (same shape; any type, device, memory layout), converting piece by piece.

        Raises CheckpointError when the file ends early, ValueError when the shapes differ.
        """
        if tuple(target.shape) != self.shape:
            raise ValueError(
                f"a target of shape {tuple(target.shape)} for a tensor of {self.shape}"
            )
        if self.count == 0:
            return
        with torch.no_grad(), _opened(self.file) as (handle, buffer):
            handle.seek(self.offset)
            if self.stride is not None:
                self._read_strided(handle, target)
            elif not target.is_contiguous():
                self._read_rows(handle, buffer, target)
            elif target.dtype == self.dtype and target.device.type == "cpu":
                _read(handle, _bytes_of(target), self.file)
            else:
                self._read_chunks(handle, buffer, target.view(-1))

    def read(self, dtype: torch.dtype | None = None) -> Tensor:
        """The tensor in memory, on the CPU."""
        target = torch.empty(self.shape, dtype=dtype or self.dtype)
        self.read_into(target)
        return target

    def sample(self, most: int = 4096) -> bytes:
        """Up to `most` bytes from the middle: cheap evidence of what the tensor holds."""
        size = min(self.extent, most)
        with _opened(self.file) as (handle, _):
            handle.seek(self.offset + (self.extent - size) // 2)
            data = bytearray(size)
            _read(handle, memoryview(data), self.file)
        return bytes(data)

    def _read_chunks(self, handle: FileIO, buffer: bytearray, flat: Tensor) -> None:
        step = STEP
        source = torch.frombuffer(buffer, dtype=self.dtype, count=step)
        view = memoryview(buffer)
        for start in range(0, self.count, step):
            n = min(step, self.count - start)
            _read(handle, view[: n * self.dtype.itemsize], self.file)
            flat[start : start + n].copy_(source[:n])

    def _read_rows(self, handle: FileIO, buffer: bytearray, target: Tensor) -> None:
        """For a target in another layout (channels last): whole rows at a time."""
        row = self.nbytes // self.shape[0]
        rows = max(1, STEP * self.dtype.itemsize // row)
        if rows * row > len(buffer):
            buffer = bytearray(rows * row)
        source = torch.frombuffer(buffer, dtype=self.dtype, count=rows * row // self.dtype.itemsize)
        source = source.view(rows, *self.shape[1:])
        for start in range(0, self.shape[0], rows):
            n = min(rows, self.shape[0] - start)
            _read(handle, memoryview(buffer)[: n * row], self.file)
            target[start : start + n].copy_(source[:n])

    def _read_strided(self, handle: FileIO, target: Tensor) -> None:
        """For a source stored as a transposed or sliced view: rare, so read whole."""
        assert self.stride is not None
        data = bytearray(self.extent)
        _read(handle, memoryview(data), self.file)
        source = torch.frombuffer(data, dtype=self.dtype)
        target.copy_(source.as_strided(self.shape, self.stride))


_local = (
    threading.local()
)  # one open file and one buffer a thread: a model is 1100 tensors of one file


@contextmanager
def _opened(path: Path) -> Iterator[tuple[FileIO, bytearray]]:
    """The file and a buffer: `keep_open`'s while that lasts, else for this call alone."""
    kept: dict[Path, FileIO] | None = getattr(_local, "files", None)
    if kept is None:
        with FileIO(path) as handle:
            yield handle, bytearray(CHUNK)
        return
    if path not in kept:
        kept[path] = FileIO(path)
    yield kept[path], _local.buffer


@contextmanager
def keep_open() -> Iterator[None]:
    """Files that this thread reads stay open and share one buffer until the end."""
    if getattr(_local, "files", None) is not None:  # nested: the outer one closes
        yield
        return
    _local.files, _local.buffer = {}, bytearray(CHUNK)
    try:
        yield
    finally:
        files, _local.files, _local.buffer = _local.files, None, None
        for handle in files.values():
            handle.close()


def _read(handle: FileIO, view: memoryview, path: Path) -> None:
    """Fill the whole view; one call may return less (2 GB at most on Linux)."""
    done = 0
    while done < len(view):
        got = handle.readinto(view[done:])
        if not got:
            raise CheckpointError(
                f"{path} ended {len(view) - done} bytes too early while a tensor was read: "
                "it is truncated or was changed since it was opened; download it again"
            )
        done += got


def _bytes_of(tensor: Tensor) -> memoryview:
    """A contiguous CPU tensor's memory, writable (bfloat16 has no numpy type, bytes always do)."""
    return memoryview(tensor.detach().view(-1).view(torch.uint8).numpy())
