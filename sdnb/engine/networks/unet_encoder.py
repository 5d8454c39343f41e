"""The way down of Stable Diffusion's UNet, with its middle: the half that control networks copy.

Attribute names are those of CompVis `openaimodel.py`, as in `unet`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sdnb.engine.networks import pieces
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.resnet import Downsample, ResBlock, Upsample
from sdnb.engine.networks.transformer import SpatialTransformer, TransformerBlock

#: Keys and values of the text, a pair for each cross-attention in order of execution.
Text = Sequence[tuple[Tensor, Tensor]]


class UNetEncoder(nn.Module):
    """Time embedding, input blocks and middle block, and what is prepared of them once a run.

    A subclass adds its own parts, and computes. `skips` are the widths of the skip connections, one
    for each input block.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        first = config.channels[0]
        wide = 4 * first
        self.time_embed = nn.Sequential(nn.Linear(first, wide), nn.SiLU(), nn.Linear(wide, wide))
        if config.added_dim:
            layers = nn.Linear(config.added_dim, wide), nn.SiLU(), nn.Linear(wide, wide)
            self.label_emb = nn.Sequential(nn.Sequential(*layers))
        self.skips = self._build_down(first)
        last = config.channels[-1]
        middle = SpatialTransformer(last, config, config.depth_at(-1))
        self.middle_block = nn.ModuleList([self._res(last, last), middle, self._res(last, last)])

    def _res(self, width_in: int, width: int) -> ResBlock:
        return ResBlock(width_in, width, 4 * self.config.channels[0], self.config.groups)

    def _block(self, level: int, width_in: int, width: int) -> list[nn.Module]:
        layers: list[nn.Module] = [self._res(width_in, width)]
        if level in self.config.attention_levels:
            layers.append(SpatialTransformer(width, self.config, self.config.depth_at(level)))
        return layers

    def _build_down(self, width: int) -> list[int]:
        """The way down; returns the widths of the skip connections, in order."""
        config, skips = self.config, [width]
        blocks: list[list[nn.Module]] = [[nn.Conv2d(config.in_channels, width, 3, padding=1)]]
        for level, channels in enumerate(config.channels):
            for _ in range(config.blocks):
                blocks.append(self._block(level, width, channels))
                width = channels
                skips.append(width)
            if level < len(config.channels) - 1:
                blocks.append([Downsample(width)])
                skips.append(width)
        self.input_blocks = nn.ModuleList(map(nn.ModuleList, blocks))
        return skips

    def _built(self) -> None:
        """Note what the finished network has; at the end of a subclass's own building."""
        # In order of execution, and no children once more: tuples are none to torch.
        self._residual = tuple(m for m in self.modules() if isinstance(m, ResBlock))
        self._attending = tuple(m for m in self.modules() if isinstance(m, TransformerBlock))
        #: How wide each residual block's share of a time row is, in order of execution.
        self.widths = [block.in_layers.width for block in self._residual]
        #: How many times it attends to the text: the pairs that `prepare` gives.
        self.attentions = len(self._attending)

    def prepare(self, context: Tensor) -> Text:
        """Keys and values of the text `[b, m, context_dim]`, once a run instead of once a step."""
        return [block.attn2.keys_values(context) for block in self._attending]

    def time_rows(self, t: Sequence[float], like: Tensor, added: Tensor | None = None) -> Tensor:
        """What the times `t` add in each residual block, `[len(t), all their widths]`, on `like`'s
        device and in its dtype. A row is a `t` for `forward`. With the conditions `added`
        `[b, config.added_dim]`, one for each text of `prepare`, it is `[len(t), b, their widths]`.

        Raises ValueError for conditions that this UNet has no layers for, or for none where it has.
        """
        given = 0 if added is None else added.shape[-1]
        if given != self.config.added_dim:
            raise ValueError(
                f"added is {given} wide; this UNet adds conditions {self.config.added_dim} wide to "
                "its times (0: none)"
            )
        emb = self.time_embed(time_embedding(t, self.config.channels[0], like))  # [t, 4c]
        if added is not None:
            emb = emb[:, None] + self.label_emb(added)  # [t, b, 4c]
        return torch.cat([block.time(emb) for block in self._residual], dim=-1)

    def once_a_run(self) -> list[nn.Module]:
        """The modules that work once a run (`prepare`, `time_rows`), not once a step."""
        texts = [block.attn2 for block in self._attending]
        times = [block.emb_layers[1] for block in self._residual]
        added = self.label_emb[0] if self.config.added_dim else ()
        return [*self.time_embed, *added, *times, *(m for a in texts for m in (a.to_k, a.to_v))]

    def set_chunk(self, chunk: int) -> None:
        """Have the layers work on about `chunk` tokens or pixels at a time, or on all (0). That is
        for the first level's width; of a wider one they take fewer.
        """
        for module in self.modules():
            if hasattr(module, "chunk"):
                module.chunk = math.ceil(chunk * self.config.channels[0] / module.width)

    def _times(self, t: float | Tensor, x: Tensor) -> Iterator[Tensor]:
        """A time's row, residual block by residual block."""
        row = t if isinstance(t, Tensor) else self.time_rows([t], x)[0]
        return iter(row.split(self.widths, dim=-1))


def in_parts(blocks: Sequence[nn.ModuleList]) -> list[nn.Module]:
    """The layers of blocks in order of execution, residual blocks in small parts."""
    parts: list[nn.Module] = []
    for block in blocks:
        for layer in block:
            if isinstance(layer, ResBlock):
                parts += [layer.in_layers, layer.skip_connection, layer.out_layers]
            else:
                parts.append(layer)
    return parts


@dataclass(frozen=True)
class LayerInputs:
    """What the layers of a pass take beside their map, each the next of it: rows of a time, and
    keys and values of the text. Of maps of that size (h, w) the share `merge` of the tokens joins
    others in self-attention.
    """

    times: Iterator[Tensor]
    keys: Iterator[tuple[Tensor, Tensor]]
    merge: float = 0.0
    size: torch.Size | None = None


def run_layer(
    layer: nn.Module,
    x: Tensor,
    given: LayerInputs,
    skip: torch.Size | None = None,
) -> Tensor:
    """One layer of a block; `skip` is the shape of the next skip connection on the way up."""
    pieces.look()
    if isinstance(layer, ResBlock):
        return layer(x, next(given.times))
    if isinstance(layer, SpatialTransformer):
        merge = given.merge if x.shape[2:] == given.size else 0.0
        return layer(x, given.keys, merge)
    if isinstance(layer, Upsample):
        return layer(x, skip)
    return layer(x)


def time_embedding(t: Sequence[float], width: int, like: Tensor) -> Tensor:
    """Sinusoids of the times, cosines first `[len(t), width]` (https://arxiv.org/abs/1706.03762),
    in `like`'s dtype.
    """
    half = width // 2
    rate = torch.arange(half, dtype=torch.float32, device=like.device) * (-math.log(10000) / half)
    angle = torch.tensor(t, dtype=torch.float32, device=like.device)[:, None] * torch.exp(rate)
    return torch.cat([angle.cos(), angle.sin()], dim=1).to(like.dtype)
