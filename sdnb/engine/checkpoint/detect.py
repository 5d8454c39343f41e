"""Reads the architecture from the shapes of the weights.

Shapes show widths, counts, attention levels, channels and the context's width, and so the family,
whose heads are taken. They do not show the groups of the norms or the kind of prediction: those
keep SD 1.x's values unless `overrides` (from a YAML or diffusers' `config.json`, see `configs.py`)
say otherwise.

Each width is read from several tensors, so that one missing tensor is reported as missing and not
taken for another architecture.
"""

from __future__ import annotations

import re
from dataclasses import replace

from sdnb.engine.checkpoint.configs import MOST, MOST_LEVELS, Overrides
from sdnb.engine.networks.config import TINY_VAE, ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.headers import taesd
from sdnb.headers.errors import CheckpointError
from sdnb.headers.kinds import OTHER_CHANNELS, Shapes
from sdnb.request import checks
from sdnb.request.plain_words import counted

#: Widths of OpenCLIP's text encoders: ViT-H's in SD 2.x, and ViT-bigG's.
OPEN_CLIP = (1024, 1280)
HEAD_WIDTH = 64  # channels of a head in SD 2.x and XL, where SD 1.x has 8 heads at every width
# The fields that the shapes show: an override that differs contradicts the weights.
SHOWN = {
    "unet": ("in_channels", "out_channels", "channels", "blocks", "attention_levels",
             "depth", "context_dim", "added_dim"),
    "vae": ("tiny", "channels", "blocks", "latent_channels"),
    "text": ("vocab", "width", "layers", "hidden", "positions"),
}  # fmt: skip


def model_config(unet: Shapes, vae: Shapes, text: Shapes, overrides: Overrides) -> ModelConfig:
    """The whole configuration. Names may be CompVis' or diffusers'.

    Raises CheckpointError when an override contradicts the weights, or the shapes fit no model that
    sdnb runs.
    """
    config = ModelConfig(unet=unet_config(unet), vae=vae_config(vae), text=text_config(text))
    for section, values in _complete(overrides).items():
        detected = getattr(config, section)
        for name in SHOWN.get(section, ()):
            if name in values and values[name] != getattr(detected, name):
                raise CheckpointError(
                    f"the configuration says {section}.{name} is {values[name]}, "
                    f"the weights say {getattr(detected, name)}: it belongs to another model"
                )
        config = replace(config, **{section: replace(detected, **values)})
    _check(config)
    return config


def _complete(overrides: Overrides) -> Overrides:
    """The overrides with what follows from them: a number of heads is in place of their width, and
    whoever trained with the exact GELU (OpenCLIP) filled texts up with token 0.
    """
    out = {section: dict(values) for section, values in overrides.items()}
    if "heads" in out.get("unet", {}):
        out["unet"].setdefault("head_width", 0)
    if out.get("text", {}).get("activation") == "gelu":
        out["text"].setdefault("padding", 0)
    return out


def unet_config(shapes: Shapes) -> UNetConfig:
    """The denoiser's configuration, with its family's heads and SD 1.x's groups."""
    diffusers = any(name.startswith("down_blocks.") for name in shapes)
    levels = _diffusers_levels(shapes) if diffusers else _compvis_levels(shapes)
    if not levels:
        raise CheckpointError("the denoiser has no residual blocks on its way down")
    _bounded("denoiser", [widths for widths, _ in levels])
    counts = {len(widths) for widths, _ in levels}
    if len(counts) > 1 or any(len(set(widths)) > 1 for widths, _ in levels):
        raise CheckpointError(
            "the denoiser is not Stable Diffusion's: its levels have blocks of the widths "
            + "; ".join(str(widths) for widths, _ in levels)
        )
    middle = "mid_block.attentions.0" if diffusers else "middle_block.1"
    cross = f"{middle}.transformer_blocks.0.attn2"
    readers = [shapes.get(f"{cross}.{key}.weight", ()) for key in ("to_k", "to_v")]
    context = [shape[1] for shape in readers if len(shape) == 2]
    if not context:
        raise CheckpointError(
            f"the denoiser has no cross-attention in its middle ({middle}): it takes no text, "
            "so it is not Stable Diffusion 1.x or 2.x"
        )
    first = shapes.get("conv_in.weight" if diffusers else "input_blocks.0.0.weight", ())
    last = shapes.get("conv_out.weight" if diffusers else "out.2.weight", ())
    inputs = first[1] if len(first) == 4 else 4
    if inputs not in (4, 9):
        kind = OTHER_CHANNELS.get(inputs, "an unknown variant")
        raise CheckpointError(
            f"the denoiser takes {counted(inputs, 'channel')} ({kind}); sdnb runs models of "
            "4 (text to image) and 9 (inpainting)"
        )
    adds = "add_embedding.linear_1.weight" if diffusers else "label_emb.0.0.weight"
    added = shapes.get(adds, ())
    return UNetConfig(
        in_channels=inputs,
        out_channels=last[0] if len(last) == 4 else 4,
        channels=tuple(widths[0] for widths, _ in levels),
        blocks=counts.pop(),
        attention_levels=tuple(n for n, (_, depth) in enumerate(levels) if depth),
        depth=_depth([depth for _, depth in levels], shapes, middle),
        head_width=HEAD_WIDTH if _has_narrow_heads(shapes, middle, context[0]) else 0,
        context_dim=context[0],
        added_dim=added[1] if len(added) == 2 else 0,
    )


def _depth(levels: list[int], shapes: Shapes, middle: str) -> tuple[int, ...]:
    """Transformer blocks in a row, by level and in the middle; (1,) where it is 1 everywhere."""
    numbered = re.compile(rf"{re.escape(middle)}\.transformer_blocks\.(\d{{1,4}})\.")
    counts = *levels[:-1], max(1 + int(m[1]) for n in shapes if (m := numbered.match(n)))
    if max(counts) > MOST["depth"]:
        raise CheckpointError(
            f"the denoiser has {max(counts)} transformer blocks in a row; at most {MOST['depth']} "
            "are built, and Stable Diffusion 1.x and 2.x have 1"
        )
    return counts if max(counts) > 1 else (1,)


def _has_narrow_heads(shapes: Shapes, middle: str, context: int) -> bool:
    """Whether the heads have `HEAD_WIDTH` channels, as where texts come from OpenCLIP. Its models
    store linear projections; a few files of SD 1.x, whose context is 768 wide, store them so too.
    """
    linear = len(shapes.get(f"{middle}.proj_in.weight", ())) == 2
    return context in OPEN_CLIP or (linear and context != 768)


# Of each level the widths of its blocks, and how many transformer blocks come in a row.
Levels = list[tuple[list[int], int]]


def _compvis_levels(shapes: Shapes) -> Levels:
    pattern = re.compile(
        r"input_blocks\.(\d{1,4})\.(0\.op|0\.out_layers\.[03]|0\.emb_layers\.1|1\.)"
        r"(?:transformer_blocks\.(\d{1,4})\.)?"
    )
    blocks: dict[int, dict[str, int]] = {}
    for name, shape in shapes.items():
        if shape and (match := pattern.match(name)):
            block = blocks.setdefault(int(match[1]), {})
            if match[2] == "1.":
                block["depth"] = max(block.get("depth", 1), 1 + int(match[3] or 0))
            else:
                block["op" if match[2] == "0.op" else "width"] = shape[0]
    levels: Levels = [([], 0)]
    for n in sorted(blocks):
        if "op" in blocks[n]:
            levels.append(([], 0))
        elif "width" in blocks[n]:
            widths, depth = levels[-1]
            levels[-1] = [*widths, blocks[n]["width"]], max(depth, blocks[n].get("depth", 0))
    return [level for level in levels if level[0]]


def _diffusers_levels(shapes: Shapes) -> Levels:
    levels = _widths(
        shapes, r"down_blocks\.(\d{1,4})\.resnets\.(\d{1,4})\.(?:norm2|conv2|time_emb_proj)\."
    )
    attention = re.compile(
        r"down_blocks\.(\d{1,4})\.attentions\.\d{1,4}\.(?:transformer_blocks\.(\d{1,4})\.)?"
    )
    depths: dict[int, int] = {}
    for name in shapes:
        if match := attention.match(name):
            level = int(match[1])
            depths[level] = max(depths.get(level, 1), 1 + int(match[2] or 0))
    return [(widths, depths.get(level, 0)) for level, widths in levels.items()]


def _widths(shapes: Shapes, pattern: str) -> dict[int, list[int]]:
    """Of each level the widths of its blocks. The pattern's groups are the level and the block."""
    blocks = {
        (int(match[1]), int(match[2])): shape[0]
        for name, shape in shapes.items()
        if shape and (match := re.match(pattern, name))
    }
    levels: dict[int, list[int]] = {}
    for (level, _), width in sorted(blocks.items()):
        levels.setdefault(level, []).append(width)
    return levels


def vae_config(shapes: Shapes) -> VAEConfig:
    """The autoencoder's configuration, with SD 1.x's groups and scale where it is no tiny one."""
    if taesd.is_tiny(shapes):
        channels = (taesd.width(shapes),) * len(TINY_VAE.channels)
        _bounded("tiny autoencoder (TAESD)", [list(channels)])
        return replace(TINY_VAE, channels=channels, latent_channels=taesd.latent_channels(shapes))
    levels = _widths(
        shapes,
        r"encoder\.down(?:_blocks)?\.(\d{1,4})\.(?:block|resnets)\.(\d{1,4})\.(?:norm2|conv[12])\.",
    )
    if not levels:
        raise CheckpointError("the autoencoder (VAE) has no residual blocks in its encoder")
    _bounded("autoencoder (VAE)", list(levels.values()))
    bias = shapes.get("post_quant_conv.bias") or (4,)
    return VAEConfig(
        channels=tuple(widths[-1] for widths in levels.values()),
        blocks=max(map(len, levels.values())),
        latent_channels=(shapes.get("post_quant_conv.weight") or bias)[0],
    )


def text_config(shapes: Shapes) -> TextConfig:
    """The text encoder's configuration; its heads have 64 channels, as in every CLIP."""
    token = shapes.get("embeddings.token_embedding.weight", ())
    position = shapes.get("embeddings.position_embedding.weight", ())
    numbered = re.compile(r"encoder\.layers\.(\d{1,4})\.(mlp\.fc1\.)?")
    found = [(m, shape) for name, shape in shapes.items() if (m := numbered.match(name))]
    layers = {int(match[1]) for match, _ in found}
    hidden = [shape[0] for match, shape in found if match[2] and shape]
    if not layers or not hidden:
        raise CheckpointError("the text encoder has no layers that CLIP's text transformer has")
    if len(layers) > MOST["layers"]:
        raise CheckpointError(
            f"the text encoder has {len(layers)} layers; CLIP's has 12, and OpenCLIP's 24"
        )
    default = TextConfig()
    norm = shapes.get("final_layer_norm.weight") or (default.width,)
    vocab, width = token if len(token) == 2 else (default.vocab, norm[0])
    if width in OPEN_CLIP:
        default = replace(default, activation="gelu", padding=0)
    return replace(
        default,
        vocab=vocab,
        width=width,
        layers=len(layers),
        heads=max(1, width // 64),
        hidden=hidden[0],
        positions=position[0] if len(position) == 2 else default.positions,
    )


def _bounded(what: str, levels: list[list[int]]) -> None:
    """Raises CheckpointError for more levels and blocks than a network of this family can have."""
    blocks = max(map(len, levels))
    if len(levels) > MOST_LEVELS or blocks > MOST["blocks"]:
        raise CheckpointError(
            f"the {what} has {counted(len(levels), 'level')} of up to "
            f"{counted(blocks, 'block')}; at most {MOST_LEVELS} of {MOST['blocks']} are built, "
            "and Stable Diffusion has 4 of 2"
        )


def _check_ranges(config: ModelConfig) -> None:
    """Raises CheckpointError for sizes that no network has, or that could be of any size."""
    unet, vae, text = config.unet, config.vae, config.text
    for name, value, low, high in (
        ("text.positions", text.positions, 3, MOST["positions"]),  # a start, a token, an end
        ("text.padding", text.padding, -1, text.vocab - 1),
        ("noise.steps", config.noise.steps, 2, MOST["steps"]),
        ("unet.out_channels", unet.out_channels, 1, None),
        ("unet.context_dim", unet.context_dim, 1, None),
        ("unet.channels", min(unet.channels), 1, None),
        ("vae.channels", min(vae.channels), 1, None),
        ("text.vocab", text.vocab, 1, None),
        ("text.hidden", text.hidden, 1, None),
    ):
        if value < low or (high is not None and value > high):
            most = "or more" if high is None else f"to {high:,}"
            raise CheckpointError(f"{name} is {checks.shown(value)}; expected {low} {most}")
    if not vae.scale > 0:  # latents are divided by it
        raise CheckpointError(f"vae.scale is {vae.scale}; expected more than 0, as 0.18215")


def _check(config: ModelConfig) -> None:
    """Raises CheckpointError for numbers with which the networks could not be built or joined."""
    _check_ranges(config)
    unet, vae, text = config.unet, config.vae, config.text
    usual = ModelConfig()
    ordinary = replace(text, layer=usual.text.layer, normed=usual.text.normed, pooled=0)
    if config.text_2 != usual.text_2 or text != ordinary:
        raise CheckpointError(
            "text_2, text.layer, text.normed and text.pooled describe Stable Diffusion XL; sdnb "
            "runs 1.x and 2.x"
        )
    if unet.added_dim:
        raise CheckpointError(
            f"the denoiser adds conditions {unet.added_dim} wide to its times, as Stable Diffusion "
            "XL does; sdnb runs 1.x and 2.x"
        )
    for section, name, widths in (
        ("unet", "groups", unet.channels),
        ("vae", "groups", vae.channels),
        ("unet", "head_width" if unet.head_width else "heads", unet.channels),
        ("text", "heads", (text.width,)),
    ):
        count = getattr(getattr(config, section), name)
        for width in widths:
            if count < 1 or width % count:
                raise CheckpointError(
                    f"{section}.{name} is {count}, which does not divide the width {width}. The "
                    "weights' shapes cannot show this number: give it in a YAML (config=...), as "
                    f"`{section}: {{{name}: N}}`"
                )
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
