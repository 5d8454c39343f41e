"""`LazyTensor`: a tensor that is still on disk, and how it is read into memory.

A file is mapped one window at a time, and a window is released once it is converted. Mapped pages
count as resident memory: mapping a whole checkpoint, as is usual, adds its size to the peak, while
windows add 32 MB. Reading into a small buffer instead (`copied`) needs no map but a second copy: it
took a sixth longer on a warm file and twice as long on a cold one. It is for weights that are read
in every pass of a run: a page of a map whose file was cut short meanwhile would end Python.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from sdnb.headers import statedict
from sdnb.headers.errors import CheckpointError
from sdnb.headers.stored import Stored

WINDOW = 32 << 20  # bytes mapped at a time
COPIED = 4 << 20  # bytes read at a time, where they are copied
#: Bytes of a tensor that is read at once. A LoRA has hundreds of them in its file, and a map for
#: each takes twice as long, most of it with the interpreter's lock.
SMALL = 1 << 20

# Elements converted at a time on the CPU: torch keeps as many in the calling thread (its grain
# size). With more it wakes its thread pool for each tensor, which halves the time on an idle
# machine and doubles it on a busy one, or in a container that may use fewer cores than it sees.
STEP = 32768


@dataclass(frozen=True)
class LazyTensor(Stored):
    """One tensor of a file that can be read into memory."""

    dtype: torch.dtype

    def reshaped(self, shape: tuple[int, ...]) -> LazyTensor:
        """The same elements in another shape, e.g. [c, c] as a 1x1 convolution's [c, c, 1, 1].

        Raises ValueError when the counts differ or, with a stride, the sizes above 1.
        """
        if prod(shape) != self.count:
            raise ValueError(f"{self.shape} has {self.count} elements, {shape} has {prod(shape)}")
        if self.stride is None:
            return replace(self, shape=shape)
        kept = [(n, s) for n, s in zip(self.shape, self.stride, strict=True) if n != 1]
        if [n for n, _ in kept] != [n for n in shape if n != 1]:
            raise ValueError(f"a tensor stored with stride {self.stride} cannot become {shape}")
        strides = iter([s for _, s in kept])
        stride = tuple(1 if n == 1 else next(strides) for n in shape)
        return replace(self, shape=shape, stride=stride)

    def read_into(self, target: Tensor) -> None:
        """Fill `target` (same shape; any type, device, memory layout), converting by windows.

        Raises CheckpointError when the file ends early, ValueError when the shapes differ.
        """
        shape = tuple(target.shape)
        if shape != self.shape:
            raise ValueError(f"a target of shape {shape} for a tensor of {self.shape}")
        if self.count == 0:
            return
        with torch.no_grad(), keep_open():
            handle = _handle(self.file)
            if self.stride is not None:  # a transposed or sliced view: rare, so in one window
                target.copy_(self._elements(handle, self.stride))
                return
            rows = target.view(-1) if target.is_contiguous() else target
            width = self.count // len(rows)
            window = WINDOW if _local.copies is None else COPIED
            step = max(1, window // (width * self.dtype.itemsize))
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                source = self._window(handle, start * width, part.numel()).view(part.shape)
                # A process of one thread has no pool to wake.
                wakes = part.ndim == 1 and part.device.type == "cpu" and torch.get_num_threads() > 1
                if not wakes:
                    part.copy_(source)
                    continue
                for to, of in zip(part.split(STEP), source.split(STEP), strict=True):
                    to.copy_(of)

    def read(self, dtype: torch.dtype | None = None) -> Tensor:
        """The tensor in memory, on the CPU."""
        if self.stride is None and 0 < self.nbytes <= SMALL:
            return self._read_whole().to(dtype or self.dtype)
        target = torch.empty(self.shape, dtype=dtype or self.dtype)
        self.read_into(target)
        return target

    def _read_whole(self) -> Tensor:
        """As it is stored, without a map."""
        data = bytearray(self.nbytes)
        with keep_open():
            self._fill(memoryview(data), _handle(self.file), self.offset)
        return torch.frombuffer(data, dtype=torch.uint8).view(self.dtype).view(self.shape)

    def sample(self) -> bytes:
        """Up to 4096 bytes from the middle: cheap evidence of what the tensor holds."""
        size = min(self.extent, 4096)
        with keep_open():
            handle = _handle(self.file)
            handle.seek(self.offset + (self.extent - size) // 2)
            data = handle.read(size)
        if len(data) < size:
            raise _too_short(self.file)
        return data

    def _window(self, handle: FileIO, first: int, count: int) -> Tensor:
        """`count` elements from `first` on, `[count]`, mapped until the tensor is freed."""
        start = self.offset + first * self.dtype.itemsize
        raw = self._mapped(handle, start, count * self.dtype.itemsize)
        aligned = raw if start % self.dtype.itemsize == 0 else raw.clone()  # as torch expects it
        return aligned.view(self.dtype)

    def _elements(self, handle: FileIO, stride: tuple[int, ...]) -> Tensor:
        """The elements of a view, gathered as bytes: they may be few, strewn over GBs of the file,
        and at odd places.
        """
        raw, size = self._mapped(handle, self.offset, self.extent), self.dtype.itemsize
        elements = raw.as_strided((*self.shape, size), (*(size * step for step in stride), 1))
        whole = elements.clone(memory_format=torch.contiguous_format)
        return whole.view(self.dtype).view(self.shape)

    def _mapped(self, handle: FileIO, start: int, size: int) -> Tensor:
        """`size` bytes of the file, `[size]`, mapped until the tensor is freed."""
        if os.fstat(handle.fileno()).st_size < start + size:  # reading past the end kills Python
            raise _too_short(self.file)
        if _local.copies is not None:
            return self._copied(handle, start, size)
        skip = start % mmap.ALLOCATIONGRANULARITY
        view = mmap.mmap(handle.fileno(), skip + size, access=mmap.ACCESS_COPY, offset=start - skip)
        return torch.frombuffer(view, dtype=torch.uint8, count=size, offset=skip)

    def _copied(self, handle: FileIO, start: int, size: int) -> Tensor:
        """`size` bytes of the file, `[size]`, until the next ones are read in this thread."""
        if len(_local.copies) < size:
            _local.copies = bytearray(size)
        view = memoryview(_local.copies)[:size]
        self._fill(view, handle, start)
        return torch.frombuffer(view, dtype=torch.uint8)

    def _fill(self, view: memoryview, handle: FileIO, start: int) -> None:
        """Read as many bytes of the file as the view has."""
        handle.seek(start)
        done = 0
        while done < len(view):
            count = handle.readinto(view[done:])
            if not count:
                raise _too_short(self.file)
            done += count


Weights = dict[str, LazyTensor]


def lazy(stored: Stored) -> LazyTensor:
    """The tensor that lies there."""
    dtype = getattr(torch, stored.dtype.name)
    return LazyTensor(stored.file, stored.offset, stored.shape, dtype, stored.stride)


def read_tensors(path: Path, notes: list[str]) -> tuple[Weights, dict[str, str]]:
    """The tensors of any file by name, and its metadata. Raises CheckpointError as `read_stored`
    does.
    """
    stored, metadata = statedict.read_stored(path, notes)
    return {name: lazy(tensor) for name, tensor in stored.items()}, metadata


def read_weights(path: Path, notes: list[str], metadata: dict[str, str] | None = None) -> Weights:
    """The weights of a model, or of a part of one, by name, and the file's metadata into
    `metadata`.

    Raises CheckpointError as `read_tensors`, and for what only changes a model.
    """
    weights, told = read_tensors(path, notes)
    if metadata is not None:
        metadata |= told
    if any(key.startswith("ss_network") for key in told):  # kohya's mark on what it trains
        statedict.refuse_other_kinds(path, weights)
    return statedict.unwrapped(weights)


_local = threading.local()  # each thread's open files: a model has 1100 tensors in one file


def _handle(path: Path) -> FileIO:
    """The open file, which the `keep_open` around it closes."""
    if path not in _local.files:
        _local.files[path] = FileIO(path)
    handle: FileIO = _local.files[path]
    return handle


@contextmanager
def keep_open() -> Iterator[None]:
    """Inside, the files that this thread reads stay open."""
    if getattr(_local, "files", None) is not None:  # nested: the outer one closes
        yield
        return
    _local.files, _local.copies = {}, getattr(_local, "copies", None)
    try:
        yield
    finally:
        files, _local.files = _local.files, None
        for handle in files.values():
            handle.close()


@contextmanager
def copied() -> Iterator[None]:
    """Inside, this thread copies what it reads into a buffer of 4 MB, or of one row where that is
    larger, and maps nothing; the files stay open.
    """
    _local.copies = bytearray(COPIED)
    try:
        with keep_open():
            yield
    finally:
        _local.copies = None


def _too_short(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} ends before one of its tensors does: it is truncated, or was changed since it was "
        "opened. Download it again."
    )
