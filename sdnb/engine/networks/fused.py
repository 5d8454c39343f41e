"""Layers fused into one pass over memory: Triton kernels for CUDA, PyTorch elsewhere.

PyTorch's group norm on a card knows only channels-first, so that a channels-last net copies each
norm's input there and its output back. These read and write channels-last once. Sums are taken in
float32 in a fixed order: the same input gives the same bits.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks import pieces

_WIDEST = 2048  # channels of a row that one program norms
_QUAD = 16  # bytes


def norm_silu(
    x: Tensor, norm: nn.GroupNorm, bias: Tensor | None = None, act: bool = True
) -> Tensor:
    """`silu(norm(x + bias))`, x `[b, c, h, w]`, bias `[c]`; without `act` the norm alone."""
    pieces.look()
    if supports(x):
        return GroupNormed(x, norm, bias)(0, x.shape[2], act)
    if bias is not None:
        x = x + bias[:, None, None]
    y = norm(x)
    pieces.look()
    return F.silu(y, inplace=True) if act else y


def norms(x: Tensor) -> bool:
    """Whether `layer_norm` takes tokens x `[b, n, c]`."""
    return supports(x) and x.is_contiguous() and x.shape[-1] <= _WIDEST


def layer_norm(x: Tensor, norm: nn.LayerNorm, bias: Tensor | None) -> Tensor:
    """`norm(x)`, and then add bias `[c]` to x, in place. Of tokens that it `norms` alone."""
    out = torch.empty_like(x)
    _kernels().layer_norm(x, norm, bias, out)
    return out


def geglu(x: Tensor) -> Tensor:
    """`[..., 2n]` to `[..., n]`: the first half times the exact GELU of the second."""
    if supports(x) and x.is_contiguous():
        out = torch.empty(*x.shape[:-1], x.shape[-1] // 2, dtype=x.dtype, device=x.device)
        _kernels().geglu(x, out)
        return out
    value, gate = x.chunk(2, dim=-1)
    return F.gelu(gate).mul_(value)


def nearest(x: Tensor, height: int, width: int) -> Tensor:
    """x `[b, c, h, w]` brought to that size, each pixel the nearest of it."""
    b, c, h, w = x.shape
    if (height, width) != (2 * h, 2 * w) or c * x.element_size() % _QUAD or not supports(x):
        return F.interpolate(x, size=(height, width), mode="nearest")
    # PyTorch's kernel copies two bytes at a time: this one 16, whatever numbers they are.
    quads = x.permute(0, 2, 3, 1).view(torch.complex128)  # [b, h, w, c/8]
    doubled = quads[:, :, None, :, None].expand(b, h, 2, w, 2, -1).reshape(b, height, width, -1)
    return doubled.view(x.dtype).permute(0, 3, 1, 2)


def add_biased(h: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """`h + bias + x`, written to h, which is the caller's own; all `[b, c, h, w]`, bias `[c]`."""
    pieces.look()
    if bias is None:
        return h.add_(x)
    if supports(h) and supports(x):
        _kernels().add(h, bias, x)
        return h
    return h.add_(bias[:, None, None]).add_(x)


def supports(x: Tensor) -> bool:
    """Whether the kernels take x, a map `[b, c, h, w]` or tokens."""
    if not x.is_cuda or torch.is_grad_enabled():  # the kernels know no gradients
        return False
    if torch.compiler.is_compiling() or _kernels() is None:
        return False
    return x.ndim != 4 or x.is_contiguous(memory_format=torch.channels_last)


def why_not() -> str:
    """Words, where a card has to do without these kernels; "" where they work."""
    words = "Triton is not usable here, so group norms run by PyTorch's kernels, a little slower."
    return "" if _kernels() else words


@functools.cache
def _kernels() -> Any:
    """The compiled kernels' module; None where Triton does not work."""
    try:
        from sdnb.engine.networks import triton_kernels

        return triton_kernels if triton_kernels.works() else None
    except Exception:  # noqa: BLE001 - whatever a machine lacks for it: said by `why_not`
        return None


class GroupNormed:
    """`silu(norm(x + bias))` of any rows of a supported map, with the sums of the whole map."""

    def __init__(self, x: Tensor, norm: nn.GroupNorm, bias: Tensor | None) -> None:
        self.x = x
        self.affine = torch.empty(len(x), 2, x.shape[1], dtype=torch.float32, device=x.device)
        _kernels().group_affine(_tokens(x), bias, norm, self.affine)

    def __call__(self, first: int, end: int, act: bool = True) -> Tensor:
        """Rows first to end, `[b, c, end - first, w]`."""
        x = self.x[:, :, first:end]
        out = torch.empty_like(x, memory_format=torch.channels_last)
        whole = self.x.shape[2] * self.x.shape[3]
        _kernels().group_apply(x, self.affine, _tokens(out), whole, act)
        return out


def _tokens(x: Tensor) -> Tensor:
    """A channels-last `[b, c, h, w]` as `[b, h * w, c]`, in place."""
    b, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).view(b, h * w, c)
