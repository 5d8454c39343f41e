"""A ControlNet of random fp16 weights for a model of any shapes, in diffusers' folder, which both
sides of a benchmark read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: How much the network's maps weigh beside the UNet's, which are of order one.
_ZERO_CONVS = 0.3


def write(folder: Path, config: Any = None, device: str = "cpu") -> Path:
    """Write the network for a model of this configuration (default: SD 1.4's) into `folder`, and
    return that. Numbers are scaled as `random_sd` scales them, so that they stay of order one.
    """
    import torch
    from safetensors.torch import save_file

    from sdnb.engine.checkpoint import names
    from sdnb.engine.networks.config import ModelConfig
    from sdnb.engine.networks.controlnet import ControlNetConfig

    unet = (config or ModelConfig()).unet
    hint_widths = ControlNetConfig().hint_widths
    generator = torch.Generator(device).manual_seed(5)
    tensors = {}
    for row in names.controlnet_table(unet, hint_widths):
        noise = torch.randn(row.shape, generator=generator, device=device)
        if len(row.shape) > 1:
            noise *= noise[0].numel() ** -0.5
        else:
            noise = 0.1 * noise + (1.0 if row.compvis.endswith("weight") else 0.0)
        if row.compvis.startswith(("zero_convs", "middle_block_out")):
            noise *= _ZERO_CONVS
        tensors[row.diffusers] = noise.half().cpu()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    attends = unet.attention_levels
    blocks = ["CrossAttnDownBlock2D" if n in attends else "DownBlock2D"
              for n in range(len(unet.channels))]  # fmt: skip
    said = {
        "_class_name": "ControlNetModel",
        "in_channels": 4,
        "block_out_channels": unet.channels,
        "layers_per_block": unet.blocks,
        "down_block_types": blocks,
        "cross_attention_dim": unet.context_dim,
        "attention_head_dim": unet.heads,
        "norm_num_groups": unet.groups,
        "conditioning_embedding_out_channels": hint_widths,
    }
    (folder / "config.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    return folder
