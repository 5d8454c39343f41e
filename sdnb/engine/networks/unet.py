"""The denoiser of Stable Diffusion: a U-shaped convolution net with text cross-attention.

Rombach et al. 2022 (https://arxiv.org/abs/2112.10752), CompVis `openaimodel.py`. Attribute names
are those of a CompVis checkpoint, so that a `.ckpt` loads strictly and unmapped: positions of an
`nn.Sequential` without weights (SiLU, dropout) are kept for their numbers. Nothing here moves,
casts or frees weights: `sdnb.engine.memory` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from sdnb.engine.networks import fused
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.resnet import Upsample, concat_skip, repeat_batch
from sdnb.engine.networks.unet_encoder import (
    LayerInputs,
    Text,
    UNetEncoder,
    in_parts,
    run_layer,
)

#: How many blocks a shallow pass computes of the way up, the last ones; and of the way down, the
#: first ones: the paper's branch. Of the built-in model's pictures of 25 steps, every second one
#: shallow, one block was nearer to the picture of whole steps than two or three, and quicker.
OUTER = 1


class UNet(UNetEncoder):
    """`model(x, t, text)` predicts the noise in `x` at time `t`.

    `x` is `[b, in_channels, h, w]` (any h and w from 8), `t` a time in 0..999 (fractions are fine),
    `text` what `prepare(context)` returned, of k * b texts; the result is `[k * b, out_channels, h,
    w]`, all in the weights' dtype. With k = 2 (guidance) the layers before the first text attention
    run once for both texts. Where conditions are added to the times (`config.added_dim`), `t` is a
    row of `time_rows`, and every layer runs for each text.

    `residuals` are a control network's maps, `controlnet.ControlNet` tells which: one is added to
    each skip connection, and the last behind the middle. They may have k times a connection's rows.
    They are taken out of the list one by one and become the skip connections, so that with little
    memory none is held twice. Where they are a function, it is called behind the middle, so that
    they may be computed meanwhile.
    `features` are maps `[1 or b, c, h, w]` of an adapter by the number of the input block behind
    which they are added, so that they flow on and into that block's skip connection.

    With `keep`, it gives that and the deep feature `[k * b, c, h, w]`, which enters the last
    `OUTER` blocks. A later pass of the same texts with this one as `kept` is shallow: it computes
    the outer blocks alone, and `text` are the `shallow_pairs` of it. Residuals and features have no
    place in that. Source: DeepCache, Ma et al. 2023, section 3.2, https://arxiv.org/abs/2312.00858.

    `merge` is the share of the tokens that join others in the first level's self-attention, as
    `token_merging` says: below it there are too few for that to pay.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self._build_up(list(self.skips))
        first = config.channels[0]
        conv = nn.Conv2d(first, config.out_channels, 3, padding=1)
        self.out = Head(nn.GroupNorm(config.groups, first), nn.SiLU(inplace=True), conv)
        self._built()
        outer = {id(m) for block in self._outer_blocks() for m in block.modules()}
        #: Which residual blocks, and which pairs of a text, a shallow pass needs.
        self._shallow_times = [i for i, m in enumerate(self._residual) if id(m) in outer]
        self.shallow_pairs = [i for i, m in enumerate(self._attending) if id(m) in outer]

    def _build_up(self, skips: list[int]) -> None:
        config, width = self.config, self.config.channels[-1]
        blocks = []
        for level, channels in reversed(list(enumerate(config.channels))):
            for i in range(config.blocks + 1):
                parts = self._block(level, width + skips.pop(), channels)
                if level and i == config.blocks:
                    parts.append(Upsample(channels))
                blocks.append(nn.ModuleList(parts))
                width = channels
        self.output_blocks = nn.ModuleList(blocks)

    def execution_order(self) -> list[nn.Module]:
        """The modules that `forward` calls, in that order, in small parts."""
        blocks = [*self.input_blocks, self.middle_block, *self.output_blocks]
        return [*in_parts(blocks), self.out]

    def shallow_order(self) -> list[nn.Module]:
        """Those of them that a shallow pass calls."""
        return [*in_parts(self._outer_blocks()), self.out]

    def _outer_blocks(self) -> list[nn.ModuleList]:
        return [*self.input_blocks[:OUTER], *self.output_blocks[-OUTER:]]

    def forward(
        self,
        x: Tensor,
        t: float | Tensor,
        text: Text,
        residuals: list[Tensor] | Callable[[], list[Tensor]] | None = None,
        features: Mapping[int, Tensor] | None = None,
        *,
        keep: bool = False,
        kept: Tensor | None = None,
        merge: float = 0.0,
    ) -> Tensor | tuple[Tensor, Tensor]:
        given = LayerInputs(self._times(t, x), iter(text), merge, x.shape[2:])
        x = _for_each_text(x, t)
        if kept is not None:
            return self._shallow(x, given, kept)
        skips: list[Tensor] = []
        ready = [] if residuals is None or callable(residuals) else residuals
        for n, block in enumerate(self.input_blocks):
            for layer in block:  # flat, so that a layer's input is freed with it
                x = run_layer(layer, x, given)
            if features and n in features:
                x = x + features[n]
            skips.append(_with_residual(x, ready.pop(0)) if ready else x)
        for layer in self.middle_block:
            x = run_layer(layer, x, given)
        if callable(residuals):
            ready = residuals()
            skips = _with_residuals(skips, ready)
        if ready:
            x = x + ready.pop()
        deep = None
        for block in self.output_blocks:
            channels = block[0].in_layers[0].num_channels
            is_kept = keep and len(skips) == OUTER
            deep = _own(x, channels - skips[-1].shape[1]) if is_kept else deep
            x = concat_skip(x, skips.pop(), channels)
            for layer in block:
                x = run_layer(layer, x, given, _shape(skips))
        out = self.out(x)
        return out if deep is None else (out, deep)

    def _shallow(self, x: Tensor, given: LayerInputs, kept: Tensor) -> Tensor:
        """The outer blocks alone, with what was kept of the others."""
        rows = list(given.times)
        given = replace(given, times=iter([rows[i] for i in self._shallow_times]))
        skips: list[Tensor] = []
        for block in self.input_blocks[:OUTER]:
            for layer in block:
                x = run_layer(layer, x, given)
            skips.append(x)
        x = kept
        for block in self.output_blocks[-OUTER:]:
            x = concat_skip(x, skips.pop(), block[0].in_layers[0].num_channels)
            for layer in block:
                x = run_layer(layer, x, given, _shape(skips))
        return self.out(x)


class Head(nn.Sequential):
    """The last norm and convolution."""

    def forward(self, x: Tensor) -> Tensor:
        norm, _, conv = self
        return conv(fused.norm_silu(x, norm))


def _for_each_text(x: Tensor, t: float | Tensor) -> Tensor:
    """x once for each row of a time that has several: the texts differ from the first layer on."""
    return repeat_batch(x, len(t) // len(x)) if isinstance(t, Tensor) and t.ndim > 1 else x


def _shape(skips: list[Tensor]) -> torch.Size | None:
    """That of the next skip connection on the way up."""
    return skips[-1].shape if skips else None


def _own(x: Tensor, channels: int) -> Tensor:
    """Its first channels, where nothing is written into: with room for a skip connection a copy."""
    if x.shape[1] == channels:
        return x
    return x[:, :channels].contiguous(memory_format=torch.channels_last)


def _with_residuals(skips: Sequence[Tensor], residuals: list[Tensor]) -> list[Tensor]:
    """The sums, each in its residual as `_with_residual` has it, which is taken out of the list."""
    return [_with_residual(skip, residuals.pop(0)) for skip in skips]


def _with_residual(x: Tensor, residual: Tensor) -> Tensor:
    """The sum, in the residual itself where that is a whole map. Where the texts still share x's
    rows, it may have more of them.
    """
    texts = max(len(residual) // len(x), 1)
    if residual.shape[2:] != x.shape[2:] or len(residual) < len(x):  # averages, or of one picture
        return x + residual
    residual.unflatten(0, (texts, len(x))).add_(x)
    return residual
