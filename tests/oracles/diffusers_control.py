"""diffusers' ControlNetModel and T2IAdapter of any configuration, on given weights.

A ControlNet's names are translated by diffusers' own converter, and back, as kohya-ss' script does,
by `kohya_name`; a T2I-Adapter's by the two rules in `t2i_name`, since diffusers has none for them.
"""

from __future__ import annotations

import re

import torch
from diffusers import ControlNetModel, T2IAdapter
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from torch import Tensor

from oracles.diffusers_models import linear
from sdnb.engine.networks.controlnet import ControlNetConfig
from sdnb.engine.networks.t2i_adapter import T2IAdapterConfig


def controlnet(
    config: ControlNetConfig,
    weights: dict[str, Tensor],
    *,
    as_linear: bool = False,
    **options: bool,
) -> ControlNetModel:
    unet, levels = config.unet, range(len(config.unet.channels))
    down = ["CrossAttnDownBlock2D" if i in unet.attention_levels else "DownBlock2D" for i in levels]
    width = unet.head_width
    with torch.device("meta"):
        model = ControlNetModel(
            in_channels=unet.in_channels,
            block_out_channels=unet.channels,
            layers_per_block=unet.blocks,
            down_block_types=tuple(down),
            cross_attention_dim=unet.context_dim,
            attention_head_dim=tuple(c // width for c in unet.channels) if width else unet.heads,
            norm_num_groups=unet.groups,
            use_linear_projection=as_linear,
            conditioning_embedding_out_channels=config.hint_widths,
            **options,
        )
    weights = linear(weights) if as_linear else weights
    prefixed = {f"control_model.{name}": weight for name, weight in weights.items()}
    converted = convert_controlnet_checkpoint(prefixed, model.config)
    # diffusers' converter knows the ends of the hint's encoder by the number that SD's has.
    ends = {"conv_in": 0, "conv_out": 4 * len(config.hint_widths) - 2}
    for end, n in ends.items():
        for leaf in ("weight", "bias"):
            name = f"controlnet_cond_embedding.{end}.{leaf}"
            converted[name] = weights[f"input_hint_block.{n}.{leaf}"]
    wanted = model.state_dict().keys()
    model.load_state_dict({n: w for n, w in converted.items() if n in wanted}, assign=True)
    return model.eval()


_LAYERS = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip


def kohya_name(name: str) -> str:
    """The name under which kohya-ss' script saves a weight of diffusers' ControlNetModel."""
    resnet = re.fullmatch(r"((?:down_blocks\.\d|mid_block)\.resnets\.\d)\.(\w+)\.(\w+)", name)
    if resnet:
        name = f"{resnet[1]}.{_LAYERS[resnet[2]]}.{resnet[3]}"
    rules = (
        (r"time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
        (r"conv_in", lambda _: "input_blocks.0.0"),
        (r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)", lambda m: (
            f"input_blocks.{3 * int(m[1]) + int(m[3]) + 1}.{int(m[2] == 'attentions')}")),
        (r"down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: (
            f"input_blocks.{3 * int(m[1]) + 3}.0.op")),
        (r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
        (r"mid_block\.attentions\.0", lambda _: "middle_block.1"),
        (r"controlnet_down_blocks\.(\d+)", lambda m: f"zero_convs.{m[1]}.0"),
        (r"controlnet_mid_block", lambda _: "middle_block_out.0"),
        (r"controlnet_cond_embedding\.conv_in", lambda _: "input_hint_block.0"),
        (r"controlnet_cond_embedding\.blocks\.(\d)", lambda m: (
            f"input_hint_block.{2 * int(m[1]) + 2}")),
        (r"controlnet_cond_embedding\.conv_out", lambda _: "input_hint_block.14"),
    )  # fmt: skip
    for pattern, ours in rules:
        if match := re.match(pattern, name):
            return ours(match) + name[match.end() :]
    raise KeyError(name)


def t2i(config: T2IAdapterConfig, weights: dict[str, Tensor]) -> T2IAdapter:
    model = T2IAdapter(
        in_channels=config.hint_channels,
        channels=list(config.channels[:-1] if config.light else config.channels),
        num_res_blocks=config.blocks,
        downscale_factor=config.factor,
        adapter_type="light_adapter" if config.light else "full_adapter",
    )
    model.load_state_dict({t2i_name(name, config): w for name, w in weights.items()}, assign=True)
    return model.eval()


def t2i_name(name: str, config: T2IAdapterConfig) -> str:
    """diffusers' name of a weight of an adapter."""
    if config.light:
        return "adapter." + re.sub(r"(body\.\d)\.body\.", r"\1.resnets.", name)

    def renamed(match: re.Match[str]) -> str:
        level, block = divmod(int(match[1]), config.blocks)
        inner = "" if match[2] == "in_conv" else f"resnets.{block}."
        return f"body.{level}.{inner}{match[2]}"

    return "adapter." + re.sub(r"body\.(\d)\.(\w+)", renamed, name)
