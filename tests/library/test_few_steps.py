"""LoRAs for few steps: told by what they say of themselves, and what they bring to a request."""

from __future__ import annotations

import pytest
from helpers import hostile_checkpoints as hostile
from helpers.folder_of_a_user import kohya

from sdnb.library import Library, few_steps
from sdnb.request import Request, Settings
from sdnb.request.lora import Lora

SETTINGS = Settings(steps=25, cfg=7.5, sampler="ddim", schedule="uniform")
LCM, TCD = (4, 1, "lcm", "lcm"), (4, 1, "tcd", "lcm")


def lora(folder, name, **texts):
    path = folder / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes, size = hostile.laid_out(kohya())
    hostile.headed(path, {**shapes, "__metadata__": texts} if texts else shapes, size)
    return path


def values(suits):
    eta = () if suits is None or suits.eta is None else (suits.eta,)
    return suits and (suits.steps, suits.cfg, suits.sampler, suits.schedule, *eta)


# Names of files as their authors publish them, and of styles that are no such LoRAs.
@pytest.mark.parametrize(
    ("name", "suits"),
    [
        ("lcm-lora-sdv1-5/pytorch_lora_weights", LCM),
        ("LCM_LoRA_SD15", LCM),
        ("TCD-SD15-LoRA", TCD),
        ("Hyper-SD15-1step-lora", (1, 1, "tcd", "lcm", 1)),
        ("Hyper-SDXL-1step-lora", (1, 1, "tcd", "lcm", 1)),
        ("Hyper-SD15-4steps-lora", (4, 1, "ddim", "trailing")),
        ("Hyper-SD15-8steps-lora", (8, 1, "ddim", "trailing")),
        ("Hyper-SD15-12steps-CFG-lora", (12, 5, "ddim", "trailing")),
        ("pcm_sd15_smallcfg_2step_converted", (2, 1, "ddim", "trailing")),
        ("pcm_sd15_normalcfg_16step_converted", (16, 4.5, "ddim", "trailing")),
        ("pcm_sd15_lcmlike_lora_converted", LCM),
        ("fruit, ddim distilled, 4 steps", (4, 1, "ddim", "trailing")),
        ("fruit-ddim-distilled-2steps", (2, 1, "ddim", "trailing")),
        ("ddim-distil", None),
        ("sd_turbo_lora", (4, 1, "euler", "trailing")),
        ("sd21-turbo-lora-rank64", (4, 1, "euler", "trailing")),
        ("lcm-lora-999steps", LCM),
        ("pixelart", None),
        ("hyper-realistic-4steps", None),
        ("porsche-911-turbo", None),
        ("hypersexual", None),
        ("calcm", None),
        ("lcm/styles/pixelart", None),
    ],
)
def test_a_name_says_it(tmp_path, cache, name, suits):
    lora(tmp_path, name)
    (file,) = Library(tmp_path).files("lora")
    assert values(few_steps.settings_of(file)) == suits


@pytest.mark.parametrize("key", ["ss_output_name", "modelspec.title"])
def test_metadata_say_it_also_where_a_file_was_renamed_or_seen_before(tmp_path, cache, key):
    lora(tmp_path, "fast", **{key: "LCM LoRA of 6 steps"})
    for _ in range(2):  # the second time from the cache
        (file,) = Library(tmp_path).files("lora")
        assert values(few_steps.settings_of(file)) == (6, 1, "lcm", "lcm")


@pytest.fixture
def library(tmp_path, cache):
    for name in ("lcm-lora", "Hyper-SD15-2steps-lora", "fog"):
        lora(tmp_path / "files", name)
    return Library(tmp_path / "files")


def brought(request, library):
    settings, said = few_steps.suited(request, SETTINGS, few_steps.finder(library))
    done = request.resolved(settings)
    return (done.steps, done.cfg, done.sampler, done.schedule), said


def test_what_is_left_open_is_brought_and_said(library):
    for asked in (
        Request(loras=[Lora("fog"), Lora("lcm-lora", 0.7)]),
        Request("<lora:lcm-lora:1>"),
    ):
        done, said = brought(asked, library)
        assert done == LCM
        assert said == (
            "lcm-lora is a LoRA for few steps (LCM), and brought what was left open: steps 4, "
            "cfg 1, sampler lcm, schedule lcm."
        )
    settings, _ = few_steps.suited(asked, SETTINGS, few_steps.finder(library))
    assert (settings.width, settings.height) == (SETTINGS.width, SETTINGS.height)


def test_the_first_one_of_some_strength_brings_it(library):
    two = [Lora("lcm-lora", 0), Lora("Hyper-SD15-2steps-lora"), Lora("lcm-lora")]
    assert brought(Request(loras=two), library)[0] == (2, 1, "ddim", "trailing")


@pytest.mark.parametrize(
    ("given", "done"),
    [
        ({"steps": 7, "cfg": 2}, (7, 2, "lcm", "lcm")),
        ({"sampler": "euler"}, (4, 1, "euler", "lcm")),  # at levels that it learnt at
        ({"sampler": "euler", "schedule": "karras"}, (4, 1, "euler", "karras")),
        ({"schedule": "trailing"}, (4, 1, "lcm", "trailing")),
    ],
)
def test_what_is_given_stays(library, given, done):
    found, said = brought(Request(loras=["lcm-lora"], **given), library)
    assert found == done
    assert not any(f"{name} " in said.partition("open:")[2] for name in given)


@pytest.mark.parametrize(
    ("given", "eta", "said"),
    [
        ({}, 1, "eta 1."),
        ({"steps": 1, "cfg": 1, "sampler": "tcd", "schedule": "lcm"}, 1, "open: eta 1."),
        ({"eta": 0.5}, 0.5, "schedule lcm."),
        ({"steps": 4}, 0.3, "schedule lcm."),  # its authors take less than 1 then
        ({"sampler": "ddim"}, 0, "schedule lcm."),
        ({"sampler": "euler"}, 0, "schedule lcm."),
    ],
)
def test_one_step_brings_its_eta_for_its_own_sampler_and_its_one_step(tmp_path, given, eta, said):
    path = lora(tmp_path, "Hyper-SD15-1step-lora")
    request = Request(loras=[str(path)], **given)
    settings, words = few_steps.suited(request, SETTINGS, few_steps.finder(None))
    assert request.resolved(settings).eta == eta
    assert words.endswith(said)
    done = request.but(seed=1).resolved(settings)
    assert few_steps.suited(done, SETTINGS, few_steps.finder(None))[1] == ""


def test_nothing_is_brought_where_nothing_is_open_and_a_second_time(library):
    resolved = Request(loras=["lcm-lora"], steps=20, cfg=7, sampler="ddim", schedule="karras")
    assert brought(resolved, library) == ((20, 7, "ddim", "karras"), "")
    settings, _ = few_steps.suited(Request(loras=["lcm-lora"]), SETTINGS, few_steps.finder(library))
    done = Request(loras=["lcm-lora"], seed=1).resolved(settings)
    assert brought(done, library) == (LCM, "")


def test_a_path_needs_no_library_and_of_what_is_not_here_its_name_tells(tmp_path, cache):
    path = lora(tmp_path, "fast", **{"modelspec.title": "TCD"})
    assert brought(Request(loras=[str(path)]), None)[0] == TCD
    path = lora(tmp_path, "lcm-lora-sdv1-5/pytorch_lora_weights")
    done, said = brought(Request(loras=[str(path)]), None)
    assert done == LCM
    assert said.startswith("lcm-lora-sdv1-5 is a LoRA for few steps (LCM)")
    own = (25, 7.5, "ddim", "uniform")
    for nowhere in (Library(tmp_path), None):
        for asked in (Request("<lora:lcm:x>"), Request(loras=["\0"]), Request(loras=["fog"])):
            assert brought(asked, nowhere) == (own, "")
        for name in ("lcm-lora", "/models/lcm.safetensors"):
            done, said = brought(Request(loras=[name]), nowhere)
            assert done == LCM
            assert said.startswith("lcm")
