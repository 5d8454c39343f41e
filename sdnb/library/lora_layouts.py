"""What a LoRA is, told by the names and shapes in it: its kind, its rank, the model it is for.

Names of the modules: kohya's, diffusers' old and new (PEFT), LyCORIS'.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from sdnb.headers.kinds import Shape, Shapes

# A module's name, and which of its tensors this is.
_TENSOR = re.compile(
    r"(.+?)(?:\.processor)?[._](lora_down|lora_up|lora_mid|lora_A|lora_B"
    r"|lora\.down|lora\.up|lora_linear_layer\.down|lora_linear_layer\.up|hada_\w+|lokr_\w+"
    r"|dora_scale|lora_magnitude_vector|diff|diff_b|oft_blocks|oft_diag|on_input|a1|a2|b1|b2)"
    r"(?:\.default)?(?:\.weight)?"
)
# The commonest, of modules without points: kohya's. A pattern takes ten times as long.
_ENDINGS = {"lora_down.weight": "lora_down", "lora_up.weight": "lora_up"}
_CLONEOFSIMO = re.compile(r"\w+:\d+:(up|down)")
# What the tensors of a module make it; the first that is there counts.
_FAMILIES = {
    "oft_blocks": "oft", "oft_diag": "oft", "on_input": "ia3", "b1": "glora",
    "dora_scale": "dora", "lora_magnitude_vector": "dora",
    "lokr_w1": "lokr", "lokr_w1_a": "lokr", "hada_w1_a": "loha",
    "lora_mid": "locon", "lora_down": "lora", "lora_A": "lora", "lora.down": "lora",
    "lora_linear_layer.down": "lora", "diff": "full", "diff_b": "full",
}  # fmt: skip
REFUSED = {
    "oft": "an OFT", "boft": "a BOFT", "ia3": "an IA3", "glora": "a GLoRA",
    "cloneofsimo": "a LoRA in the layout of cloneofsimo's trainer, whose modules have no names",
}  # fmt: skip
_DOWN = ("lora_down", "lora_A", "lora.down", "lora_linear_layer.down", "hada_w1_b")
_TEXT_READER = re.compile(r"attn2[._](processor[._])?to_[kv]")
_WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
# Parts of the modules' names, with _ for a point, that one family of models has -> that family.
_NAMED = (
    (("double_blocks_", "single_blocks_", "single_transformer_blocks_"), "flux"),
    (("joint_blocks_", "attn_add_k_proj"), "sd3"),
    (("lora_te2_", "text_encoder_2_", "_transformer_blocks_1_"), "sdxl"),
)
_STABLE_DIFFUSION = re.compile(
    r"(base_model\.model\.)?(lora_unet|lora_te|lycoris|unet|text_encoder|down_blocks|mid_block"
    r"|up_blocks|conv_in|conv_out|time_embedding|oft_unet|diffusion_model\.(input|middle|output)_)"
)

Modules = dict[str, dict[str, Shape]]  # a module's name -> its tensors' shapes


def modules(shapes: Shapes) -> Modules:
    """The tensors of a LoRA by module; empty for a file of another kind."""
    out: Modules = {}
    for name, shape in shapes.items():
        module, _, ending = name.partition(".")
        if ending == "alpha":
            continue
        if ending in _ENDINGS:
            out.setdefault(module, {})[_ENDINGS[ending]] = shape
        elif found := _TENSOR.fullmatch(name):
            out.setdefault(found[1], {})[found[2]] = shape
        elif _CLONEOFSIMO.fullmatch(name):
            out.setdefault(name.rpartition(":")[0], {})["cloneofsimo"] = shape
    return out


def family(found: Modules) -> str:
    """The kind of most modules: "lora", "locon" (a LoRA of convolutions), "loha", "lokr", "dora",
    "full" (whole differences), "oft", "boft", "ia3", "glora" or "cloneofsimo".
    """
    names = Counter(_family(parts) for parts in found.values())
    refused = next((name for name in names if name in REFUSED), None)
    if refused is None and "locon" in names:
        names["locon"] += names.pop("lora", 0)
    return refused or max(names, key=names.__getitem__, default="")


def _family(parts: Mapping[str, Shape]) -> str:
    if "cloneofsimo" in parts:
        return "cloneofsimo"
    name = next((family for part, family in _FAMILIES.items() if part in parts), "full")
    if name == "oft" and len(parts.get("oft_blocks", ())) == 4:
        return "boft"
    if name == "lora" and any(n > 1 for part in _DOWN for n in parts.get(part, ())[2:]):
        return "locon"
    return name


def rank(found: Modules) -> int:
    """The rank of most modules; 0 where they have none."""
    ranks = Counter(rank for parts in found.values() if (rank := _rank(parts)))
    return max(ranks, key=ranks.__getitem__, default=0)


def _rank(parts: Mapping[str, Shape]) -> int:
    for name in (*_DOWN, "lokr_w2_b", "lokr_w1_b"):
        if parts.get(name):
            return parts[name][0]
    return 0


def width(found: Modules) -> int:
    """How wide the text is that its cross-attention reads, else its text encoder; 0: not said."""
    for pattern in (_TEXT_READER, re.compile(r"self_attn[._][qkv]_proj")):
        widths = Counter(
            inputs
            for module, parts in found.items()
            if pattern.search(module) and (inputs := _inputs(parts))
        )
        if widths:
            return max(widths, key=widths.__getitem__)
    return 0


def _inputs(parts: Mapping[str, Shape]) -> int:
    """How many inputs the layer has that these factors belong to."""
    for name in (*_DOWN, "diff"):
        if len(parts.get(name, ())) > 1:
            return parts[name][1]
    factors = [parts.get(f"lokr_{w}") or parts.get(f"lokr_{w}_b", ()) for w in ("w1", "w2")]
    return factors[0][1] * factors[1][1] if all(len(each) > 1 for each in factors) else 0


def base(found: Modules) -> str:
    """The family of models that it is for, by its modules' names and widths; "": not said."""
    names = "\n".join(found).replace(".", "_")  # of all at once: a library has thousands of files
    for parts, name in _NAMED:
        if any(part in names for part in parts):
            return name
    return _WIDTHS.get(width(found), "")


def stranger(found: Modules) -> str:
    """A module's name, where no module is one of Stable Diffusion's; else ""."""
    ours = any(_STABLE_DIFFUSION.match(module) for module in found)
    return "" if ours else next(iter(found), "")
