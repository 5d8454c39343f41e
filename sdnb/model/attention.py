"""Attention kernels: softmax(q kᵀ / √d) v, three ways that give the same numbers.

A kernel is a function of q, k, v `[b, heads, n, d]`; every attention of a model holds one as its
`kernel` attribute, set from outside (`use`). None of them keeps a whole `n x n` matrix of a large
picture.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]

#: Scores that `sliced` holds at once: 16 MB of floats.
SLICE_ELEMENTS = 4 * 2**20

#: Below this width of a head, the CPU's fused kernel is slower than with the width filled up to it.
_CPU_HEAD = 16


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's fused kernel (flash or memory-efficient attention where the device has one)."""
    d = q.shape[-1]
    if q.device.type == "cpu" and d < _CPU_HEAD:  # zeros change nothing, and a third of the time
        q, k, v = (F.pad(x, (0, _CPU_HEAD - d)) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, scale=d**-0.5)[..., :d]
    return F.scaled_dot_product_attention(q, k, v)


def sliced(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Plain matrix products over slices of queries, for devices without a fused kernel."""
    b, h, n, d = q.shape
    q, k, v = (x.reshape(b * h, -1, d) for x in (q * d**-0.5, k, v))  # [b*h, n, d]
    rows = max(1, SLICE_ELEMENTS // (b * h * k.shape[1]))
    if rows >= n:
        return _plain(q, k, v).view(b, h, n, d)
    out = torch.empty_like(q)
    for i in range(0, n, rows):
        out[:, i : i + rows] = _plain(q[:, i : i + rows], k, v)
    return out.view(b, h, n, d)


def _plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.bmm(q, k.transpose(1, 2))  # [b*h, rows, m]
    return torch.bmm(torch.softmax(scores, dim=-1), v)


def xformers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """xformers' memory-efficient attention (CUDA only; `pip install sdnb[xformers]`)."""
    from xformers.ops import memory_efficient_attention

    out: Tensor = memory_efficient_attention(*(x.transpose(1, 2) for x in (q, k, v)))
    return out.transpose(1, 2)


KERNELS: dict[str, Kernel] = {"sdpa": sdpa, "sliced": sliced, "xformers": xformers}


def use(model: nn.Module, name: str) -> None:
    """Give every attention in `model` the kernel `name`; a `ValueError` lists the known ones."""
    if name not in KERNELS:
        raise ValueError(f"attention kernel {name!r} is unknown; use one of {', '.join(KERNELS)}")
    for module in model.modules():
        if hasattr(module, "kernel"):
            module.kernel = KERNELS[name]


def split(x: Tensor, heads: int) -> Tensor:
    """`[b, n, heads * d]` to `[b, heads, n, d]`."""
    b, n, c = x.shape
    return x.view(b, n, heads, c // heads).transpose(1, 2)


def merge(x: Tensor) -> Tensor:
    """`[b, heads, n, d]` to `[b, n, heads * d]`."""
    b, h, n, d = x.shape
    return x.transpose(1, 2).reshape(b, n, h * d)
