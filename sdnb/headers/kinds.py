"""A table of the files that people take for a whole model, and what to do with each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sdnb.headers import taesd

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_OURS = "sdnb runs Stable Diffusion 1.x and 2.x: get a model of these families."
_USED_WITH = "It is used with a model and is none. Give the model it was made for."
_LAY_OVER = (
    "It changes a model and is none. Load the model it was made for, and give this file in a "
    "request: loras=[sdnb.Lora(path, 0.8)]."
)
# The first convolution's channels -> what a denoiser of SD 1.x and 2.x is for that has so many.
OTHER_CHANNELS = {5: "depth to image", 7: "the x4 upscaler", 8: "InstructPix2Pix"}
_WHOLE = "Give the whole model: the diffusers folder it lies in, or a single file with all three."
_OTHER_PROGRAM = "It belongs to another program; " + _OURS


@dataclass(frozen=True)
class Kind:
    """`what` the file is, `advice` what to do. `test` is a pattern in its names, or a function."""

    what: str
    advice: str
    test: str | Callable[[Shapes], bool]
    base: str = ""  # the family of models, where the file is a whole model

    def fits(self, shapes: Shapes) -> bool:
        if callable(self.test):
            return self.test(shapes)
        return search(self.test, shapes)


def search(pattern: str, names: Iterable[str]) -> bool:
    """Whether a pattern is found in one of the names; ^ is a name's beginning, $ its end."""
    return re.search(pattern, "\n".join(names), re.MULTILINE) is not None


def contexts(shapes: Shapes) -> set[int]:
    """The widths of the texts that the cross-attention reads."""
    return {s[1] for n, s in shapes.items() if n.endswith("attn2.to_k.weight") and len(s) == 2}


def _textual_inversion(shapes: Shapes) -> bool:
    """A1111's embeddings, or diffusers' one or two vectors, named by what word they stand for."""
    if {"string_to_param", "string_to_token", "emb_params"} & shapes.keys():
        return True
    return 0 < len(shapes) <= 2 and all(
        1 <= len(shape) <= 2 and shape[-1] in (768, 1024, 1280) and "." not in name
        for name, shape in shapes.items()
    )


def _only(prefixes: tuple[str, ...]) -> Callable[[Shapes], bool]:
    return lambda shapes: bool(shapes) and all(name.startswith(prefixes) for name in shapes)


_UNET = ("input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "out.", "label_emb.",
         "down_blocks.", "mid_block.", "up_blocks.", "conv_in.", "conv_out.", "conv_norm_out.",
         "time_embedding.", "model.diffusion_model.")  # fmt: skip
_VAE = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "first_stage_model.", "loss.")
_TEXT = ("text_model.", "cond_stage_model.", "text_projection", "logit_scale", "vision_model.",
         "visual_projection")  # fmt: skip

# The first that fits counts: additions to a model, then whole models, then parts of one.
KINDS = (
    Kind("a LoRA", _LAY_OVER,
         r"^lora_(unet|te)|\.lora_(down|up|A|B)\.|lora_linear_layer|\.lora\.(down|up)"),
    Kind("a LyCORIS (LoHa, LoKr, ...)", _LAY_OVER, r"\.(hada_w1_a|lokr_w1|lokr_w1_a|oft_blocks)$"),
    Kind("a textual inversion (an embedding: one word)", _USED_WITH, _textual_inversion),
    Kind("a hypernetwork", _USED_WITH,
         lambda shapes: not {"320", "640", "768", "1024", "1280"}.isdisjoint(shapes)),
    Kind("an IP-Adapter", _USED_WITH, r"^(ip_adapter|image_proj)\."),
    Kind("a ControlNet",
         "It guides a model and is none. Load the model it was made for, and give this file in a "
         "request: controls=[sdnb.Control(path, picture)].",
         r"^(control_model|controlnet_cond_embedding|input_hint_block|controlnet_down_blocks)\."),
    Kind("an AnimateDiff motion module", _OTHER_PROGRAM, r"motion_modules\."),
    Kind("a Stable Diffusion 3 model", _OURS,
         r"(^|\.)joint_blocks\.\d|context_block\.adaLN", "sd3"),
    Kind("a Flux model", _OURS,
         r"(^|\.)(double_blocks|single_blocks)\.\d|^(model\.)?double_stream", "flux"),
    Kind("a Stable Cascade model", _OURS,
         r"^(clip_txt_(pooled_)?mapper|down_blocks\.\d+\.\d+\.channelwise)", "cascade"),
    Kind("Stable Diffusion 2's depth to image", _OURS, r"^depth_model\.", "sd2"),
    Kind("the Stable Diffusion x4 upscaler", _OURS,
         r"^(model\.diffusion_model\.label_emb\.weight|(unet\.)?class_embedding\.weight)$", "sd2"),
    Kind("a Stable unCLIP model", _OURS,
         r"^(embedder\.model|noise_augmentor)\.", "sd2"),
    Kind("a Stable Diffusion XL model", _OURS,
         r"^(conditioner\.embedders\.|add_embedding\.|unet\.add_embedding\.|"
         r"text_encoder_2\.|(model\.diffusion_model\.)?label_emb\.)", "sdxl"),
    Kind("a Stable Diffusion XL model", _OURS, lambda shapes: contexts(shapes) == {2048}, "sdxl"),
    Kind("a Stable Diffusion XL refiner", _OURS, lambda shapes: contexts(shapes) == {1280},
         "sdxl-refiner"),
    Kind("a PixArt, SANA or other transformer model", _OURS,
         r"^(model\.diffusion_model\.)?(transformer_blocks|blocks|layers|adaln_single|cap_embedder)\."),
    Kind("an upscaler (ESRGAN)",
         "It enlarges pictures and makes none. sdnb.upscale needs no such file.",
         r"^(conv_first\.|model\.0\.weight$|params_ema|model\.1\.sub\.)"),
    Kind("a safety checker", "It judges pictures and makes none. Give the model.",
         r"^(concept_embeds|vision_model\.)"),
    Kind("a tiny autoencoder (TAESD)", "Give it as load(model, vae=this file).", taesd.is_tiny),
    Kind("a VAE alone", "Give it as load(model, vae=this file), beside a whole model.",
         _only(_VAE)),
    Kind("a UNet alone (the denoiser, without its VAE and text encoder)", _WHOLE, _only(_UNET)),
    Kind("a text encoder alone", _WHOLE, _only(_TEXT)),
)  # fmt: skip


def other_kind(shapes: Shapes) -> Kind | None:
    """The kind of file that has weights of these names and shapes; None: perhaps a whole model."""
    return next((kind for kind in KINDS if kind.fits(shapes)), None)
