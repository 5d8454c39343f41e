"""Diffusers folders: variants, shards, bin files, old names, configs, missing parts."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from helpers import tiny_checkpoints as tiny
from safetensors.torch import load, save_file

from sdnb.engine.checkpoint import CheckpointError, read


def test_as_diffusers_saves_it(folder, parts):
    checkpoint = read(folder)
    tiny.same(checkpoint, parts)
    assert checkpoint.config.unet == tiny.CONFIG.unet
    assert checkpoint.config.vae == tiny.CONFIG.vae
    assert checkpoint.config.text == tiny.CONFIG.text
    assert (checkpoint.config.settings.width, checkpoint.config.settings.height) == (512, 512)
    assert (checkpoint.name, checkpoint.tokenizer, checkpoint.notes) == (
        "model",
        folder / "tokenizer",
        [],
    )


def test_a_folder_without_a_vae_takes_one_and_asks_for_it(folder, parts):
    (folder / "vae").rename(folder.parent / "vae")
    tiny.same(read(folder, vae=folder.parent / "vae"), parts)
    with pytest.raises(CheckpointError, match=r"has no VAE. Give one: load\(.*vae=") as error:
        read(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"version https://git-lfs.github.com/spec/v1"])
def test_a_vae_that_cannot_be_read_is_not_needed_where_one_is_given(folder, parts, content):
    shutil.copytree(folder / "vae", folder.parent / "vae")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    if content is not None:
        weights.write_bytes(content)
    checkpoint = read(folder, vae=folder.parent / "vae")
    tiny.same(checkpoint, parts)
    assert any("its own VAE is not needed" in note for note in checkpoint.notes)
    with pytest.raises(CheckpointError):
        read(folder)


def test_json_with_a_byte_order_mark(folder, parts):
    for file in ("model_index.json", "unet/config.json", "vae/config.json"):
        text = (folder / file).read_text("utf-8")
        (folder / file).write_text(text, "utf-8-sig")
    tiny.same(read(folder), parts)


def test_by_a_relative_path(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert read(".").name == "model"


def test_variants(tmp_path, parts):
    path = tiny.folder(tmp_path / "model", parts, variant="fp16")
    checkpoint = read(path)
    tiny.same(checkpoint, parts)
    assert checkpoint.notes == [
        f"{part}: only its variant fp16 is there, and is used"
        for part in ("unet", "vae", "text_encoder")
    ]
    weights = "diffusion_pytorch_model.safetensors"
    (path / "unet" / weights.replace(".", ".fp16.")).rename(path / "unet" / weights)
    assert len(read(path).notes) == 2


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards(tmp_path, parts, variant):
    path = tiny.folder(tmp_path / "m", parts, max_shard_size="300KB", variant=variant)
    assert len(list((path / "unet").glob("*-of-*"))) > 2
    tiny.same(read(path), parts)
    next((path / "unet").glob("*-of-*")).unlink()
    with pytest.raises(CheckpointError, match=r"lacks diffusion_pytorch_model\S*-of-"):
        read(path)


def test_bin_files(folder, parts):
    for name, part in (("unet", "unet"), ("vae", "vae")):
        (folder / name / "diffusion_pytorch_model.safetensors").unlink()
        state = tiny.diffusers_names(parts)[part]
        torch.save(state, folder / name / "diffusion_pytorch_model.bin")
    (folder / "text_encoder" / "model.safetensors").unlink()
    state = {f"text_model.{name}": t for name, t in parts["text"].items()}
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    torch.save(state, folder / "text_encoder" / "pytorch_model.bin")
    tiny.same(read(folder), parts)


def test_the_attention_names_of_old_vaes(folder, parts):
    state = {}
    for name, tensor in tiny.diffusers_names(parts)["vae"].items():
        for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value")):
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        state[name.replace("to_out.0.", "proj_attn.")] = tensor
    save_file(state, folder / "vae" / "diffusion_pytorch_model.safetensors")
    tiny.same(read(folder), parts)


def test_heads_groups_and_scale_are_those_of_the_config(folder):
    for part, changes in (
        ("unet", {"attention_head_dim": 4, "norm_num_groups": 8, "sample_size": 32}),
        ("vae", {"norm_num_groups": 4, "scaling_factor": 0.5}),
        ("text_encoder", {"num_attention_heads": 2, "hidden_act": "gelu"}),
    ):
        path = folder / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
    (folder / "scheduler").mkdir()
    noise = {"prediction_type": "v_prediction", "beta_start": 0.001, "beta_end": 0.02}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(noise), "utf-8")
    config = read(folder).config
    assert (config.unet.heads, config.unet.groups) == (4, 8)
    assert (config.vae.groups, config.vae.scale) == (4, 0.5)
    assert (config.text.heads, config.text.activation) == (2, "gelu")
    assert (config.noise.prediction, config.noise.beta_end) == ("v", 0.02)
    assert config.settings.width == 256


@pytest.mark.parametrize(
    ("heads", "wanted"),
    [(4, (4, 0)), ([4, 4], (4, 0)), ([2, 4], (8, 16)), ([1, 2], (8, 32))],
)
def test_heads_by_their_number_or_by_their_width(folder, heads, wanted):
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text("utf-8")) | {"attention_head_dim": heads}
    path.write_text(json.dumps(config), "utf-8")
    unet = read(folder).config.unet
    assert (unet.heads, unet.head_width) == wanted


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("unet", {"attention_head_dim": [5, 10, 20, 20]}, "heads differ by level"),
        ("unet", {"attention_head_dim": [2, 8]}, "heads differ by level"),
        ("unet", {"addition_embed_type": "text_time"}, "addition_embed_type is 'text_time'"),
        ("unet", {"time_cond_proj_dim": 256}, r"time_cond_proj_dim is 256: .*and an LCM-LoRA"),
        ("vae", {"shift_factor": 0.1}, "shift_factor is 0.1, not None"),
        ("text_encoder", {"layer_norm_eps": 0.1}, "layer_norm_eps is 0.1"),
        (
            "unet",
            {"norm_num_groups": 5},
            r"unet\.groups is 5, which does not divide the width 32",
        ),
    ],
)
def test_configs_of_another_architecture(folder, part, changes, message):
    path = folder / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
    with pytest.raises(CheckpointError, match=message):
        read(folder)


def test_a_denoiser_with_added_conditions_is_refused_by_its_weights_alone(folder):
    (folder / "unet" / "config.json").unlink()
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    added = {"add_embedding.linear_1.weight": torch.zeros(128, 116)}
    save_file(load(file.read_bytes()) | added, file)
    with pytest.raises(CheckpointError, match=r"conditions 116 wide .*Stable Diffusion XL"):
        read(folder)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("StableDiffusionXLPipeline", "is Stable Diffusion XL"),
        ("StableDiffusion3Pipeline", "is Stable Diffusion 3"),
        ("FluxPipeline", "is Flux"),
        ("AudioLDMPipeline", "class 'AudioLDMPipeline'"),
    ],
)
def test_other_pipelines(folder, pipeline, message):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}), "utf-8")
    with pytest.raises(CheckpointError, match=message):
        read(folder)


def test_what_is_missing_is_told_with_what_is_there(folder, tmp_path):
    shutil.rmtree(folder / "text_encoder")
    with pytest.raises(CheckpointError, match=r"has no folder text_encoder. It has .*unet/"):
        read(folder)
    (tmp_path / "ckpts").mkdir()
    (tmp_path / "ckpts" / "sd.ckpt").touch()
    with pytest.raises(CheckpointError, match=r"no diffusers model.*its own path.*sd\.ckpt"):
        read(tmp_path / "ckpts")


def test_a_download_that_did_not_finish(folder):
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("abc.incomplete"))
    with pytest.raises(CheckpointError, match=r"abc\.incomplete is a download that did not finish"):
        read(folder)
