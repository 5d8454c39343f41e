"""AUTOMATIC1111's parameters text: written in its form, read whoever wrote it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnb import Lora
from sdnb.images import infotext
from sdnb.images.used_files import UsedFile
from sdnb.request import ETA_SAMPLERS, SAMPLERS, SCHEDULES, SYNTAXES, Request, Settings
from sdnb.request.prompt.templates import literal

SETTINGS = Settings()
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000400000004008020000002519c0d5")


def written(model="tiny", fingerprint="0123456789abcdef", files=(), **fields):
    request = Request(**{"seed": 7, "steps": 20, **fields}).resolved(SETTINGS)
    return infotext.write(request, model, fingerprint, "0.1.0", files)


def web_ui(text):
    """How AUTOMATIC1111 reads the text: prompt, negative prompt, values (its documented rules)."""
    *lines, last = text.strip().split("\n")
    pairs = re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last)
    assert len(pairs) >= 3
    prompt, negative, target = [], [], None
    target = prompt
    for line in map(str.strip, lines):
        if line.startswith("Negative prompt:"):
            target = negative
            line = line.removeprefix("Negative prompt:").strip()
        target.append(line)
    return "\n".join(prompt), "\n".join(negative), dict(pairs)


def test_the_form():
    assert written(prompt="a castle", negative="blurred, ugly") == (
        "a castle\n"
        "Negative prompt: blurred, ugly\n"
        "Steps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 7, Size: 512x512, "
        "Model hash: 0123456789, Model: tiny, RNG: CPU, Version: sdnb 0.1.0"
    )


FILES = (
    UsedFile("checkpoint", "tiny", "c0" * 32),
    UsedFile("vae", "kl.safetensors", "ae" * 32),
    UsedFile("lora", "styles/fog, thick.safetensors", "f0" * 32, short="0123456789ab"),
    UsedFile("lora", "pixelart", "b0" * 32),
    UsedFile("embedding", "easynegative", "e0" * 32),
    UsedFile("embedding", "bad:hands", "0e" * 32),
)


def test_the_form_of_hashes():
    """Names and lengths as the web UI's `extra_networks_lora.py` and `sd_hijack_clip.py` have them:
    colons and commas are taken out of a name, and a hash has 12 letters, a model's 10.
    """
    loras = [Lora("styles/fog, thick.safetensors", 0.5), Lora("pixelart")]
    text = written(prompt="a", syntax="a1111", clip_skip=2, loras=loras, files=FILES)
    assert text == (
        "a <lora:fog, thick:0.5><lora:pixelart:1>\n"
        "Steps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 7, Size: 512x512, Model hash: c0c0c0c0c0, "
        "Model: tiny, VAE hash: aeaeaeaeae, VAE: kl.safetensors, Clip skip: 2, "
        "Prompt syntax: a1111, RNG: CPU, "
        'Lora hashes: "fog thick: 0123456789ab, pixelart: b0b0b0b0b0b0", '
        'TI hashes: "easynegative: e0e0e0e0e0e0, badhands: 0e0e0e0e0e0e", Version: sdnb 0.1.0'
    )
    _, _, values = web_ui(text)
    assert values["Lora hashes"] == '"fog thick: 0123456789ab, pixelart: b0b0b0b0b0b0"'
    read = [(file.kind, file.name, file.hash) for file in infotext.read(text).files]
    assert read == [
        ("checkpoint", "tiny", "c0" * 5), ("vae", "kl.safetensors", "ae" * 5),
        ("lora", "fog thick", "0123456789ab"), ("lora", "pixelart", "b0" * 6),
        ("embedding", "easynegative", "e0" * 6), ("embedding", "badhands", "0e" * 6),
    ]  # fmt: skip


def test_the_form_of_img2img():
    text = written(
        prompt="a castle", image=PNG, strength=0.6, sampler="dpmpp_2m_sde", cfg=7, eta=0.5
    )
    assert text == (
        "a castle\n"
        "Steps: 20, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 7, Seed: 7, "
        "Size: 64x64, "
        "Model hash: 0123456789, Model: tiny, Denoising strength: 0.6, RNG: CPU, Eta: 0.5, "
        "Version: sdnb 0.1.0"
    )


def test_the_web_ui_reads_what_is_written():
    prompt = 'a castle, "old",\ntwo lines: (fog:1.2), Steps: 3'
    text = written(prompt=prompt, negative="ugly,\nblurred", model='my "best", v1: pruned')
    read = web_ui(text)
    assert read[:2] == (prompt, "ugly,\nblurred")
    assert read[2]["Sampler"] == "DDIM"
    assert read[2]["Size"] == "512x512"
    assert read[2]["Model"] == r'"my \"best\", v1: pruned"'
    assert read[2]["Version"] == "sdnb 0.1.0"


def test_an_empty_prompt_and_an_open_request():
    assert written(prompt="").startswith("Steps: 20,")
    assert written(negative="dog").startswith("Negative prompt: dog\nSteps: 20,")
    with pytest.raises(ValueError, match="not resolved"):
        infotext.write(Request("a"), "", "", "0")


# An infotext loses whitespace at its ends and misreads a line that begins like the negative prompt.
# The `sdnb` text, which `sdnb.read` prefers, keeps both. Marks of a template are read as text: as
# one that says so.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r") | st.sampled_from(',":\n()')
).filter(
    lambda text: "Negative prompt:" not in text and text == text.strip() and literal(text) == text
)


@pytest.mark.slow
@given(
    TEXT, TEXT, st.sampled_from(SAMPLERS), st.sampled_from(SCHEDULES), TEXT,
    st.floats(0, allow_nan=False, allow_infinity=False), st.floats(0, 1), st.floats(0, 1),
    st.integers(1, 1000), st.integers(0, 2**62), st.booleans(), st.floats(0, 1),
    st.sampled_from(SYNTAXES), st.none() | st.integers(1, 12), st.floats(0, 1), st.integers(1, 10),
    st.integers(1, 10), st.floats(0, 0.9),
)  # fmt: skip
def test_what_is_written_is_read_back(
    prompt, negative, sampler, schedule, model, cfg, eta, strength, steps, seed, pictured, rescale,
    syntax, clip_skip, share, every, deep, merging,
):  # fmt: skip
    eta = eta if sampler in ETA_SAMPLERS else 0.0
    if schedule == "lcm":  # which has 50 levels, and fewer below strength 1
        steps, strength = min(steps, 5), max(strength, 0.1)
    request = Request(
        prompt, negative, 512, 768, steps, cfg, sampler, schedule, eta, seed,
        image=PNG if pictured else None, strength=strength if pictured else 0.75,
        cfg_rescale=rescale, syntax=syntax, clip_skip=clip_skip, cfg_start=share * 0.5,
        cfg_end=1 - share * 0.5, cfg_every=every, deep_every=deep, token_merging=merging,
    ).resolved(SETTINGS)  # fmt: skip
    text = infotext.write(request, model, "0123456789abcdef", "0.1.0")
    parsed = infotext.read(text)
    assert parsed.request.resolved(SETTINGS).but(eta=eta) == request.but(image=None)
    default = Request(sampler=sampler).resolved(SETTINGS).eta
    assert (default if parsed.request.eta is None else parsed.request.eta) == eta
    if '"' not in model[:1] and model[:1] not in ("{", "["):
        assert parsed.model == (model if any(mark in model for mark in ",:\n") else model.strip())
    assert (parsed.fingerprint, parsed.version) == ("0123456789", "sdnb 0.1.0")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"clip_skip": 2}, {"Clip skip": "2"}),
        ({"syntax": "a1111_no_norm"}, {"Emphasis": "No norm"}),
        ({}, {}),
    ],
)
def test_the_web_ui_reads_clip_skip_and_emphasis(fields, said):
    values = web_ui(written(prompt="a", **fields))[2]
    assert {k: v for k, v in values.items() if k in ("Clip skip", "Emphasis")} == said


def test_our_own_text_needs_no_notes():
    assert infotext.read(written(prompt="a (cat:1.2) dog:1 bird")).notes == ()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_all_of_ours_go_there_and_back(sampler):
    for schedule in SCHEDULES:
        parsed = infotext.read(written(sampler=sampler, schedule=schedule)).request
        assert (parsed.sampler, parsed.schedule) == (sampler, schedule)


def test_a_mask_that_was_turned_round_goes_there_and_back():
    line = "Steps: 20, Sampler: Euler, Seed: 1, Mask mode: Inpaint not masked"
    assert infotext.read(line).request.invert
    assert not infotext.read("Steps: 20, Sampler: Euler, Seed: 1").request.invert
    text = written(image=PNG, mask=PNG, invert=True)
    assert "Mask mode: Inpaint not masked" in text
    assert infotext.read(text).request.invert


@pytest.mark.parametrize(
    ("label", "fit"),
    [
        ("Just resize", "stretch"),
        ("Crop and resize", "crop"),
        ("Resize and fill", "fill"),
    ],
)
def test_the_resize_mode_of_the_web_ui_is_read_and_written(label, fit):
    line = f"a fox\nSteps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 7, Resize mode: {label}"
    saved = infotext.read(line)
    assert saved.request.fit == fit
    assert not any("Resize mode" in note for note in saved.notes)
    text = written(prompt="a fox", image=PNG, width=64, height=128, fit=fit)
    assert (f"Resize mode: {label}" in text) == (fit != "stretch")  # its default, which it omits
    assert infotext.read(text).request.fit == fit


def test_a_resize_mode_that_has_no_like_here_is_said():
    line = "a fox\nSteps: 20, Sampler: DDIM, Seed: 7, Resize mode: Just resize (latent upscale)"
    saved = infotext.read(line)
    assert saved.request.fit == "stretch"
    assert any("Resize mode: Just resize (latent upscale)" in note for note in saved.notes)


def test_no_resize_mode_is_written_where_there_is_no_picture_or_it_fits_inside():
    assert "Resize mode" not in written(prompt="a fox", fit="crop")
    text = written(prompt="a fox", image=PNG, width=128, height=256, fit="fit")
    assert "Resize mode" not in text
    assert "Size: 128x128" in text  # of PNG's proportions, 64x64


def test_loras_are_tags_of_the_prompt():
    from sdnb.request.lora import Lora

    request = Request(
        "a <lora:styles/pixel:0.3:0.5> cat, <other:styles/x>", seed=1,
        loras=[Lora("styles/fog.safetensors", 0.5), Lora("x", text=0)],
    )  # fmt: skip
    text = infotext.write(request.resolved(Settings()), "", "", "1")
    tags = "<lora:fog:0.5><lora:x:0:1>"  # by stems, as the web UI lists LoRAs
    assert text.splitlines()[0] == f"a <lora:pixel:0.3:0.5> cat, <other:styles/x> {tags}"
