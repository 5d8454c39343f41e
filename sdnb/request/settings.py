"""`Settings`: what suits a model, and the ranges that its numbers and a request's may have."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sdnb.request import checks
from sdnb.request.choices import ETA_SAMPLERS, SAMPLERS, SCHEDULES

# Inclusive bounds, for validation here and for sliders elsewhere. A width or a height is also a
# multiple of 8, a pixel of the latent; a seed also leaves room for `count` images.
RANGES: dict[str, tuple[float, float]] = {
    "width": (64, 8192), "height": (64, 8192), "steps": (1, 1000), "cfg": (0, math.inf),
    "cfg_rescale": (0, 1), "eta": (0, 1), "seed": (0, 2**63 - 2), "count": (1, 64),
    "strength": (0, 1), "feather": (0, 512), "padding": (0, 4096), "clip_skip": (1, 48),
    "cfg_start": (0, 1), "cfg_end": (0, 1), "cfg_every": (1, 10),
    "deep_every": (1, 10), "token_merging": (0, 0.9),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What suits a model: the values that a request takes where it leaves them open."""

    width: int = 512  # pixels
    height: int = 512  # pixels
    steps: int = 25
    cfg: float = 7.5
    sampler: str = "ddim"
    schedule: str = "uniform"
    eta: float | None = None  # with that sampler; None: the sampler's own

    def __post_init__(self) -> None:
        for name in ("width", "height", "steps"):
            put(self, name, whole(name, getattr(self, name)))
        put(self, "cfg", number("cfg", self.cfg))
        put(self, "sampler", checks.choice("sampler", self.sampler, SAMPLERS))
        put(self, "schedule", checks.choice("schedule", self.schedule, SCHEDULES))
        if self.eta is not None:
            put(self, "eta", number("eta", self.eta))
            if self.eta and self.sampler not in ETA_SAMPLERS:
                raise ValueError(
                    f"eta={self.eta:g} asks for fresh noise in each step, but {self.sampler} draws "
                    f"none: leave eta out, or choose one of {', '.join(ETA_SAMPLERS)}"
                )


def put(instance: object, name: str, value: object) -> None:
    """Normalise a field of a frozen dataclass, in its `__post_init__`."""
    object.__setattr__(instance, name, value)


def whole(name: str, value: object) -> int:
    """A whole number within the range of that name, a side of a picture a multiple of 8."""
    low, high = (int(bound) for bound in RANGES[name])
    try:
        return checks.whole(name, value, low, high, 8 if name in ("width", "height") else 1)
    except ValueError as error:
        if name == "seed":  # -1 means "any" elsewhere
            raise ValueError(f"{error}, and None draws one") from None
        if name == "clip_skip" and -high <= int(value) < 0:  # type: ignore[call-overload]
            said = str(error).rpartition(";")[0]
            raise ValueError(f"{said}; ComfyUI's {value} is {-int(value)} here") from None  # type: ignore[call-overload]
        raise


def number(name: str, value: object) -> float:
    """A finite number within the range of that name."""
    return checks.number(name, value, *RANGES[name])
