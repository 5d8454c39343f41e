"""What is asked for, as data without torch: a `Request`, and what a model or a memory plan adds."""

from sdnb.request.choices import CONTENTS, DEFAULT_SCHEDULE, ETA_SAMPLERS, SAMPLERS, SCHEDULES
from sdnb.request.request import RANGES, Request, Settings

__all__ = [
    "CONTENTS",
    "DEFAULT_SCHEDULE",
    "ETA_SAMPLERS",
    "RANGES",
    "SAMPLERS",
    "SCHEDULES",
    "Request",
    "Settings",
]
