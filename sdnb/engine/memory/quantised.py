"""Weights in 8 bits: whole numbers in -127..127 with one scale for each output channel.

Only matrices and convolutions are coded: norms and biases are few. A weight is decoded just before
its layer works.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sdnb.engine.memory.flat import Entry, aligned

#: Numbers coded at a time, so that no second copy of a weight is made. With fewer, threads that
#: code wait for Python: of SD 1.4's UNet four took 0.40 s by 2^18 and 0.51 by 2^17.
_AT_ONCE = 1 << 18
#: And on a card, where each piece is a handful of calls: 15 MB of its memory for a thread.
_AT_ONCE_ON_CARD = 1 << 21


@dataclass(frozen=True)
class Coded:
    """Where an entry's codes (or the entry itself) and scales lie in a coded block."""

    entry: Entry
    offset: int
    scales: int  # offset of the float32 scales; -1: not coded

    def write(self, block: Tensor, weight: Tensor, device: torch.device) -> None:
        """Code `weight` into the block; the device computes, with the bits of any other one."""
        if self.scales < 0:
            self._raw(block).copy_(weight)
            return
        rows, codes, scales = _rows(weight), self._codes(block), self._scales(block)
        at_once = _AT_ONCE if device.type == "cpu" else _AT_ONCE_ON_CARD
        step = max(1, min(len(rows), at_once // rows.shape[1]))
        # Memory that is new each time would cost as much as the arithmetic.
        numbers = torch.empty((step, rows.shape[1]), dtype=torch.float32, device=device)
        # A card multiplies by the inverse of a number, and divides by a tensor.
        most = torch.full((), 127.0, device=device)
        for first in range(0, len(rows), step):
            part = rows[first : first + step].to(device)
            largest = torch.maximum(part.amax(dim=1), -part.amin(dim=1)).float()
            scale = largest.clamp_(min=1e-12).div_(most)
            ratio = torch.div(part, scale[:, None], out=numbers[: len(part)])
            # Between devices a copy would convert on the processor, out of four bytes a number.
            codes[first : first + step].copy_(ratio.round_().to(torch.int8))
            scales[first : first + step].copy_(scale)

    def read(self, block: Tensor, out: Tensor, at: int = 0) -> None:
        """Decode into `out`, a weight; the block begins `at` bytes into the whole."""
        if self.scales < 0:
            out.copy_(self._raw(block, at))
        else:
            scale = self._scales(block, at).to(out.dtype)
            torch.mul(self._codes(block, at), scale[:, None], out=_rows(out))

    def _raw(self, block: Tensor, at: int = 0) -> Tensor:
        return self.entry.view(block, self.entry.offset - self.offset + at)

    def _codes(self, block: Tensor, at: int = 0) -> Tensor:
        count, begin = self.entry.shape.numel(), self.offset - at
        codes = block[begin : begin + count].view(torch.int8)
        return codes.view(self.entry.shape[0], -1)

    def _scales(self, block: Tensor, at: int = 0) -> Tensor:
        begin = self.scales - at
        return block[begin : begin + 4 * self.entry.shape[0]].view(torch.float32)


def _rows(weight: Tensor) -> Tensor:
    """The weight as `[out, all else]`, in the order in which it lies in memory."""
    return weight.as_strided((len(weight), weight.numel() // len(weight)), (weight.stride(0), 1))


def layout(entries: list[Entry], at: int) -> tuple[list[Coded], int]:
    """Places for the coded entries from byte `at` on, and where they end."""
    coded = []
    for entry in entries:
        outermost = entry.shape.numel() // entry.shape[0] if entry.shape else 0
        if len(entry.shape) >= 2 and entry.stride[0] == outermost and entry.dtype.is_floating_point:
            scales = at + aligned(entry.shape.numel())
            coded.append(Coded(entry, at, scales))
            at = scales + aligned(4 * entry.shape[0])
        else:
            coded.append(Coded(entry, at, -1))
            at += aligned(entry.nbytes)
    return coded, at
