"""The one noun that travels: a `Request` says what picture is wanted, completely and immutably.

A panel makes it, a grid varies it, an executor carries it, a PNG keeps it. Pictures inside it are
PNG bytes, never paths, so that it is hashable, and means the same on another machine. A new field
is flat; what belongs together and comes in several (an adapter with its weight) would be a tuple of
small frozen values. `sdnb.request.record` keeps old files valid.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sdnb.request import checks, png_header, record, sizes
from sdnb.request.choices import (
    CONTENTS,
    DEFAULT_SCHEDULE,
    ETA_SAMPLERS,
    FITS,
    SAMPLERS,
    SCHEDULES,
    SYNTAXES,
    gone_with,
    lcm_levels,
    own_eta,
)
from sdnb.request.control import Control, controls
from sdnb.request.digests import Digests, digests
from sdnb.request.fingerprint import sha256
from sdnb.request.foreign_names import FIELD_OF
from sdnb.request.lora import Lora, loras
from sdnb.request.settings import Settings, number, put, whole

_EVERY = ("cfg_every", "deep_every")
_WHOLE = ("width", "height", "steps", "seed", "count", "padding", "clip_skip", *_EVERY)
_NUMBERS = ("cfg", "eta", "cfg_rescale", "strength", "feather", "cfg_start", "cfg_end",
            "token_merging")  # fmt: skip
# PNG's colour types that are taken as they are: grey, RGB, RGBA. An alpha may be the mask itself.
_PLAIN = {"image": (0, 2, 6), "mask": (0, 2)}
_SEED_BITS = 32  # of a drawn seed: short enough for a file name, and other tools accept it


@dataclass(frozen=True, repr=False, eq=False)
class Request:
    """What picture is wanted. None means "the model's setting"; for the seed, "draw one".

    Raises TypeError or ValueError that names the field, its value and what is accepted.
    """

    # -- what it shows
    prompt: str = ""
    negative: str = ""
    # -- its size in pixels, multiples of 8; where a picture is given, None is the picture's own
    width: int | None = None
    height: int | None = None
    # -- how it is sampled; cfg 1 has no guidance, so that a step costs one pass of the UNet
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    schedule: str | None = None
    eta: float | None = None  # None: the sampler's own, 0 for ddim, 1 for ancestral and SDE ones
    # -- how many; image i is the image of seed + i
    seed: int | None = None
    count: int = 1
    # -- the picture that it starts from, PNG bytes as `sdnb.images.picture` makes them
    image: bytes | None = None
    strength: float = 0.75  # 0 returns the picture, 1 equals no picture
    # -- the part of it that is repainted: white of the mask, black is kept
    mask: bytes | None = None
    invert: bool = False  # exchanges white and black of the mask
    feather: float = 0.0  # pixels over which the mask's edge fades
    content: str = "original"  # what the masked part starts from; fill: the colours around it
    # With a number, only the masked part and so many pixels around it are generated, at width x
    # height, and put back. None: the whole picture is.
    padding: int | None = None
    # How a picture of other proportions comes to width x height: stretch it; crop what is too much
    # of its middle; fill the borders of the whole one, which are painted; or fit the whole one
    # inside, so that one side of the result is smaller. The mask goes with it.
    fit: str = "stretch"
    # -- how far guidance's contrast is brought back to the prompt's own: 0 not at all, 1 wholly
    cfg_rescale: float = 0.0
    # How the prompts are read: one of `choices.SYNTAXES`, which `sdnb.prompt` explains.
    syntax: str = "blocks"
    # Which layer of the text encoder is read, counted from the last, which is 1, as AUTOMATIC1111
    # does. None: the model's own.
    clip_skip: int | None = None
    # -- what is laid over the model's weights; tags in the prompt (<lora:name:0.8>) add to these
    loras: tuple[Lora, ...] = ()
    # The sha256 of files that tags and words of the prompts name, as a run notes them: another file
    # of such a name is refused. Keys are "lora:pixelart" and "embedding:easynegative".
    digests: Digests = ()
    # -- what control networks hold it to: each a net, its picture, and how strongly it works; one
    # without a picture follows `image`. At most ten.
    controls: tuple[Control, ...] = ()
    # -- what the prompts were chosen from, as a run notes it: "a {red|blue} cat". Prompts with such
    # a template are taken as they stand; without, a run puts in what the seed chooses.
    template: str = ""
    negative_template: str = ""
    # -- shortcuts of guidance, which `guidance_steps` explains: it works from `cfg_start` to
    # `cfg_end`, shares of the steps, and its guess without words is made at every Nth step
    # alone. Where a step has none, it is quicker; the picture is another one.
    cfg_start: float = 0.0
    cfg_end: float = 1.0
    cfg_every: int = 1
    # A shortcut of the UNet, which `deep_steps` explains: its deep blocks are computed at every
    # Nth step alone. The steps between are quicker; the picture is another one.
    deep_every: int = 1
    # Another one, of self-attention at the first level, for large pictures: this share of the
    # tokens joins others that they are like (https://arxiv.org/abs/2303.17604). From 0.75 on it is
    # three quarters of them.
    token_merging: float = 0.0

    def __post_init__(self) -> None:
        for name in ("prompt", "negative", "template", "negative_template"):
            put(self, name, checks.text(name, getattr(self, name)))
        for name in _WHOLE:
            if getattr(self, name) is not None or name in ("count", *_EVERY):
                put(self, name, whole(name, getattr(self, name)))
        for name in _NUMBERS:
            if getattr(self, name) is not None or name not in ("cfg", "eta"):
                put(self, name, number(name, getattr(self, name)))
        for name, accepted in (("sampler", SAMPLERS), ("schedule", SCHEDULES)):
            if getattr(self, name) is not None:
                put(self, name, checks.choice(name, getattr(self, name), accepted))
        for name in record.PICTURES:
            if getattr(self, name) is not None:
                put(self, name, _canonical(name, getattr(self, name)))
        put(self, "invert", checks.flag("invert", self.invert))
        put(self, "content", checks.choice("content", self.content, CONTENTS))
        put(self, "fit", checks.choice("fit", self.fit, FITS))
        put(self, "syntax", checks.choice("syntax", self.syntax, SYNTAXES))
        put(self, "loras", loras(self.loras))
        put(self, "digests", digests(self.digests))
        put(self, "controls", controls(self.controls))
        self._check_together()

    def _check_together(self) -> None:
        if self.seed is not None and self.seed > 2**63 - 1 - self.count:
            raise ValueError(
                f"seed={self.seed} leaves no room for count={self.count} images (image i uses "
                f"seed + i): the largest seed here is {2**63 - 1 - self.count}"
            )
        if self.cfg_start > self.cfg_end:
            raise ValueError(
                f"cfg_start={self.cfg_start:g} is behind cfg_end={self.cfg_end:g}: guidance works "
                "from start to end, shares of the steps from 0 to 1; exchange them"
            )
        if self.mask is not None and self.image is None:
            raise ValueError(
                "mask is given without an image: a mask says which part of a picture to repaint; "
                "give image= as well, or leave mask out"
            )

    def but(self, **changes: Any) -> Request:
        """The same request with some fields changed. Raises TypeError for a field unknown.

        Another sampler brings its own schedule and eta, unless they are given in the same call:
        those that are the old sampler's own are left open (`choices.gone_with`). Another prompt is
        not of the old one's template.
        """
        for name in changes:
            if name not in _NAMES:
                raise TypeError(
                    f"a Request has no field {checks.shown(name)}; "
                    f"{checks.known(name, _NAMES, FIELD_OF)}"
                )
        if "sampler" in changes:
            gone = gone_with(self.sampler, changes["sampler"], self.schedule, self.eta)
            changes = {**gone, **changes}
        for name, template in record.TEMPLATES.items():
            if changes.get(name, getattr(self, name)) != getattr(self, name):
                changes = {template: "", **changes}
        return Request(**{**self._fields(), **changes})

    def enlarged(
        self,
        picture: bytes,
        width: int | None = None,
        height: int | None = None,
        strength: float = 0.5,
    ) -> Request:
        """The request that polishes `picture` (PNG bytes) at a larger size: img2img with the same
        words, seed and settings adds detail without a new composition.
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
            fit="stretch",
            count=1,
        )

    def resolved(self, settings: Settings) -> Resolved:
        """The request with nothing open but image, mask, padding and clip_skip; an open seed is
        drawn here.

        The size is the picture's, rounded up to multiples of 8, where there is one; when only one
        side is given, the other keeps its proportions; with fit="fit", neither side is larger than
        is asked for. Where only the masked part is generated (`padding`), it is the model's own.
        Resolving again changes nothing, whatever the settings.
        Raises ValueError where the picture's own size is out of range, for an eta above 0 with a
        sampler that draws no noise, for more steps than the schedule "lcm" has levels, and for a
        control that follows the picture where there is none.
        """
        alone = [each.net for each in self.controls if each.image is None]
        if alone and self.image is None:
            raise ValueError(
                f"the control of {checks.shown(alone[0])} has no picture, and the request starts "
                f"from none that it could follow: give sdnb.Control({checks.shown(alone[0])}, "
                "picture), or image="
            )
        width, height = self._size(settings)
        sampler = settings.sampler if self.sampler is None else self.sampler
        if self.eta and sampler not in ETA_SAMPLERS:
            raise ValueError(
                f"eta={self.eta} asks for fresh noise in each step, but {sampler} draws none: "
                f"leave eta open (None), or choose one of {', '.join(ETA_SAMPLERS)}"
            )
        schedule, eta, same = self.schedule, self.eta, sampler == settings.sampler
        if schedule is None:
            schedule = settings.schedule if same else DEFAULT_SCHEDULE[sampler]
        if eta is None:
            eta = settings.eta if same and settings.eta is not None else own_eta(sampler)
        steps = settings.steps if self.steps is None else self.steps
        if schedule == "lcm":
            lcm_levels(steps, 1.0 if self.image is None else self.strength)
        settled = {
            "width": width,
            "height": height,
            "steps": steps,
            "cfg": settings.cfg if self.cfg is None else self.cfg,
            "sampler": sampler,
            "schedule": schedule,
            "eta": eta,
            "seed": drawn_seed() if self.seed is None else self.seed,
        }
        return Resolved(**{**self._fields(), **settled})

    def _size(self, settings: Settings) -> tuple[int, int]:
        only_part = self.mask is not None and self.padding is not None
        if self.image is None or only_part:
            return (
                settings.width if self.width is None else self.width,
                settings.height if self.height is None else self.height,
            )
        original = png_header.size(self.image)
        if self.width is None or self.height is None:
            size = sizes.of_picture(original, self.width, self.height)
        else:
            size = self.width, self.height
        if self.fit == "fit" and size != sizes.rounded_up(original):
            size = sizes.inside(original, size)
        return size

    @property
    def pictures(self) -> dict[str, bytes]:
        """The pictures inside, by their sha256: what `from_json` needs beside the text."""
        own = {sha256(data): data for data in (self.image, self.mask) if data is not None}
        return own | {key: data for each in self.controls for key, data in each.pictures.items()}

    def plain(self) -> dict[str, Any]:
        """The fields as JSON can hold them, image and mask as the sha256 of their bytes."""
        return record.plain(self._fields(), _DEFAULTS)

    def to_json(self) -> str:
        """One JSON object: the layout's version, and the fields that `plain` gives."""
        return record.write(self.plain())

    @classmethod
    def from_json(cls, text: str, pictures: Mapping[str, bytes] | None = None) -> Request:
        """The request that this or an earlier sdnb's `to_json` wrote; `pictures` gives the bytes of
        each sha256. Raises as `record.read`, and TypeError or ValueError for a field's value.
        """
        return Request(**record.read(text, _NAMES, pictures or {}))

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _NAMES}

    def __eq__(self, other: object) -> bool:
        """By the fields: a `Resolved` also equals the `Request` that a saved picture gives back."""
        return isinstance(other, Request) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(tuple(self._fields().values()))

    def __repr__(self) -> str:
        """Only what differs from the defaults, and pictures by their size, never their bytes."""
        shown = []
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("image", "mask") and value is not None:
                shown.append(f"{item.name}=<PNG {'x'.join(map(str, png_header.size(value)))}>")
            elif value != item.default:
                shown.append(f"{item.name}={value!r}")
        return f"Request({', '.join(shown)})"


@dataclass(frozen=True, repr=False, eq=False)
class Resolved(Request):
    """A `Request` that leaves nothing open, made by `resolved`. `but` gives a plain `Request`."""

    width: int = field(kw_only=True)
    height: int = field(kw_only=True)
    steps: int = field(kw_only=True)
    cfg: float = field(kw_only=True)
    sampler: str = field(kw_only=True)
    schedule: str = field(kw_only=True)
    eta: float = field(kw_only=True)
    seed: int = field(kw_only=True)


_NAMES = tuple(item.name for item in fields(Request))
_DEFAULTS = {item.name: item.default for item in fields(Request)}


def drawn_seed() -> int:
    """A seed for a request that leaves it open."""
    return secrets.randbits(_SEED_BITS)


def _canonical(name: str, value: object) -> bytes:
    """PNG bytes as `sdnb.images.picture` or `mask` makes them: others (a palette, 16 bits, a turned
    photograph) are repainted.
    """
    maker = "picture" if name == "image" else "mask"
    data = checks.png(name, value, f"sdnb.images.{maker}(...)")
    if png_header.is_plain(data, _PLAIN[name]):
        return data
    from sdnb.request import picture_input  # PIL, for these alone

    return picture_input.picture(data) if name == "image" else picture_input.mask(data)
