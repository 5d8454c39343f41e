"""Stable Diffusion 2.x: files and folders, kinds of prediction, and pictures, against diffusers.

Tolerance of a picture: 1/255 on 99.9 % of the pixels; of the text encoder: 1e-4 (fp32).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from helpers import tiny_checkpoints as tiny
from helpers import tiny_loras
from oracles import sd2_pipeline as sd2

import sdnb
from sdnb.engine import adapters
from sdnb.engine.checkpoint import CheckpointError, read
from sdnb.engine.diffusion.noise import Noise
from sdnb.engine.networks import text
from sdnb.engine.networks.tokenizer import Tokenizer

SIZE = 64
# prediction= -> what diffusers' scheduler says of it
SCHEDULERS = {
    "eps": {"prediction_type": "epsilon"},
    "v": {"prediction_type": "v_prediction"},
    "v_ztsnr": {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "set_alpha_to_one": True,  # a trailing schedule ends at sigma 0
    },
}


@pytest.fixture(scope="module")
def state():
    return sd2.state()


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    return tiny.safetensors(tmp_path_factory.mktemp("sd2") / "v2.safetensors", state)


def assert_same(picture, theirs):
    truth = np.round(theirs * 255)
    assert truth.std() > 5  # not a flat picture that anything would match
    difference = np.abs(np.asarray(picture, dtype=float) - truth).max(axis=-1)
    assert (difference <= 1).mean() >= 0.999, f"largest difference {difference.max()}"


def asked(**fields):
    size = {"width": SIZE, "height": SIZE, "negative": "dark", "seed": 5}
    return sdnb.Request("a red fox", **{**size, **fields})


@pytest.mark.picture
@pytest.mark.parametrize("kind", SCHEDULERS)
@pytest.mark.parametrize("layout", ["file", "folder"])
def test_pictures_equal_those_of_diffusers(kind, layout, state, file, tmp_path):
    pipe = sd2.build(state, **SCHEDULERS[kind])
    pipe.set_progress_bar_config(disable=True)
    rescale = 0.7 if kind == "v_ztsnr" else 0.0
    theirs = pipe(
        "a red fox", negative_prompt="dark", height=SIZE, width=SIZE, num_inference_steps=10,
        guidance_scale=5, guidance_rescale=rescale, latents=Noise([5], (4, SIZE // 8, SIZE // 8))(),
        output_type="np",
    ).images[0]  # fmt: skip
    if layout == "folder":
        pipe.save_pretrained(tmp_path)
        model = sdnb.load(tmp_path)
    else:
        model = sdnb.load(file, prediction=kind)
    result = sdnb.generate(model, asked(steps=10, cfg=5, cfg_rescale=rescale), progress=False)
    assert_same(result.images[0], theirs)
    settings = model.settings
    assert settings.schedule == ("trailing" if kind == "v_ztsnr" else "uniform")
    assert (model.config.unet, model.config.text) == (sd2.CONFIG.unet, sd2.CONFIG.text)


@pytest.mark.picture
@pytest.mark.parametrize("steps", [1, 4])
def test_a_folder_of_sd_turbo_brings_its_settings(steps, state, tmp_path):
    pipe = sd2.build(state)
    pipe.scheduler = EulerDiscreteScheduler(**sd2.NOISE, timestep_spacing="trailing")
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(tmp_path)
    model = sdnb.load(tmp_path)
    s = model.settings
    assert (s.steps, s.cfg, s.sampler, s.schedule) == (1, 1, "euler", "trailing")
    assert any("SD-Turbo" in note for note in model.notes)
    sigma = model.schedule.sigma_max  # diffusers starts from noise * sigma here
    theirs = pipe(
        "a red fox", height=SIZE, width=SIZE, num_inference_steps=steps, guidance_scale=0,
        latents=Noise([5], (4, SIZE // 8, SIZE // 8))() * ((1 + sigma**2) ** 0.5 / sigma),
        output_type="np",
    ).images[0]  # fmt: skip
    steps = None if steps == 1 else steps
    result = sdnb.generate(model, asked(negative="", steps=steps), progress=False)
    assert_same(result.images[0], theirs)


@pytest.mark.slow
@pytest.mark.parametrize("stored", ["23 layers", "24 layers", "24 layers, by columns"])
def test_the_text_encoder_is_that_of_transformers_and_never_skipped_twice(stored, state, tmp_path):
    path = tmp_path / "a.ckpt"
    weights = {n: w for n, w in state.items() if stored[:2] == "24" or ".23." not in n}
    if "columns" in stored:
        turned = {n: w.T.contiguous().T for n, w in state.items() if n.endswith("in_proj_weight")}
        weights |= turned
    torch.save({"state_dict": weights, "global_step": 1}, path)
    found = read(path)
    assert found.config.text == sd2.CONFIG.text
    ours = text.build(found.config.text)
    ours.load_state_dict({n: t.read() for n, t in found.text.items()}, assign=True)
    tokenizer = Tokenizer(padding=found.config.text.padding)
    tokens = tokenizer("a red fox")
    assert tokens.ids[-3:] == (0, 0, 0)
    assert tokens.ids[4] == tokenizer.end
    with torch.inference_mode():
        mine = text.encode(ours, [tokens], torch.device("cpu"))
        theirs = sd2.text_encoder(state)(torch.tensor([tokens.ids])).last_hidden_state
    assert theirs.std() > 0.1
    assert (mine - theirs).abs().max() <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("transformer.resblocks.24.ln_1.bias", [128], r"1 unexpected: transformer\.resblocks\.24"),
        ("transformer.resblocks.3.attn.in_proj_bias", [383], r"in_proj_bias.* is \[383\]"),
        ("transformer.resblocks.3.attn.other", [2], "1 unexpected"),
        ("transformer.resblocks.3.ln_2.bias", [2], r"layer_norm2\.bias is \[2\], not \[128\]"),
    ],
)
def test_an_encoder_that_is_another_is_refused(name, shape, words, state, tmp_path):
    path = tiny.safetensors(
        tmp_path / "a.safetensors", {**state, sd2.TEXT + name: torch.ones(shape)}
    )
    with pytest.raises(CheckpointError, match=words):
        read(path)


def peft(stored):
    """The text encoder's modules of a file in kohya's names in PEFT's, which have no alpha."""
    parts = {"q_proj", "k_proj", "v_proj", "out_proj"}
    found = {}
    for key, tensor in stored.items():
        stem, _, part = key.partition(".")
        layer, _, name = stem.partition("layers_")[2].partition("_")
        module = name.removeprefix("self_attn_")
        path = f"self_attn.{module}" if module in parts else name.replace("_", ".", 1)
        for ours, theirs in (("lora_down", "lora_A"), ("lora_up", "lora_B")):
            if part == f"{ours}.weight":
                key = f"text_encoder.text_model.encoder.layers.{layer}.{path}.{theirs}.weight"
                found[key] = tensor
    return found


@pytest.mark.picture
@pytest.mark.parametrize("named", ["kohya", "PEFT"])
@pytest.mark.parametrize("layout", ["file", "folder"])
def test_a_lora_of_openclips_encoder_is_diffusers_and_pefts(named, layout, state, file, tmp_path):
    """q, k and v of each of 23 layers, which a single file holds as one tensor: to 1e-4 (fp32)."""
    pipe = sd2.build(state)
    path = file
    if layout == "folder":
        path = tmp_path / "model"
        pipe.save_pretrained(path)
    stored = {n: t for n, t in tiny_loras.kohya(pipe).items() if n.startswith("lora_te_")}
    stored = stored if named == "kohya" else peft(stored)
    lora = tiny_loras.save(tmp_path / "lora.safetensors", stored)
    model = sdnb.load(path, "cpu", "full", prediction="eps")
    before = {name: weight.clone() for name, weight in model.text.state_dict().items()}
    overlay = adapters.overlay(model.config, [(sdnb.Lora("x", 0.8), adapters.open_file(lora))])
    assert overlay.notes == ()
    assert len(overlay.additions["text"]) == 23 * 6
    assert model.weights.lay_over(overlay) == {"text"}
    tokens = model.tokenizer("a red fox")
    pipe.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name="x")
    pipe.set_adapters(["x"], [0.8])
    with torch.inference_mode():
        mine = text.encode(model.text, [tokens], torch.device("cpu"))
        theirs = pipe.text_encoder(torch.tensor([tokens.ids])).last_hidden_state
    assert (mine - theirs).abs().max() <= 1e-4
    name = "encoder.layers.22.self_attn.v_proj.weight"
    assert (model.text.state_dict()[name] - before[name]).norm() > 0.01 * before[name].norm()
    model.weights.lay_over(adapters.NOTHING)
    after = model.text.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def noise_of(checkpoint):
    return checkpoint.config.noise.prediction, checkpoint.config.noise.ztsnr


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "kind", "size"), [(0.05, "eps", 512), (0.12, "v", 768)])
def test_what_nothing_says_is_told_by_the_weights_and_noted(spread, kind, size, state, tmp_path):
    name = f"{sd2.UNET}output_blocks.7.1.transformer_blocks.0.norm1.bias"
    assert f"{sd2.UNET}output_blocks.8.0.in_layers.0.bias" not in state
    bias = torch.linspace(-1, 1, len(state[name]))
    path = tiny.safetensors(
        tmp_path / "turbo.safetensors", {**state, name: bias * (spread / bias.std())}
    )
    found = read(path)
    assert noise_of(found) == (kind, False)
    assert found.config.settings.width == size
    other = "eps" if kind == "v" else "v"
    (note,) = [note for note in found.notes if "nothing says" in note]
    assert f"{kind} was assumed" in note
    assert f"varies by {spread:.2f}" in note
    assert f"prediction='{other}'" in note
    assert any("If it is SD-Turbo" in note for note in found.notes)
    path.with_suffix(".yaml").write_text(f"noise: {{prediction: {other}}}", "utf-8")
    assert noise_of(read(path)) == (other, False)
    assert not any("nothing says" in note for note in read(path, prediction="v").notes)


@pytest.mark.slow
def test_an_inpainting_model_of_the_family_predicts_eps(state, tmp_path):
    name = f"{sd2.UNET}input_blocks.0.0.weight"
    nine = {**state, name: torch.nn.functional.pad(state[name], (0, 0, 0, 0, 0, 5))}
    found = read(tiny.safetensors(tmp_path / "a.safetensors", nine))
    assert (found.config.unet.in_channels, *noise_of(found)) == (9, "eps", False)
    assert any("inpainting" in note for note in found.notes)


@pytest.mark.slow
def test_what_a_model_predicts_is_what_was_asked_for_or_what_its_file_says(tmp_path, parts):
    """Of SD 1.x too. What is asked for comes before the YAML, the marks, and the metadata."""
    state = tiny.compvis(parts)
    v, ztsnr = {"v_pred": torch.zeros(0)}, {"ztsnr": torch.zeros(0)}
    told = {"modelspec.prediction_type": "v"}
    path = tmp_path / "a.safetensors"
    for marks, metadata, asked_for, wanted, note in (
        ({}, {}, None, ("eps", False), ""),
        ({}, {"modelspec.prediction_type": "epsilon"}, None, ("eps", False), ""),
        ({}, {"modelspec.prediction_type": "a picture"}, None, ("eps", False), ""),
        ({}, told, None, ("v", False), "run so"),
        (v, {}, None, ("v", False), "run so"),
        (v | ztsnr, {}, None, ("v", True), "run so"),
        (ztsnr, told, None, ("v", True), "run so"),
        (ztsnr, {}, "v_ztsnr", ("v", True), ""),
        (ztsnr, {}, "v", ("v", False), "say v_ztsnr; it is run as v, as was asked"),
        (v, {}, "eps", ("eps", False), "say v; it is run as eps"),
        (v | ztsnr, told, "epsilon", ("eps", False), "say v_ztsnr; it is run as eps"),
        ({}, {}, "V-Pred", ("v", False), ""),
        ({}, {}, "v zsnr", ("v", True), ""),
    ):
        tiny.save_file({**state, **marks}, path, metadata)
        found = read(path, prediction=asked_for)
        assert noise_of(found) == wanted, (marks.keys(), metadata, asked_for)
        assert found.config.settings.schedule == ("trailing" if wanted[1] else "uniform")
        assert [n for n in found.notes if "its files say" in n] == [
            n for n in found.notes if note and note in n
        ]
        assert any(note in n for n in found.notes) or not note
    tiny.save_file({**state, **ztsnr}, path)
    with pytest.raises(CheckpointError, match=r"zero terminal SNR and eps.*prediction='v_ztsnr'"):
        read(path)
    for wrong, words in (
        ("eps_ztsnr", "cannot go together"),
        ("x0", "is unknown.*v_ztsnr"),
        (1, "1"),
    ):
        with pytest.raises(CheckpointError, match=rf"prediction=.*{words}"):
            read(path, prediction=wrong)


@pytest.mark.slow
def test_a_model_is_made_again_elsewhere_with_the_prediction_that_was_asked_for():
    model = sdnb.load(memory="cpu", precision="full", prediction="v_ztsnr")
    assert model.load_arguments["prediction"] == "v_ztsnr"
    assert model.fingerprint != sdnb.load(memory="cpu", precision="full").fingerprint
    assert abs(model.schedule.sigma_max - 4518.8) < 0.05
