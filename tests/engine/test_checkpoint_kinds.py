"""Files that people take for a model: each error says what the file is and what to do."""

from __future__ import annotations

import pytest
import torch
from helpers import tiny_checkpoints as tiny

from sdnb.engine.checkpoint import CheckpointError, read
from sdnb.engine.checkpoint.names import unet_table, vae_table
from sdnb.engine.networks.config import TINY_VAE, UNetConfig, VAEConfig
from sdnb.headers.kinds import other_kind

CROSS = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
SD1 = {CROSS: (640, 768), "first_stage_model.quant_conv.bias": (8,)}
SD2 = {**SD1, CROSS: (640, 1024), "cond_stage_model.model.positional_embedding": (77, 1024)}
KOHYA = "lora_unet_down_blocks_0_attentions_0_proj_in"

# names and shapes as those programs write them -> what the error must say
FILES = {
    "kohya": ({f"{KOHYA}.lora_down.weight": (4, 320), f"{KOHYA}.alpha": ()}, "a LoRA"),
    "kohya, text only": ({"lora_te_text_model_layers_0.lora_up.weight": (768, 4)}, "a LoRA"),
    "peft": ({"base_model.model.down_blocks.0.to_q.lora_A.weight": (4, 320)}, "a LoRA"),
    "diffusers": ({"unet.down_blocks.0.attentions.0.to_q.lora.down.weight": (4, 320)}, "a LoRA"),
    "diffusers, old": (
        {"down_blocks.0.attn1.processor.to_q_lora_linear_layer.up.weight": (320, 4)},
        "a LoRA",
    ),
    "XL LoRA": ({"lora_te2_text_model_layers_0.lora_down.weight": (4, 1280)}, "a LoRA"),
    "LoHa": ({"unet_mid_block.hada_w1_a": (4, 4)}, "a LyCORIS"),
    "A1111 embedding": ({"emb_params": (4, 768)}, "a textual inversion"),
    "learned_embeds": ({"<cat-toy>": (768,)}, "a textual inversion"),
    "ControlNet": ({"control_model.time_embed.0.weight": (1280, 320)}, "a ControlNet"),
    "ControlNet, diffusers": (
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "conv_in.bias": (320,)},
        "a ControlNet",
    ),
    "IP-Adapter": ({"ip_adapter.1.to_k_ip.weight": (320, 768)}, "an IP-Adapter"),
    "motion": (
        {"down_blocks.0.motion_modules.0.temporal_transformer.norm.bias": (320,)},
        "an AnimateDiff",
    ),
    "SD 2 depth": ({**SD2, "depth_model.model.scratch.a": (1,)}, "2's depth to image"),
    "x4 upscaler": (
        {**SD2, "model.diffusion_model.label_emb.weight": (1000, 1024)},
        "the Stable Diffusion x4 upscaler",
    ),
    "unCLIP": (
        {**SD2, "embedder.model.a": (1,), "model.diffusion_model.label_emb.0.0.weight": (1, 1)},
        "a Stable unCLIP",
    ),
    "SDXL": (
        {**SD1, CROSS: (640, 2048), "conditioner.embedders.0.transformer.text_model.a": (1,)},
        "a Stable Diffusion XL model",
    ),
    "SDXL UNet": ({"model.diffusion_model.label_emb.0.0.weight": (1280, 2816)}, "Diffusion XL"),
    "SDXL UNet, diffusers": ({"add_embedding.linear_1.weight": (1280, 2816)}, "Diffusion XL"),
    "SD 3": ({"model.diffusion_model.joint_blocks.0.x_block.qkv.weight": (1, 1)}, "Diffusion 3"),
    "Flux": ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,)}, "a Flux model"),
    "Flux, prefixed": ({"model.diffusion_model.double_blocks.0.img_mod.lin.bias": (1,)}, "a Flux"),
    "Cascade": ({"clip_txt_pooled_mapper.weight": (1, 1)}, "a Stable Cascade model"),
    "PixArt": ({"transformer_blocks.0.attn1.to_q.weight": (1152, 1152)}, "transformer model"),
    "ESRGAN": ({"conv_first.weight": (64, 3, 3, 3)}, "an upscaler"),
    "safety": ({"concept_embeds": (17, 768), "vision_model.a": (1,)}, "a safety checker"),
    "VAE": ({row.compvis: row.shape for row in vae_table(VAEConfig())}, "a VAE alone.*vae="),
    "tiny VAE": ({row.compvis: row.shape for row in vae_table(TINY_VAE)}, "a tiny auto.*vae="),
    "tiny decoder": ({"1.weight": (64, 4, 3, 3), "3.conv.0.bias": (64,)}, "a tiny autoencoder"),
    "VAE, diffusers": ({row.diffusers: row.shape for row in vae_table(VAEConfig())}, "a VAE alone"),
    "UNet": ({row.compvis: row.shape for row in unet_table(UNetConfig())}, "a UNet alone"),
    "UNet, diffusers": (
        {row.diffusers: row.shape for row in unet_table(UNetConfig())},
        "a UNet alone",
    ),
    "CLIP": ({"text_model.final_layer_norm.bias": (768,)}, "a text encoder alone"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_the_names_and_shapes_show(tmp_path, name):
    shapes, message = FILES[name]
    small = {n: torch.zeros(()).expand(shape) for n, shape in shapes.items()}  # no memory
    torch.save(small, tmp_path / "model.ckpt")
    with pytest.raises(CheckpointError, match=rf"model\.ckpt is .*{message}"):
        read(tmp_path / "model.ckpt")


def test_embeddings_as_a1111_pickles_them(tmp_path):
    content = {
        "string_to_token": {"*": 265},
        "string_to_param": torch.nn.ParameterDict({"*": torch.zeros(2, 768)}),
        "name": "cat",
        "step": 100,
    }
    torch.save(content, tmp_path / "cat.pt")
    with pytest.raises(CheckpointError, match="a textual inversion"):
        read(tmp_path / "cat.pt")


def test_hypernetworks(tmp_path):
    torch.save({768: [{}, {}], 320: [{}, {}], "step": 1}, tmp_path / "h.pt")
    with pytest.raises(CheckpointError, match="a hypernetwork"):
        read(tmp_path / "h.pt")


def test_a_folder_of_a_lora(tmp_path):
    tiny.safetensors(
        tmp_path / "pytorch_lora_weights.safetensors", {"a.lora_A.weight": torch.ones(1)}
    )
    with pytest.raises(CheckpointError, match=r"its own path.*pytorch_lora_weights"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("channels", "message"), [(8, "InstructPix2Pix"), (5, "depth"), (7, "the x4")]
)
def test_denoisers_of_other_inputs(tmp_path, channels, message):
    parts = tiny.weights()
    parts["unet"]["input_blocks.0.0.weight"] = torch.zeros(32, channels, 3, 3)
    with pytest.raises(CheckpointError, match=rf"takes {channels} channels \({message}"):
        read(tiny.ckpt(tmp_path / "a.ckpt", parts))


def test_models_of_the_family_are_nothing_else():
    for state in (tiny.compvis(tiny.weights()), {f"unet.{n}": t for n, t in SD1.items()}, SD2):
        assert (
            other_kind({name: tuple(getattr(t, "shape", t)) for name, t in state.items()}) is None
        )
