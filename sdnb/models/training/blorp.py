"""Drawings of a blorp, a thing that no model knows: pictures for an embedding to learn from.

It is a violet drop with one large eye, two feelers with yellow knobs and green feet.
"""

from __future__ import annotations

import random

from PIL import Image, ImageDraw

WORD = "blorp"
_FINER = 4  # drawn so much larger, then made smaller, for smooth edges
_GROUNDS = {
    "white": "#ffffff", "blue": "#7fb2e5", "yellow": "#f6dd7c", "green": "#8fcf8a",
    "pink": "#f4b6c8", "grey": "#b9bdc4",
}  # fmt: skip


def drawings(count: int, size: int = 256, seed: int = 0) -> tuple[list[Image.Image], list[str]]:
    """So many drawings, each at another place, in another size and on another ground, and their
    captions.
    """
    draw = random.Random(seed)
    pictures, captions = [], []
    for n in range(count):
        ground = list(_GROUNDS)[n % len(_GROUNDS)]
        pictures.append(_drawn(draw, size, _GROUNDS[ground]))
        captions.append(f"a {WORD} on a {ground} background")
    return pictures, captions


def _drawn(draw: random.Random, size: int, ground: str) -> Image.Image:
    side = size * _FINER
    image = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(image)
    tall = side * draw.uniform(0.5, 0.75)
    x = side * draw.uniform(0.42, 0.58)
    foot = side / 2 + tall / 2 + side * draw.uniform(-0.04, 0.06)
    lean = tall * draw.uniform(-0.06, 0.06)

    def at(right: float, up: float) -> tuple[float, float]:
        """A point of the body: to the right of its middle and above its foot, in its height."""
        return x + right * tall + lean * up, foot - up * tall

    def disc(right: float, up: float, r: float, colour: str) -> None:
        cx, cy = at(right, up)
        r *= tall
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=colour)

    line = int(tall * 0.035)
    for s in (-1, 1):
        pen.line([at(0.1 * s, 0.72), at(0.24 * s, 0.98)], fill="#4b2a7b", width=line)
        disc(0.24 * s, 0.98, 0.065, "#f2c230")
        cx, cy = at(0.16 * s, 0.02)
        r = tall * 0.13
        pen.ellipse((cx - r, cy - r * 0.5, cx + r, cy + r * 0.5), fill="#3f9a4d")
    cx, cy = at(0, 0.42)
    wide, high = 0.36 * tall, 0.4 * tall
    pen.ellipse((cx - wide, cy - high, cx + wide, cy + high), fill="#7d4cc2")
    disc(0, 0.5, 0.18, "#ffffff")
    disc(draw.uniform(-0.05, 0.05), 0.5 + draw.uniform(-0.04, 0.04), 0.085, "#20202a")
    cx, cy = at(0, 0.22)
    r = 0.12 * tall
    pen.arc((cx - r, cy - r, cx + r, cy + r * 0.8), 20, 160, fill="#2b1748", width=line)
    return image.resize((size, size), Image.Resampling.LANCZOS)
