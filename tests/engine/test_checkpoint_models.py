"""Whole models: every layout gives the same weights, and other files give an error."""

from __future__ import annotations

import json
import os

import pytest
import torch
from helpers import tiny_checkpoints as tiny

from sdnb.engine.checkpoint import CheckpointError, read
from sdnb.engine.networks.config import ModelConfig, UNetConfig, VAEConfig

pytestmark = pytest.mark.slow


class TestSingleFiles:
    def test_ckpt(self, tmp_path, parts):
        checkpoint = read(tiny.ckpt(tmp_path / "my-model.ckpt", parts))
        tiny.same(checkpoint, parts)
        assert checkpoint.config == tiny.CONFIG
        assert (checkpoint.name, checkpoint.tokenizer, checkpoint.notes) == ("my-model", None, [])

    def test_without_a_state_dict_key(self, tmp_path, parts):
        torch.save(tiny.compvis(parts), tmp_path / "a.ckpt")
        tiny.same(read(tmp_path / "a.ckpt"), parts)

    def test_before_torch_1_6(self, tmp_path, parts):
        content = {"state_dict": tiny.compvis(parts)}
        torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=False)
        tiny.same(read(tmp_path / "a.ckpt"), parts)

    def test_safetensors_in_compvis_names(self, tmp_path, parts):
        tiny.same(read(tiny.safetensors(tmp_path / "a.safetensors", tiny.compvis(parts))), parts)

    def test_safetensors_in_diffusers_names(self, tmp_path, parts):
        theirs = tiny.diffusers_names(parts)
        prefixes = {"unet": "unet.", "vae": "vae.", "text": "text_encoder.text_model."}
        state = {prefixes[p] + n: t for p, each in theirs.items() for n, t in each.items()}
        checkpoint = read(tiny.safetensors(tmp_path / "a.safetensors", state))
        tiny.same(checkpoint, parts)
        assert checkpoint.config == tiny.CONFIG

    def test_half_precision_is_kept_as_it_is(self, tmp_path, parts):
        state = {name: t.half() for name, t in tiny.compvis(parts).items()}
        tiny.same(read(tiny.safetensors(tmp_path / "a.safetensors", state)), parts, torch.float16)

    def test_text_names_without_text_model(self, tmp_path, parts):
        state = {n.replace(".text_model.", "."): t for n, t in tiny.compvis(parts).items()}
        tiny.same(read(tiny.safetensors(tmp_path / "a.safetensors", state)), parts)

    @pytest.mark.parametrize(
        "prefix",
        [
            "text_encoders.clip_l.transformer.text_model.",  # Forge
            "cond_stage_model.clip_l.transformer.text_model.",
            "cond_stage_model.clip_l.transformer.",
        ],
    )
    def test_text_names_of_forge_and_comfyui(self, tmp_path, parts, prefix):
        state = tiny.compvis({**parts, "text": {}})
        state |= {prefix + name: tensor for name, tensor in parts["text"].items()}
        state[prefix.split("transformer")[0] + "logit_scale"] = torch.tensor(4.6)
        checkpoint = read(tiny.safetensors(tmp_path / "a.safetensors", state))
        tiny.same(checkpoint, parts)
        assert checkpoint.notes == []

    @pytest.mark.parametrize("turned", [False, True])
    def test_of_two_text_encoders_in_a_merge_one_is_taken_and_it_is_said(
        self, tmp_path, parts, turned
    ):
        state = tiny.compvis(parts)
        second = "cond_stage_model.transformer."
        both = state | {second + name: tensor + 1 for name, tensor in parts["text"].items()}
        if turned:
            both = dict(reversed(both.items()))
        torch.save(both, tmp_path / "a.ckpt")
        checkpoint = read(tmp_path / "a.ckpt")
        tiny.same(checkpoint, parts)
        assert checkpoint.notes == [
            f"left out: {second}*, because the file holds its text encoder twice"
        ]

    @pytest.mark.parametrize(
        "layout",
        [
            lambda state: {"state_dict": {}, **state},
            lambda state: {"model": {"state_dict": state}, "epoch": 3},
            lambda state: {"state_dict": {"model": {"module": state}}},
            lambda state: {"state_dict": {"epoch": 3}, "model": state},
        ],
    )
    def test_weights_beside_an_empty_holder_or_some_levels_deep(self, tmp_path, parts, layout):
        torch.save(layout(tiny.compvis(parts)), tmp_path / "a.ckpt")
        tiny.same(read(tmp_path / "a.ckpt"), parts)

    @pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "_forward_module."])
    def test_names_under_the_prefix_of_a_wrapper(self, tmp_path, parts, prefix):
        state = {f"{prefix}{name}": tensor for name, tensor in tiny.compvis(parts).items()}
        torch.save({"state_dict": state}, tmp_path / "m.ckpt")
        tiny.same(read(tmp_path / "m.ckpt"), parts)
        tiny.same(read(tiny.safetensors(tmp_path / "m.safetensors", state)), parts)

    def test_a_full_checkpoint_of_a_training(self, tmp_path, parts):
        """EMA, schedule, losses, position ids, Lightning's keys: left out, and the notes say so."""
        state = tiny.compvis(parts)
        for name, tensor in parts["unet"].items():
            state[f"model_ema.{('diffusion_model.' + name).replace('.', '')}"] = tensor + 1
        state["model_ema.decay"] = torch.tensor(0.9999)
        state["model_ema.num_updates"] = torch.tensor(7)
        state["first_stage_model.loss.logvar"] = torch.tensor(0.0)
        state["betas"] = torch.zeros(1000)
        state["sqrt_one_minus_alphas_cumprod"] = torch.zeros(1000)
        state[f"{tiny.PREFIXES['text']}embeddings.position_ids"] = torch.arange(77)[None]
        torch.save(
            {"state_dict": state, "callbacks": {torch.nn.Linear: 1}, "epoch": 1, "mine": 2},
            tmp_path / "full.ckpt",
        )
        checkpoint = read(tmp_path / "full.ckpt")
        tiny.same(checkpoint, parts)
        assert len(checkpoint.notes) == 3
        assert "mine" in checkpoint.notes[0]
        assert "EMA" in "".join(checkpoint.notes)
        assert "losses" in "".join(checkpoint.notes)

    def test_inpainting_has_nine_channels(self, tmp_path):
        config = ModelConfig(
            unet=UNetConfig(9, channels=(32, 64), blocks=1, attention_levels=(0,), context_dim=64),
            vae=tiny.CONFIG.vae,
            text=tiny.CONFIG.text,
        )
        parts = tiny.weights(config)
        checkpoint = read(tiny.ckpt(tmp_path / "a.ckpt", parts))
        assert checkpoint.config.unet.in_channels == 9
        tiny.same(checkpoint, parts)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_a_noise_schedule_in_the_file_is_compared(self, tmp_path, parts, dtype):
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        alphas = (1 - betas).cumprod(0)
        state = tiny.compvis(parts)
        for n, (each, notes) in enumerate([(alphas, 0), (alphas - alphas[-1], 1), (alphas[:9], 1)]):
            path = tmp_path / f"{n}.safetensors"
            checkpoint = read(tiny.safetensors(path, {**state, "alphas_cumprod": each.to(dtype)}))
            assert len(checkpoint.notes) == notes
            assert not notes or "alphas_cumprod" in checkpoint.notes[0]

    def test_a_model_marked_as_predicting_v(self, tmp_path, parts):
        state = {**tiny.compvis(parts), "v_pred": torch.zeros(0)}
        checkpoint = read(tiny.safetensors(tmp_path / "a.safetensors", state))
        assert checkpoint.config.noise.prediction == "v"
        assert checkpoint.notes == ["its files say that it predicts v, and it is run so"]


class TestStrict:
    def test_all_faults_are_listed_by_name(self, tmp_path, parts):
        state = tiny.compvis(parts)
        del state["model.diffusion_model.middle_block.0.in_layers.0.weight"]
        state["model.diffusion_model.middle_block.9.weight"] = torch.zeros(1)
        state["model.diffusion_model.out.0.bias"] = torch.zeros(33)
        with pytest.raises(CheckpointError) as error:
            read(tiny.safetensors(tmp_path / "a.safetensors", state))
        assert "1 missing: middle_block.0.in_layers.0.weight" in str(error.value)
        assert "1 unexpected: middle_block.9.weight" in str(error.value)
        assert "out.0.bias is [33], not [32]" in str(error.value)

    def test_a_missing_tensor_is_not_another_architecture(self, tmp_path, parts):
        """Whichever one is missing, it is the one that the error names."""
        for part, names in (
            ("unet", ["input_blocks.1.0.out_layers.3.weight", "input_blocks.2.0.op.bias"]),
            ("vae", ["encoder.down.1.block.0.conv2.weight", "post_quant_conv.weight"]),
            ("text", ["encoder.layers.1.mlp.fc1.weight", "embeddings.token_embedding.weight"]),
        ):
            for name in names:
                state = tiny.compvis(parts)
                del state[tiny.PREFIXES[part] + name]
                with pytest.raises(CheckpointError, match=f"1 missing: {name}") as error:
                    read(tiny.safetensors(tmp_path / "a.safetensors", state))
                assert "unexpected" not in str(error.value)

    def test_tensors_of_no_part(self, tmp_path, parts):
        state = {**tiny.compvis(parts), "something.else": torch.zeros(1), "more": torch.zeros(1)}
        with pytest.raises(CheckpointError, match=r"2 unexpected tensors.*more, something\.else"):
            read(tiny.safetensors(tmp_path / "a.safetensors", state))

    def test_whole_numbers_are_no_weights(self, tmp_path, parts):
        state = tiny.compvis(parts)
        name = "model.diffusion_model.out.0.bias"
        state[name] = state[name].int()
        with pytest.raises(CheckpointError, match=r"out\.0\.bias is torch\.int32"):
            read(tiny.safetensors(tmp_path / "a.safetensors", state))

    @pytest.mark.parametrize("gone", ["unet", "text"])
    def test_a_part_that_is_missing(self, tmp_path, parts, gone):
        some = {name: each for name, each in parts.items() if name != gone}
        with pytest.raises(CheckpointError, match="no whole Stable Diffusion"):
            read(tiny.safetensors(tmp_path / "a.safetensors", tiny.compvis(some)))

    def test_a_vae_that_is_missing_may_be_given(self, tmp_path, parts):
        some = {name: each for name, each in parts.items() if name != "vae"}
        path = tiny.safetensors(tmp_path / "a.safetensors", tiny.compvis(some))
        with pytest.raises(CheckpointError, match="has no VAE"):
            read(path)
        vae = tiny.safetensors(tmp_path / "vae.safetensors", parts["vae"])
        tiny.same(read(path, vae=vae), parts)


class TestOtherVAE:
    @pytest.fixture
    def model(self, tmp_path, parts):
        return tiny.ckpt(tmp_path / "a.ckpt", parts)

    @pytest.mark.parametrize("names", ["plain", "prefixed", "diffusers", "training"])
    def test_files(self, tmp_path, model, parts, names):
        other = tiny.weights(seed=9)
        state = other["vae"]
        if names == "diffusers":
            state = tiny.diffusers_names(other)["vae"]
        elif names == "prefixed":
            state = {f"first_stage_model.{name}": t for name, t in state.items()}
        elif names == "training":
            state = {**state, "loss.logvar": torch.zeros(1), "model_ema.decay": torch.zeros(1)}
        path = tiny.safetensors(tmp_path / "vae.safetensors", state)
        checkpoint = read(model, vae=path)
        tiny.same(checkpoint, {**parts, "vae": other["vae"]})
        assert checkpoint.fingerprint != read(model).fingerprint

    def test_folders(self, model, folder, parts):
        for path in (folder, folder / "vae"):
            tiny.same(read(model, vae=path), parts)

    def test_of_another_size_and_scale(self, tmp_path, folder, parts):
        config = ModelConfig(
            unet=tiny.CONFIG.unet, vae=VAEConfig(channels=(64, 64)), text=tiny.CONFIG.text
        )
        other = tiny.weights(config)
        path = tiny.safetensors(tmp_path / "vae.safetensors", other["vae"])
        checkpoint = read(folder, vae=path)
        assert checkpoint.config.vae == config.vae
        tiny.same(checkpoint, {**parts, "vae": other["vae"]})

    def test_what_the_config_said_holds_for_a_vae_built_alike(self, tmp_path, folder, parts):
        path = folder / "vae" / "config.json"
        config = json.loads(path.read_text("utf-8")) | {"norm_num_groups": 4}
        path.write_text(json.dumps(config), "utf-8")
        other = tiny.safetensors(tmp_path / "vae.safetensors", parts["vae"])
        assert read(folder, vae=other).config.vae.groups == 4

    def test_what_has_no_vae(self, tmp_path, model):
        path = tiny.safetensors(tmp_path / "vae.safetensors", {"a.b": torch.zeros(1)})
        with pytest.raises(CheckpointError, match="has no VAE in it"):
            read(model, vae=path)


class TestFingerprint:
    def test_it_is_of_the_weights_and_not_of_the_container(self, tmp_path, folder, parts):
        paths = [
            folder,
            tiny.ckpt(tmp_path / "a.ckpt", parts),
            tiny.safetensors(tmp_path / "b.safetensors", tiny.compvis(parts)),
        ]
        assert len({read(path).fingerprint for path in paths}) == 1

    def test_one_changed_tensor_changes_it(self, tmp_path, parts):
        state = tiny.compvis(parts)
        one = read(tiny.safetensors(tmp_path / "a.safetensors", state)).fingerprint
        name = "model.diffusion_model.middle_block.0.out_layers.3.weight"
        two = {**state, name: state[name] * 1.001}
        half = {name: tensor.half() for name, tensor in state.items()}
        prints = {one} | {
            read(tiny.safetensors(tmp_path / "b.safetensors", each)).fingerprint
            for each in (two, half)
        }
        assert len(prints) == 3


class TestPlaces:
    def test_a_name_that_is_not_there_shows_the_nearest(self, tmp_path):
        (tmp_path / "sd-v1-4.ckpt").touch()
        with pytest.raises(
            CheckpointError, match=r"no file or folder.*did you mean 'sd-v1-4\.ckpt'"
        ):
            read(tmp_path / "sd-v14.ckpt")
        with pytest.raises(CheckpointError, match="and no folder"):
            read(tmp_path / "no" / "sd.ckpt")

    @pytest.mark.parametrize("source", [None, "", 7, b"a.ckpt"])
    def test_what_is_no_path(self, source):
        with pytest.raises(CheckpointError, match="given as a path or a hub id"):
            read(source)

    def test_the_home_folder(self, tmp_path, monkeypatch, parts):
        monkeypatch.setenv("HOME", os.fspath(tmp_path))
        monkeypatch.setenv("USERPROFILE", os.fspath(tmp_path))
        tiny.ckpt(tmp_path / "a.ckpt", parts)
        assert read("~/a.ckpt").name == "a"
