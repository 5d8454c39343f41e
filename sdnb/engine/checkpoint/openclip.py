"""OpenCLIP's text encoder, as single files of Stable Diffusion 2.x hold it, in transformers' names.

Stable Diffusion 2.x reads the last layer but one, then the last norm. The whole encoder has 24
layers, whose last one is left out here; stripped files, and diffusers' folders, hold 23 already.
Source: Stability-AI/stablediffusion `FrozenOpenCLIPEmbedder(layer="penultimate")`; names of
mlfoundations/open_clip `transformer.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace

from sdnb.engine.checkpoint.tensors import LazyTensor, Weights
from sdnb.headers.errors import CheckpointError

#: Layers that are used: all of ViT-H's but the last.
LAYERS = 23

_LAYER = re.compile(r"transformer\.resblocks\.(\d{1,4})\.(.+)")
_PARTS = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip
_REST = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}


def is_openclip(text: Weights) -> bool:
    """Whether these weights of a text encoder have OpenCLIP's names."""
    return any(_LAYER.fullmatch(name) for name in text)


def renamed(text: Weights) -> Weights:
    """The weights in transformers' names, without the layer that is not used. Names that OpenCLIP
    does not have stay as they are.
    """
    out: Weights = {}
    for name, tensor in text.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            out[_REST.get(name, name)] = tensor
        elif int(match[1]) > LAYERS:  # of a larger encoder: refused as unexpected
            out[name] = tensor
        elif int(match[1]) < LAYERS:
            layer = f"encoder.layers.{match[1]}"
            part, _, leaf = match[2].rpartition(".")
            if match[2].startswith("attn.in_proj_"):  # queries, keys and values in one
                out |= _parts_of_in_proj(layer, match[2].removeprefix("attn.in_proj_"), tensor)
            else:
                out[f"{layer}.{_PARTS.get(part, part)}.{leaf}"] = tensor
    return out


def _parts_of_in_proj(layer: str, leaf: str, tensor: LazyTensor) -> Weights:
    """The three thirds of a tensor's rows. Raises CheckpointError where it has no such."""
    rows = tensor.shape[0] if tensor.shape else 0
    if not rows or rows % 3:
        raise CheckpointError(
            f"the text encoder's attn.in_proj_{leaf} of {layer} is {list(tensor.shape)}; expected "
            "three times the encoder's width"
        )
    step = tensor.stride[0] if tensor.stride else tensor.count // rows
    shape = (rows // 3, *tensor.shape[1:])
    return {
        f"{layer}.self_attn.{name}_proj.{leaf}": replace(
            tensor,
            shape=shape,
            offset=tensor.offset + n * (rows // 3) * step * tensor.dtype.itemsize,
        )
        for n, name in enumerate("qkv")
    }
