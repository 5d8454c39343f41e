"""The text encoder: CLIP's text transformer, and weighted prompts on top of it.

Radford et al. 2021 (https://arxiv.org/abs/2103.00020). Stable Diffusion 1.x reads the last layer,
or one before it ("clip skip"), after the last norm, at all 77 positions of each chunk of a prompt;
so does 2.x here, whose encoder is OpenCLIP's without the layer that it skips
(`checkpoint.openclip`). Attribute names are those of a checkpoint, without "text_model." in front.
transformers has the same network, but importing it takes seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks.attention import merge_heads, split_heads
from sdnb.engine.networks.chunks import Chunk
from sdnb.engine.networks.config import TextConfig

#: Vectors that stand in for ids, as (text, first position, vectors `[m, width]`).
Vectors = Sequence[tuple[int, int, Tensor]]


def _quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"quick_gelu": _quick_gelu, "gelu": F.gelu}


class Embeddings(nn.Module):
    """The sum of the tokens' embeddings and those of their positions."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = _table(config.vocab, config.width)
        self.position_embedding = _table(config.positions, config.width)

    def forward(self, ids: Tensor, vectors: Vectors = ()) -> Tensor:  # [n, 77] -> [n, 77, width]
        tokens = self.token_embedding(ids)
        for row, at, its in vectors:
            tokens[row, at : at + len(its)] = its.to(tokens)
        return tokens + self.position_embedding.weight[: ids.shape[1]]


def _table(count: int, width: int) -> nn.Embedding:
    """An embedding without values: to draw them on meta, PyTorch imports its compiler, 130 MB."""
    return nn.Embedding.from_pretrained(torch.empty(count, width), freeze=False)


class SelfAttention(nn.Module):
    """Attention of each token over itself and those before it."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (
            nn.Linear(config.width, config.width) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:  # [n, 77, width]
        layers = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (split_heads(layer(x), self.heads) for layer in layers)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(merge_heads(y))


class MLP(nn.Module):
    """Two layers with an activation between them."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.act = ACTIVATIONS[config.activation]
        self.fc1 = nn.Linear(config.width, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class TextLayer(nn.Module):
    """Attention and an MLP, each normed before and added after."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config)
        self.layer_norm1 = nn.LayerNorm(config.width)
        self.mlp = MLP(config)
        self.layer_norm2 = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class TextEncoder(nn.Module):
    """The layers, one after the other."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TextLayer(config) for _ in range(config.layers))

    def forward(self, x: Tensor, skip: int = 1) -> Tensor:
        for layer in self.layers[: len(self.layers) + 1 - skip]:
            x = layer(x)
        return x


class TextModel(nn.Module):
    """Token ids `[n, up to 77]` to a hidden state `[n, 77, width]`: with `skip` 1 that of the last
    layer, with 2 that of the one before it, and so on. Layers after it are not computed.

    Raises `ValueError` for an activation that CLIP's text transformers do not have.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        if config.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation={config.activation!r} is unknown; a text encoder's is one of "
                f"{', '.join(ACTIVATIONS)}"
            )
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = TextEncoder(config)
        self.final_layer_norm = nn.LayerNorm(config.width)
        if config.pooled:
            self.text_projection = nn.Linear(config.width, config.pooled, bias=False)

    def execution_order(self) -> list[nn.Module]:
        """The modules that `forward` calls, in that order."""
        return [self.embeddings, *self.encoder.layers, self.final_layer_norm]

    def once_a_run(self) -> list[nn.Module]:
        """The modules that are not called for each text."""
        return [self.text_projection] if self.config.pooled else []

    def forward(self, ids: Tensor, vectors: Vectors = (), skip: int = 1) -> Tensor:
        x = self.encoder(self.embeddings(ids, vectors), skip)
        return self.final_layer_norm(x) if self.config.normed else x

    def with_pooled(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The context, and the text as a whole `[n, pooled]`: the last layer's output where the
        text ends, normed and projected. Every layer is computed once.
        """
        x = context = self.encoder(self.embeddings(ids), self.config.layer)
        for layer in self.encoder.layers[self.config.layers + 1 - self.config.layer :]:
            x = layer(x)
        ends = (ids == self.config.vocab - 1).int().argmax(dim=1)  # the first, if it also fills up
        whole = self.final_layer_norm(x[torch.arange(len(x), device=x.device), ends])
        context = self.final_layer_norm(context) if self.config.normed else context
        return context, self.text_projection(whole)


def joined(models: Sequence[TextModel], ids: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """The contexts of the same texts by several encoders side by side, `[n, 77, all widths]`, each
    of its layer, and the text as a whole by the one that gives it. `ids` `[n, 77]` are each
    encoder's own, since each has its padding.
    """
    contexts, pooled = [], None
    for model, its in zip(models, ids, strict=True):
        if model.config.pooled:
            context, pooled = model.with_pooled(its)
        else:
            context = model(its, skip=model.config.layer)
        contexts.append(context)
    return torch.cat(contexts, dim=-1), pooled


def build(config: TextConfig) -> TextModel:
    """CLIP's text transformer with its weights on the meta device, ready to be filled."""
    with torch.device("meta"):
        return TextModel(config).eval()


#: Chunks that are encoded at once: more would take memory for nothing.
CHUNKS_AT_ONCE = 16


def encode(
    model: nn.Module, chunks: Sequence[Chunk], device: torch.device, skip: int = 1
) -> Tensor:
    """Encode each chunk by itself: `[n, 77, width]`."""
    return torch.cat(list(_encoded(model, chunks, device, skip)))


def averaged(
    model: nn.Module,
    blocks: Sequence[Sequence[Chunk]],
    shares: Sequence[float],
    device: torch.device,
    skip: int = 1,
) -> Tensor:
    """The weighted sum of texts that are encoded alone, as `[1, 77 k, width]`. Shorter ones are
    repeated to one length, which changes nothing: attention over a text twice is that over it once.
    """
    rows = (row for part in _encoded(model, [c for b in blocks for c in b], device, skip)
            for row in part)  # fmt: skip
    length, total = math.lcm(*map(len, blocks)), torch.zeros(())
    for block, share in zip(blocks, shares, strict=True):
        context = torch.cat([next(rows) for _ in block])  # [77 of each chunk, width]
        total = total.to(context) + share * context.repeat(length // len(block), 1)
    return total[None]


def multiplied(
    z: Tensor, weights: Tensor, *, restore: bool
) -> tuple[Tensor, list[tuple[float, float]]]:
    """AUTOMATIC1111's weights: z `[n, 77, width]` times weights `[n, 77]`. With `restore`, times
    the factor that gives each chunk the mean it had. Also the mean of each chunk before the product
    and after it.

    Raises ValueError where a chunk has no mean left to restore.
    """
    product = z * weights[..., None].to(z)
    before, after = z.float().mean((1, 2)), product.float().mean((1, 2))
    if restore:
        product = product * restoring(before, after).to(product)[:, None, None]
    return product, list(zip(before.tolist(), after.tolist(), strict=True))


def restoring(before: Tensor, after: Tensor) -> Tensor:
    """The factors `[n]` that bring means back. Raises ValueError where one is zero."""
    factors = torch.where(before == after, 1.0, before / after)
    if not factors.isfinite().all():
        raise ValueError(
            "the weights of the prompt leave a mean of zero, which cannot be restored: change one "
            "of them, or take the syntax 'a1111_no_norm'"
        )
    return factors


def away_from_empty(z: Tensor, weights: Tensor, empty: Tensor) -> Tensor:
    """ComfyUI's weights: so far from the encoding of the empty prompt `[1, 77, width]`."""
    weights = weights[..., None].to(z)
    return torch.where(weights == 1, z, empty + (z - empty) * weights)


def _encoded(
    model: nn.Module, chunks: Sequence[Chunk], device: torch.device, skip: int
) -> Iterator[Tensor]:
    for i in range(0, len(chunks), CHUNKS_AT_ONCE):
        some = chunks[i : i + CHUNKS_AT_ONCE]
        vectors = [
            (row, at, embedding.vectors)
            for row, chunk in enumerate(some)
            for at, embedding in chunk.embeddings
        ]
        yield model(torch.tensor([chunk.ids for chunk in some], device=device), vectors, skip)
