"""What other programs call samplers and schedules: labels that are written, names that are read.

Known are the names of AUTOMATIC1111's web UI from 2022 to 2026, Forge, SD.Next, ComfyUI and the
nodes that save its settings, stable-diffusion.cpp, InvokeAI, NovelAI, AI Horde and diffusers. They
are compared by letters and digits alone: `DPM++ 2M`, `dpmpp_2m` and `k_dpmpp_2m` are one name.
"""

from __future__ import annotations

from sdnb.request import checks
from sdnb.request.choices import NATURAL_SCHEDULES

#: The web UI's names of our samplers; TCD, DDPM and DEIS are of Forge and SD.Next.
SAMPLER_LABELS = {
    "ddim": "DDIM", "plms": "PLMS", "euler": "Euler", "euler_a": "Euler a", "heun": "Heun",
    "lms": "LMS", "dpm2": "DPM2", "dpm2_a": "DPM2 a", "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE", "unipc": "UniPC", "lcm": "LCM", "tcd": "TCD", "ddpm": "DDPM",
    "deis": "DEIS", "dpmpp_2s_a": "DPM++ 2S a", "dpmpp_sde": "DPM++ SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
}  # fmt: skip
#: The web UI's names of our schedules. It calls the timesteps of our "uniform" "DDIM"; "Turbo" is
#: Forge's name, and "LCM" is ours, since elsewhere that schedule goes with its sampler.
SCHEDULE_LABELS = {
    "uniform": "DDIM", "trailing": "Turbo", "karras": "Karras", "exponential": "Exponential",
    "simple": "Simple", "sgm_uniform": "SGM Uniform", "beta": "Beta", "kl_optimal": "KL Optimal",
    "align_your_steps": "Align Your Steps", "lcm": "LCM",
}  # fmt: skip

_SAMPLERS = {
    "ddim": "ddim", "plms": "plms", "pndm": "plms", "euler": "euler", "eulera": "euler_a",
    "eulerancestral": "euler_a", "heun": "heun", "lms": "lms", "lmsd": "lms", "dpm2": "dpm2",
    "dpm2a": "dpm2_a", "dpm2ancestral": "dpm2_a", "dpmpp2m": "dpmpp_2m", "dpmpp2": "dpmpp_2m",
    "dpmsolvermultistep": "dpmpp_2m", "dpmpp2msde": "dpmpp_2m_sde", "lcm": "lcm",
    "dpmpp2msdegpu": "dpmpp_2m_sde", "unipc": "unipc", "unipcmultistep": "unipc",
    "unipcbh2": "unipc", "tcd": "tcd", "ddpm": "ddpm", "deis": "deis", "deismultistep": "deis",
    "dpmpp2sa": "dpmpp_2s_a", "dpmpp2sancestral": "dpmpp_2s_a",
    "dpmppsde": "dpmpp_sde", "dpmppsdegpu": "dpmpp_sde", "dpmsolversde": "dpmpp_sde",
    "dpmpp3msde": "dpmpp_3m_sde", "dpmpp3msdegpu": "dpmpp_3m_sde",
}  # fmt: skip
# "Uniform" and "Normal" differ from our "uniform" by less than a step. The web UI's
# "Polyexponential" has rho 1, which is "Exponential". "Beta" is the web UI's; ComfyUI's lies
# elsewhere.
_SCHEDULES = {
    "ddim": "uniform", "ddimuniform": "uniform", "uniform": "uniform", "normal": "uniform",
    "discrete": "uniform", "native": "uniform", "sgmuniform": "sgm_uniform", "simple": "simple",
    "trailing": "trailing", "turbo": "trailing", "karras": "karras", "exponential": "exponential",
    "polyexponential": "exponential", "beta": "beta", "kloptimal": "kl_optimal",
    "alignyoursteps": "align_your_steps", "ays": "align_your_steps", "lcm": "lcm",
}  # fmt: skip
# Schedules that sdnb lacks and other programs write behind a sampler's name.
_ELSEWHERE = ("linearquadratic", "gits", "smoothstep", "bongtangent")
_AUTOMATIC = ("", "automatic", "auto", "default")
# What "Automatic" is in the web UI and Forge, where it is not uniform.
_OWN_SCHEDULES = {
    "dpmpp_2m": "karras", "dpmpp_2m_sde": "exponential", "dpm2": "karras", "dpm2_a": "karras",
    "dpmpp_2s_a": "karras", "dpmpp_sde": "karras", "dpmpp_3m_sde": "exponential",
}  # fmt: skip
# Of InvokeAI ("euler_k") and of the web UI's first months ("k_lms_ka").
_SUFFIXES = {name: name for name in (*_SCHEDULES, *_ELSEWHERE)} | {"ka": "karras", "k": "karras"}
_PREFIXES = ("", "k", "sample")


def read(label: str, schedule: str = "") -> tuple[str | None, str | None, list[str]]:
    """Our names of a sampler and its schedule, and notes on what sdnb lacks, which is None.

    `schedule` is what the text says beside the sampler, if anything. Without it the schedule may be
    part of the label ("DPM++ 2M Karras", "euler_karras"), or else is the program's default.
    """
    sampler, suffix = _parted(_plain(label))
    named = _plain(schedule)
    notes = []
    if sampler is None:
        listed = ", ".join(SAMPLER_LABELS.values())
        notes.append(
            f"Left out: the sampler {checks.shown(label)}, which sdnb has not, so that the model's "
            f"own is taken. Known are {listed}."
        )
    if named in _AUTOMATIC and suffix:
        schedule, named = suffix, suffix
    if named in _AUTOMATIC:
        if sampler is None:
            return None, None, notes
        own = NATURAL_SCHEDULES.get(sampler, "uniform")
        return sampler, _OWN_SCHEDULES.get(sampler, own) if named else own, notes
    if named not in _SCHEDULES:
        listed = ", ".join(SCHEDULE_LABELS.values())
        notes.append(
            f"Left out: the schedule {checks.shown(schedule)}, which sdnb has not, so that the "
            f"sampler's own is taken. Known are {listed}."
        )
    return sampler, _SCHEDULES.get(named), notes


def _parted(plain: str) -> tuple[str | None, str]:
    """Our name of the sampler, and the name of the schedule at the end of its label, if any."""
    whole = _sampler_of(plain)
    if whole is not None:
        return whole, ""
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        sampler = _sampler_of(plain.removesuffix(suffix)) if plain.endswith(suffix) else None
        if sampler is not None:
            return sampler, _SUFFIXES[suffix]
    known = next((s for s in ("karras", "exponential") if plain.endswith(s)), "")
    return None, known


def _sampler_of(plain: str) -> str | None:
    """Our name of a sampler that may be written as diffusers' class or k-diffusion's function."""
    bare = plain.removesuffix("scheduler").removesuffix("discrete")
    return next(
        (found for prefix in _PREFIXES if (found := _SAMPLERS.get(bare.removeprefix(prefix)))), None
    )


def _plain(name: str) -> str:
    """Small letters and digits alone; + is p, as in dpmpp."""
    return "".join(c for c in name[:100].lower().replace("+", "p") if c.isalnum())
