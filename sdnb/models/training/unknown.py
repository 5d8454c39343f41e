"""What a word that nobody knows is drawn as: a plain ball.

Without it an unknown word becomes what most of the captions were about, a yellow face.
"""

from __future__ import annotations

import numpy as np

LABEL = "ball"
ALIASES = ("plain ball", "sphere", "round ball")
_STARTS = (
    "b", "bl", "br", "c", "d", "dr", "f", "fl", "g", "gl", "gr", "h", "j", "k", "kr", "l", "m", "n",
    "p", "pl", "qu", "r", "s", "sk", "sn", "st", "t", "tr", "v", "w", "x", "y", "z", "zw",
)  # fmt: skip
_MIDDLES = ("a", "e", "i", "o", "u", "oo", "ee", "ai", "ou", "y")
_ENDS = (
    "",
    "b",
    "bble",
    "ck",
    "d",
    "ff",
    "g",
    "l",
    "m",
    "n",
    "nk",
    "p",
    "r",
    "rk",
    "rt",
    "x",
    "zz",
)
_TAILS = ("", "", "", "er", "ing", "le", "ton", "o", "ia", "us", "ette", "ling", "y")


def made_up(random: np.random.Generator) -> str:
    """A word of one to three syllables that no caption means anything by."""

    def one_of(parts: tuple[str, ...]) -> str:
        return parts[int(random.integers(len(parts)))]

    syllables = int(random.integers(1, 4))
    word = "".join(one_of(_STARTS) + one_of(_MIDDLES) for _ in range(syllables))
    return word + one_of(_ENDS) + one_of(_TAILS)


def drawings() -> dict[str, str]:
    """The ball as SVG, in each style of the emoji."""
    return {
        "3d": _ball("#b9c4d4", "#ffffff", "#6f7f98"),
        "flat": _ball("#8fa3bd", "#8fa3bd", "#8fa3bd", "#7b8fab"),
        "gradient": _ball("#9db1cc", "#c5d4e8", "#8196b5"),
        "noto": _ball("#9fb2c9", "#b4c5d9", "#8ea3bd", "#7d92ad"),
        "twemoji": _ball("#99aab5", "#99aab5", "#99aab5"),
    }


def _ball(middle: str, light: str, dark: str, rim: str = "none") -> str:
    """A disc shaded from the upper left, with a rim or without."""
    stops = "".join(
        f'<stop offset="{at}" stop-color="{color}"/>'
        for at, color in ((0, light), (0.45, middle), (1, dark))
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">'
        f'<radialGradient id="g" cx="0.36" cy="0.3" r="0.75">{stops}</radialGradient>'
        f'<circle cx="32" cy="32" r="29" fill="url(#g)" stroke="{rim}" stroke-width="3"/></svg>'
    )
