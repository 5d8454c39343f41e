"""The one noun that travels: a `Request` says what picture is wanted, completely and immutably.

The panel makes it, the grid varies it, an executor carries it, the PNG keeps it. Pictures inside it
are PNG bytes, never paths, so that a request is hashable, comparable and picklable, and means the
same on another machine. Nothing here imports torch, and PIL only for a PNG that is not of the plain
kind that `sdnb.images.picture` makes.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from sdnb.request import checks
from sdnb.request.choices import (
    CONTENTS,
    DEFAULT_SCHEDULE,
    ETA_SAMPLERS,
    SAMPLERS,
    SCHEDULES,
    gone_with,
    own_eta,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONTENTS", "DEFAULT_SCHEDULE", "ETA_SAMPLERS", "RANGES", "SAMPLERS", "SCHEDULES", "Request",
    "Settings",
]  # fmt: skip

# Inclusive bounds, for validation here and for sliders elsewhere. A width or a height is also a
# multiple of 8, a pixel of the latent; a seed also leaves room for `count` images.
RANGES: dict[str, tuple[float, float]] = {
    "width": (64, 8192), "height": (64, 8192), "steps": (1, 1000), "cfg": (0, math.inf),
    "eta": (0, 1), "seed": (0, 2**63 - 2), "count": (1, 64), "strength": (0, 1),
    "feather": (0, 512), "padding": (0, 4096),
}  # fmt: skip
# PNG's colour types that are taken as they are: grey, RGB, RGBA. An alpha may be the mask itself.
_PLAIN = {"image": (0, 2, 6), "mask": (0, 2)}
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
        _put(self, "cfg", checks.number("cfg", self.cfg, *RANGES["cfg"]))
        _put(self, "sampler", checks.choice("sampler", self.sampler, SAMPLERS))
        _put(self, "schedule", checks.choice("schedule", self.schedule, SCHEDULES))


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
    image: bytes | None = None  # PNG bytes of any size and kind: `sdnb.images.picture` makes them
    strength: float = 0.75  # 0 returns the picture, 1 equals no picture
    mask: bytes | None = None  # PNG bytes of any size: white is made anew, black is kept
    invert: bool = False  # exchanges white and black of the mask
    feather: float = 0.0  # pixels over which the mask's edge fades
    content: str = "original"  # what the masked part starts from; fill: the colours around it
    padding: int | None = (
        None  # with a number only the masked part is generated, at width x height,
    )
    # with so many of the picture's pixels around it, and put back; None: the whole picture is

    def __post_init__(self) -> None:
        for name in ("prompt", "negative"):
            _put(self, name, checks.text(name, getattr(self, name)))
        for name in ("width", "height", "steps", "seed", "count", "padding"):
            if getattr(self, name) is not None or name == "count":
                _put(self, name, _whole(name, getattr(self, name)))
        for name in ("cfg", "eta", "strength", "feather"):
            if getattr(self, name) is not None or name in ("strength", "feather"):
                _put(self, name, checks.number(name, getattr(self, name), *RANGES[name]))
        for name, accepted in (("sampler", SAMPLERS), ("schedule", SCHEDULES)):
            if getattr(self, name) is not None:
                _put(self, name, checks.choice(name, getattr(self, name), accepted))
        for name in ("image", "mask"):
            if getattr(self, name) is not None:
                _put(self, name, _canonical(name, getattr(self, name)))
        _put(self, "invert", checks.flag("invert", self.invert))
        _put(self, "content", checks.choice("content", self.content, CONTENTS))
        self._check_together()

    def _check_together(self) -> None:
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
        """The same request with some fields changed. Raises TypeError for a field unknown.

        Another sampler brings its own schedule and eta, unless they are given in the same call:
        those that are the old sampler's own are left open (`choices.gone_with`). Other values
        stay; an eta that the new sampler cannot take is refused by `resolved`.
        """
        for name in changes:
            if name not in _NAMES:
                raise TypeError(
                    f"a Request has no field {checks.shown(name)}; "
                    f"{checks.known(name, _NAMES, _ELSEWHERE)}"
                )
        if "sampler" in changes:
            gone = gone_with(self.sampler, changes["sampler"], self.schedule, self.eta)
            changes = {**gone, **changes}
        return replace(self, **changes)

    def enlarged(
        self,
        picture: bytes,
        width: int | None = None,
        height: int | None = None,
        strength: float = 0.5,
    ) -> Request:
        """The request that polishes `picture` (PNG bytes) at a larger size: it is resized, and
        img2img with the same words, seed and settings adds detail without a new composition.
        """
        return self.but(
            image=picture,
            width=width,
            height=height,
            strength=strength,
            mask=None,
            invert=False,
            feather=0.0,
            content="original",
            padding=None,
            count=1,
        )

    def resolved(self, settings: Settings) -> Request:
        """The request with nothing open but image, mask and padding: what is saved is what ran.

        The size of a picture request is the picture's, rounded up to a multiple of 8; when only
        one of width and height is given, the other keeps the picture's proportions. Where only the
        masked part is generated (`padding`), the size is the model's own. A seed left
        open is drawn here. Resolving again changes nothing, whatever the settings.
        Raises ValueError where the picture's own size is out of range, and for an eta above 0 with
        a sampler that draws no noise.
        """
        width, height = self._size(settings)
        sampler = settings.sampler if self.sampler is None else self.sampler
        if self.eta and sampler not in ETA_SAMPLERS:
            raise ValueError(
                f"eta={self.eta} asks for fresh noise in each step, but {sampler} draws none: "
                f"leave eta open (None), or choose one of {', '.join(ETA_SAMPLERS)}"
            )
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
            eta=own_eta(sampler) if self.eta is None else self.eta,
            seed=secrets.randbits(_SEED_BITS) if self.seed is None else self.seed,
        )

    def _size(self, settings: Settings) -> tuple[int, int]:
        if self.width is not None and self.height is not None:
            return self.width, self.height
        if self.image is None or (self.mask is not None and self.padding is not None):
            return (
                settings.width if self.width is None else self.width,
                settings.height if self.height is None else self.height,
            )
        w, h = checks.png_size(self.image)
        if self.width is not None:
            width, height = self.width, _round_up(self.width * h, w)
        elif self.height is not None:
            width, height = _round_up(self.height * w, h), self.height
        else:
            width, height = _round_up(w, 1), _round_up(h, 1)
        low, high = (int(bound) for bound in RANGES["width"])
        if not (low <= width <= high and low <= height <= high):
            scale = min(high / max(w, h), max(1.0, low / min(w, h)))
            near = [min(max(round(side * scale / 8) * 8, low), high) for side in (w, h)]
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
            raise ValueError(  # noqa: TRY004 - the text is wrong, not its type
                f"not the JSON of a Request: {checks.shown(values)} is not an object of fields"
            )
        for name in values:
            if name not in _NAMES:
                raise ValueError(
                    f"the JSON has a field {checks.shown(name)} that a Request has not; "
                    f"{checks.known(name, _NAMES, _ELSEWHERE)}"
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
                shown.append(f"{item.name}=<PNG {'x'.join(map(str, checks.png_size(value)))}>")
            elif value != item.default:
                shown.append(f"{item.name}={value!r}")
        return f"Request({', '.join(shown)})"


_NAMES = tuple(item.name for item in fields(Request))
# What diffusers, AUTOMATIC1111's web UI, ComfyUI and the original scripts call these fields: for
# the hint of an error alone. In small letters and digits, as `checks.known` compares.
_ELSEWHERE = {
    "text": "prompt", "positive": "prompt", "positiveprompt": "prompt",
    "negativeprompt": "negative", "nprompt": "negative", "uncond": "negative",
    "w": "width", "h": "height",
    "numinferencesteps": "steps", "ddimsteps": "steps", "samplingsteps": "steps", "nsteps": "steps",
    "guidancescale": "cfg", "cfgscale": "cfg", "scale": "cfg", "guidance": "cfg",
    "samplername": "sampler", "samplerindex": "sampler", "ddimeta": "eta",
    "generator": "seed", "noiseseed": "seed",
    "nsamples": "count", "numimages": "count", "numimagesperprompt": "count", "batchsize": "count",
    "initimg": "image", "initimage": "image", "initimages": "image",
    "denoisingstrength": "strength", "denoise": "strength",
    "maskimage": "mask", "maskblur": "feather", "inpaintingmaskinvert": "invert",
}  # fmt: skip


def _put(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)  # the way to normalise a field of a frozen dataclass


def _whole(name: str, value: object) -> int:
    low, high = (int(bound) for bound in RANGES[name])
    try:
        return checks.whole(name, value, low, high, 8 if name in ("width", "height") else 1)
    except ValueError as error:
        if name == "seed":  # -1 means "any" elsewhere
            raise ValueError(f"{error}, and None draws one") from None
        raise


def _canonical(name: str, value: object) -> bytes:
    """The PNG bytes themselves, where they are what `sdnb.images.picture` or `mask` would make of
    them; what those make of them where they are not (a palette, 16 bits, a turned photograph).
    """
    maker = "picture" if name == "image" else "mask"
    data = checks.png(name, value, f"sdnb.images.{maker}(...)")
    if checks.png_is_plain(data, _PLAIN[name]):
        return data
    from sdnb.request import picture_input as sources  # PIL, for these alone

    return sources.picture(data) if name == "image" else sources.mask(data)


def _picture_of(name: str, digest: object, pictures: Mapping[str, bytes]) -> bytes:
    if not isinstance(digest, str):
        raise ValueError(  # noqa: TRY004 - the text is wrong, not its type
            f"{name}={checks.shown(digest)} in the JSON is not the sha256 of a picture"
        )
    if digest not in pictures:
        raise ValueError(
            f"{name} is the picture with sha256 {checks.shown(digest)}, and it is missing: "
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


def _round_up(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded up to a multiple of 8, in whole numbers."""
    return -(-numerator // (denominator * 8)) * 8
