"""A folder of AUTOMATIC1111 with tiny files of every kind, and some that are damaged."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from helpers import hostile_checkpoints as hostile

TAGS = {"10_pixel": {"pixelart": 30, "castle": 12}, "5_more": {"pixelart": 2, "fog": 20}}
METADATA = {
    "ss_output_name": "pixelart-final", "ss_network_dim": "4", "ss_base_model_version": "sd_v1",
    "ss_tag_frequency": json.dumps(TAGS), "modelspec.trigger_phrase": "in pixels, retro",
}  # fmt: skip
Q = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
K = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


class Expected(NamedTuple):
    """What a library says of a file; `why_not` is a word of its reason, "" for a usable one."""

    kind: str
    family: str = ""
    base: str = ""
    width: int = 0
    rank: int = 0
    why_not: str = ""


def kohya(width: int = 768, rank: int = 4, module: str = f"lora_unet_{K}") -> hostile.Shapes:
    return {
        f"{module}.lora_down.weight": (rank, width),
        f"{module}.lora_up.weight": (320, rank),
        f"{module}.alpha": (),
    }


def lycoris(module: str, **parts: tuple[int, ...]) -> hostile.Shapes:
    return {f"{module}.{part.replace('__', '.')}": shape for part, shape in parts.items()}


_UNET_K = f"lora_unet_{K}"
_PEFT = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
_WHOLE = hostile.shapes()
_SDXL = {"conditioner.embedders.0.x": (1,), "model.diffusion_model.label_emb.0.0.weight": (1,)}

# Path in the folder -> the shapes in the file, and what it is.
SHAPED: dict[str, tuple[hostile.Shapes, Expected]] = {
    "models/Stable-diffusion/small.safetensors": (_WHOLE, Expected("checkpoint", width=64)),
    "models/Stable-diffusion/xl/pony.safetensors": (
        _SDXL, Expected("checkpoint", "", "sdxl", why_not="Stable Diffusion XL")),
    "models/Stable-diffusion/flux1-dev.safetensors": (
        {"double_blocks.0.img_attn.qkv.weight": (1,)},
        Expected("checkpoint", "", "flux", why_not="Flux")),
    "models/Stable-diffusion/pix2pix.safetensors": (
        {**_WHOLE, "model.diffusion_model.input_blocks.0.0.weight": (32, 8, 3, 3)},
        Expected("checkpoint", width=64, why_not="InstructPix2Pix")),
    "models/Lora/styles/sd2.safetensors": (
        kohya(1024, 8), Expected("lora", "lora", "sd2", 1024, 8)),
    "models/Lora/xl.safetensors": (
        kohya(2048, 16), Expected("lora", "lora", "sdxl", 2048, 16, "Stable Diffusion XL")),
    "models/Lora/flux.safetensors": (
        kohya(64, 4, "lora_unet_double_blocks_0_img_attn_qkv"),
        Expected("lora", "lora", "flux", 0, 4, "Flux")),
    "models/Lora/wan.safetensors": (
        kohya(64, 4, "diffusion_model.blocks.0.self_attn.q"),
        Expected("lora", "lora", "", 0, 4, "does not run")),
    "models/Lora/peft.safetensors": (
        {f"{_PEFT}.lora_A.weight": (2, 768), f"{_PEFT}.lora_B.weight": (320, 2)},
        Expected("lora", "lora", "sd1", 768, 2)),
    "models/Lora/old-diffusers.safetensors": (
        {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight":
            (3, 768)}, Expected("lora", "lora", "sd1", 768, 3)),
    "models/Lora/text-only.safetensors": (
        kohya(768, 4, "lora_te_text_model_encoder_layers_0_self_attn_q_proj"),
        Expected("lora", "lora", "sd1", 768, 4)),
    "models/LyCORIS/locon.safetensors": (
        {**kohya(), "lora_unet_conv_in.lora_down.weight": (4, 4, 3, 3)},
        Expected("lora", "locon", "sd1", 768, 4)),
    "models/LyCORIS/loha.safetensors": (
        lycoris(_UNET_K, hada_w1_a=(320, 6), hada_w1_b=(6, 768), hada_w2_a=(320, 6),
                hada_w2_b=(6, 768)), Expected("lora", "loha", "sd1", 768, 6)),
    "models/LyCORIS/lokr.safetensors": (
        lycoris(_UNET_K, lokr_w1=(20, 24), lokr_w2_a=(16, 5), lokr_w2_b=(5, 32)),
        Expected("lora", "lokr", "sd1", 768, 5)),
    "models/LyCORIS/dora.safetensors": (
        {**kohya(), f"{_UNET_K}.dora_scale": (1, 768)}, Expected("lora", "dora", "sd1", 768, 4)),
    "models/LyCORIS/full.safetensors": (
        lycoris(_UNET_K, diff=(320, 768)), Expected("lora", "full", "sd1", 768)),
    "models/LyCORIS/oft.safetensors": (
        lycoris(f"oft_unet_{K}", oft_blocks=(4, 80, 80)),
        Expected("lora", "oft", why_not="an OFT")),
    "models/LyCORIS/boft.safetensors": (
        lycoris(_UNET_K, oft_blocks=(2, 4, 80, 80)), Expected("lora", "boft", why_not="a BOFT")),
    "models/LyCORIS/ia3.safetensors": (
        lycoris(_UNET_K, weight=(768,), on_input=()), Expected("lora", "ia3", why_not="an IA3")),
    "models/LyCORIS/glora.safetensors": (
        lycoris(_UNET_K, a1__weight=(768, 4), a2__weight=(4, 768), b1__weight=(320, 4),
                b2__weight=(4, 768)), Expected("lora", "glora", why_not="a GLoRA")),
    "models/LyCORIS/cloneofsimo.safetensors": (
        {"unet:0:up": (320, 4), "unet:0:down": (4, 768)},
        Expected("lora", "cloneofsimo", why_not="cloneofsimo")),
    "models/VAE/kl.safetensors": (
        {n: s for n, s in _WHOLE.items() if n.startswith("first_stage_model.")}, Expected("vae")),
    "models/VAE-approx/taesd.safetensors": (
        {"taesd_encoder.1.conv.0.bias": (64,), "taesd_decoder.1.weight": (64, 4, 3, 3),
         "vae_scale": ()}, Expected("vae", "tiny")),
    "models/VAE-approx/taesd_decoder.safetensors": (
        {"1.weight": (64, 4, 3, 3), "3.conv.2.bias": (64,)}, Expected("vae", "tiny decoder")),
    "models/VAE-approx/tae_of_a_pair_decoder.safetensors": (
        {"1.weight": (64, 4, 3, 3), "3.conv.2.bias": (64,)}, Expected("vae", "tiny decoder")),
    "models/VAE-approx/any.safetensors": (
        {"0.weight": (64, 3, 3, 3), "1.conv.0.bias": (64,), "14.weight": (16, 64, 3, 3)},
        Expected("vae", "tiny encoder", why_not="latents have 16 channels")),
    "models/VAE-approx/taef1.safetensors": (
        {"encoder.layers.1.conv.0.bias": (64,), "decoder.layers.0.weight": (64, 16, 3, 3)},
        Expected("vae", "tiny", why_not="latents have 16 channels")),
    "models/ControlNet/canny.safetensors": (
        {"control_model.input_hint_block.0.weight": (16, 3, 3, 3),
         "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
        Expected("control", "controlnet", "sd1", 768)),
    "models/ControlNet/diffusers/diffusion_pytorch_model.safetensors": (
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)},
        Expected("control", "controlnet")),
    "models/ControlNet/t2i.safetensors": (
        {"conv_in.weight": (320, 192, 3, 3), "body.0.block1.weight": (320, 320, 3, 3)},
        Expected("control", "t2i-adapter")),
    "models/ControlNet/control-lora.safetensors": (
        {"lora_controlnet": (0,), "input_blocks.1.0.in_layers.2.up": (320, 128)},
        Expected("control", "control-lora")),
    "models/ControlNet/whole-sd-1.0.pth.safetensors": (
        {**_WHOLE, "control_model.zero_convs.0.0.weight": (32, 32, 1, 1)},
        Expected("control", "controlnet", width=64)),
    "models/ControlNet/sd2-control-lora.safetensors": (
        {"lora_controlnet": (0,),
         "input_blocks.1.1.transformer_blocks.0.attn2.to_k.down": (64, 1024)},
        Expected("control", "control-lora", "sd2", 1024)),
    "models/ControlNet/xl.safetensors": (
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
         "add_embedding.linear_1.weight": (1280, 2816)},
        Expected("control", "controlnet", "sdxl", why_not="Stable Diffusion XL")),
    "models/ControlNet/t2i-xl.safetensors": (
        {"adapter.conv_in.weight": (320, 768, 3, 3),
         "adapter.body.0.resnets.0.block1.weight": (320, 320, 3, 3)},
        Expected("control", "t2i-adapter", "sdxl", why_not="Stable Diffusion XL")),
    "models/ControlNet/union.safetensors": (
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "task_embedding": (6, 320)},
        Expected("control", "controlnet-union", why_not="a union")),
    "models/ControlNet/flux.safetensors": (
        {"controlnet_blocks.0.weight": (1,), "transformer_blocks.0.attn.to_q.weight": (1,)},
        Expected("control", "controlnet-transformer", why_not="Flux")),
    "models/ControlNet/lllite.safetensors": (
        {"lllite_unet_input_blocks_7_1_attn1_to_k.down.0.weight": (1,)},
        Expected("control", "control-lllite", why_not="LLLite")),
    "models/ControlNet/xs.safetensors": (
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
         "mid_block.ctrl_to_base.weight": (320, 1, 1, 1)},
        Expected("control", "controlnet-xs", why_not="ControlNet-XS")),
    "models/ControlNet/brush.safetensors": (
        {"brushnet_down_blocks.0.weight": (320, 320, 1, 1)},
        Expected("control", "brushnet", why_not="BrushNet")),
    "models/ControlNet/style.safetensors": (
        {"style_embedding": (1, 8, 1024)},
        Expected("control", "t2i-style", why_not="CLIP's network for pictures")),
    "models/ControlNet/ip.safetensors": (
        {"ip_adapter.1.to_k_ip.weight": (320, 768)},
        Expected("control", "ip-adapter", why_not="an IP-Adapter")),
    "embeddings/easynegative.safetensors": (
        {"emb_params": (8, 768)}, Expected("embedding", "", "sd1", 768, 8)),
    "embeddings/of-two.safetensors": (
        {"emb_params": (2, 1024)}, Expected("embedding", "", "sd2", 1024, 2)),
    "embeddings/for-xl.safetensors": (
        {"clip_l": (2, 768), "clip_g": (2, 1280)},
        Expected("embedding", "", "sdxl", 768, 4, "Stable Diffusion XL")),
    "embeddings/half-of-xl.safetensors": (
        {"clip_l": (2, 768)}, Expected("embedding", "", "sd1", 768, 2)),
    "embeddings/too-wide.safetensors": (
        {"emb_params": (1, 1280)}, Expected("embedding", "", "", 1280, 1, "1280 wide")),
    "models/ESRGAN/4x.safetensors": (
        {"conv_first.weight": (64, 3, 3, 3)}, Expected("other", why_not="an upscaler")),
}  # fmt: skip

# What is written otherwise.
OTHERS: dict[str, Expected] = {
    "models/Lora/pixelart.safetensors": Expected("lora", "lora", "sd1", 768, 4),
    "models/Lora/pickled.pt": Expected("lora", "lora", "sd1", 768, 4),
    "models/VAE/kl.vae.pt": Expected("vae"),
    "embeddings/a1111.pt": Expected("embedding", "", "sd1", 768, 3),
    "embeddings/learned_embeds.bin": Expected("embedding", "", "sd1", 768, 1),
    "embeddings/two.bin": Expected("embedding", "", "sd1", 768, 3),
    "embeddings/picture.png": Expected("embedding", "", "sd1", 768, 2),
    "embeddings/pixels.webp": Expected("embedding", "", "sd1", 768, 2),
    "models/hypernetworks/hyper.pt": Expected("other", why_not="a hypernetwork"),
    "models/Lora/optimizer.pt": Expected("other", why_not="the state of a training"),
    "models/Lora/half.safetensors": Expected("lora", "unread", why_not="truncated"),
    "models/Lora/empty.safetensors": Expected("lora", "unread", why_not="empty"),
    "models/Lora/page.safetensors": Expected("lora", "unread", why_not="a web page"),
    "models/Lora/lost.safetensors": Expected("lora", "unread", why_not="not there"),
    "models/Lora/going.safetensors.part": Expected("lora", "unread", why_not="did not finish"),
    "models/Lora/pointer.ckpt": Expected("lora", "unread", why_not="git-lfs pointer"),
    "models/Stable-diffusion/quantised.gguf": Expected("other", "unread", why_not="GGUF"),
}
EXPECTED = {**{name: expected for name, (_, expected) in SHAPED.items()}, **OTHERS}


def build(folder: Path) -> Path:
    """Write all of it into `folder`, beside pictures and texts that are no weights."""
    for name, (shapes, _) in SHAPED.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        hostile.headed(path, *hostile.laid_out(shapes))
    _write_loras(folder / "models" / "Lora")
    vae = {
        name: torch.zeros(shape) for name, shape in SHAPED["models/VAE/kl.safetensors"][0].items()
    }
    torch.save({"state_dict": vae}, folder / "models" / "VAE" / "kl.vae.pt")
    _write_embeddings(folder / "embeddings")
    hyper = folder / "models" / "hypernetworks"
    hyper.mkdir()
    torch.save({768: ({"linear.0.weight": torch.zeros(2, 2)},), "name": "h"}, hyper / "hyper.pt")
    (folder / "models" / "Stable-diffusion" / "quantised.gguf").write_bytes(b"GGUF" + bytes(40))
    Image.new("RGB", (8, 8)).save(folder / "models" / "Lora" / "pixelart.preview.png")
    (folder / "models" / "Lora" / "pixelart.txt").write_text("a note", "utf-8")
    (folder / "outputs").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "outputs" / "00001.png")
    return folder


def _write_loras(folder: Path) -> None:
    lora = {name: torch.zeros(shape) for name, shape in kohya().items()}
    save_file(lora, folder / "pixelart.safetensors", metadata=METADATA)
    torch.save(lora, folder / "pickled.pt")
    torch.save({"state": {0: {"step": 1}}, "param_groups": [{"lr": 1}]}, folder / "optimizer.pt")
    whole = (folder / "pixelart.safetensors").read_bytes()
    (folder / "half.safetensors").write_bytes(whole[:-100])
    (folder / "empty.safetensors").touch()
    (folder / "page.safetensors").write_text("<!doctype html><p>Log in</p>", "utf-8")
    (folder / "lost.safetensors").symlink_to(folder / "gone.safetensors")
    (folder / "going.safetensors.part").write_bytes(whole[:50])
    (folder / "pointer.ckpt").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n", "utf-8"
    )


def _write_embeddings(folder: Path) -> None:
    torch.save(
        {
            "string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(3, 768)},
            "name": "inner", "step": 100, "sd_checkpoint": "7460a6fa",
        },
        folder / "a1111.pt",
    )  # fmt: skip
    torch.save({"<cat-toy>": torch.ones(768)}, folder / "learned_embeds.bin")
    torch.save([{"a": torch.ones(768)}, {"b": torch.ones(2, 768)}], folder / "two.bin")
    picture(folder / "picture.png", torch.ones(2, 768))
    pixels(folder / "pixels.webp", torch.ones(2, 768))
    picture(folder / "a1111.preview.png", torch.ones(1, 768))  # the web UI passes it over


def picture(path: Path, vectors: torch.Tensor) -> Path:
    """A PNG with an embedding in a text chunk, as AUTOMATIC1111 writes it."""
    texts = PngInfo()
    texts.add_text("sd-ti-embedding", base64.b64encode(_as_json(vectors, "FogMachine")).decode())
    Image.new("RGB", (8, 8)).save(path, pnginfo=texts)
    return path


def pixels(path: Path, vectors: torch.Tensor, border: int = 0) -> Path:
    """A picture with an embedding in its pixels: the low halves of a packed JSON's bytes in columns
    left of a picture, the high halves right of it, each behind a black column.
    """
    packed = np.frombuffer(zlib.compress(_as_json(vectors, "pixels"), 9), np.uint8)
    height = 64
    packed = np.resize(packed, -(-len(packed) // (3 * height)) * 3 * height)
    state, numbers = 0, []
    for _ in packed:
        state = (1664525 * state + 1013904223) % (1 << 32)
        numbers.append(state % 255 % 16)
    style = 0xA0  # the four high bits may be anything that is not black
    low = (packed % 16 ^ np.array(numbers)) + style
    high = (packed // 16 ^ np.array(numbers)) + style
    line = np.zeros((height, 1, 3))
    inside = np.full((height, 30, 3), 200)
    blocks = [low.reshape(height, -1, 3), line, inside, line, high.reshape(height, -1, 3)]
    whole = np.pad(np.concatenate(blocks, 1), ((border,) * 2, (border,) * 2, (0, 0)))
    Image.fromarray(whole.astype(np.uint8)).save(path, lossless=True)
    return path


def _as_json(vectors: torch.Tensor, name: str) -> bytes:
    content = {"string_to_param": {"*": {"TORCHTENSOR": vectors.tolist()}}, "name": name}
    return json.dumps(content).encode()
