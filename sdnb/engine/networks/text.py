"""The text encoder: CLIP's text transformer, and weighted prompts on top of it.

Radford et al. 2021 (https://arxiv.org/abs/2103.00020). Stable Diffusion 1.x reads the last layer
after its norm, at all 77 positions; so does 2.x here, whose encoder is OpenCLIP's without the layer
that it skips (`checkpoint.openclip`). Attribute names are those of a checkpoint, without
"text_model." in front. transformers has the same network, but importing it takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks.attention import merge_heads, split_heads
from sdnb.engine.networks.config import TextConfig
from sdnb.engine.networks.tokenizer import Tokens


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

    def forward(self, ids: Tensor) -> Tensor:  # [n, 77] -> [n, 77, width]
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]


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

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class TextModel(nn.Module):
    """Token ids `[n, up to 77]` to the last hidden state `[n, 77, width]`.

    Raises `ValueError` for an activation that CLIP's text transformers do not have.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        if config.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation={config.activation!r} is unknown; a text encoder's is one of "
                f"{', '.join(ACTIVATIONS)}"
            )
        self.embeddings = Embeddings(config)
        self.encoder = TextEncoder(config)
        self.final_layer_norm = nn.LayerNorm(config.width)

    def forward(self, ids: Tensor) -> Tensor:
        return self.final_layer_norm(self.encoder(self.embeddings(ids)))


def build(config: TextConfig) -> TextModel:
    """CLIP's text transformer with its weights on the meta device, ready to be filled."""
    with torch.device("meta"):
        return TextModel(config).eval()


#: Texts that are encoded at once: more would take memory for nothing.
TEXTS_AT_ONCE = 16


def encode(model: nn.Module, tokens: Sequence[Tokens], device: torch.device) -> Tensor:
    """Encode each text by itself: `[n, 77, width]`."""
    return model(torch.tensor([t.ids for t in tokens], device=device))


def weighted(
    model: nn.Module, tokens: Sequence[Tokens], weights: Sequence[float], device: torch.device
) -> Tensor:
    """The weighted sum of the texts, each encoded alone, as `[1, 77, width]`."""
    total = None
    for i in range(0, len(tokens), TEXTS_AT_ONCE):
        contexts = encode(model, tokens[i : i + TEXTS_AT_ONCE], device)  # [n, 77, width]
        share = torch.tensor(weights[i : i + TEXTS_AT_ONCE]).to(contexts)
        part = torch.einsum("n,npd->pd", share, contexts)[None]
        total = part if total is None else total + part
    return total
