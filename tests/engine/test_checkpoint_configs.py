"""Configurations: our YAML, CompVis', the low-memory forks', and what contradicts the weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers import tiny_checkpoints as tiny

from sdnb.engine.checkpoint import CheckpointError, read
from sdnb.engine.checkpoint.configs import read_config
from sdnb.engine.networks.config import ModelConfig, NoiseConfig

COMPVIS = """
model:
  base_learning_rate: 1.0e-04
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.00085
    linear_end: 0.0120
    num_timesteps_cond: 1
    timesteps: 1000
    first_stage_key: "jpg"
    image_size: 64
    channels: 4
    cond_stage_trainable: false
    conditioning_key: crossattn
    scale_factor: 0.18215
    use_ema: False
    scheduler_config: {target: x, params: {warm_up_steps: [10000]}}
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        image_size: 32 # unused
        in_channels: 4
        out_channels: 4
        model_channels: 320
        attention_resolutions: [ 4, 2, 1 ]
        num_res_blocks: 2
        channel_mult: [ 1, 2, 4, 4 ]
        num_heads: 8
        use_spatial_transformer: True
        transformer_depth: 1
        context_dim: 768
        use_checkpoint: True
        legacy: False
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: 4
        ddconfig:
          double_z: true
          z_channels: 4
          resolution: 256
          in_channels: 3
          out_ch: 3
          ch: 128
          ch_mult: [1, 2, 4, 4]
          num_res_blocks: 2
          attn_resolutions: []
          dropout: 0.0
        lossconfig: {target: torch.nn.Identity}
    cond_stage_config: {target: ldm.modules.encoders.modules.FrozenCLIPEmbedder}
"""


def as_forks_have_it(text: str) -> str:
    """The low-memory forks' cut of the same YAML."""
    head, rest = text.split("    unet_config:")
    unet, rest = rest.split("    first_stage_config:")
    stage, _ = rest.split("    cond_stage_config:")
    head = head.replace("model:", "modelUNet:")
    return (
        f"{head}    unetConfigEncode:{unet}    unetConfigDecode:{unet}"
        "modelFirstStage:\n  target: x\n  params:\n    timesteps: 1000\n"
        f"    first_stage_config:{stage}"
        "modelCondStage:\n  target: x\n  params: {}\n"
    )


@pytest.fixture
def model(tmp_path, parts):
    return tiny.ckpt(tmp_path / "a.ckpt", parts)


@pytest.mark.parametrize("text", [COMPVIS, as_forks_have_it(COMPVIS)], ids=["CompVis", "fork"])
def test_the_originals_yaml_describes_sd_1(tmp_path, text):
    (tmp_path / "v1-inference.yaml").write_text(text, "utf-8")
    yaml = read_config(tmp_path / "v1-inference.yaml")
    default = ModelConfig()
    for section, values in yaml.items():
        for name, value in values.items():
            assert value == getattr(getattr(default, section), name), f"{section}.{name}"
    assert {"channels", "blocks", "attention_levels", "heads", "context_dim"} < yaml["unet"].keys()
    assert {"channels", "blocks", "latent_channels", "scale"} <= yaml["vae"].keys()
    assert {"beta_start", "beta_end", "steps"} <= yaml["noise"].keys()
    assert yaml["settings"] == {"width": 512, "height": 512}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_heads: 8", "adm_in_channels: 2816", "adm_in_channels is of Stable Diffusion XL"),
        ("num_heads: 8", "num_headz: 8", r"unknown key 'num_headz'; did you mean 'num_heads'"),
        ("transformer_depth: 1", "transformer_depth: 2", "not those of Stable Diffusion"),
        ("timesteps: 1000", "timestepz: 1", r"unknown key 'timestepz'; did you mean 'timesteps'"),
        ("timesteps: 1000", "timesteps: many", r"noise\.steps is 'many'; expected a whole number"),
        (
            "timesteps: 1000",
            "parameterization: x0",
            r"noise\.prediction is 'x0'; expected eps or v",
        ),
        ("timesteps: 1000", "beta_schedule: cosine", "beta_schedule is 'cosine'"),
        ("model:\n", "model:\n  extra: 1\n", "unknown key 'extra'"),
        ("model:\n", "modle: 1\nmodel:\n", r"unknown key 'modle'; did you mean 'model'"),
        ("ch_mult: [1, 2, 4, 4]", "ch_multi: [1]", "did you mean 'ch_mult'"),
    ],
)
def test_faults_in_the_originals_yaml(tmp_path, old, new, message):
    assert old in COMPVIS
    (tmp_path / "c.yaml").write_text(COMPVIS.replace(old, new, 1), "utf-8")
    with pytest.raises(CheckpointError, match=message) as error:
        read_config(tmp_path / "c.yaml")
    assert "c.yaml" in str(error.value)


def test_v_prediction_by_the_originals_name(tmp_path):
    text = COMPVIS.replace("timesteps: 1000", "parameterization: v", 1)
    (tmp_path / "c.yaml").write_text(text, "utf-8")
    assert read_config(tmp_path / "c.yaml")["noise"]["prediction"] == "v"


def test_the_yaml_of_stable_diffusion_2_describes_it(tmp_path):
    base = COMPVIS.replace("num_heads: 8", "num_head_channels: 64").replace("768", "1024")
    base = base.replace(
        "transformer_depth", "use_linear_in_transformer: True\n        transformer_depth"
    )
    (tmp_path / "v2-inference.yaml").write_text(base, "utf-8")
    (tmp_path / "v.yaml").write_text(
        base.replace("timesteps:", "parameterization: v\n    timesteps:", 1)
    )
    found, of_v = (read_config(tmp_path / name) for name in ("v2-inference.yaml", "v.yaml"))
    assert found["unet"]["head_width"] == 64
    assert (found["noise"]["prediction"], of_v["noise"]["prediction"]) == ("eps", "v")
    assert found["settings"] == {"width": 512, "height": 512}
    assert "settings" not in of_v  # it still says 512 of a model for 768


OURS = """
unet: {heads: 4, groups: 16}
vae: {scale: 0.5}
noise: {prediction: v, beta_end: 0.02}
settings: {width: 256, height: 256, cfg: 4, sampler: euler_a, eta: 0.5}
examples: {prompts: [a fox, 'a cat: sleeping']}
"""


def check_ours(config: ModelConfig) -> None:
    assert config.unet == replace(tiny.CONFIG.unet, heads=4, groups=16)
    assert config.vae == replace(tiny.CONFIG.vae, scale=0.5)
    assert config.noise == NoiseConfig(prediction="v", beta_end=0.02)
    assert (config.settings.width, config.settings.cfg) == (256, 4.0)
    assert (config.settings.sampler, config.settings.eta) == ("euler_a", 0.5)
    assert config.examples.prompts == ("a fox", "a cat: sleeping")


@pytest.mark.parametrize("ending", [".yaml", ".yml"])
def test_a_yaml_of_the_same_stem_is_picked_up(model, ending):
    model.with_suffix(ending).write_text(OURS, "utf-8")
    checkpoint = read(model)
    check_ours(checkpoint.config)
    assert checkpoint.notes == [f"configuration from a{ending}"]


def test_one_inside_a_folder_is_picked_up(tmp_path, parts):
    folder = tiny.folder(tmp_path / "m", parts)
    (folder / "sdnb.yaml").write_text(OURS, "utf-8")
    check_ours(read(folder).config)


def test_one_that_is_given_wins(model, tmp_path):
    model.with_suffix(".yaml").write_text("noise: {prediction: v}", "utf-8")
    (tmp_path / "other.yaml").write_text("unet: {heads: 2}", "utf-8")
    checkpoint = read(model, config=tmp_path / "other.yaml")
    assert (checkpoint.config.unet.heads, checkpoint.config.noise.prediction) == (2, "eps")


def test_as_dataclass_or_mapping(model):
    config = replace(tiny.CONFIG, unet=replace(tiny.CONFIG.unet, heads=2))
    assert read(model, config=config).config == config
    assert config.examples.prompts == ()
    assert read(model, config={"unet": {"heads": 2}}).config == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "unett: {heads: 1}",
            r"unknown key 'unett'; did you mean 'unet'\? Known are unet, vae",
        ),
        ("unet: {head: 1}", r"unknown key unet\.head; did you mean 'heads'\?"),
        ("unet: 5", "unet is 5; expected fields"),
        ("unet: {heads: many}", r"unet\.heads is 'many'; expected a whole number"),
        ("unet: {heads: true}", r"unet\.heads is True"),
        ("unet: {channels: [a]}", r"unet\.channels is \['a'\]; expected a list of whole numbers"),
        ("unet: {channels: []}", r"unet\.channels is \[\]; expected a list of whole numbers"),
        ("examples: {prompts: [1]}", r"examples\.prompts is \[1\]; expected a list of texts"),
        ("examples: {prompts: a cat}", r"examples\.prompts is 'a cat'; expected a list of texts"),
        ("unet: {heads: 3}", r"unet\.heads is 3, which does not divide the width 32"),
        ("text: {padding: 100}", r"text\.padding is 100; expected -1 to 99"),
        ("text_2: {width: 1280}", r"text_2, .* describe Stable Diffusion XL"),
        ("text: {layer: 2}", r"text\.layer, .* describe Stable Diffusion XL"),
        ("unet: {added_dim: 16}", r"says unet\.added_dim is 16, the weights say 0"),
        ("unet: {depth: [2]}", r"says unet\.depth is \(2,\), the weights say \(1,\)"),
        ("noise: {ztsnr: 1}", r"noise\.ztsnr is 1; expected true or false"),
        ("noise: {ztsnr: true}", "zero terminal SNR and eps cannot go together"),
        ("unet: {heads: 0}", r"unet\.heads is 0, which does not divide"),
        (
            "unet: {channels: [32, 128]}",
            r"says unet\.channels is \(32, 128\), the weights say \(32, 64\)",
        ),
        ("text: {width: 768}", r"text\.width is 768, the weights say 64"),
        ("noise: {prediction: x}", r"noise\.prediction is 'x'; expected eps or v"),
        ("settings: {width: 250}", "settings: .*width"),
        ("settings: {sampler: eular}", "settings: .*euler"),
        ("settings: {sampler: tcd, eta: 2}", "settings: .*eta"),
        ("settings: {sampler: euler, eta: 1}", "settings: eta=1 asks for fresh noise"),
        ("settings: {eta: much}", r"settings\.eta is 'much'; expected a number, or nothing"),
        ("[1, 2]", "holds no keys"),
        ("", "holds no keys|unknown key"),
        ("a: [", "cannot be read as YAML"),
        ("unet: {heads: '${nothing}'}", r"unet\.heads is '\$\{nothing\}'; expected a whole number"),
    ],
)
def test_faults_in_ours(model, tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text, "utf-8")
    if not text:
        assert read(model, config=tmp_path / "c.yaml").config == tiny.CONFIG
        return
    with pytest.raises(CheckpointError, match=message):
        read(model, config=tmp_path / "c.yaml")


def test_nothing_of_the_environment_comes_into_a_model(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    text = "examples: {prompts: ['a ${oc.env:SECRET}', '${examples.prompts.0}']}"
    (tmp_path / "c.yaml").write_text(text, "utf-8")
    read = read_config(tmp_path / "c.yaml")
    assert read == {"examples": {"prompts": ("a ${oc.env:SECRET}", "${examples.prompts.0}")}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("noise: {steps: 2000000000}", "expected 100,000 at most"),
        ("vae: {blocks: 600}", "expected 32 at most"),
        (f"unet: {{channels: {[32] * 600}}}", "has 600 items"),
        ("vae: {scale: .nan}", "vae.scale is nan"),
        ('examples: {prompts: ["\\ud800"]}', "prompts holds half of a surrogate pair"),
        ("1: {}", "unknown key '1'"),
        ("unet: {1: 2}", "unknown key unet.1"),
        (COMPVIS.replace("ch: 128", "ch: 'x'"), "ch is .*'x'.*expected whole numbers"),
        (COMPVIS.replace("ch_mult: [1, 2, 4, 4]", "ch_mult: [1000000000]"), "whole numbers"),
        (COMPVIS.replace("ch_mult: [1, 2, 4, 4]", "ch_mult: 4"), "ch_mult is 4"),
        (COMPVIS.replace("[ 4, 2, 1 ]", "[[4]]"), "attention_resolutions is"),
    ],
)
def test_values_beyond_all_models(tmp_path, text, words):
    (tmp_path / "c.yaml").write_text(text, "utf-8")
    with pytest.raises(CheckpointError, match=words):
        read_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("path", ["a" * 5000, "a\0b"])
def test_a_name_that_no_file_can_have(path):
    with pytest.raises(CheckpointError, match=r"config='a.* cannot be read") as caught:
        read_config(path)
    assert len(str(caught.value)) < 300


def test_one_that_is_not_there(model):
    with pytest.raises(CheckpointError, match=r"config='no\.yaml': there is no such file"):
        read(model, config="no.yaml")
