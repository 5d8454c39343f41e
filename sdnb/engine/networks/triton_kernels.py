"""The Triton kernels under `networks.fused`. All tensors are channels-last, so that a picture is
`[n, c]` rows of channels. Importing this needs Triton.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

# `do_not_specialize` names the numbers that follow the picture's size: else the kernels would be
# compiled again, for seconds, whenever 16 divides one of them or no longer does.


@triton.jit(do_not_specialize=["n", "per"])
def _channel_sums(
    x, bias, sums, n, c, per, HAS_BIAS: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Sum and sum of squares of some channels over one part of the rows."""
    part, b = tl.program_id(1), tl.program_id(2)
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < c
    shift = tl.zeros([CHANNELS], tl.float32)
    if HAS_BIAS:
        shift = tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros([ROWS, CHANNELS], tl.float32)
    square = tl.zeros([ROWS, CHANNELS], tl.float32)
    last = tl.minimum(part * per + per, n)
    base = x + b.to(tl.int64) * n * c
    for start in range(part * per, last, ROWS):
        row = start + tl.arange(0, ROWS)
        mask = (row < last)[:, None] & inside[None, :]
        at = row.to(tl.int64)[:, None] * c + channel[None, :]
        value = tl.load(base + at, mask=mask, other=0.0).to(tl.float32) + shift[None, :]
        value = tl.where(mask, value, 0.0)
        total += value
        square += value * value
    out = sums + (b * tl.num_programs(1) + part) * 2 * c + channel
    tl.store(out, tl.sum(total, 0), mask=inside)
    tl.store(out + c, tl.sum(square, 0), mask=inside)


@triton.jit(do_not_specialize=["n", "width", "splits"])
def _group_affine(
    sums, bias, gamma, beta, affine, n, c, width, splits, eps,
    HAS_BIAS: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """The factor and the summand that norm the channels of one group."""
    group, b = tl.program_id(0), tl.program_id(1)
    channel = group * width + tl.arange(0, WIDTH)
    inside = tl.arange(0, WIDTH) < width
    total = tl.zeros([PARTS, WIDTH], tl.float32)
    square = tl.zeros([PARTS, WIDTH], tl.float32)
    for first in range(0, splits, PARTS):
        part = first + tl.arange(0, PARTS)
        mask = (part < splits)[:, None] & inside[None, :]
        at = (b * splits + part)[:, None] * 2 * c + channel[None, :]
        total += tl.load(sums + at, mask=mask, other=0.0)
        square += tl.load(sums + at + c, mask=mask, other=0.0)
    count = n * 1.0 * width
    mean = tl.sum(tl.sum(total, 1), 0) / count
    variance = tl.maximum(tl.sum(tl.sum(square, 1), 0) / count - mean * mean, 0.0)
    scale = tl.load(gamma + channel, mask=inside, other=0.0).to(tl.float32)
    scale = scale / tl.sqrt(variance + eps)
    shift = tl.load(beta + channel, mask=inside, other=0.0).to(tl.float32) - mean * scale
    if HAS_BIAS:
        shift += tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32) * scale
    out = affine + b * 2 * c + channel
    tl.store(out, scale, mask=inside)
    tl.store(out + c, shift, mask=inside)


@triton.jit(do_not_specialize=["n", "whole"])
def _group_apply(
    x, affine, out, n, whole, c, ACT: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Norm, and SiLU, of a tile of rows and channels: of n rows out of the `whole` of a picture."""
    b = tl.program_id(2)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < c
    scale = tl.load(affine + b * 2 * c + channel, mask=inside, other=0.0)
    shift = tl.load(affine + b * 2 * c + c + channel, mask=inside, other=0.0)
    mask = (row < n)[:, None] & inside[None, :]
    at = row.to(tl.int64)[:, None] * c + channel[None, :]
    source, target = x + b.to(tl.int64) * whole * c, out + b.to(tl.int64) * n * c
    value = tl.load(source + at, mask=mask, other=0.0).to(tl.float32)
    value = value * scale[None, :] + shift[None, :]
    if ACT:
        value = value * tl.sigmoid(value)
    tl.store(target + at, value.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _geglu(x, out, width, COLUMNS: tl.constexpr):
    """A row's part: value times gelu(gate)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mask = column < width
    base = x + row * 2 * width
    value = tl.load(base + column, mask=mask, other=0.0).to(tl.float32)
    gate = tl.load(base + width + column, mask=mask, other=0.0).to(tl.float32)
    gate = 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476))
    tl.store(out + row * width + column, (value * gate).to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["count"])
def _add(h, bias, x, count, c, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    value = tl.load(h + at, mask=mask, other=0.0).to(tl.float32)
    value += tl.load(bias + at % c, mask=mask, other=0.0).to(tl.float32)
    value += tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    tl.store(h + at, value.to(h.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["has_bias"])
def _layer_norm(x, bias, gamma, beta, out, c, has_bias, eps, WIDTH: tl.constexpr):
    """One row: its layer norm to out, then a bias added to it in place."""
    row = tl.program_id(0).to(tl.int64) * c
    at = tl.arange(0, WIDTH)
    inside = at < c
    adds = inside & (has_bias != 0)
    value = tl.load(x + row + at, mask=inside, other=0.0).to(tl.float32)
    more = tl.load(bias + at, mask=adds, other=0.0).to(tl.float32)
    tl.store(x + row + at, (value + more).to(x.dtype.element_ty), mask=adds)
    mean = tl.sum(value, 0) / c
    spread = tl.where(inside, value - mean, 0.0)
    rate = 1.0 / tl.sqrt(tl.sum(spread * spread, 0) / c + eps)
    scale = tl.load(gamma + at, mask=inside, other=0.0).to(tl.float32)
    shift = tl.load(beta + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row + at, (spread * rate * scale + shift).to(out.dtype.element_ty), mask=inside)


def layer_norm(x: Tensor, norm: nn.LayerNorm, bias: Tensor | None, out: Tensor) -> None:
    """Write the layer norm of the rows of x `[..., c]` to out, then add the bias to x."""
    c = x.shape[-1]
    _layer_norm[(x.numel() // c,)](
        x, x if bias is None else bias, norm.weight, norm.bias, out, c,
        int(bias is not None), norm.eps,
        WIDTH=triton.next_power_of_2(c), num_warps=4 if c > 512 else 2,
    )  # fmt: skip


def group_affine(x: Tensor, bias: Tensor | None, norm: nn.GroupNorm, affine: Tensor) -> None:
    """Write to `affine` `[b, 2, c]` the factor and the summand that norm each channel of
    `x + bias`, x `[b, n, c]`.
    """
    b, n, c = x.shape
    splits = max(1, min(64, n // 64), min(512, n // 1024))  # enough to fill a card
    sums = torch.empty(b, splits, 2, c, dtype=torch.float32, device=x.device)
    has_bias, bias = bias is not None, x if bias is None else bias
    _channel_sums[(triton.cdiv(c, 64), splits, b)](
        x, bias, sums, n, c, triton.cdiv(n, splits),
        HAS_BIAS=has_bias, ROWS=32, CHANNELS=64, num_warps=4,
    )  # fmt: skip
    width = c // norm.num_groups  # 128 holds those of SD 1.x: one compilation for all
    _group_affine[(norm.num_groups, b)](
        sums, bias, norm.weight, norm.bias, affine, n, c, width, splits, norm.eps,
        HAS_BIAS=has_bias, WIDTH=max(128, triton.next_power_of_2(width)), PARTS=16, num_warps=4,
    )  # fmt: skip


def group_apply(x: Tensor, affine: Tensor, out: Tensor, whole: int, act: bool) -> None:
    """Write the norm of x's first n rows to `out` `[b, n, c]`; x has `whole` rows a picture."""
    b, n, c = out.shape
    _group_apply[(triton.cdiv(n, 32), triton.cdiv(c, 64), b)](
        x, affine, out, n, whole, c, ACT=act, ROWS=32, CHANNELS=64, num_warps=4
    )


def geglu(x: Tensor, out: Tensor) -> None:
    """Gate the rows of x `[..., 2n]` into out `[..., n]`."""
    width = out.shape[-1]
    _geglu[(out.numel() // width, triton.cdiv(width, 1024))](x, out, width, COLUMNS=1024)


def add(h: Tensor, bias: Tensor, x: Tensor) -> None:
    """Add bias and x to h, in place."""
    count = h.numel()
    _add[(triton.cdiv(count, 1024),)](h, bias, x, count, h.shape[1], BLOCK=1024)


def works() -> bool:
    """Compile and run one of them; raises whatever is wrong."""
    x = torch.ones(1, 64, device="cuda", dtype=torch.float16)
    out = torch.empty(1, 32, device="cuda", dtype=torch.float16)
    geglu(x, out)
    return bool((out.float() - 0.8413447).abs().max() < 1e-3)
