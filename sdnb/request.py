"""The one noun that travels: a `Request` says what picture is wanted, completely and immutably.

The panel makes it, the grid varies it, an executor carries it, the PNG keeps it. Pictures inside it
are PNG bytes, never paths, so that a request is hashable, comparable and picklable, and means the
same on another machine. Nothing here imports torch or PIL.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

SAMPLERS = (
    "ddim", "plms", "euler", "euler_a", "heun", "lms",
    "dpm2", "dpm2_a", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "lcm",
)  # fmt: skip
SCHEDULES = ("uniform", "trailing", "karras", "exponential")

# What suits each sampler when the model's settings speak of another one.
_NATURAL_SCHEDULES = {"ddim": "uniform", "plms": "uniform", "lcm": "trailing"}
DEFAULT_SCHEDULE = {name: _NATURAL_SCHEDULES.get(name, "karras") for name in SAMPLERS}

# Samplers that read eta, with their own value; for all others eta is 0 and changes nothing.
ETA_SAMPLERS = {"ddim": 0.0, "euler_a": 1.0, "dpm2_a": 1.0, "dpmpp_2m_sde": 1.0, "lcm": 1.0}

# Inclusive bounds, for validation here and for sliders elsewhere. A width or a height is also a
# multiple of 8, a pixel of the latent; a seed also leaves room for `count` images.
RANGES: dict[str, tuple[float, float]] = {
    "width": (64, 8192), "height": (64, 8192), "steps": (1, 1000), "cfg": (0, math.inf),
    "eta": (0, 1), "seed": (0, 2**63 - 2), "count": (1, 64), "strength": (0, 1),
    "feather": (0, 512),
}  # fmt: skip
SIZE_MULTIPLE = 8

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SEED_BITS = 32  # of a drawn seed: short enough for a file name, and other tools accept it


@dataclass(frozen=True)
class Settings:
    """What suits a model: the values a request takes where it leaves them open.

    Raises TypeError or ValueError as `Request` does.
    """

    width: int = 512  # pixels
    height: int = 512  # pixels
    steps: int = 25
    cfg: float = 7.5
    sampler: str = "ddim"
    schedule: str = "uniform"

    def __post_init__(self) -> None:
        for name in ("width", "height", "steps"):
            _put(self, name, _whole(name, getattr(self, name)))
        _put(self, "cfg", _number("cfg", self.cfg))
        _put(self, "sampler", _choice("sampler", self.sampler, SAMPLERS))
        _put(self, "schedule", _choice("schedule", self.schedule, SCHEDULES))


@dataclass(frozen=True, repr=False)
class Request:
    """What picture is wanted. None means "the model's setting"; for the seed, "draw one".

    Raises TypeError or ValueError that names the field, its value and what is accepted.
    """

    prompt: str = ""  # weight blocks are read by `sdnb.prompt.parse`
    negative: str = ""
    width: int | None = None  # pixels, a multiple of 8; of a picture request: the picture's
    height: int | None = None
    steps: int | None = None
    cfg: float | None = None  # 1 costs one pass a step, without guidance
    sampler: str | None = None
    schedule: str | None = None
    eta: float | None = None  # None: the sampler's own, 0 for ddim, 1 for ancestral and SDE ones
    seed: int | None = None  # image i is the image of seed + i
    count: int = 1
    image: bytes | None = None  # PNG bytes of any size: `sdnb.images.picture` makes them
    strength: float = 0.75  # 0 returns the picture, 1 equals no picture
    mask: bytes | None = None  # PNG bytes of any size: white is made anew, black is kept
    invert: bool = False  # exchanges white and black of the mask
    feather: float = 0.0  # pixels over which the mask's edge fades

    def __post_init__(self) -> None:
        for name in ("prompt", "negative"):
            _put(self, name, _text(name, getattr(self, name)))
        for name in ("width", "height", "steps", "count", "seed"):
            _put(self, name, _optional(_whole, name, getattr(self, name), name == "count"))
        for name in ("cfg", "eta", "strength", "feather"):
            required = name in ("strength", "feather")
            _put(self, name, _optional(_number, name, getattr(self, name), required))
        if self.sampler is not None:
            _put(self, "sampler", _choice("sampler", self.sampler, SAMPLERS))
        if self.schedule is not None:
            _put(self, "schedule", _choice("schedule", self.schedule, SCHEDULES))
        for name in ("image", "mask"):
            if getattr(self, name) is not None:
                _put(self, name, _png(name, getattr(self, name)))
        _put(self, "invert", _flag("invert", self.invert))
        if self.seed is not None and self.seed > 2**63 - 1 - self.count:
            raise ValueError(
                f"seed={self.seed} leaves no room for count={self.count} images (image i uses "
                f"seed + i): the largest seed here is {2**63 - 1 - self.count}"
            )
        if self.mask is not None and self.image is None:
            raise ValueError(
                "mask is given without an image: a mask says which part of a picture to make anew; "
                "give image= as well, or leave mask out"
            )

    def but(self, **changes: Any) -> Request:
        """The same request with some fields changed. Raises TypeError for a field unknown."""
        for name in changes:
            if name not in _NAMES:
                raise TypeError(f"a Request has no field {name!r}; {_known(name, _NAMES)}")
        return replace(self, **changes)

    def resolved(self, settings: Settings) -> Request:
        """The request with nothing left open but image and mask: what is saved is what ran.

        The size of a picture request is the picture's, rounded up to a multiple of 8; when only
        one of width and height is given, the other keeps the picture's proportions. A seed left
        open is drawn here. Resolving again changes nothing, whatever the settings.
        Raises ValueError where the picture's own size is out of range.
        """
        width, height = self._size(settings)
        sampler = settings.sampler if self.sampler is None else self.sampler
        schedule = self.schedule
        if schedule is None:
            same = sampler == settings.sampler
            schedule = settings.schedule if same else DEFAULT_SCHEDULE[sampler]
        return replace(
            self,
            width=width,
            height=height,
            steps=settings.steps if self.steps is None else self.steps,
            cfg=settings.cfg if self.cfg is None else self.cfg,
            sampler=sampler,
            schedule=schedule,
            eta=ETA_SAMPLERS.get(sampler, 0.0) if self.eta is None else self.eta,
            seed=secrets.randbits(_SEED_BITS) if self.seed is None else self.seed,
        )

    def _size(self, settings: Settings) -> tuple[int, int]:
        if self.width is not None and self.height is not None:
            return self.width, self.height
        if self.image is None:
            return (
                settings.width if self.width is None else self.width,
                settings.height if self.height is None else self.height,
            )
        w, h = png_size(self.image)
        if self.width is not None:
            width, height = self.width, _round_up(self.width * h, w)
        elif self.height is not None:
            width, height = _round_up(self.height * w, h), self.height
        else:
            width, height = _round_up(w, 1), _round_up(h, 1)
        low, high = (int(bound) for bound in RANGES["width"])
        if not (low <= width <= high and low <= height <= high):
            scale = min(high / max(w, h), max(1.0, low / min(w, h)))
            near = [_nearest_size(side * scale) for side in (w, h)]
            raise ValueError(
                f"image is {w}x{h} pixels, which asks for a picture of {width}x{height}; sides of "
                f"{low} to {high} are accepted: ask for the size in width= and height=, "
                f"for instance {near[0]} and {near[1]}, and the picture is resized to it"
            )
        return width, height

    @property
    def pictures(self) -> dict[str, bytes]:
        """The pictures inside, by their sha256: what `from_json` needs beside the text."""
        inside = (data for data in (self.image, self.mask) if data is not None)
        return {hashlib.sha256(data).hexdigest(): data for data in inside}

    def to_json(self) -> str:
        """All fields as one JSON object; image and mask as the sha256 of their bytes."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _NAMES}
        for name in ("image", "mask"):
            if values[name] is not None:
                values[name] = hashlib.sha256(values[name]).hexdigest()
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, pictures: Mapping[str, bytes] | None = None) -> Request:
        """The request that `to_json` wrote; `pictures` gives the bytes of each sha256.

        Raises ValueError for text that is not a request's JSON, an unknown field, a missing or a
        changed picture; TypeError or ValueError for a field's value.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not the JSON of a Request: {error}") from None
        if not isinstance(values, dict):
            raise ValueError(
                f"not the JSON of a Request: {_shown(values)} is a {type(values).__name__}, "
                "an object of fields is expected"
            )
        for name in values:
            if name not in _NAMES:
                raise ValueError(
                    f"the JSON has a field {name!r} that a Request has not; {_known(name, _NAMES)}"
                )
        for name in ("image", "mask"):
            if values.get(name) is not None:
                values[name] = _picture_of(name, values[name], pictures or {})
        return cls(**values)

    def __repr__(self) -> str:
        """Only what differs from the defaults, and pictures by their size, never their bytes."""
        shown = []
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("image", "mask") and value is not None:
                shown.append(f"{item.name}=<PNG {'x'.join(map(str, png_size(value)))}>")
            elif value != item.default:
                shown.append(f"{item.name}={value!r}")
        return f"Request({', '.join(shown)})"


_NAMES = tuple(item.name for item in fields(Request))


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header of PNG bytes (PNG specification, IHDR).

    Raises ValueError when the bytes do not begin as a PNG does.
    """
    head = png[:24]
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head[:8] != _PNG_SIGNATURE or head[12:16] != b"IHDR" or not width or not height:
        raise ValueError(
            f"{len(png)} bytes that begin with {_shown(head[:8])} are not a PNG picture: "
            "make them with sdnb.images.picture(path or PIL image)"
        )
    return width, height


def _put(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)  # the way to normalise a field of a frozen dataclass


def _optional(check: Any, name: str, value: object, required: bool) -> Any:
    return None if value is None and not required else check(name, value)


def _whole(name: str, value: object) -> int:
    low, high = (int(bound) for bound in RANGES[name])
    step = SIZE_MULTIPLE if name in ("width", "height") else 1
    expected = "a multiple of 8" if step > 1 else "a whole number"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name}={_shown(value)} is a {type(value).__name__}; {expected} from {low} to {high} "
            f"is expected{_repair(value)}"
        )
    number = int(value)
    if not low <= number <= high or number % step:
        way_out = f"; the nearest is {min(max(_nearest(number, step), low), high)}"
        if name == "seed":
            way_out = "; leave it out, or None, for a seed drawn anew"
        raise ValueError(f"{name}={_shown(number)} is not {expected} from {low} to {high}{way_out}")
    return number


def _number(name: str, value: object) -> float:
    low, high = RANGES[name]
    bounds = f"from {low} to {high}" if high < math.inf else f"of {low} or more"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{name}={_shown(value)} is a {type(value).__name__}; a finite number {bounds} "
            f"is expected{_repair(value)}"
        )
    try:
        number = float(value) + 0.0  # minus zero becomes zero
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not low <= number <= high:
        near = ""
        if not math.isnan(number) and not (number > 0 and high == math.inf):
            near = f"; the nearest is {min(max(number, low), high):g}"
        raise ValueError(f"{name}={_shown(value)} is not a finite number {bounds}{near}")
    return number


def _choice(name: str, value: object, accepted: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise TypeError(
            f"{name}={_shown(value)} is a {type(value).__name__}; a name is expected: "
            f"one of {', '.join(accepted)}"
        )
    if value not in accepted:
        raise ValueError(f"{name}={_shown(value)} is unknown; {_known(value, accepted)}")
    return str.__str__(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}={_shown(value)} is a {type(value).__name__}; text is expected")
    text = str.__str__(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} holds half of a surrogate pair, U+{ord(text[error.start]):04X}, at character "
            f"{error.start}: no text can be stored with it; remove it"
        ) from None
    return text


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise TypeError(
        f"{name}={_shown(value)} is a {type(value).__name__}; True or False is expected"
    )


def _png(name: str, value: object) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        maker = "picture" if name == "image" else "mask"
        raise TypeError(
            f"{name}={_shown(value)} is a {type(value).__name__}; a Request keeps PNG bytes: "
            f"sdnb.images.{maker}(...) makes them from a path, a PIL image or an array"
        )
    data = bytes(value)
    try:
        png_size(data)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return data


def _picture_of(name: str, digest: object, pictures: Mapping[str, bytes]) -> bytes:
    if not isinstance(digest, str):
        raise ValueError(f"{name}={_shown(digest)} in the JSON is not the sha256 of a picture")
    if digest not in pictures:
        raise ValueError(
            f"{name} is the picture with sha256 {_shown(digest)}, and it is missing: "
            f"{len(pictures)} pictures were given; sdnb.images.save keeps them in inputs/"
        )
    data = bytes(pictures[digest])
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise ValueError(
            f"{name} is the picture with sha256 {digest}, but the bytes given for it have {found}: "
            "they were changed; find the original picture"
        )
    return data


def _known(name: str, accepted: Iterable[str]) -> str:
    """The nearest match and all that is accepted, for an error."""
    from difflib import SequenceMatcher  # here, because only a mistake pays for the import

    accepted = tuple(accepted)
    plain = "".join(letter for letter in name.lower().replace("+", "p") if letter.isalnum())[:64]
    near = max(accepted, key=lambda c: SequenceMatcher(None, plain, c.replace("_", "")).ratio())
    return f"did you mean {near!r}? Known are {', '.join(accepted)}"


def _repair(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return f"; write {int(value)}"
    return ""


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 200:
        return f"{'-' if value < 0 else ''}2**{value.bit_length() - 1}..."
    text = repr(value[:64] if isinstance(value, (str, bytes, bytearray)) else value)
    return text if len(text) <= 100 else text[:97] + "..."


def _nearest(number: int, step: int) -> int:
    return (number + step // 2) // step * step


def _nearest_size(pixels: float) -> int:
    low, high = (int(bound) for bound in RANGES["width"])
    return min(max(_nearest(round(pixels), SIZE_MULTIPLE), low), high)


def _round_up(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded up to a multiple of 8, in whole numbers."""
    return -(-numerator // (denominator * SIZE_MULTIPLE)) * SIZE_MULTIPLE
