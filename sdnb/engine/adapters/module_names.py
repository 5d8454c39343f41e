"""Which weight of a model a file's key speaks of.

kohya's keys are paths whose dots became underscores, which cannot be undone: `to_q` has one of its
own. So all paths of the model are written that way, and a key is looked up among them. Sources:
kohya-ss/sd-scripts `networks/lora.py`, diffusers `loaders/lora_conversion_utils.py`, LyCORIS
`wrapper.py`.

A model's weights have CompVis' names here, and a text encoder's are transformers'. OpenCLIP's, of
Stable Diffusion 2.x, has them too: it keeps q, k and v as one tensor of a file, but
`checkpoint.openclip` reads each as a third of that one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from sdnb.engine.checkpoint import names
from sdnb.engine.checkpoint.embeddings import BUNDLE
from sdnb.engine.networks.config import ModelConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Module:
    """A layer of the model: `name` without its ".weight", and the shape of its weight."""

    network: str  # "unet" or "text"
    name: str
    shape: tuple[int, ...]
    has_bias: bool


@lru_cache(maxsize=4)
def _table(config: ModelConfig) -> dict[tuple[str, str], Module]:
    """Every layer by its network and its flattened name, CompVis' and diffusers'."""
    table = {}
    for network, rows in (
        ("unet", names.unet_table(config.unet)),
        ("text", names.text_table(config.text)),
    ):
        biases = {row.compvis for row in rows if row.compvis.endswith(".bias")}
        for row in rows:
            name, _, leaf = row.compvis.rpartition(".")
            if leaf == "weight":
                module = Module(network, name, row.shape, f"{name}.bias" in biases)
                for path in (name, row.diffusers.removesuffix(".weight")):
                    table[network, path.replace(".", "_")] = module
    return table


#: What stands before a path, and whose path it is; the longer one first. Of SDXL's two encoders,
#: `te1` is the one that SD 1.x has.
_PREFIXES = (
    ("lora_unet_", "unet"), ("lora_te1_text_model_", "text"), ("lora_te_text_model_", "text"),
    ("lycoris_text_model_", "text"), ("lycoris_", "unet"), ("unet_", "unet"),
    ("diffusion_model_", "unet"), ("text_encoder_text_model_", "text"), ("text_encoder_", "text"),
    ("text_model_", "text"), ("", "unet"),
)  # fmt: skip


def find(config: ModelConfig, stem: str) -> Module | None:
    """The layer that a key without its suffix speaks of; None: the model has none of that name."""
    table = _table(config)
    flat = stem.removeprefix("base_model.model.").replace(".", "_")
    prefix, network = next((p, n) for p, n in _PREFIXES if flat.startswith(p))
    return table.get((network, flat.removeprefix(prefix)))


# -- suffixes ----------------------------------------------------------------------------------
_PARTS = {  # a part of a module as it is called here -> how it is written
    "down": r"lora_down\.weight|lora_A(\.default)?\.weight|lora(_linear_layer)?\.down\.weight",
    "up": r"lora_up\.weight|lora_B(\.default)?\.weight|lora(_linear_layer)?\.up\.weight",
    "mid": r"lora_mid\.weight",
    "magnitude": r"lora_magnitude_vector(\.default)?(\.weight)?",
    "same": r"alpha|dora_scale|hada_(w[12]_[ab]|t[12])|lokr_(w[12](_[ab])?|t2)|diff(_b)?|[wb]_norm"
    r"|oft_(blocks|diag)|on_input|[ab][12]\.weight|bm\.weight|set_weight|reshape_weight",
}
_SUFFIX = re.compile("|".join(rf"(?P<{part}>\.({form}))$" for part, form in _PARTS.items()))
# diffusers' first form: `attn1.processor.to_q_lora.down.weight` is `attn1.to_q`'s.
_OLD = re.compile(r"(?:\.processor)?\.to_(q|k|v|out)_lora\.(down|up)\.weight$")
_OLD_TEXT = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "out_proj"}


def by_module(tensors: Mapping[str, T]) -> tuple[dict[str, dict[str, T]], list[str]]:
    """The tensors by module (the key without its suffix) and part, and the keys of neither.

    Embeddings that lie in such a file (`bundle_emb.*`) are left out: they are no part of it.
    """
    modules: dict[str, dict[str, T]] = defaultdict(dict)
    strange = []
    for key, tensor in tensors.items():
        if key.startswith(BUNDLE):
            continue
        stem, part = _split(key)
        if part:
            modules[stem][part] = tensor
        else:
            strange.append(key)
    return dict(modules), strange


def _split(key: str) -> tuple[str, str]:
    old = _OLD.search(key)
    if old is not None:
        stem, (layer, part) = key[: old.start()], old.groups()
        if stem.endswith("self_attn"):
            return f"{stem}.{_OLD_TEXT[layer]}", part
        return f"{stem}.to_{'out.0' if layer == 'out' else layer}", part
    found = _SUFFIX.search(key)
    if found is None:
        return key, ""
    part = next(name for name in _PARTS if found[name] is not None)
    return key[: found.start()], found[0][1:] if part == "same" else part


def widths(modules: Iterable[tuple[str, tuple[int, ...]]]) -> set[int]:
    """How wide the texts are that a file's modules read, from their keys and `down`'s shapes."""
    found = set()
    for stem, shape in modules:
        if stem.replace(".", "_").endswith(("attn2_to_k", "attn2_to_v")) and len(shape) > 1:
            found.add(shape[1])
    return found
