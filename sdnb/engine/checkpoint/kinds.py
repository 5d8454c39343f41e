"""A table of the files that people take for a whole model, and what to do with each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_SD1 = "sdnb runs Stable Diffusion 1.x: get a model of that family."
_USED_WITH = "It is used with a model and is none. Give the model it was made for."
_LAY_OVER = (
    "It changes a model and is none. Load the model it was made for, and give this file in a "
    "request: loras=[sdnb.Lora(path, 0.8)]."
)
_WHOLE = "Give the whole model: the diffusers folder it lies in, or a single file with all three."
_OTHER_PROGRAM = "It belongs to another program; " + _SD1


@dataclass(frozen=True)
class Kind:
    """`what` the file is, `advice` what to do. `test` is a pattern in its names, or a function."""

    what: str
    advice: str
    test: str | Callable[[Shapes], bool]

    def fits(self, shapes: Shapes) -> bool:
        if callable(self.test):
            return self.test(shapes)
        pattern = re.compile(self.test)
        return any(pattern.search(name) for name in shapes)


def _contexts(shapes: Shapes) -> set[int]:
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
    Kind("a ControlNet", "It guides a model and is none. Give the model it is used with.",
         r"^(control_model|controlnet_cond_embedding|input_hint_block|controlnet_down_blocks)\."),
    Kind("an AnimateDiff motion module", _OTHER_PROGRAM, r"motion_modules\."),
    Kind("a Stable Diffusion 3 model", _SD1, r"(^|\.)joint_blocks\.\d|context_block\.adaLN"),
    Kind("a Flux model", _SD1, r"(^|\.)(double_blocks|single_blocks)\.\d|^(model\.)?double_stream"),
    Kind("a Stable Cascade model", _SD1,
         r"^(clip_txt_(pooled_)?mapper|down_blocks\.\d+\.\d+\.channelwise)"),
    Kind("a Stable Diffusion XL model", _SD1,
         r"^(conditioner\.embedders\.|add_embedding\.|unet\.add_embedding\.|"
         r"text_encoder_2\.|(model\.diffusion_model\.)?label_emb\.)"),
    Kind("a Stable Diffusion XL model", _SD1, lambda shapes: _contexts(shapes) == {2048}),
    Kind("a Stable Diffusion XL refiner", _SD1, lambda shapes: _contexts(shapes) == {1280}),
    Kind("a Stable Diffusion 2.x model", _SD1,
         r"^cond_stage_model\.model\.(transformer|token_embedding|positional_embedding)"),
    Kind("a PixArt, SANA or other transformer model", _SD1,
         r"^(model\.diffusion_model\.)?(transformer_blocks|blocks|layers|adaln_single|cap_embedder)\."),
    Kind("an upscaler (ESRGAN)",
         "It enlarges pictures and makes none. sdnb.upscale needs no such file.",
         r"^(conv_first\.|model\.0\.weight$|params_ema|model\.1\.sub\.)"),
    Kind("a safety checker", "It judges pictures and makes none. Give the model.",
         r"^(concept_embeds|vision_model\.)"),
    Kind("a VAE alone", "Give it as load(model, vae=this file), beside a whole model.",
         _only(_VAE)),
    Kind("a UNet alone (the denoiser, without its VAE and text encoder)", _WHOLE, _only(_UNET)),
    Kind("a text encoder alone", _WHOLE, _only(_TEXT)),
)  # fmt: skip


def other_kind(shapes: Shapes) -> Kind | None:
    """The kind of file that has weights of these names and shapes; None: perhaps a whole model."""
    return next((kind for kind in KINDS if kind.fits(shapes)), None)
