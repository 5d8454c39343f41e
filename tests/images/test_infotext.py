"""AUTOMATIC1111's parameters text: written in its form, read whoever wrote it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnb.images import infotext
from sdnb.request import ETA_SAMPLERS, SAMPLERS, SCHEDULES, Request, Settings

SETTINGS = Settings()
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000400000004008020000002519c0d5")


def written(model="tiny", fingerprint="0123456789abcdef", **fields):
    request = Request(**{"seed": 7, "steps": 20, **fields}).resolved(SETTINGS)
    return infotext.write(request, model, fingerprint, "0.1.0")


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
# The `sdnb` text, which `sdnb.read` prefers, keeps both.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r") | st.sampled_from(',":\n()')
).filter(lambda text: "Negative prompt:" not in text and text == text.strip())


@given(
    TEXT, TEXT, st.sampled_from(SAMPLERS), st.sampled_from(SCHEDULES), TEXT,
    st.floats(0, allow_nan=False, allow_infinity=False), st.floats(0, 1), st.floats(0, 1),
    st.integers(1, 1000), st.integers(0, 2**62), st.booleans(),
)  # fmt: skip
def test_what_is_written_is_read_back(
    prompt, negative, sampler, schedule, model, cfg, eta, strength, steps, seed, pictured
):
    eta = eta if sampler in ETA_SAMPLERS else 0.0
    request = Request(
        prompt, negative, 512, 768, steps, cfg, sampler, schedule, eta, seed,
        image=PNG if pictured else None, strength=strength if pictured else 0.75,
    ).resolved(SETTINGS)  # fmt: skip
    text = infotext.write(request, model, "0123456789abcdef", "0.1.0")
    parsed = infotext.read(text)
    assert parsed.request.resolved(SETTINGS).but(eta=eta) == request.but(image=None)
    default = Request(sampler=sampler).resolved(SETTINGS).eta
    assert (default if parsed.request.eta is None else parsed.request.eta) == eta
    if '"' not in model[:1] and model[:1] not in ("{", "["):
        assert parsed.model == (model if any(mark in model for mark in ",:\n") else model.strip())
    assert (parsed.fingerprint, parsed.version) == ("0123456789", "sdnb 0.1.0")


@given(st.text() | st.lists(st.sampled_from(
    ["Steps: 20", ", ", "Sampler: Euler a", "Size: ", "512x512", '"', "{", "\n", ":", "Seed: -1",
     "Negative prompt: ", "CFG scale: nan", "Eta: ", "1", 'Model: "a, b"', "[" * 50]
)).map("".join))  # fmt: skip
@pytest.mark.slow
def test_any_text_is_read_or_is_a_value_error(text):
    try:
        assert isinstance(infotext.read(text).request, Request)
    except ValueError as error:
        assert "parameters text" in str(error)  # noqa: PT017 - either outcome is right


def test_a_line_as_the_web_ui_writes_it():
    parsed = infotext.read(
        "(masterpiece:1.2), a cat, <lora:fur:0.8>\r\n"
        "sitting, close-up\r\n"
        "Negative prompt: (worst quality:1.4), text,\r\nwatermark\r\n"
        "Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 3141592653, Size: 512x768, "
        "Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Clip skip: 2, ENSD: 31337, "
        'Lora hashes: "fur: 0d5f2c9a, b: 1", Version: v1.6.0'
    )
    assert parsed.request == Request(
        "(masterpiece:1.2), a cat, <lora:fur:0.8>\nsitting, close-up",
        "(worst quality:1.4), text,\nwatermark",
        width=512, height=768, steps=28, cfg=6.5, sampler="dpmpp_2m", schedule="karras",
        seed=3141592653,
    )  # fmt: skip
    assert (parsed.model, parsed.fingerprint) == ("v1-5-pruned-emaonly", "6ce0161689")
    assert parsed.version == "v1.6.0"
    notes = " ".join(parsed.notes)
    assert "kept as it was written" in notes
    assert "Clip skip: 2, ENSD: 31337" in notes
    assert "graphics card" in notes
    assert "Lora" not in notes


def test_a_hires_fix_and_an_img2img_say_what_is_missing():
    line = "Steps: 20, Sampler: Euler, Seed: 1, Size: 512x512, Denoising strength: 0.5, RNG: CPU"
    assert infotext.read(line).request.strength == 0.5
    assert any("not stored" in note for note in infotext.read(line).notes)
    hires = infotext.read(line + ", Hires upscale: 2, Hires upscaler: Latent")
    assert any("two passes" in note for note in hires.notes)
    assert any("Hires upscaler: Latent" in note for note in hires.notes)


@pytest.mark.parametrize(("label", "key"), [("Euler", "Eta"), ("UniPC", "Eta DDIM")])
def test_an_eta_that_the_sampler_has_no_use_for_is_left_out_and_said(label, key):
    parsed = infotext.read(f"Steps: 20, Sampler: {label}, Seed: 1, {key}: 0.5, RNG: CPU")
    assert parsed.request.resolved(SETTINGS).eta == 0
    assert parsed.notes == (f"Left out: an eta of 0.5, because {label.lower()} draws no noise.",)
    used = infotext.read(f"Steps: 20, Sampler: Euler a, Seed: 1, {key}: 0.5, RNG: CPU")
    assert (used.request.eta, used.notes) == (0.5, ())


def test_our_own_text_needs_no_notes():
    assert infotext.read(written(prompt="a (cat:1.2) dog:1 bird")).notes == ()


@pytest.mark.parametrize(
    ("label", "kind", "expected"),
    [
        ("Euler a", None, ("euler_a", "uniform")),
        ("Euler a", "Automatic", ("euler_a", "uniform")),
        ("euler A", "SGM Uniform", ("euler_a", "trailing")),
        ("DPM++ 2M Karras", None, ("dpmpp_2m", "karras")),
        ("DPM++ 2M", "Karras", ("dpmpp_2m", "karras")),
        ("DPM++ 2M SDE Karras", None, ("dpmpp_2m_sde", "karras")),
        ("DPM++ 2M SDE Exponential", None, ("dpmpp_2m_sde", "exponential")),
        ("DPM2 a Karras", None, ("dpm2_a", "karras")),
        ("LMS", None, ("lms", "uniform")),
        ("DDIM", None, ("ddim", "uniform")),
        ("DDIM", "Automatic", ("ddim", "uniform")),
        ("PLMS", None, ("plms", "uniform")),
        ("UniPC", None, ("unipc", "uniform")),
        ("LCM", None, ("lcm", "trailing")),
        ("Heun", "DDIM", ("heun", "uniform")),
        ("Heun", "Simple", ("heun", "trailing")),
    ],
)
def test_their_samplers_and_schedules(label, kind, expected):
    schedule = f", Schedule type: {kind}" if kind else ""
    parsed = infotext.read(f"Steps: 20, Sampler: {label}{schedule}, CFG scale: 7").request
    assert (parsed.sampler, parsed.schedule) == expected


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_all_of_ours_go_there_and_back(sampler, schedule):
    parsed = infotext.read(written(sampler=sampler, schedule=schedule)).request
    assert (parsed.sampler, parsed.schedule) == (sampler, schedule)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Steps: 20, Sampler: DPM++ SDE Karras", ["'DPM++ SDE Karras'", "DPM++ 2M SDE", "Euler a"]),
        ("Steps: 20, Sampler: DPM adaptive", ["'DPM adaptive'"]),
        ("Steps: 20, Sampler: Euler, Schedule type: Beta", ["'Beta'", "karras"]),
        ("Steps: 20, Sampler: Euler, Size: 512", ["Size", "'512'", "512x512"]),
        ("Steps: 20, Sampler: Euler, Size: 500x512", ["width=500", "504"]),
        ("Steps: 20, Sampler: Euler, CFG scale: high", ["CFG scale", "'high'"]),
        ("Steps: 20, Sampler: Euler, Seed: -1", ["seed=-1"]),
        ("Steps: 2000, Sampler: Euler", ["steps=2000"]),
        ("", ["no line of values"]),
        ("a cat", ["'a cat'", "no line of values"]),
        ('{"prompt": "a cat", "steps": 20}', ["another program"]),
    ],
)
def test_what_has_no_counterpart_is_refused_in_words(line, words):
    with pytest.raises(ValueError, match="parameters text") as caught:
        infotext.read(line)
    assert all(word in str(caught.value) for word in words), caught.value


def test_lines_after_the_values_and_values_that_are_json():
    parsed = infotext.read(
        'a cat\nSteps: 9, Sampler: Euler, Hashes: {"vae": "x", "model": "y"}, Seed: 3, '
        'Extra: "a: b, c", Bad: "open, Size: 64x64\nTemplate: a {cat|dog}'
    )
    assert parsed.request == Request(
        "a cat", width=64, height=64, steps=9, sampler="euler", schedule="uniform", seed=3
    )
    assert 'Extra: a: b, c, Bad: "open' in " ".join(parsed.notes)


@pytest.mark.parametrize("filler", [" ", ",", ":", '"', "a: ", "{", "Step: 1 "])
def test_a_long_line_takes_no_long_time(filler):
    text = "Steps: 1, " + filler * (100_000 // len(filler)) + ", Seed: 3"
    assert infotext.read(text).request.steps == 1
