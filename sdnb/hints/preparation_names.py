"""The names of the preparations, and the numbers that each one takes."""

from __future__ import annotations

from typing import NamedTuple


class Value(NamedTuple):
    """A number of a preparation, from `low` to `high`."""

    name: str
    default: float
    low: float
    high: float


#: The numbers of each preparation, with AUTOMATIC1111's defaults and ranges.
PREPARATIONS: dict[str, tuple[Value, ...]] = {
    "canny": (Value("low threshold", 100, 0, 255), Value("high threshold", 200, 0, 255)),
    "scribble": (),
    "xdog": (Value("threshold", 32, 1, 64),),
    "lineart": (),
    "softedge": (),
    "tile": (Value("down sampling", 1, 1, 8),),
    "blur": (Value("sigma", 9, 0.01, 64),),
    "inpaint": (),
    "recolor": (Value("gamma", 1, 0.1, 2),),
    "recolor_intensity": (Value("gamma", 1, 0.1, 2),),
    "threshold": (Value("threshold", 127, 0, 255),),
    "invert": (),
    "shuffle": (Value("seed", 0, 0, 2**32 - 1),),
}

#: Those that find lines: white ones on black.
LINES = ("canny", "scribble", "xdog", "lineart", "softedge")

#: What each one makes, in words for a person who chooses.
ABOUT = {
    "canny": "thin white edges of all that is clear-cut",
    "scribble": "white lines from a drawing, whether its lines are dark or light",
    "xdog": "rough white lines from any picture",
    "lineart": "soft white lines from a picture of dark lines",
    "softedge": "soft edges of everything, strong ones brighter",
    "tile": "the picture itself, if wanted with less detail",
    "blur": "the picture, blurred",
    "inpaint": "the picture with a hole that the network fills",
    "recolor": "the picture in grey, by its luminance",
    "recolor_intensity": "the picture in grey, by its brightest colour",
    "threshold": "white where it is light, black elsewhere",
    "invert": "the negative: white lines of black ones",
    "shuffle": "the colours of the picture in another order",
}
