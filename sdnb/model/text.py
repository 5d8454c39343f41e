"""The text encoder: CLIP's text transformer, from `transformers`, and weighted prompts on top of
it.

Radford et al. 2021 (https://arxiv.org/abs/2103.00020). Stable Diffusion 1.x reads the last layer
after its norm, at all 77 positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sdnb.model.config import TextConfig

if TYPE_CHECKING:
    from sdnb.model.tokenizer import Tokens


def build(config: TextConfig) -> nn.Module:
    """CLIP's text transformer with its weights on the meta device, ready to be filled.

    The names of its weights are those of a checkpoint without "text_model." in front.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        model = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=config.vocab,
                hidden_size=config.width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.hidden,
                max_position_embeddings=config.positions,
                hidden_act=config.activation,
                bos_token_id=config.vocab - 2,
                eos_token_id=config.vocab - 1,
                pad_token_id=config.vocab - 1,
            )
        )
    core = getattr(model, "text_model", model)  # one level deeper before transformers 5
    core.embeddings.position_ids = torch.arange(config.positions)[None]  # no weight: made here
    return core.eval()


def encode(model: nn.Module, tokens: Sequence[Tokens], device: torch.device) -> Tensor:
    """Each text alone: `[n, 77, width]` of the text transformer's last hidden state."""
    ids = torch.tensor([t.ids for t in tokens], device=device)  # [n, 77]
    return model(input_ids=ids).last_hidden_state


def average(contexts: Tensor, weights: Sequence[float]) -> Tensor:
    """The weighted sum of `[n, 77, d]`, as `[1, 77, d]`; the weights sum to one."""
    share = torch.tensor(weights, dtype=contexts.dtype, device=contexts.device)
    return torch.einsum("n,npd->pd", share, contexts)[None]
