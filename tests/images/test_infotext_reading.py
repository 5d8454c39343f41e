"""AUTOMATIC1111's parameters text, as it and other programs have written it since 2022: reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnb.images import infotext
from sdnb.request import Request, Settings, words

SETTINGS = Settings()


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
        seed=3141592653, syntax="a1111", clip_skip=2,
    )  # fmt: skip
    assert (parsed.model, parsed.fingerprint) == ("v1-5-pruned-emaonly", "6ce0161689")
    assert parsed.version == "v1.6.0"
    notes = " ".join(parsed.notes)
    assert "kept as it was written" not in notes
    assert "no such setting: ENSD: 31337" in notes
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


@pytest.mark.parametrize(
    ("label", "kind", "expected"),
    [
        ("Euler a", None, ("euler_a", "uniform")),
        ("Euler a", "Automatic", ("euler_a", "uniform")),
        ("euler A", "SGM Uniform", ("euler_a", "sgm_uniform")),
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
        ("LCM", None, ("lcm", "lcm")),
        ("Heun", "DDIM", ("heun", "uniform")),
        ("Heun", "Simple", ("heun", "simple")),
    ],
)
def test_their_samplers_and_schedules(label, kind, expected):
    schedule = f", Schedule type: {kind}" if kind else ""
    parsed = infotext.read(f"Steps: 20, Sampler: {label}{schedule}, CFG scale: 7").request
    assert (parsed.sampler, parsed.schedule) == expected


@pytest.mark.parametrize(
    ("values", "lost", "words"),
    [
        ("Sampler: DPM fast", "sampler schedule", ["'DPM fast'", "DPM++ 2M SDE", "Euler a"]),
        ("Sampler: DPM fast Karras", "sampler", ["'DPM fast Karras'"]),
        ("Sampler: Euler, Schedule type: GITS", "schedule", ["'GITS'", "Karras"]),
        ("Sampler: euler_gits", "schedule", ["'gits'"]),
        ("Sampler: Euler, Size: 512", "width height", ["Size", "'512'", "512x512"]),
        ("Sampler: Euler, Size: 32x99999", "width height", ["32x99999", "64", "8192"]),
        ("Sampler: Euler, CFG scale: high", "cfg", ["CFG scale", "'high'"]),
        ("Sampler: Euler, CFG scale: nan", "cfg", ["cfg=nan"]),
        ("Sampler: Euler, CFG scale: 1" + "0" * 400, "cfg", ["cfg=inf"]),
        ("Sampler: Euler, Masked area padding: " + "9" * 5000, "padding", ["not a number"]),
        ("Sampler: Euler, Denoising strength: 1.5", "strength", ["strength=1.5"]),
    ],
)
def test_what_has_no_counterpart_costs_its_own_field_and_a_note(values, lost, words):
    parsed = infotext.read(f"a cat\nNegative prompt: dog\nSteps: 20, Seed: 7, {values}")
    request, default = parsed.request, Request()
    assert (request.prompt, request.negative, request.seed, request.steps) == (
        "a cat",
        "dog",
        7,
        20,
    )
    assert all(getattr(request, name) == getattr(default, name) for name in lost.split())
    left = {"sampler", "schedule"} - set(lost.split())
    assert all(getattr(request, name) is not None for name in left)
    notes = " ".join(parsed.notes)
    assert all(word in notes for word in words), notes


def test_a_size_off_8_is_rounded_down_as_the_web_ui_does_and_said():
    parsed = infotext.read("a\nSteps: 20, Sampler: Euler, Seed: 1, Size: 500x519, RNG: CPU")
    assert (parsed.request.width, parsed.request.height) == (496, 512)
    assert parsed.notes == ("Sides are multiples of 8 here: 500x519 became 496x512.",)


@pytest.mark.parametrize("key", ["Seed: -1", "Seed: 18446744073709551615"])
def test_a_seed_out_of_range_is_left_out_and_said(key):
    parsed = infotext.read(f"a\nSteps: 20, Sampler: Euler, {key}")
    assert parsed.request.seed is None
    assert any("seed=" in note for note in parsed.notes)


@pytest.mark.parametrize(
    "line", ["", "a cat", "climb the Steps: 3 of them", '{"prompt": "a cat", "steps": 20}']
)
def test_a_text_without_values_is_refused_in_words(line):
    with pytest.raises(ValueError, match=r"parameters text.*no line of values.*another program"):
        infotext.read(line)


# Sizes by hand: the web UI's rule until 2023 gives about 512 * 512 pixels in multiples of 64.
@pytest.mark.parametrize(
    ("size", "first", "expected"),
    [
        ("1024x1024", "512x512", (512, 512)), ("1024x1024", "0x0", (512, 512)),
        ("1920x1080", "0x0", (704, 384)), ("768x1152", "512x768", (512, 768)),
    ],
)  # fmt: skip
def test_the_hires_fix_of_old_gives_its_first_pass(size, first, expected):
    parsed = infotext.read(
        f"a castle\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: {size}, "
        f"Denoising strength: 0.7, First pass size: {first}"
    )
    assert (parsed.request.width, parsed.request.height) == expected
    notes = " ".join(parsed.notes)
    assert "two passes" in notes
    assert f"Hires resize: {size}" in notes
    assert "not stored" not in notes


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("a cat, red Steps: 20, Sampler: Euler, Seed: 3", "a cat, red", ""),
        ("a cat, Steps: 20, Sampler: Euler, Seed: 3", "a cat", ""),
        ("a cat Negative prompt: dog, fog Steps: 20, Sampler: Euler, Seed: 3", "a cat", "dog, fog"),
        ("a cat\nNegative prompt: dog Steps: 20, Sampler: Euler, Seed: 3", "a cat", "dog"),
        ("up Steps: 3, red Steps: 20, Sampler: Euler, Seed: 3", "up Steps: 3, red", ""),
        ("up, Steps: 3, red\nSteps: 20, Sampler: Euler, Seed: 3", "up, Steps: 3, red", ""),
        ("a cat\nSampler: Euler, Steps: 20, Seed: 3", "a cat", ""),
        ("a cat\nSteps: 20, Sampler: Euler, Seed: 3\nTemplate: up, Steps: 3", "a cat", ""),
        (
            'a cat\nSteps: 20, Sampler: Euler, Seed: 3, Hires prompt: "x, Steps: 1, Seed: 2"',
            "a cat",
            "",
        ),
    ],
)
def test_prompts_in_the_line_of_the_values_and_prompts_that_speak_of_steps(text, prompt, negative):
    request = infotext.read(text).request
    assert (request.prompt, request.negative) == (prompt, negative)
    assert (request.steps, request.sampler, request.seed) == (20, "euler", 3)


def test_keys_in_other_cases_and_keys_that_come_twice():
    parsed = infotext.read(
        "a\nsteps: 9, sampler: k_euler, seed: 3, cfg Scale: 5, model: m, Seed: 4"
    )
    request = parsed.request
    assert (request.steps, request.seed, request.cfg, parsed.model) == (9, 3, 5, "m")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("", True), ("RNG: CPU", False), ("RNG: cpu", False), ("RNG: cuda", True),
        ("RNG: NV", True),        ("Version: ComfyUI", False), ("Version: v1.6.0", True),
    ],
)  # fmt: skip
def test_where_the_noise_was_drawn(values, said):
    notes = infotext.read(f"a\nSteps: 9, Sampler: Euler, Seed: 3, {values}").notes
    assert any("graphics card" in note for note in notes) == said
    notes = infotext.read("a\nSteps: 9, Sampler: Euler, Seed: 3, RNG: std_default").notes
    assert any("another generator" in note for note in notes)


def test_notes_hold_nothing_that_moves_a_cursor():
    notes = infotext.read("a\nSteps: 9, Sampler: \x1b[2J, Seed: 3, \x1b]0;x\x07: \x1b[31m").notes
    assert all(note.isprintable() for note in notes)


def test_lines_after_the_values_and_values_that_are_json():
    parsed = infotext.read(
        'a cat\nSteps: 9, Sampler: Euler, Hashes: {"vae": "x", "model": "y"}, Seed: 3, '
        'Extra: "a: b, c", Bad: "open, Size: 64x64\nTemplate: a {cat|dog}'
    )
    assert parsed.request == Request(
        "a cat",
        width=64,
        height=64,
        steps=9,
        sampler="euler",
        schedule="uniform",
        seed=3,
        syntax="a1111",
        template="a {cat|dog}",
    )
    assert 'Extra: a: b, c, Bad: "open' in " ".join(parsed.notes)


@pytest.mark.parametrize(
    "filler",
    [
        " ",
        ",",
        ":",
        '"',
        "a: ",
        "{",
        "Step: 1 ",
        "Steps: 1",
        "a: {",
        'a: "',
        "a: [",
        "Seed: ",
        "\n",
    ],
)
@pytest.mark.parametrize("end", [", Seed: 3", ""])
def test_a_long_line_takes_no_long_time(filler, end):
    """What grows with the square of this length would take minutes."""
    text = "Steps: 1, Sampler: Euler, " + filler * (300_000 // len(filler)) + end
    assert infotext.read(text).request.steps == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Nodes of ComfyUI that compute their numbers as floats.
        (
            "a\nSteps: 20.0, Sampler: euler, Seed: 123.0, Guidance scale: 7.0, Size: 512 × 768",
            Request("a", width=512, height=768, steps=20, cfg=7, sampler="euler",
                    schedule="uniform", seed=123, syntax="a1111"),
        ),
        # A text file beside the picture, with a setting a line and a byte order mark.
        (
            "\ufeffa\nnegative prompt: b\nSteps: 20\nSampler: Euler a\nCFG: 7\nSeed: 1\nend",
            Request("a", "b", steps=20, cfg=7, sampler="euler_a", schedule="uniform", seed=1,
                    syntax="a1111"),
        ),
        # stable-diffusion.cpp, which says the prompt again behind its version.
        (
            ("Seed: 9\nSteps: 20, CFG scale: 7.00, Eta: 0.00, Seed: 5, Size: 512x512, RNG: cuda, "
            "Sampler: dpm++2m karras, Version: stable-diffusion.cpp, "
            'SDCPP: {"seed": 5, "prompt": {"positive": "Seed: 9\\nSteps: 3, Sampler: x"}}'),
            Request("Seed: 9", width=512, height=512, steps=20, cfg=7, sampler="dpmpp_2m",
                    schedule="karras", eta=0, seed=5, syntax="a1111"),
        ),
    ],
)  # fmt: skip
def test_forms_of_other_writers(text, expected):
    assert infotext.read(text).request == expected


@pytest.mark.parametrize(
    ("values", "syntax"),
    [
        ("Version: v1.10.0", "a1111"),
        ("Emphasis: No norm, Version: v1.10.0", "a1111_no_norm"),
        ("Emphasis: Original, Version: f2.0.1v1.10.1", "a1111"),
        ("Version: ComfyUI", "comfy"),
        ("Version: sdnb 0.1.0", "blocks"),
        ("Prompt syntax: comfy, Version: sdnb 0.2.0", "comfy"),
    ],
)
def test_the_syntax_of_a_prompt_is_that_of_its_program(values, syntax):
    parsed = infotext.read(f"a (cat:1.2)\nSteps: 9, Sampler: Euler, Seed: 3, RNG: CPU, {values}")
    assert parsed.request.syntax == syntax
    assert not any("Left out" in note for note in parsed.notes)


def test_values_that_are_usual_need_no_note():
    """Text to picture is written as a strength of 1 by ComfyUI's savers."""
    parsed = infotext.read(
        "a\nSteps: 9, Sampler: euler, Seed: 3, Denoise: 1.0, Inpaint area: Whole picture, "
        "Mask mode: Inpaint masked, Mask blur: 0, Version: ComfyUI"
    )
    assert parsed.notes == ()


@pytest.mark.parametrize(
    ("behind", "template", "negative"),
    [
        ("\nTemplate: a {cat|dog}", "a {cat|dog}", ""),
        ("\nTemplate: a {cat|dog}\nNegative Template: __bad__", "a {cat|dog}", "__bad__"),
        ("\nNegative Template: __bad__", "", "__bad__"),
        ("\nTemplate: a\n  {cat|\n dog}\nNegative Template: x", "a\n  {cat|\n dog}", "x"),
        (
            ', Template: "a {cat|dog}, big", Negative Template: __bad__',
            "a {cat|dog}, big",
            "__bad__",
        ),
        ("\nother: a {cat|dog}", "", ""),
    ],
)
def test_templates_of_dynamic_prompts_are_kept_beside_the_words(behind, template, negative):
    told = infotext.read(f"a cat\nNegative prompt: fog\nSteps: 9, Sampler: Euler, Seed: 3{behind}")
    request = told.request
    assert (request.prompt, request.negative) == ("a cat", "fog")
    assert (request.template, request.negative_template) == (template, negative)
    assert not any("emplate" in note for note in told.notes)


def test_marks_in_words_that_ran_are_text():
    request = infotext.read("a {cat|dog}\nSteps: 9, Sampler: Euler, Seed: 3").request
    assert request.prompt == "a {cat|dog}"
    assert words.settled(request) is request


def test_templates_are_written_for_other_tools():
    asked = Request("a cat", seed=3, template="a {cat|dog}, __big__", negative_template="{x|y}")
    text = infotext.write(asked.resolved(Settings()), "a model", "0a" * 8, "1")
    assert text.endswith(
        'Template: "a {cat|dog}, __big__", Negative Template: {x|y}, Version: sdnb 1'
    )
    back = infotext.read(text).request
    assert (back.template, back.negative_template) == (asked.template, asked.negative_template)
