"""Any request there may be, for hypothesis."""

from __future__ import annotations

import io

from hypothesis import strategies as st
from PIL import Image

from sdnb.request import CONTENTS, FITS, SAMPLERS, SCHEDULES, SYNTAXES, Request, control
from sdnb.request.control import MODES, Control
from sdnb.request.lora import Lora


def png(width: int = 3, height: int = 2, colour: tuple[int, int, int] = (9, 8, 7)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [png(), png(8, 8), png(5, 7, (1, 2, 3))]


def maybe(strategy):
    return st.none() | strategy


def loras():
    strength = st.floats(-1e6, 1e6)
    return st.builds(
        Lora,
        st.text(min_size=1).filter(str.strip),
        strength,
        maybe(strength),
        maybe(st.sampled_from(["INS", [0.5] * 26])),
        maybe(st.just("0a" * 32)),
        maybe(st.integers(1, 128)),
    )


def controls(pictures=PICTURES):
    return st.builds(
        Control,
        st.text(min_size=1).filter(str.strip),
        st.sampled_from(pictures),
        st.floats(0, 10),
        st.floats(0, 0.5),
        st.floats(0.5, 1),
        maybe(st.sampled_from(["canny", "scribble", "tile"])),
        st.sampled_from(MODES),
        fit=st.sampled_from(control.FITS),
        sha256=maybe(st.just("0b" * 32)),
    )


@st.composite
def requests(draw):
    image = draw(maybe(st.sampled_from(PICTURES)))
    count = draw(st.integers(1, 64))
    start, end = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    sides = st.integers(8, 1024).map(lambda side: side * 8)
    return Request(
        prompt=draw(st.text()),
        negative=draw(st.text()),
        width=draw(maybe(sides)),
        height=draw(maybe(sides)),
        steps=draw(maybe(st.integers(1, 1000))),
        cfg=draw(maybe(st.floats(0, allow_nan=False, allow_infinity=False))),
        sampler=draw(maybe(st.sampled_from(SAMPLERS))),
        schedule=draw(maybe(st.sampled_from(SCHEDULES))),
        eta=draw(maybe(st.floats(0, 1))),
        cfg_rescale=draw(st.floats(0, 1)),
        cfg_start=start,
        cfg_end=end,
        cfg_every=draw(st.integers(1, 10)),
        deep_every=draw(st.integers(1, 10)),
        token_merging=draw(st.floats(0, 0.9)),
        seed=draw(maybe(st.integers(0, 2**63 - 1 - count))),
        count=count,
        image=image,
        strength=draw(st.floats(0, 1)),
        mask=draw(maybe(st.sampled_from(PICTURES))) if image else None,
        invert=draw(st.booleans()),
        feather=draw(st.floats(0, 512)),
        content=draw(st.sampled_from(CONTENTS)),
        padding=draw(maybe(st.integers(0, 4096))),
        fit=draw(st.sampled_from(FITS)),
        syntax=draw(st.sampled_from(SYNTAXES)),
        clip_skip=draw(maybe(st.integers(1, 12))),
        loras=draw(st.lists(loras(), max_size=3)),
        controls=draw(st.lists(controls([*PICTURES, None] if image else PICTURES), max_size=2)),
        template=draw(st.text()),
        negative_template=draw(st.text()),
    )
