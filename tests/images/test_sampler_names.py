"""Other programs' names of samplers and schedules."""

from __future__ import annotations

import pytest

from sdnb.images import sampler_names
from sdnb.request import SAMPLERS

# Each row: our sampler, and names of it in the web UI and Forge, ComfyUI, stable-diffusion.cpp,
# InvokeAI, AI Horde and NovelAI, diffusers and k-diffusion.
NAMES = {
    "ddim": ["DDIM", "ddim", "DDIMScheduler", "k_ddim"],
    "plms": ["PLMS", "plms", "pndm", "PNDMScheduler"],
    "euler": ["Euler", "k_euler", "EulerDiscreteScheduler", "sample_euler"],
    "euler_a": ["Euler a", "Euler A", "euler_a", "euler_ancestral", "k_euler_a",
                "k_euler_ancestral", "EulerAncestralDiscreteScheduler"],
    "heun": ["Heun", "k_heun", "HeunDiscreteScheduler"],
    "lms": ["LMS", "k_lms", "LMSDiscreteScheduler", "LMSD"],
    "dpm2": ["DPM2", "dpm_2", "k_dpm_2", "kdpm_2", "KDPM2DiscreteScheduler", "dpm2"],
    "dpm2_a": ["DPM2 a", "dpm_2_ancestral", "k_dpm_2_a", "kdpm_2_a",
               "KDPM2AncestralDiscreteScheduler"],
    "dpmpp_2m": ["DPM++ 2M", "dpmpp_2m", "dpm++2m", "DPM++ (2M)", "k_dpmpp_2m", "k_dpmpp_2",
                 "DPMSolverMultistepScheduler"],
    "dpmpp_2m_sde": ["DPM++ 2M SDE", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu"],
    "unipc": ["UniPC", "uni_pc", "uni_pc_bh2", "unipc", "UniPCMultistepScheduler"],
    "lcm": ["LCM", "lcm", "LCMScheduler"],
    "tcd": ["TCD", "tcd", "TCDScheduler"],
    "ddpm": ["DDPM", "ddpm", "DDPMScheduler"],
    "deis": ["DEIS", "deis", "DEISMultistepScheduler"],
    "dpmpp_2s_a": ["DPM++ 2S a", "dpmpp_2s_ancestral", "dpm++2s_a", "k_dpmpp_2s_a"],
    "dpmpp_sde": ["DPM++ SDE", "dpmpp_sde", "dpmpp_sde_gpu", "k_dpmpp_sde",
                  "DPMSolverSDEScheduler"],
    "dpmpp_3m_sde": ["DPM++ 3M SDE", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu"],
}  # fmt: skip
NATURAL = {"lcm": "lcm", "tcd": "lcm"}


def test_all_of_ours_are_in_the_table():
    assert set(NAMES) == set(SAMPLERS)


@pytest.mark.parametrize(("ours", "name"), [(k, name) for k, v in NAMES.items() for name in v])
def test_a_name_and_its_schedules_behind_it(ours, name):
    assert sampler_names.read(name) == (ours, NATURAL.get(ours, "uniform"), [])
    for ending, schedule in {
        " Karras": "karras", "_karras": "karras", " Exponential": "exponential",
        "_sgm_uniform": "sgm_uniform", "_normal": "uniform", "_simple": "simple",
        "_beta": "beta", "_kl_optimal": "kl_optimal", "_ays": "align_your_steps",
        "_ddim_uniform": "uniform", "_k": "karras", "_ka": "karras",
    }.items():  # fmt: skip
        assert sampler_names.read(name + ending) == (ours, schedule, []), ending


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_our_own_names_are_read(sampler):
    assert sampler_names.read(sampler)[0] == sampler


@pytest.mark.parametrize(
    ("label", "schedule", "expected"),
    [
        ("Euler a", "Automatic", ("euler_a", "uniform")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M SDE", "Automatic", ("dpmpp_2m_sde", "exponential")),
        ("DPM2", "Automatic", ("dpm2", "karras")),
        ("DPM++ 2S a", "Automatic", ("dpmpp_2s_a", "karras")),
        ("DPM++ SDE", "Automatic", ("dpmpp_sde", "karras")),
        ("DPM++ 3M SDE", "Automatic", ("dpmpp_3m_sde", "exponential")),
        ("DPM++ 3M SDE Karras", "", ("dpmpp_3m_sde", "karras")),
        ("DDIM", "Automatic", ("ddim", "uniform")),
        ("DPM++ 2M Karras", "Automatic", ("dpmpp_2m", "karras")),
        ("euler", "discrete", ("euler", "uniform")),
        ("Euler", "Polyexponential", ("euler", "exponential")),
        ('DDIM "trailing"', "", ("ddim", "trailing")),
        ("Euler", "Turbo", ("euler", "trailing")),
        ("Euler a", "KL Optimal", ("euler_a", "kl_optimal")),
        ("DPM++ 2M", "Align Your Steps", ("dpmpp_2m", "align_your_steps")),
        ("LCM", "Automatic", ("lcm", "lcm")),
        ("LCM", "SGM Uniform", ("lcm", "sgm_uniform")),
        ("ddim_uniform", "", ("ddim", "uniform")),
    ],
)  # fmt: skip
def test_schedules_beside_the_sampler(label, schedule, expected):
    assert sampler_names.read(label, schedule) == (*expected, [])


@pytest.mark.parametrize(
    "label",
    ["dpm++2mv2", "DPM adaptive", "dpm_fast", "dpmpp_2s", "euler_cfg_pp", "DPM++ 2M SDE Heun",
     "heunpp2", "Restart", "ipndm", "tcd_euler_a",
     "res_multistep", "", "k", "karras", "猫", "x" * 10_000],
)  # fmt: skip
def test_what_sdnb_lacks_is_none_and_a_note(label):
    sampler, _, notes = sampler_names.read(label)
    assert sampler is None
    (note,) = notes
    assert "which sdnb has not" in note
    assert len(note) < 400


@pytest.mark.parametrize("ending", ["gits", "linear_quadratic", "bong_tangent"])
def test_an_unknown_schedule_costs_only_itself(ending):
    for name, schedule in ((f"euler_{ending}", ""), ("euler", ending)):
        sampler, found, notes = sampler_names.read(name, schedule)
        assert (sampler, found, len(notes)) == ("euler", None, 1)
