"""The mathematics of each kind of file: what one of its modules adds to a weight.

* LoRA (https://arxiv.org/abs/2106.09685), LoCon: `alpha / rank * up @ down`, with `mid` by Tucker;
* LoHa (https://arxiv.org/abs/2108.06098): the elementwise product of two such products;
* LoKr (https://arxiv.org/abs/2309.14859): the Kronecker product of two matrices, factored or not;
* DoRA (https://arxiv.org/abs/2402.09353): any of these, and a new length for each row or column;
* full differences of weights, biases and norms.

The forms in files are those of kohya-ss/sd-scripts and KohakuBlueleaf/LyCORIS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from sdnb.engine.checkpoint import CheckpointError, LazyTensor

Parts = Mapping[str, LazyTensor]
Shape = tuple[int, ...]

#: Kinds that are refused: a part that gives each away, and its name.
REFUSED = {
    "oft_blocks": "OFT or BOFT", "oft_diag": "OFT", "on_input": "IA3", "a1.weight": "GLoRA",
    "b1.weight": "GLoRA", "set_weight": "a weight to be replaced",
    "reshape_weight": "a wider layer",
}  # fmt: skip


@dataclass(frozen=True)
class Delta:
    """What a module adds to a weight at strength 1, in float32.

    `make(weight)` gives it in the weight's shape; only DoRA looks at the weight `[out, ...]`. A
    plain LoRA also has `factors`, `[out, r]` and `[r, all else]`, whose product it is. Where each
    row can be made alone, `by_rows()` reads what that needs, and gives a function of some rows of
    the weight and of which they are.
    """

    make: Callable[[Tensor], Tensor]
    factors: Callable[[], tuple[Tensor, Tensor]] | None = None
    needs_weight: bool = False
    by_rows: Callable[[], Callable[[Tensor, slice], Tensor]] | None = None


def deltas(
    parts: Parts, shape: Shape, alpha: float | None, dyn: int | None = None
) -> dict[str, Delta]:
    """What a module adds to its "weight" of this shape, and to its "bias".

    `alpha` is that of the file's metadata, for a module that brings none. `dyn` takes the first so
    many ranks of a LoRA. Raises CheckpointError, which says what does not fit.
    """
    _refuse(parts)
    found = {}
    for part in ("diff_b", "b_norm"):
        if part in parts:
            found["bias"] = _full(parts[part], shape[:1])
    weight = _weight(parts, shape, _alpha(parts, alpha), dyn)
    if weight is not None:
        if dyn is not None and weight.factors is None:
            raise CheckpointError("dyn takes some ranks of a plain LoRA alone, and it is none")
        found["weight"] = _dora(weight, parts, shape)
    if not found:
        raise CheckpointError(f"it has {', '.join(sorted(parts))} and no more")
    return found


def refuse_kind(parts: Parts) -> None:
    """Raises CheckpointError for a module of a kind that is not run, by that kind's name."""
    for part, kind in REFUSED.items():
        if part in parts:
            raise CheckpointError(f"it is {kind}, which sdnb does not run")


def _refuse(parts: Parts) -> None:
    refuse_kind(parts)
    for name, tensor in parts.items():
        if not tensor.dtype.is_floating_point and name != "alpha":
            raise CheckpointError(f"its {name} is {tensor.dtype}, not a floating-point type")


def _weight(parts: Parts, shape: Shape, alpha: float | None, dyn: int | None) -> Delta | None:
    if "up" in parts or "down" in parts:
        return _lora(parts, shape, alpha, dyn)
    if "hada_w1_a" in parts:
        return _loha(parts, shape, alpha)
    if any(part.startswith("lokr_w1") for part in parts):
        return _lokr(parts, shape, alpha)
    for part in ("diff", "w_norm"):
        if part in parts:
            return _full(parts[part], shape)
    return None


def _alpha(parts: Parts, alpha: float | None) -> float | None:
    if "alpha" in parts:
        if parts["alpha"].count != 1:
            raise CheckpointError(f"its alpha has the shape {list(parts['alpha'].shape)}")
        alpha = float(parts["alpha"].read(torch.float32))
    if alpha is not None and not math.isfinite(alpha):
        raise CheckpointError(f"its alpha is {alpha}")
    return alpha


def _part(parts: Parts, name: str, *shapes: Shape) -> LazyTensor:
    """A part in the first of these shapes that has as many numbers; -1 is any number above 0."""
    if name not in parts:
        raise CheckpointError(f"its {name} is missing")
    tensor = parts[name]
    for shape in shapes:
        rest = math.prod(n for n in shape if n >= 0)
        if rest and tensor.count and tensor.count % rest == 0:
            size = tensor.count // rest
            if -1 in shape or size == 1:
                return tensor.reshaped(tuple(size if n < 0 else n for n in shape))
    raise CheckpointError(f"its {name} is {list(tensor.shape)}, which does not fit the model")


def _read(tensor: LazyTensor) -> Tensor:
    """Raises CheckpointError for nan and infinity, which would be blamed on the model."""
    values = tensor.read(torch.float32)
    # A sum is one quick look, and only that of huge numbers is infinite without one among them.
    if not math.isfinite(values.sum().item()) and not values.isfinite().all():
        raise CheckpointError(
            f"{tensor.file} is damaged, or its training failed: there are numbers in it that are "
            "not finite (nan or infinity). Take another copy or version of it."
        )
    return values


def _scale(alpha: float | None, rank: int) -> float:
    return 1.0 if alpha is None else alpha / rank


# -- LoRA and LoCon ----------------------------------------------------------------------------
def _lora(parts: Parts, shape: Shape, alpha: float | None, dyn: int | None) -> Delta:
    out, rest = shape[0], math.prod(shape[1:])
    if "mid" in parts:
        return _tucker_lora(parts, shape, alpha)
    rank = parts["down"].shape[0] if "down" in parts and parts["down"].shape else 0
    up, down = _part(parts, "up", (out, -1)), _part(parts, "down", (max(rank, 1), rest))
    if up.shape[1] != rank:
        raise CheckpointError(f"its up has the rank {up.shape[1]}, its down {rank}")
    scale, ranks = _scale(alpha, rank), slice(dyn)

    def factors() -> tuple[Tensor, Tensor]:
        return _read(up)[:, ranks] * scale, _read(down)[ranks]

    def make(_: Tensor) -> Tensor:
        one, other = factors()
        return (one @ other).view(shape)

    return Delta(make, factors)


def _tucker_lora(parts: Parts, shape: Shape, alpha: float | None) -> Delta:
    """A LoCon of three factors: down and up are 1x1, and mid `[n, m, k, k]` has the kernel."""
    if len(shape) != 4:
        raise CheckpointError("it has a mid, and its layer is no convolution")
    out, width, *kernel = shape
    down = _part(parts, "down", (-1, width))
    rank = down.shape[0]
    up = _part(parts, "up", (out, -1))
    mid = _part(parts, "mid", (up.shape[1], rank, *kernel))

    def make(_: Tensor) -> Tensor:
        spread = torch.einsum("nmkl,mj->njkl", _read(mid), _read(down))
        product = torch.einsum("in,njkl->ijkl", _read(up), spread)
        return product.mul_(_scale(alpha, rank))

    return Delta(make)


# -- LoHa --------------------------------------------------------------------------------------
def _loha(parts: Parts, shape: Shape, alpha: float | None) -> Delta:
    halves = [_half(parts, shape, n) for n in ("1", "2")]
    rank = parts["hada_w1_b"].shape[0]

    def make(_: Tensor) -> Tensor:
        return (halves[0]() * halves[1]()).mul_(_scale(alpha, rank)).view(shape)

    return Delta(make)


def _half(parts: Parts, shape: Shape, n: str) -> Callable[[], Tensor]:
    """One of the two products, `[out, all else]`, or `[out, in, k, k]` by Tucker."""
    out, rest = shape[0], math.prod(shape[1:])
    a, b, t = f"hada_w{n}_a", f"hada_w{n}_b", f"hada_t{n}"
    if t in parts:
        one, other = _part(parts, a, (-1, out)), _part(parts, b, (-1, shape[1]))
        core = _part(parts, t, (one.shape[0], other.shape[0], *shape[2:]))
        return partial(_tucker, core, one, other)
    one = _part(parts, a, (out, -1))
    other = _part(parts, b, (one.shape[1], rest))
    return lambda: _read(one) @ _read(other)


def _tucker(core: LazyTensor, rows: LazyTensor, columns: LazyTensor) -> Tensor:
    """A kernel `[p, q, k, l]` from its core `[i, j, k, l]`, rows `[i, p]` and columns `[j, q]`."""
    spread = torch.einsum("ijkl,jq->iqkl", _read(core), _read(columns))
    return torch.einsum("iqkl,ip->pqkl", spread, _read(rows))


# -- LoKr --------------------------------------------------------------------------------------
def _lokr(parts: Parts, shape: Shape, alpha: float | None) -> Delta:
    whole = "lokr_w1" in parts
    height = parts["lokr_w1" if whole else "lokr_w1_a"].shape[0] or 1
    last = parts["lokr_w1"] if whole else _part(parts, "lokr_w1_b", (-1, 1))
    width = (last if whole else parts["lokr_w1_b"]).shape[-1] or 1
    kernel = shape[2:]
    small = shape[0] // height, shape[1] // width  # the second factor's
    if (small[0] * height, small[1] * width) != shape[:2]:
        raise CheckpointError(f"its factors of {height} x {width} do not divide {list(shape)}")
    rank = 0
    if whole:
        first = partial(_read, _part(parts, "lokr_w1", (height, width)))
    else:
        one = _part(parts, "lokr_w1_a", (height, -1))
        rank = one.shape[1]
        first = partial(_product, one, _part(parts, "lokr_w1_b", (rank, width)))
    if "lokr_w2" in parts:
        second = partial(_read, _part(parts, "lokr_w2", (*small, *kernel)))
    elif "lokr_t2" in parts:
        one = _part(parts, "lokr_w2_a", (-1, small[0]))
        other = _part(parts, "lokr_w2_b", (-1, small[1]))
        rank = other.shape[0]
        core = _part(parts, "lokr_t2", (one.shape[0], rank, *kernel))
        second = partial(_tucker, core, one, other)
    else:
        one = _part(parts, "lokr_w2_a", (small[0], -1))
        rank = one.shape[1]
        second = partial(
            _product, one, _part(parts, "lokr_w2_b", (rank, small[1] * math.prod(kernel)))
        )
    # With neither of them factored there is no rank, and alpha says nothing.
    scale = _scale(alpha, rank) if rank else 1.0

    def make(_: Tensor) -> Tensor:
        block = second().reshape(*small, *kernel).mul_(scale)
        return torch.kron(first().view(height, width, *(1 for _ in kernel)), block).view(shape)

    return Delta(make)


def _product(one: LazyTensor, other: LazyTensor) -> Tensor:
    return _read(one) @ _read(other)


# -- the others --------------------------------------------------------------------------------
def _full(tensor: LazyTensor, shape: Shape) -> Delta:
    whole = _part({"diff": tensor}, "diff", shape)
    return Delta(lambda _: _read(whole))


def _dora(direction: Delta, parts: Parts, shape: Shape) -> Delta:
    """The weight with a delta added gets new lengths: of its rows (one for each output), or of its
    columns (one for each input), as the scale's shape says; 1-D means rows where both have as many.
    PEFT's magnitudes are of rows, in any shape. Without either, it is the delta alone.
    """
    scale = parts.get("magnitude") or parts.get("dora_scale")
    if scale is None:
        return direction
    out, width = shape[0], shape[1] if len(shape) > 1 else 1
    of_rows = "magnitude" in parts or len(scale.shape) < 2 or scale.shape[0] == out
    by_rows = of_rows and scale.count == out
    if not by_rows and scale.count != width:
        raise CheckpointError(f"its dora_scale is {list(scale.shape)}, which does not fit")
    others = [n for n in range(len(shape)) if n != (0 if by_rows else 1)]
    lengths = scale.reshaped(tuple(1 if n in others else shape[n] for n in range(len(shape))))

    def turned(delta: Tensor, weight: Tensor, to: Tensor) -> Tensor:
        delta.add_(weight)
        length = torch.linalg.vector_norm(delta, dim=others, keepdim=True)
        delta *= to / length.clamp_(min=torch.finfo(torch.float32).tiny)
        return delta.sub_(weight)

    def rows_of_factors() -> Callable[[Tensor, slice], Tensor]:
        assert direction.factors is not None
        (up, down), to = direction.factors(), _read(lengths)
        return lambda weight, rows: turned((up[rows] @ down).view_as(weight), weight, to[rows])

    return Delta(
        lambda weight: turned(direction.make(weight), weight, _read(lengths)),
        needs_weight=True,
        by_rows=rows_of_factors if by_rows and direction.factors is not None else None,
    )


def padded(delta: Delta, inner: Shape, shape: Shape) -> Delta:
    """A delta for the first input channels, `inner`, of a layer that has more: zero for those."""
    more = (0, 0, 0, 0, 0, shape[1] - inner[1])

    def make(weight: Tensor) -> Tensor:
        return F.pad(delta.make(weight[:, : inner[1]].contiguous()), more)

    return Delta(make, needs_weight=delta.needs_weight)
