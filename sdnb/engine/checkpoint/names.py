"""The table of names: every tensor's name in CompVis, its name in diffusers, and its shape.

It is generated from the configuration, for any widths, counts and attention levels. The package
speaks CompVis (what a `.ckpt` holds); this table is all that diffusers' names need.

Sources: CompVis/stable-diffusion `openaimodel.py` and `ldm/modules/diffusionmodules/model.py`; the
names in diffusers are its `UNet2DConditionModel`'s and `AutoencoderKL`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sdnb.engine.networks.config import TextConfig, UNetConfig, VAEConfig

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One tensor. `flat`: a 1x1 convolution that some files store as a linear layer [out, in]."""

    compvis: str
    diffusers: str
    shape: Shape
    flat: bool = False


Rows = Iterator[Row]


def unet_table(config: UNetConfig) -> list[Row]:
    """The denoiser; 686 rows for SD 1.x."""
    return list(_unet(config))


def controlnet_table(config: UNetConfig, hint_widths: Sequence[int]) -> list[Row]:
    """A control network of that UNet, whose hint's encoder has these widths."""
    return list(_controlnet(config, hint_widths))


def vae_table(config: VAEConfig) -> list[Row]:
    """The autoencoder; 248 rows for SD 1.x, 134 for the tiny one."""
    return list(_tiny_vae(config) if config.tiny else _vae(config))


def text_table(config: TextConfig) -> list[Row]:
    """The text encoder, whose names are transformers' in every file (without `text_model.`)."""
    return list(_text(config))


# -- the layers --------------------------------------------------------------------------------
def _norm(ours: str, theirs: str, width: int) -> Rows:
    yield Row(f"{ours}.weight", f"{theirs}.weight", (width,))
    yield Row(f"{ours}.bias", f"{theirs}.bias", (width,))


def _linear(ours: str, theirs: str, inputs: int, outputs: int, bias: bool = True) -> Rows:
    yield Row(f"{ours}.weight", f"{theirs}.weight", (outputs, inputs))
    if bias:
        yield Row(f"{ours}.bias", f"{theirs}.bias", (outputs,))


def _conv(
    ours: str, theirs: str, inputs: int, outputs: int, *, size: int = 3, flat: bool = False,
    bias: bool = True,
) -> Rows:  # fmt: skip
    yield Row(f"{ours}.weight", f"{theirs}.weight", (outputs, inputs, size, size), flat)
    if bias:
        yield Row(f"{ours}.bias", f"{theirs}.bias", (outputs,))


# -- the denoiser ------------------------------------------------------------------------------
def _unet(config: UNetConfig) -> Rows:
    widths, blocks, first = config.channels, config.blocks, config.channels[0]
    yield from _linear("time_embed.0", "time_embedding.linear_1", first, 4 * first)
    yield from _linear("time_embed.2", "time_embedding.linear_2", 4 * first, 4 * first)
    if config.added_dim:
        yield from _linear("label_emb.0.0", "add_embedding.linear_1", config.added_dim, 4 * first)
        yield from _linear("label_emb.0.2", "add_embedding.linear_2", 4 * first, 4 * first)
    yield from _conv("input_blocks.0.0", "conv_in", config.in_channels, first)
    width, kept = first, [first]  # kept: the width of each input block, for the skip connections
    for level, wide in enumerate(widths):
        for block in range(blocks):
            ours, theirs = f"input_blocks.{len(kept)}", f"down_blocks.{level}"
            yield from _residual(f"{ours}.0", f"{theirs}.resnets.{block}", width, wide, config)
            if level in config.attention_levels:
                yield from _transformer(
                    f"{ours}.1", f"{theirs}.attentions.{block}", wide, config, level
                )
            width = wide
            kept.append(wide)
        if level < len(widths) - 1:
            ours, theirs = f"input_blocks.{len(kept)}.0.op", f"down_blocks.{level}.downsamplers.0"
            yield from _conv(ours, f"{theirs}.conv", wide, wide)
            kept.append(wide)
    yield from _residual("middle_block.0", "mid_block.resnets.0", width, width, config)
    yield from _transformer("middle_block.1", "mid_block.attentions.0", width, config, -1)
    yield from _residual("middle_block.2", "mid_block.resnets.1", width, width, config)
    for up, level in enumerate(reversed(range(len(widths)))):
        wide, attends = widths[level], level in config.attention_levels
        for block in range(blocks + 1):
            ours, theirs = f"output_blocks.{up * (blocks + 1) + block}", f"up_blocks.{up}"
            yield from _residual(
                f"{ours}.0", f"{theirs}.resnets.{block}", width + kept.pop(), wide, config
            )
            if attends:
                yield from _transformer(
                    f"{ours}.1", f"{theirs}.attentions.{block}", wide, config, level
                )
            width = wide
        if level > 0:
            yield from _conv(
                f"{ours}.{2 if attends else 1}.conv", f"{theirs}.upsamplers.0.conv", wide, wide
            )
    yield from _norm("out.0", "conv_norm_out", first)
    yield from _conv("out.2", "conv_out", first, config.out_channels)


def _residual(ours: str, theirs: str, inputs: int, outputs: int, config: UNetConfig) -> Rows:
    yield from _norm(f"{ours}.in_layers.0", f"{theirs}.norm1", inputs)
    yield from _conv(f"{ours}.in_layers.2", f"{theirs}.conv1", inputs, outputs)
    yield from _linear(
        f"{ours}.emb_layers.1", f"{theirs}.time_emb_proj", 4 * config.channels[0], outputs
    )
    yield from _norm(f"{ours}.out_layers.0", f"{theirs}.norm2", outputs)
    yield from _conv(f"{ours}.out_layers.3", f"{theirs}.conv2", outputs, outputs)
    if inputs != outputs:
        yield from _conv(
            f"{ours}.skip_connection", f"{theirs}.conv_shortcut", inputs, outputs, size=1
        )


def _transformer(ours: str, theirs: str, width: int, config: UNetConfig, level: int) -> Rows:
    yield from _norm(f"{ours}.norm", f"{theirs}.norm", width)
    yield from _conv(f"{ours}.proj_in", f"{theirs}.proj_in", width, width, size=1, flat=True)
    for n in range(config.depth_at(level)):
        block = f"transformer_blocks.{n}"
        yield from _transformer_block(f"{ours}.{block}", f"{theirs}.{block}", width, config)
    yield from _conv(f"{ours}.proj_out", f"{theirs}.proj_out", width, width, size=1, flat=True)


def _transformer_block(a: str, b: str, width: int, config: UNetConfig) -> Rows:
    for name, source in (("attn1", width), ("attn2", config.context_dim)):
        yield from _linear(f"{a}.{name}.to_q", f"{b}.{name}.to_q", width, width, bias=False)
        yield from _linear(f"{a}.{name}.to_k", f"{b}.{name}.to_k", source, width, bias=False)
        yield from _linear(f"{a}.{name}.to_v", f"{b}.{name}.to_v", source, width, bias=False)
        yield from _linear(f"{a}.{name}.to_out.0", f"{b}.{name}.to_out.0", width, width)
    yield from _linear(f"{a}.ff.net.0.proj", f"{b}.ff.net.0.proj", width, 8 * width)
    yield from _linear(f"{a}.ff.net.2", f"{b}.ff.net.2", 4 * width, width)
    for n in (1, 2, 3):
        yield from _norm(f"{a}.norm{n}", f"{b}.norm{n}", width)


# -- a control network -------------------------------------------------------------------------
def _controlnet(config: UNetConfig, hint_widths: Sequence[int]) -> Rows:
    half = ("time_embed.", "input_blocks.", "middle_block.")
    yield from (row for row in _unet(config) if row.compvis.startswith(half))
    for n, width in enumerate(_skips(config)):
        zero, named = f"zero_convs.{n}.0", f"controlnet_down_blocks.{n}"
        yield from _conv(zero, named, width, width, size=1, flat=True)
    last = config.channels[-1]
    yield from _conv("middle_block_out.0", "controlnet_mid_block", last, last, size=1, flat=True)
    hint = "controlnet_cond_embedding"
    yield from _conv("input_hint_block.0", f"{hint}.conv_in", 3, hint_widths[0])
    for n, (narrow, wide) in enumerate(pairwise(hint_widths)):
        ours, theirs = 2 + 4 * n, 2 * n
        yield from _conv(f"input_hint_block.{ours}", f"{hint}.blocks.{theirs}", narrow, narrow)
        yield from _conv(
            f"input_hint_block.{ours + 2}", f"{hint}.blocks.{theirs + 1}", narrow, wide
        )
    end = 4 * len(hint_widths) - 2
    yield from _conv(
        f"input_hint_block.{end}", f"{hint}.conv_out", hint_widths[-1], config.channels[0]
    )


def _skips(config: UNetConfig) -> Iterator[int]:
    """The width of each input block."""
    yield config.channels[0]
    for level, wide in enumerate(config.channels):
        last = level == len(config.channels) - 1
        yield from [wide] * (config.blocks + (not last))


# -- the autoencoder ---------------------------------------------------------------------------
def _vae(config: VAEConfig) -> Rows:
    widths, latent = config.channels, config.latent_channels
    width, wide = widths[0], widths[-1]
    yield from _conv("encoder.conv_in", "encoder.conv_in", 3, width)
    for level, outputs in enumerate(widths):
        ours, theirs = f"encoder.down.{level}", f"encoder.down_blocks.{level}"
        for block in range(config.blocks):
            yield from _vae_residual(
                f"{ours}.block.{block}", f"{theirs}.resnets.{block}", width, outputs
            )
            width = outputs
        if level < len(widths) - 1:
            yield from _conv(
                f"{ours}.downsample.conv", f"{theirs}.downsamplers.0.conv", width, width
            )
    yield from _vae_middle("encoder", wide)
    yield from _norm("encoder.norm_out", "encoder.conv_norm_out", wide)
    yield from _conv("encoder.conv_out", "encoder.conv_out", wide, 2 * latent)
    yield from _conv("quant_conv", "quant_conv", 2 * latent, 2 * latent, size=1)
    yield from _conv("post_quant_conv", "post_quant_conv", latent, latent, size=1)
    yield from _conv("decoder.conv_in", "decoder.conv_in", latent, wide)
    yield from _vae_middle("decoder", wide)
    width = wide
    # CompVis counts levels, diffusers steps up.
    for up, level in enumerate(reversed(range(len(widths)))):
        ours, theirs, outputs = f"decoder.up.{level}", f"decoder.up_blocks.{up}", widths[level]
        for block in range(config.blocks + 1):
            yield from _vae_residual(
                f"{ours}.block.{block}", f"{theirs}.resnets.{block}", width, outputs
            )
            width = outputs
        if level > 0:
            yield from _conv(f"{ours}.upsample.conv", f"{theirs}.upsamplers.0.conv", width, width)
    yield from _norm("decoder.norm_out", "decoder.conv_norm_out", widths[0])
    yield from _conv("decoder.conv_out", "decoder.conv_out", widths[0], 3)


def _vae_residual(ours: str, theirs: str, inputs: int, outputs: int) -> Rows:
    yield from _norm(f"{ours}.norm1", f"{theirs}.norm1", inputs)
    yield from _conv(f"{ours}.conv1", f"{theirs}.conv1", inputs, outputs)
    yield from _norm(f"{ours}.norm2", f"{theirs}.norm2", outputs)
    yield from _conv(f"{ours}.conv2", f"{theirs}.conv2", outputs, outputs)
    if inputs != outputs:
        yield from _conv(f"{ours}.nin_shortcut", f"{theirs}.conv_shortcut", inputs, outputs, size=1)


def _vae_middle(part: str, width: int) -> Rows:
    ours, theirs = f"{part}.mid", f"{part}.mid_block"
    yield from _vae_residual(f"{ours}.block_1", f"{theirs}.resnets.0", width, width)
    attention = f"{theirs}.attentions.0"
    yield from _norm(f"{ours}.attn_1.norm", f"{attention}.group_norm", width)
    for a, b in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        yield from _conv(f"{ours}.attn_1.{a}", f"{attention}.{b}", width, width, size=1, flat=True)
    yield from _vae_residual(f"{ours}.block_2", f"{theirs}.resnets.1", width, width)


# -- the tiny autoencoder ----------------------------------------------------------------------
def _tiny_vae(config: VAEConfig) -> Rows:
    """TAESD: layers by their numbers. Those of diffusers' decoder are one less, since the original
    counts the bound of the latents as a layer.
    """
    width, latent, blocks = config.channels[0], config.latent_channels, config.blocks
    halving, doubling = ["halve", *["block"] * blocks], ["block"] * blocks + ["double", "after"]
    levels = len(config.channels) - 1
    halves = {
        "encoder": ["first", "block", *halving * levels, "last"],
        "decoder": ["bound", "first", "relu", *doubling * levels, "block", "last"],
    }
    for half, layers in halves.items():
        inputs, outputs = (3, latent) if half == "encoder" else (latent, 3)
        for n, layer in enumerate(layers):
            ours, theirs = f"{half}.{n}", f"{half}.layers.{n - (half == 'decoder')}"
            if layer == "first":
                yield from _conv(ours, theirs, inputs, width)
            elif layer == "block":
                for part in (0, 2, 4):
                    yield from _conv(f"{ours}.conv.{part}", f"{theirs}.conv.{part}", width, width)
            elif layer in ("halve", "after"):
                yield from _conv(ours, theirs, width, width, bias=False)
            elif layer == "last":
                yield from _conv(ours, theirs, width, outputs)


OLD_VAE_ATTENTION = {  # diffusers before 0.17 -> now, inside `mid_block.attentions.0`
    ".attentions.0.query.": ".attentions.0.to_q.",
    ".attentions.0.key.": ".attentions.0.to_k.",
    ".attentions.0.value.": ".attentions.0.to_v.",
    ".attentions.0.proj_attn.": ".attentions.0.to_out.0.",
}


# -- the text encoder --------------------------------------------------------------------------
def _text(config: TextConfig) -> Rows:
    width = config.width
    for name, count in (("token", config.vocab), ("position", config.positions)):
        full = f"embeddings.{name}_embedding.weight"
        yield Row(full, full, (count, width))
    for layer in range(config.layers):
        base = f"encoder.layers.{layer}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _linear(f"{base}.self_attn.{name}", f"{base}.self_attn.{name}", width, width)
        yield from _norm(f"{base}.layer_norm1", f"{base}.layer_norm1", width)
        yield from _linear(f"{base}.mlp.fc1", f"{base}.mlp.fc1", width, config.hidden)
        yield from _linear(f"{base}.mlp.fc2", f"{base}.mlp.fc2", config.hidden, width)
        yield from _norm(f"{base}.layer_norm2", f"{base}.layer_norm2", width)
    yield from _norm("final_layer_norm", "final_layer_norm", width)
    if config.pooled:
        yield from _linear("text_projection", "text_projection", width, config.pooled, bias=False)
