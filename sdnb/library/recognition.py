"""What a file is, told by the names and shapes of its tensors, never by its name or folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdnb.headers import taesd
from sdnb.headers.errors import listed
from sdnb.headers.kinds import OTHER_CHANNELS, Shapes, contexts, other_kind, search
from sdnb.library import lora_layouts, metadata

VERSION = 5  # of what follows: a cache of another one is read again
UNREAD = "unread"  # the family of a file in which no tensor can be read
KINDS = ("checkpoint", "lora", "embedding", "vae", "control", "other")
A_KIND = {
    "checkpoint": "a checkpoint", "lora": "a LoRA", "embedding": "an embedding", "vae": "a VAE",
    "control": "a control network", "other": "of no kind that sdnb uses",
}  # fmt: skip
# The families of models, as they are called.
BASES = {
    "sd1": "Stable Diffusion 1.x", "sd2": "Stable Diffusion 2.x", "sdxl": "Stable Diffusion XL",
    "sdxl-refiner": "the refiner of Stable Diffusion XL", "sd3": "Stable Diffusion 3",
    "flux": "Flux", "cascade": "Stable Cascade",
}  # fmt: skip
RUNS = ("sd1", "sd2", "")  # families whose additions sdnb uses; "" is not known
_OF_WIDTH = {768: "sd1", 1024: "sd2"}
_DENOISER = ("model.diffusion_model.", "unet.")
_T2I_FIRST = ("conv_in.weight", "adapter.conv_in.weight", "body.0.in_conv.weight",
              "adapter.body.0.in_conv.weight")  # fmt: skip
_CONTROL = (  # the first that fits
    (r"^lora_controlnet$", "control-lora"),
    (r"(^|\.)(control_add_embedding|task_embedding)(\.|$)", "controlnet-union"),
    (r"^controlnet_(blocks|single_blocks|x_embedder)\.", "controlnet-transformer"),
    (r"^lllite_", "control-lllite"),
    (r"(^|\.)(ctrl_to_base|base_to_ctrl)(_\w+)?\.", "controlnet-xs"),
    (r"^brushnet_", "brushnet"),
    (r"^(control_model|controlnet_(cond_embedding|down_blocks)|input_hint_block|zero_convs)\.",
     "controlnet"),
    (r"^style_embedding$", "t2i-style"),
    (r"^(adapter\.)?body\.\d+\.(block1|in_conv|resnets|body)\b", "t2i-adapter"),
    (r"^(ip_adapter|image_proj)\.", "ip-adapter"),
)  # fmt: skip
_NEEDS_EYES = "which needs CLIP's network for pictures; sdnb uses control networks and T2I-Adapters"
_CONTROL_REFUSED = {
    "controlnet-union": "it is a union of several control networks, of which none is for Stable "
    "Diffusion 1.x or 2.x",
    "controlnet-transformer": "it is a control network for Stable Diffusion 3 or Flux",
    "control-lllite": "it is a ControlNet-LLLite, which sdnb does not run",
    "controlnet-xs": "it is a ControlNet-XS, which sdnb does not run",
    "brushnet": "it is a BrushNet, which sdnb does not run",
    "t2i-style": f"it is a T2I-Adapter for a style, {_NEEDS_EYES}",
    "ip-adapter": f"it is an IP-Adapter, {_NEEDS_EYES}",
}
_IP_ADAPTER = ("ip_adapter.", "image_proj.")


@dataclass(frozen=True)
class Told:
    """What tensors tell. `why_not` says why sdnb does not use it, "" where it does."""

    kind: str = "other"
    family: str = ""  # "lora", "locon", "loha" ..., "controlnet", "t2i-adapter" ...
    base: str = ""
    width: int = 0  # of the text that it reads, or of an embedding's vectors
    rank: int = 0  # of a LoRA; the number of an embedding's vectors
    why_not: str = ""


def told(shapes: Shapes, texts: Mapping[str, str]) -> Told:
    """What the file is whose tensors have these names and shapes; `texts` are its metadata."""
    found = _lora(shapes, texts) or _control(shapes) or _embedding(shapes) or _vae(shapes)
    return found or _model(shapes)


def _control(shapes: Shapes) -> Told | None:
    family = next((family for pattern, family in _CONTROL if search(pattern, shapes)), None)
    if family is None:
        return None
    width = max(_contexts_of_control(shapes), default=0)
    base = "sdxl" if _is_of_sdxl(shapes) else _base(width)
    if any(".motion_modules." in name for name in shapes):
        why_not = "it is a control network for AnimateDiff's films"
    else:
        why_not = _CONTROL_REFUSED.get(family) or _made_for(base)
    return Told("control", family, base, width, why_not=why_not)


def _contexts_of_control(shapes: Shapes) -> set[int]:
    """The widths of the texts that it reads; of a control-LoRA as its factors tell."""
    factors = (s for n, s in shapes.items() if n.endswith("attn2.to_k.down") and len(s) == 2)
    return contexts(shapes) | {shape[1] for shape in factors}


def _is_of_sdxl(shapes: Shapes) -> bool:
    """Whether a control network is given SDXL's sizes, or folds 16 pixels of the hint into one."""
    first = next((shapes[name] for name in _T2I_FIRST if len(shapes.get(name, ())) == 4), ())
    folded = len(first) == 4 and first[1] in (256, 3 * 256)
    return folded or search(r"(^|\.)(label_emb|add_embedding)\.", shapes)


def _lora(shapes: Shapes, texts: Mapping[str, str]) -> Told | None:
    found = lora_layouts.modules(shapes)
    if not found or any(name.startswith(_IP_ADAPTER) for name in shapes):  # which may hold one
        return None
    family, width = lora_layouts.family(found), lora_layouts.width(found)
    base = lora_layouts.base(found) or metadata.base(texts)
    why_not = _made_for(base)
    if family in lora_layouts.REFUSED:
        why_not = f"it is {lora_layouts.REFUSED[family]}, which sdnb does not apply"
    elif not why_not and (stranger := lora_layouts.stranger(found)):
        why_not = f"it changes a model that sdnb does not run: it has a layer {listed([stranger])}"
    return Told("lora", family, base, width, lora_layouts.rank(found), why_not)


def _embedding(shapes: Shapes) -> Told | None:
    """A textual inversion: A1111's, diffusers' one or two vectors by their word, or a bundle's."""
    vectors = [shape for name, shape in shapes.items() if is_vectors(name, shape)]
    if len(vectors) != len(shapes) or not 0 < len(vectors) <= 64:
        return None
    rows = sum(shape[0] if len(shape) == 2 else 1 for shape in vectors)
    widths = sorted({shape[-1] for shape in vectors})
    if "clip_g" in shapes:
        return Told("embedding", "", "sdxl", widths[0], rows, _made_for("sdxl"))
    why_not = ""
    if len(widths) > 1:
        why_not = f"its vectors have several widths: {', '.join(map(str, widths))}"
    elif widths[0] > 1024:
        why_not = f"its vectors are {widths[0]} wide; Stable Diffusion 1.x has 768, 2.x 1024"
    return Told("embedding", "", _base(widths[0]), widths[0], rows, why_not)


def is_vectors(name: str, shape: tuple[int, ...]) -> bool:
    """Whether this may be an embedding's tensor: `[d]` or `[n, d]`, under a word and no path."""
    if name in ("emb_params", "clip_l", "clip_g") or name.startswith("string_to_param"):
        return 1 <= len(shape) <= 2
    narrow = 1 <= len(shape) <= 2 and shape[-1] in (768, 1024, 1280)
    return narrow and "." not in name and all(size < 1000 for size in shape[:-1])


def _vae(shapes: Shapes) -> Told | None:
    kind = other_kind(shapes)
    if kind is not None and kind.what.startswith("a tiny autoencoder"):
        family = f"tiny {taesd.lone_half(shapes)}".rstrip()
        return Told("vae", family, why_not=_latents(taesd.latent_channels(shapes)))
    if kind is None or kind.what != "a VAE alone":
        return None
    latent = next((s for n, s in shapes.items() if n.endswith("decoder.conv_in.weight")), ())
    return Told("vae", why_not=_latents(latent[1] if len(latent) == 4 else 4))


def _latents(channels: int) -> str:
    return "" if channels == 4 else f"its latents have {channels} channels; SD 1.x's have 4"


def _model(shapes: Shapes) -> Told:
    """A checkpoint, of whatever family, or something else."""
    kind = other_kind(shapes)
    denoiser = any(name.startswith(_DENOISER) for name in shapes)
    width = max(contexts(shapes), default=0)
    if kind is not None and (kind.base or denoiser or kind.what.startswith("a UNet")):
        base = kind.base or _base(width)
        return Told("checkpoint", base=base, width=width, why_not=f"it is {kind.what}")
    if kind is not None:
        return Told(why_not=f"it is {kind.what}. {kind.advice}")
    if not denoiser:
        few = listed(sorted(shapes), 3) or "(it has none)"
        return Told(why_not=f"it is of no kind that sdnb knows; its tensors are named {few}")
    return Told("checkpoint", base=_base(width), width=width, why_not=_inputs(shapes))


def _inputs(shapes: Shapes) -> str:
    """Why a denoiser of so many input channels is not run; "" for those of 4 and 9."""
    for name in ("model.diffusion_model.input_blocks.0.0.weight", "unet.conv_in.weight"):
        shape = shapes.get(name, ())
        if len(shape) == 4 and shape[1] not in (4, 9):
            what = OTHER_CHANNELS.get(shape[1], "an unknown variant")
            return f"its denoiser takes {shape[1]} channels ({what}); sdnb runs those of 4 and 9"
    return ""


def _base(width: int) -> str:
    return _OF_WIDTH.get(width, "sdxl" if width == 2048 else "")


def _made_for(base: str) -> str:
    return "" if base in RUNS else f"it is made for {BASES.get(base, base)}"
