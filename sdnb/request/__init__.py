"""What is asked for, as data without torch: `Request`, a model's `Settings`, memory plans."""

from sdnb.request.choices import (
    CONTENTS,
    DEFAULT_SCHEDULE,
    ETA_SAMPLERS,
    FITS,
    SAMPLERS,
    SCHEDULES,
    SYNTAXES,
)
from sdnb.request.request import Request, Resolved
from sdnb.request.settings import RANGES, Settings

__all__ = [
    "CONTENTS",
    "DEFAULT_SCHEDULE",
    "ETA_SAMPLERS",
    "FITS",
    "RANGES",
    "SAMPLERS",
    "SCHEDULES",
    "SYNTAXES",
    "Request",
    "Resolved",
    "Settings",
]
