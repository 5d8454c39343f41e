"""The names that fields may have, and each sampler's default schedule and eta."""

from __future__ import annotations

from sdnb.request.plain_words import counted

SAMPLERS = (
    "ddim", "plms", "euler", "euler_a", "heun", "lms",
    "dpm2", "dpm2_a", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "lcm",
    "tcd", "ddpm", "deis", "dpmpp_2s_a", "dpmpp_sde", "dpmpp_3m_sde",
)  # fmt: skip
SCHEDULES = (
    "uniform", "trailing", "karras", "exponential",
    "simple", "sgm_uniform", "beta", "kl_optimal", "align_your_steps", "lcm",
)  # fmt: skip
CONTENTS = ("original", "noise", "fill")
#: How prompts are read: `sdnb.request.prompt` says what each one means.
SYNTAXES = ("blocks", "a1111", "a1111_no_norm", "comfy")
FITS = ("stretch", "crop", "fill", "fit")

# The default schedule of a sampler, if the model's settings are for another sampler.
NATURAL_SCHEDULES = {
    "ddim": "uniform", "plms": "uniform", "ddpm": "uniform", "lcm": "lcm", "tcd": "lcm",
}  # fmt: skip
DEFAULT_SCHEDULE = {name: NATURAL_SCHEDULES.get(name, "karras") for name in SAMPLERS}
DEFAULT_SCHEDULE["dpmpp_3m_sde"] = "exponential"

# The default eta of the samplers that draw fresh noise. All others have eta 0.
ETA_SAMPLERS = {
    "ddim": 0.0, "euler_a": 1.0, "dpm2_a": 1.0, "dpmpp_2m_sde": 1.0, "lcm": 1.0, "tcd": 0.3,
    "ddpm": 1.0, "dpmpp_2s_a": 1.0, "dpmpp_sde": 1.0, "dpmpp_3m_sde": 1.0,
}  # fmt: skip

# Passes a step, where it is not one: calls of denoise, each with and without the prompt.
PASSES = {"heun": 2, "dpm2": 2, "dpm2_a": 2, "dpmpp_2s_a": 2, "dpmpp_sde": 2}


def step_of(sampler: str, call: int) -> int:
    """The step of a call of denoise in a run, both counted from 0: plms has two in its first step,
    of which pace and prompts take no account.
    """
    return max(call - 1, 0) if sampler == "plms" else call // PASSES.get(sampler, 1)


def calls_of(sampler: str, step: int) -> range:
    """The calls of denoise in a step, as `step_of` counts them."""
    if sampler == "plms":
        return range(step + bool(step), step + 2)
    passes = PASSES.get(sampler, 1)
    return range(step * passes, (step + 1) * passes)


def in_share(start: float, end: float, step: int, steps: int) -> bool:
    """Whether a step of so many, counted from 0, is in a share of the run, as AUTOMATIC1111 counts:
    from `start` to `end`, both included, where the steps are 0, 1/n, 2/n and so on of it.
    """
    return start <= min(step, steps - 1) / max(steps, 1) <= end


#: Levels of the schedule "lcm": those at which a model learns to need few steps.
LCM_LEVELS = 50


def lcm_levels(steps: int, strength: float = 1.0) -> int:
    """How many levels of the schedule "lcm" a run at this strength chooses its steps from: none at
    strength 0, and 50 at 1. Raises ValueError where there are fewer than steps.
    """
    left = int(LCM_LEVELS * strength + 1e-9)  # 0.58 of 50 is 29, and a little less as a float
    if strength > 0 and steps > left:
        at = f", and strength {strength:g} leaves {left} of them" if strength < 1 else ""
        fewer = f"take {counted(left, 'step')} or fewer, " if left else ""
        more = "a larger strength, " if strength < 1 else ""
        raise ValueError(
            f"steps is {steps}; the schedule 'lcm' has {LCM_LEVELS} levels{at}: {fewer}{more}or "
            "another schedule"
        )
    return left


def steps_run(steps: int, schedule: str | None, strength: float) -> int:
    """How many of the steps run that begin with a picture at this strength. With the schedule "lcm"
    all do: they lie closer together instead.
    """
    if strength == 0 or schedule == "lcm":
        return steps if strength else 0
    return max(1, round(steps * strength))


def own_eta(sampler: str) -> float:
    """The default eta of a sampler."""
    return ETA_SAMPLERS.get(sampler, 0.0)


def gone_with(
    before: str | None, after: str | None, schedule: str | None, eta: float | None
) -> dict[str, None]:
    """The fields to reset to None when sampler `before` is replaced by `after`: `schedule` and
    `eta`, if they have the defaults of `before`, which no user chose.

    Other values were chosen and stay, even if `after` cannot use them: `Request.resolved` then
    refuses the eta. If `before` is None, every given value was chosen.
    """
    if before is None or before == after:
        return {}
    own = {"schedule": schedule == DEFAULT_SCHEDULE[before], "eta": eta == own_eta(before)}
    return dict.fromkeys(name for name, is_own in own.items() if is_own)
