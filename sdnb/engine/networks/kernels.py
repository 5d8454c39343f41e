"""How a layer is computed on the device of its input: `of(x)` gives the kernels for x.

Their results are the same to rounding; they differ in their passes over that device's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks import fused, pieces
from sdnb.engine.networks.winograd import convolve

#: Gives tokens, from a function that makes those that go in.
Sublayer = Callable[[Callable[[], Tensor]], Tensor]


class Kernels:
    """PyTorch's own, for any device."""

    def convolve(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, *, once: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """A padded 3 x 3 convolution of x `[b, c, h, w]`, and the bias that it still lacks, if any.
        `once`: the weights are not used again soon.
        """
        return convolve(x, weight, bias, once=once), None

    def convolve_1x1(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """A 1 x 1 convolution of a map `[b, c, h, w]`."""
        return pieces.convolve(x, conv.weight, conv.bias)

    def add_residual(
        self, x: Tensor, norm: nn.LayerNorm, sublayer: Sublayer, last: nn.Linear
    ) -> None:
        """Add `last(sublayer(norm(x)))` to tokens x `[..., c]`, in place. The sublayer is given a
        function that makes `norm(x)`, so that nobody else holds it.
        """
        x.add_(pieces.linear(last, sublayer(lambda: norm(x))))

    def geglu(self, x: Tensor, proj: nn.Linear) -> Tensor:
        """A gated linear unit with exact GELU: `[..., c]` to half of what `proj` gives."""
        return fused.geglu(proj(x))

    def projections(self, x: Tensor, weights: Sequence[Tensor]) -> Sequence[Tensor]:
        """The products of x `[b, n, c]` with several weights."""
        return [pieces.product(x, weight) for weight in weights]


class CpuKernels(Kernels):
    """For a CPU."""

    def geglu(self, x: Tensor, proj: nn.Linear) -> Tensor:
        # Two products: PyTorch's GELU is 2.5 times slower on half of a product's rows.
        (value, gate), (value_bias, gate_bias) = proj.weight.chunk(2), proj.bias.chunk(2)

        def gated(some: Tensor, out: Tensor | None) -> Tensor:
            y, z = F.gelu(F.linear(some, gate, gate_bias)), F.linear(some, value, value_bias)
            return y.mul_(z) if out is None else torch.mul(y, z, out=out)

        return pieces.tokens(gated, x, proj.weight.numel(), len(gate))


class CudaKernels(Kernels):
    """For a card: fewer passes over its memory."""

    def convolve(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *,
        once: bool = False,  # noqa: ARG002 - cuDNN keeps no weights
    ) -> tuple[Tensor, Tensor | None]:
        # cuDNN adds a bias in a pass of its own; the next norm or sum adds it on its way.
        return F.conv2d(x, weight, None, padding=1), bias

    def convolve_1x1(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        return pointwise(conv, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def add_residual(
        self, x: Tensor, norm: nn.LayerNorm, sublayer: Sublayer, last: nn.Linear
    ) -> None:
        if not fused.norms(x):
            super().add_residual(x, norm, sublayer, last)
            return
        # The product adds to what is there, in its own pass: so the bias is there before.
        y = sublayer(lambda: fused.layer_norm(x, norm, last.bias))
        x.view(-1, x.shape[-1]).addmm_(y.view(-1, y.shape[-1]), last.weight.T)

    def projections(self, x: Tensor, weights: Sequence[Tensor]) -> Sequence[Tensor]:
        # One product where the weights lie side by side, as a memory plan brings them to a card.
        if torch.compiler.is_compiling() or not _side_by_side(weights):
            return super().projections(x, weights)
        width = len(weights[0])
        whole = weights[0].as_strided((len(weights) * width, width), (width, 1))
        return F.linear(x, whole).chunk(len(weights), dim=-1)


_KERNELS = {"cpu": CpuKernels(), "cuda": CudaKernels()}
_ANY = Kernels()


def of(x: Tensor) -> Kernels:
    """The kernels for the device of x."""
    return _KERNELS.get(x.device.type, _ANY)


def pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution of channels-last pixels `[..., c]` as a matrix product."""
    return pieces.product(x, conv.weight.flatten(1), conv.bias)


def _side_by_side(weights: Sequence[Tensor]) -> bool:
    first = weights[0]
    step = first.numel() * first.element_size()
    storage = first.untyped_storage().data_ptr()
    return all(
        w.data_ptr() == first.data_ptr() + i * step and w.untyped_storage().data_ptr() == storage
        for i, w in enumerate(weights)
    )
