"""Attention kernels: softmax(q kᵀ / √d) v, several ways that give the same numbers.

A kernel is a function of q, k, v `[b, heads, n, d]`; every attention of a model holds one as its
`kernel` attribute (`set_kernel`). None of them keeps a whole `n x n` matrix of a large picture, and
all of them have the scores q kᵀ in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]

#: Scores that `sliced` holds at once: 16 MB of floats.
SLICE_ELEMENTS = 4 * 2**20

#: Below this width of a head, the CPU's fused kernel is slower than with the width filled up to it.
_CPU_HEAD = 16

#: Another kernel is taken where its time is less than this share of PyTorch's own choice: a smaller
#: gain is noise, and the same picture from run to run is worth more.
MARGIN = 0.85

#: Queries that a measurement takes: enough to fill a card, and quick even for huge pictures.
_QUERIES = 4096
_RUNS = 5

_FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's fused kernels, its own choice among them; slices where none takes the shape."""
    d = q.shape[-1]
    if q.device.type == "cpu":
        if d >= _CPU_HEAD:
            return F.scaled_dot_product_attention(q, k, v)
        q, k, v = (F.pad(x, (0, _CPU_HEAD - d)) for x in (q, k, v))  # zeros change nothing
        return F.scaled_dot_product_attention(q, k, v, scale=d**-0.5)[..., :d]
    if q.device.type != "cuda":
        return sliced(q, k, v)
    try:  # never the plain product, which would hold n x n scores
        return _by_backend(_FUSED, q, k, v)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "kernel" not in str(error):
            raise
        return sliced(q, k, v)


def _by_backend(backend: SDPBackend | list[SDPBackend], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with sdpa_kernel(backend):
        return F.scaled_dot_product_attention(q, k, v)


def sliced(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Plain matrix products over slices of queries, for devices without a fused kernel."""
    b, h, n, d = q.shape
    q, k, v = (x.reshape(b * h, -1, d) for x in (q, k, v))  # [b*h, n, d]
    m = k.shape[1]
    heads = max(1, min(b * h, SLICE_ELEMENTS // (n * m)))  # at once
    rows = max(1, min(n, SLICE_ELEMENTS // m)) if heads == 1 else n
    out = torch.empty_like(q)
    for at in range(0, b * h, heads):
        some = slice(at, at + heads)
        for i in range(0, n, rows):
            out[some, i : i + rows] = _plain(q[some, i : i + rows], k[some], v[some])
    return out.view(b, h, n, d)


def _plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    # In float32, as the fused kernels have them: scores of SD 2.1 are beyond what float16 holds,
    # and a scale that was rounded moves large ones by more than one.
    full = torch.promote_types(q.dtype, torch.float32)
    q = q.to(full) * q.shape[-1] ** -0.5
    scores = torch.bmm(q, k.to(full).transpose(1, 2))  # [b*h, rows, m]
    return torch.bmm(torch.softmax(scores, dim=-1).to(v.dtype), v)


def xformers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """xformers' memory-efficient attention (CUDA only; `pip install sdnb[xformers]`)."""
    from xformers.ops import memory_efficient_attention

    out: Tensor = memory_efficient_attention(*(x.transpose(1, 2) for x in (q, k, v)))
    return out.transpose(1, 2)


# -- chosen by measurement ---------------------------------------------------------------------
_measured: dict[tuple[object, ...], str] = {}  # the fastest for each device, dtype and shape


def auto(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The kernel that was fastest when this shape first came; not on a card, `sdpa`."""
    if q.device.type != "cuda":
        return sdpa(q, k, v)
    key = (q.device, q.dtype, q.shape, k.shape[2])
    if key not in _measured:
        if torch.cuda.is_current_stream_capturing():
            return sdpa(q, k, v)
        _measured[key] = _fastest(q, k, v)
    return KERNELS[_measured[key]](q, k, v)


def _fastest(q: Tensor, k: Tensor, v: Tensor) -> str:
    """Time each candidate on a part of the queries; another than "sdpa" must be clearly faster."""
    q = q[:, :, :_QUERIES]
    names = ("sdpa", "flash", "efficient", "xformers")
    times = {name: _milliseconds(KERNELS[name], q, k, v) for name in names}
    best = min(times, key=times.__getitem__)
    return best if times[best] < MARGIN * times["sdpa"] else "sdpa"


def _milliseconds(kernel: Kernel, q: Tensor, k: Tensor, v: Tensor) -> float:
    """A kernel's mean time on the device; infinite where it cannot run. The device is kept busy
    until all runs are enqueued, so that the host's time does not count.
    """
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of why it is not
            kernel(q, k, v)  # loads what there is to load
            torch.cuda._sleep(2_000_000)  # noqa: SLF001 - about a millisecond
            begin.record()
            for _ in range(_RUNS):
                kernel(q, k, v)
            end.record()
            end.synchronize()
            return begin.elapsed_time(end) / _RUNS
    except (RuntimeError, ImportError, ValueError):
        return float("inf")


KERNELS: dict[str, Kernel] = {
    "sdpa": sdpa,
    # FlashAttention, https://arxiv.org/abs/2307.08691
    "flash": partial(_by_backend, SDPBackend.FLASH_ATTENTION),
    # memory-efficient attention, https://arxiv.org/abs/2112.05682
    "efficient": partial(_by_backend, SDPBackend.EFFICIENT_ATTENTION),
    "cudnn": partial(_by_backend, SDPBackend.CUDNN_ATTENTION),
    "sliced": sliced,
    "xformers": xformers,
    "auto": auto,
}


def set_kernel(model: nn.Module, name: str) -> None:
    """Give every attention in `model` the kernel `name`; a `ValueError` lists the known ones."""
    if name not in KERNELS:
        raise ValueError(f"attention kernel {name!r} is unknown; use one of {', '.join(KERNELS)}")
    for module in model.modules():
        if hasattr(module, "kernel"):
            module.kernel = KERNELS[name]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """`[b, n, heads * d]` to `[b, heads, n, d]`."""
    b, n, c = x.shape
    return x.view(b, n, heads, c // heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """`[b, heads, n, d]` to `[b, n, heads * d]`."""
    b, h, n, d = x.shape
    return x.transpose(1, 2).reshape(b, n, h * d)
