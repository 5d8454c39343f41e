"""The names that a request chooses from, and what goes with each sampler."""

from __future__ import annotations

SAMPLERS = (
    "ddim", "plms", "euler", "euler_a", "heun", "lms",
    "dpm2", "dpm2_a", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "lcm",
)  # fmt: skip
SCHEDULES = ("uniform", "trailing", "karras", "exponential")
CONTENTS = ("original", "noise", "fill")

# What suits each sampler when the model's settings speak of another one.
NATURAL_SCHEDULES = {"ddim": "uniform", "plms": "uniform", "lcm": "trailing"}
DEFAULT_SCHEDULE = {name: NATURAL_SCHEDULES.get(name, "karras") for name in SAMPLERS}

# Samplers that draw fresh noise, with their own eta; for all others eta is 0.
ETA_SAMPLERS = {"ddim": 0.0, "euler_a": 1.0, "dpm2_a": 1.0, "dpmpp_2m_sde": 1.0, "lcm": 1.0}

# Passes a step, where it is not one: calls of denoise, each with and without the prompt.
PASSES = {"heun": 2, "dpm2": 2, "dpm2_a": 2}


def own_eta(sampler: str) -> float:
    """The eta of a sampler where none is asked for."""
    return ETA_SAMPLERS.get(sampler, 0.0)


def gone_with(
    before: str | None, after: str | None, schedule: str | None, eta: float | None
) -> dict[str, None]:
    """Of `schedule` and `eta`, those that go when sampler `before` gives way to `after`: the ones
    that are `before`'s own, as fields left open, so that `after` brings its own.

    A finished request has every field filled in, and what its sampler filled in nobody chose. What
    differs from it was chosen and stays, also where `after` cannot take it: an eta above 0 is not
    dropped in silence, `Request.resolved` refuses it in words. Where `before` is open (None), all
    that is given was chosen.
    """
    if before is None or before == after:
        return {}
    own = {"schedule": schedule == DEFAULT_SCHEDULE[before], "eta": eta == own_eta(before)}
    return {name: None for name, is_own in own.items() if is_own}
