"""Reads the architecture from the shapes of the weights.

Shapes show widths, counts, attention levels, channels and the context's width. They do not show the
number of heads, the groups of the norms or the kind of prediction: those keep SD 1.x's values
unless `overrides` (from a YAML or diffusers' `config.json`, see `configs.py`) say otherwise.

Each width is read from several tensors, so that one missing tensor is reported as missing and not
taken for another architecture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sdnb.engine.checkpoint.errors import CheckpointError
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
# {"unet": {"heads": 8}, "settings": {"width": 256}, ...}
Overrides = Mapping[str, Mapping[str, Any]]

IN_CHANNELS = {4: "text to image", 9: "inpainting"}
OTHER_CHANNELS = {5: "depth to image", 7: "the x4 upscaler", 8: "InstructPix2Pix"}


def model_config(unet: Shapes, vae: Shapes, text: Shapes, overrides: Overrides) -> ModelConfig:
    """The whole configuration. Names may be CompVis' or diffusers'.

    Raises CheckpointError when an override contradicts the weights, or the shapes fit no SD 1.x.
    """
    detected = ModelConfig(unet=unet_config(unet), vae=vae_config(vae), text=text_config(text))
    return overridden(detected, overrides)


def unet_config(shapes: Shapes) -> UNetConfig:
    """The denoiser's configuration, with SD 1.x's heads and groups."""
    diffusers = any(name.startswith("down_blocks.") for name in shapes)
    levels = _diffusers_levels(shapes) if diffusers else _compvis_levels(shapes)
    if not levels:
        raise CheckpointError("the denoiser has no residual blocks on its way down")
    counts = {len(widths) for widths, _ in levels}
    if len(counts) > 1 or any(len(set(widths)) > 1 for widths, _ in levels):
        raise CheckpointError(
            "the denoiser is not SD 1.x's: its levels have blocks of the widths "
            + "; ".join(str(widths) for widths, _ in levels)
        )
    middle = "mid_block.attentions.0" if diffusers else "middle_block.1"
    context = [
        shapes[name][1]
        for name in (
            f"{middle}.transformer_blocks.0.attn2.{key}.weight" for key in ("to_k", "to_v")
        )
        if len(shapes.get(name, ())) == 2
    ]
    if not context:
        raise CheckpointError(
            f"the denoiser has no cross-attention in its middle ({middle}): it takes no text, "
            "so it is not Stable Diffusion 1.x"
        )
    first = shapes.get("conv_in.weight" if diffusers else "input_blocks.0.0.weight", ())
    last = shapes.get("conv_out.weight" if diffusers else "out.2.weight", ())
    inputs = first[1] if len(first) == 4 else 4
    if inputs not in IN_CHANNELS:
        kind = OTHER_CHANNELS.get(inputs, "an unknown variant")
        raise CheckpointError(
            f"the denoiser takes {inputs} channels ({kind}); sdnb runs models of 4 (text to image) "
            "and 9 (inpainting)"
        )
    return UNetConfig(
        in_channels=inputs,
        out_channels=last[0] if len(last) == 4 else 4,
        channels=tuple(widths[0] for widths, _ in levels),
        blocks=counts.pop(),
        attention_levels=tuple(n for n, (_, attends) in enumerate(levels) if attends),
        context_dim=context[0],
    )


# Of each level the widths of its blocks, and whether it has attention.
Levels = list[tuple[list[int], bool]]


def _compvis_levels(shapes: Shapes) -> Levels:
    pattern = re.compile(r"input_blocks\.(\d+)\.(0\.op|0\.out_layers\.[03]|0\.emb_layers\.1|1\.)")
    blocks: dict[int, dict[str, int]] = {}
    for name, shape in shapes.items():
        if match := pattern.match(name):
            kind = "op" if match[2] == "0.op" else "attends" if match[2] == "1." else "width"
            blocks.setdefault(int(match[1]), {})[kind] = shape[0]
    levels: Levels = [([], False)]
    for n in sorted(blocks):
        if "op" in blocks[n]:
            levels.append(([], False))
        elif "width" in blocks[n]:
            widths, attends = levels[-1]
            levels[-1] = ([*widths, blocks[n]["width"]], attends or "attends" in blocks[n])
    return [level for level in levels if level[0]]


def _diffusers_levels(shapes: Shapes) -> Levels:
    pattern = re.compile(
        r"down_blocks\.(\d+)\.(attentions|resnets\.(\d+)\.(norm2|conv2|time_emb_proj))\."
    )
    widths: dict[int, dict[int, int]] = {}
    attends = set()
    for name, shape in shapes.items():
        if match := pattern.match(name):
            if match[2] == "attentions":
                attends.add(int(match[1]))
            else:
                widths.setdefault(int(match[1]), {})[int(match[3])] = shape[0]
    return [
        ([blocks[j] for j in sorted(blocks)], level in attends)
        for level, blocks in sorted(widths.items())
    ]


def vae_config(shapes: Shapes) -> VAEConfig:
    """The autoencoder's configuration, with SD 1.x's groups and scale."""
    pattern = re.compile(
        r"encoder\.(?:down|down_blocks)\.(\d+)\.(?:block|resnets)\.(\d+)\.(?:norm2|conv1|conv2)\."
    )
    widths: dict[int, dict[int, int]] = {}
    for name, shape in shapes.items():
        if match := pattern.match(name):
            widths.setdefault(int(match[1]), {})[int(match[2])] = shape[0]
    if not widths:
        raise CheckpointError("the autoencoder (VAE) has no residual blocks in its encoder")
    levels = [widths[level] for level in sorted(widths)]
    latent = [
        shapes[name][0]
        for name in ("post_quant_conv.weight", "post_quant_conv.bias")
        if name in shapes
    ]
    return VAEConfig(
        channels=tuple(blocks[max(blocks)] for blocks in levels),
        blocks=max(len(blocks) for blocks in levels),
        latent_channels=latent[0] if latent else 4,
    )


def text_config(shapes: Shapes) -> TextConfig:
    """The text encoder's configuration; its heads have 64 channels, as in every CLIP."""
    token = shapes.get("embeddings.token_embedding.weight", ())
    position = shapes.get("embeddings.position_embedding.weight", ())
    layers = {int(m[1]) for name in shapes if (m := re.match(r"encoder\.layers\.(\d+)\.", name))}
    hidden = [s[0] for n, s in shapes.items() if re.match(r"encoder\.layers\.\d+\.mlp\.fc1\.", n)]
    if not layers or not hidden:
        raise CheckpointError("the text encoder has no layers that CLIP's text transformer has")
    default = TextConfig()
    width = (
        token[1] if len(token) == 2 else shapes.get("final_layer_norm.weight", (default.width,))[0]
    )
    return TextConfig(
        vocab=token[0] if len(token) == 2 else default.vocab,
        width=width,
        layers=len(layers),
        heads=max(1, width // 64),
        hidden=hidden[0],
        positions=position[0] if len(position) == 2 else default.positions,
    )


# The fields that the shapes show: an override that differs contradicts the weights.
SHOWN = {
    "unet": (
        "in_channels",
        "out_channels",
        "channels",
        "blocks",
        "attention_levels",
        "context_dim",
    ),
    "vae": ("channels", "blocks", "latent_channels"),
    "text": ("vocab", "width", "layers", "hidden", "positions"),
}


def overridden(detected: ModelConfig, overrides: Overrides) -> ModelConfig:
    """`detected` with the overrides. Raises CheckpointError when they contradict the weights."""
    changes = {}
    for section, values in overrides.items():
        part = getattr(detected, section)
        for name in SHOWN.get(section, ()):
            if name in values and values[name] != getattr(part, name):
                raise CheckpointError(
                    f"the configuration says {section}.{name} is {values[name]}, "
                    f"the weights say {getattr(part, name)}: it belongs to another model"
                )
        changes[section] = replace(part, **values)
    config = replace(detected, **changes)
    _check(config)
    return config


def _check(config: ModelConfig) -> None:
    """Raises CheckpointError for numbers with which the networks could not be built or joined."""
    unet, vae, text = config.unet, config.vae, config.text
    _divides("unet.groups", unet.groups, unet.channels)
    _divides("vae.groups", vae.groups, vae.channels)
    if unet.head_width:
        _divides("unet.head_width", unet.head_width, unet.channels)
    else:
        _divides("unet.heads", unet.heads, unet.channels)
    _divides("text.heads", text.heads, (text.width,))
    if text.width != unet.context_dim:
        raise CheckpointError(
            f"the denoiser reads a context {unet.context_dim} wide and the text encoder gives "
            f"{text.width}: they belong to different models"
        )
    if vae.latent_channels != unet.out_channels:
        raise CheckpointError(
            f"the denoiser works on {unet.out_channels} latent channels and the VAE has "
            f"{vae.latent_channels}: they belong to different models"
        )


def _divides(name: str, count: int, widths: Iterable[int]) -> None:
    for width in widths:
        if count < 1 or width % count:
            raise CheckpointError(
                f"{name} is {count}, which does not divide the width {width}. The weights' shapes "
                "cannot show this number: give it in a YAML (config=...), as "
                f"`{name.replace('.', ': {')}: N}}`"
            )
