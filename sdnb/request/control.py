"""Control networks as a request names them: `Control`, a net and the picture that it follows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from sdnb.hints import PREPARATIONS
from sdnb.request import checks, png_header
from sdnb.request.choices import in_share
from sdnb.request.fingerprint import sha256
from sdnb.request.plain_words import counted, digits
from sdnb.request.settings import RANGES, put

if TYPE_CHECKING:
    from PIL import Image

MODES = ("balanced", "prompt", "control")
FITS = ("stretch", "crop", "fill")
MOST = 10  # controls of a request: what AUTOMATIC1111 can be set to
MOST_SCALE = 10.0  # useful ones are below two
Part: TypeAlias = tuple[float, float, float, float]  # left, upper, right, lower, from 0 to 1
#: Fields that hold PNG bytes.
PICTURES = ("image", "mask")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, repr=False)
class Control:
    """A control network (ControlNet, T2I-Adapter) and the picture that it holds a run to.

        sdnb.Control("control_v11p_sd15_canny", "photo.jpg", prepare="canny", scale=0.8, end=0.6)

    `net` is the name of a network that the model brings along (the built-in one: "sketch", "tile")
    or that is in its library, a path, or a hub id. `image` is a path, a PIL image, an array, the
    bytes of a picture file or a Result; it is kept as PNG bytes, and what is transparent lies on
    white. Without one, the net follows the picture that the request starts from: that of img2img,
    inpaint or upscale, laid as the request lays it.

    A network reads a hint: edges, lines, a blur. `prepare` says how the picture becomes one, and is
    one of `sdnb.hints.PREPARATIONS`; None means that the picture is a hint already. `values` are
    the preparation's numbers, as far as they are not the usual ones: `prepare="canny", values=(50,
    150)`. `hint` shows what comes of it. `fit` says how a hint of other proportions comes to the
    size that is made: "stretch", "crop" or "fill". `mask` belongs to prepare="inpaint": the network
    fills its white part. Without one, that is the request's own mask, where the control follows the
    request's picture or has one of its size.

    `scale`, 0 to 10, is how strongly the net works: 0 not at all, 1 as trained. It works from
    `start` to `end`, shares of the steps from 0 to 1. `mode` says whose word counts where picture
    and prompt disagree, as in AUTOMATIC1111: "balanced", "prompt" (the net holds details less) or
    "control" (the net works on the prompt alone, so that guidance strengthens it). With `sha256`,
    only the net with that digest is taken.

    Raises TypeError or ValueError that names the field, its value and what is accepted, and
    FileNotFoundError for a path of no picture.
    """

    net: str
    image: bytes | None = None
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0
    prepare: str | None = None
    mode: str = "balanced"
    values: tuple[float, ...] = ()
    fit: str = "stretch"
    mask: bytes | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        put(self, "net", checks.text("net of a Control", self.net))
        if not self.net.strip():
            raise ValueError("the net of a Control is empty; give a file's name or its path")
        if self.image is not None:
            put(self, "image", _png("image", self.image))
        for name, most in (("scale", MOST_SCALE), ("start", 1.0), ("end", 1.0)):
            put(self, name, checks.number(name, getattr(self, name), 0.0, most))
        if self.start > self.end:
            raise ValueError(
                f"start={self.start:g} is behind end={self.end:g}: a control works from start to "
                "end, shares of the steps from 0 to 1; exchange them"
            )
        if self.prepare is not None:
            put(self, "prepare", checks.choice("prepare", self.prepare, tuple(PREPARATIONS)))
        put(self, "mode", checks.choice("mode", self.mode, MODES))
        put(self, "values", _values(self.prepare, self.values))
        put(self, "fit", checks.choice("fit", self.fit, FITS))
        if self.mask is not None:
            if self.prepare != "inpaint":
                raise ValueError(
                    f"mask is given with prepare={self.prepare!r}, where it changes nothing: leave "
                    "it out, or write prepare='inpaint'"
                )
            put(self, "mask", _png("mask", self.mask))
        if self.sha256 is not None and not _HEX.fullmatch(checks.text("sha256", self.sha256)):
            shown = checks.shown(self.sha256)
            raise ValueError(f"sha256={shown} is no digest: 64 small hexadecimal digits")

    @property
    def hint(self) -> Image.Image:
        """What the network reads, RGB, at the picture's own size; see `hint_at` and `mask_at`.

        Raises ImportError where OpenCV is missing, and ValueError for a damaged picture or none.
        """
        return _made(self._recipe, None, None)[0].copy()

    def hint_at(self, width: int, height: int, part: Part | None = None) -> Image.Image:
        """The hint for a picture of `width` x `height` pixels: RGB, of exactly that size.

        Lines are found at that size, not made smaller afterwards, and keep their width; colours of
        a pose are not mixed. Pixels of 0 to 255 are 0 to 1 for a network. With `part`, the size is
        that of a part of the picture: left, upper, right and lower edge, in shares of its sides
        from 0 to 1. Raises as `hint`, and TypeError or ValueError for a size that is none.
        """
        return _made(self._recipe, _size(width, height), part)[0].copy()

    def mask_at(self, width: int, height: int, part: Part | None = None) -> Image.Image | None:
        """The mask in that size, black and white (L), for prepare="inpaint"; None without a mask.

        A network for inpainting reads -1 in all three channels where it is white. `part` is that of
        `hint_at`.
        """
        if self.mask is None:
            return None
        import numpy as np
        from PIL import Image

        from sdnb.hints import hint_size
        from sdnb.request import picture_input

        mask = picture_input.open(self.mask).convert("L")
        own = png_header.size(self._own_picture)
        mask = mask if mask.size == own else mask.resize(own, Image.Resampling.BILINEAR)
        pixels = hint_size.part_of(np.asarray(mask), part)
        return Image.fromarray(hint_size.fitted_mask(pixels, _size(width, height), self.fit))

    def notes_at(self, width: int, height: int, part: Part | None = None) -> tuple[str, ...]:
        """What was found out about the picture while `hint_at` made the hint. Raises as that."""
        note = _made(self._recipe, _size(width, height), part)[1]
        return (note,) if note else ()

    @property
    def pictures(self) -> dict[str, bytes]:
        """The pictures inside, by their sha256."""
        return {sha256(data): data for data in (self.image, self.mask) if data is not None}

    def plain(self) -> dict[str, Any]:
        """What JSON holds of it: net and picture, and the fields that are not at their defaults;
        pictures as the sha256 of their bytes.
        """
        written = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                is_picture = item.name in PICTURES
                written[item.name] = sha256(value) if is_picture else value
        return written

    @property
    def _own_picture(self) -> bytes:
        if self.image is None:
            raise ValueError(
                f"the control of {checks.shown(self.net)} has no picture of its own: a run gives "
                "it the picture that the request starts from. To see a hint, give image=, or look "
                "at sdnb.images.hints(result.request)"
            )
        return self.image

    @property
    def _recipe(self) -> tuple[bytes, str | None, tuple[float, ...], str]:
        return self._own_picture, self.prepare, self.values, self.fit

    def __repr__(self) -> str:
        """Only what differs from the defaults, and pictures by their size, never their bytes."""
        shown = []
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in PICTURES and value is not None:
                shown.append(f"{item.name}=<PNG {'x'.join(map(str, png_header.size(value)))}>")
            elif value != item.default:
                shown.append(f"{item.name}={value!r}")
        return f"Control({', '.join(shown)})"


def controls(value: object) -> tuple[Control, ...]:
    """The field of a request as it holds it, from one or several of: a `Control`, or its fields.

    Raises TypeError or ValueError for anything else, and for more than `MOST`.
    """
    several = value if isinstance(value, (list, tuple)) else [value]
    if len(several) > MOST:
        raise ValueError(
            f"controls has {counted(len(several), 'control')}; at most {MOST} are taken"
        )
    return tuple(_control(each) for each in several)


def in_words(value: Sequence[Control]) -> str:
    """Controls in a line: "canny 0.8 (0 to 0.5), tile 1"."""
    return ", ".join(f"{each.net} {digits(each.scale)}{_range(each)}" for each in value) or "none"


def working(given: Sequence[Control], step: int, steps: int) -> tuple[int, ...]:
    """The numbers of the controls that work at a step of so many: `choices.in_share`."""
    return tuple(
        i for i, c in enumerate(given) if c.scale and in_share(c.start, c.end, step, steps)
    )


def _range(control: Control) -> str:
    usual = (control.start, control.end) == (0.0, 1.0)
    return "" if usual else f" ({digits(control.start)} to {digits(control.end)})"


def _control(value: object) -> Control:
    if isinstance(value, Control):
        return value
    if isinstance(value, Mapping):
        names = [item.name for item in fields(Control)]
        for name in value:
            if name not in names:
                raise ValueError(
                    f"a Control has no field {checks.shown(name)}; {checks.known(str(name), names)}"
                )
        if "net" in value:
            return Control(**value)
    raise TypeError(
        f"controls={checks.shown(value)} holds no control; write sdnb.Control('control_canny', "
        "picture, prepare='canny')"
    )


def _values(prepare: str | None, given: object) -> tuple[float, ...]:
    """The numbers of a preparation, each within its range; those at the end that are the usual ones
    are left out, so that equal hints have equal values.
    """
    known = PREPARATIONS[prepare] if prepare is not None else ()
    several = given if isinstance(given, (list, tuple)) else [given]
    if len(several) > len(known):
        words = ", ".join(value.name for value in known)
        takes = f"takes {counted(len(known), 'number')} ({words})" if known else "takes none"
        raise ValueError(
            f"values={checks.shown(given)} has {counted(len(several), 'number')}; "
            f"prepare={prepare!r} {takes}"
        )
    named = list(zip(several, known, strict=False))
    found = [checks.number(of.name, each, of.low, of.high) for each, of in named]
    while found and found[-1] == known[len(found) - 1].default:
        found.pop()
    return tuple(found)


def _png(name: str, value: Any) -> bytes:
    """PNG bytes as `sdnb.images.picture` or `mask` makes them, of any picture."""
    plain = (0, 2, 6) if name == "image" else (0, 2)
    if isinstance(value, bytes) and png_header.begins(value) and png_header.is_plain(value, plain):
        return checks.png(name, value, "sdnb.images.picture(...)")
    from sdnb.request import picture_input  # PIL, for these alone

    return picture_input.picture(value) if name == "image" else picture_input.mask(value)


def _size(width: object, height: object) -> tuple[int, int]:
    most = int(RANGES["width"][1])
    return checks.whole("width", width, 1, most), checks.whole("height", height, 1, most)


@lru_cache(maxsize=4)  # a panel shows it, then a run takes it
def _made(
    recipe: tuple[bytes, str | None, tuple[float, ...], str],
    size: tuple[int, int] | None,
    part: Part | None,
) -> tuple[Image.Image, str]:
    """The hint in a size, None for the picture's own, and a note."""
    import numpy as np
    from PIL import Image

    from sdnb.hints import hint_size, preparations
    from sdnb.request import picture_input

    image, prepare, values, fit = recipe
    opened = picture_input.open(image)
    opened = opened if opened.mode == "RGBA" else opened.convert("RGB")
    picture = preparations.flat(hint_size.part_of(np.asarray(opened), part))
    if size is not None and prepare in preparations.AT_SIZE:
        picture = hint_size.to_work_on(picture, size, fit)
    hint, note = preparations.prepared(picture, prepare, values)
    hint = hint if size is None else hint_size.fitted(hint, size, fit)
    return Image.fromarray(hint), note
