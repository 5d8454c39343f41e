"""The table of fields: how a panel shows each field of a `Request` (label, range, help, when).

`sdnb.widgets.form.controls` makes widgets from it. A test compares it with `Request`, so that a new
field cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sdnb.request import (
    CONTENTS,
    ETA_SAMPLERS,
    FITS,
    RANGES,
    SAMPLERS,
    SCHEDULES,
    SYNTAXES,
    Request,
    Resolved,
    Settings,
)
from sdnb.widgets.form.fitted_view import other_proportions

#: What people call each syntax of prompts.
SYNTAXES_CALLED = {
    "blocks": "sdnb blocks", "a1111": "AUTOMATIC1111",
    "a1111_no_norm": "AUTOMATIC1111, means not restored", "comfy": "ComfyUI",
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """How one field of a `Request` is shown."""

    name: str
    label: str
    kind: str  # words, size, whole, counter, slider, choice, seed, held, picture, mask, optional
    group: str  # words, main, more, picture, mask
    help: str  # one or two sentences, for the tooltip
    reach: tuple[float, float] = (0, 0)  # of the slider; the box takes all of `limits`
    step: float = 1
    choices: tuple[str, ...] = ()
    called: Mapping[str, str] = field(default_factory=dict)  # what people call some of them
    shown: Callable[[Request, Settings], bool] = lambda _request, _settings: True

    @property
    def open(self) -> bool:
        """Whether None is allowed: the model's own value, or for the seed "draw one"."""
        return _DEFAULTS[self.name] is None

    @property
    def default(self) -> Any:
        return _DEFAULTS[self.name]

    @property
    def limits(self) -> tuple[float, float]:
        """The bounds that `Request` checks."""
        return RANGES[self.name]


_DEFAULTS = {item.name: item.default for item in fields(Request)}


def _draws_noise(request: Request, settings: Settings) -> bool:
    """Whether to show eta: the sampler uses it, or it was set."""
    return request.eta is not None or (request.sampler or settings.sampler) in ETA_SAMPLERS


def _guides(request: Request, settings: Settings) -> bool:
    """Whether to show the shortcuts of guidance: there is some, or one was set."""
    cfg = settings.cfg if request.cfg is None else request.cfg
    usual = (Request.cfg_start, Request.cfg_end, Request.cfg_every)
    return cfg not in (0, 1) or (request.cfg_start, request.cfg_end, request.cfg_every) != usual


def _has_picture(request: Request, _: Settings) -> bool:
    return request.image is not None


def _is_fitted(request: Request, _: Settings) -> bool:
    """Whether to show how it is fitted: its proportions are others, or it was chosen."""
    chosen = request.image is not None and request.fit != Request.fit
    return chosen or other_proportions(request)


def _has_mask(request: Request, _: Settings) -> bool:
    return request.mask is not None


FIELDS: tuple[Field, ...] = (
    Field("prompt", "Prompt", "words", "words",
          "What the picture shows. A number after a colon weighs the words before it: "
          "a castle:1 thick fog:0.5"),
    Field("negative", "Negative", "words", "words",
          "What the picture should not show. It needs a CFG above 1."),
    Field("width", "Width", "size", "main",
          "Pixels, a multiple of 8. Left open: the model's own, or the picture's.", step=8),
    Field("height", "Height", "size", "main",
          "Pixels, a multiple of 8. Left open: the model's own, or the picture's.", step=8),
    Field("steps", "Steps", "counter", "main",
          "How often the picture is refined. More is slower; past some number nothing changes.",
          (1, 100)),
    Field("cfg", "CFG", "slider", "main",
          "How literally the prompt is taken. 1 is free and twice as fast; too much is harsh.",
          (1, 20), 0.5),
    Field("sampler", "Sampler", "choice", "main",
          "The way from noise to picture. Those ending in _a, and lcm, draw fresh noise each step.",
          choices=SAMPLERS),
    Field("seed", "Seed", "seed", "main",
          "The same seed and settings give the same picture. Empty: another one each time."),
    Field("count", "Pictures", "whole", "main",
          "How many, one after the other: picture i is the picture of seed + i."),
    Field("schedule", "Schedule", "choice", "more",
          "Where the steps lie between noise and picture. Left open: what suits the sampler.",
          choices=SCHEDULES),
    Field("eta", "Eta", "slider", "more",
          "Fresh noise in each step: 0 none, 1 all. Left open: the sampler's own.",
          (0, 1), 0.05, shown=_draws_noise),
    Field("cfg_rescale", "CFG rescale", "slider", "more",
          "How far the contrast that CFG exaggerates is brought back: 0 not at all, 1 wholly. 0.7 "
          "suits models with zero terminal SNR.",
          (0, 1), 0.05),
    Field("cfg_start", "CFG from", "slider", "more",
          "Guidance begins at this share of the steps. A step without it is quicker; the first "
          "steps decide what is where.",
          (0, 1), 0.05, shown=_guides),
    Field("cfg_end", "CFG until", "slider", "more",
          "Guidance ends at this share of the steps. A step without it is quicker, and the last "
          "steps need it least.",
          (0, 1), 0.05, shown=_guides),
    Field("cfg_every", "CFG every", "counter", "more",
          "The guess without the prompt is made at every Nth step, and used again in "
          "between: 2 leaves a quarter of the work out, and small things differ.",
          (1, 4), shown=_guides),
    Field("deep_every", "Deep every", "counter", "more",
          "The deep blocks of the UNet, most of its work, are computed at every Nth step, "
          "and used again in between: 2 is much quicker, and edges move. Steps with a "
          "control network are whole.",
          (1, 5)),
    Field("token_merging", "Merge tokens", "slider", "more",
          "How many alike parts of the picture share one place in self-attention, for large "
          "pictures: 0 none, 0.5 half of them. Quicker; small things differ.",
          (0, 0.75), 0.05),
    Field("syntax", "Syntax", "choice", "more",
          "How the prompts are read. sdnb blocks: a castle:3 fog:1. AUTOMATIC1111: (castle:1.2), "
          "[fog], BREAK, AND. ComfyUI: (castle:1.2) as it weighs it.",
          choices=SYNTAXES, called=SYNTAXES_CALLED),
    Field("clip_skip", "Clip skip", "counter", "more",
          "Which layer of the text encoder is read, from the last: 1 is usual, 2 what many anime "
          "models expect. Left open: the model's own.",
          (1, 12)),
    Field("loras", "LoRAs", "loras", "more",
          "What is laid over the model's weights, each with its strength: 0 is no effect, 1 what "
          "its author meant. More of them may stand in the prompt: <lora:name:0.8>."),
    Field("controls", "Control", "controls", "more",
          "Control networks, each with the picture that it holds the result to: drawn lines, "
          "edges, a pose, depths."),
    Field("image", "Picture", "picture", "picture",
          "A picture to start from. A PNG, a JPEG or another picture file."),
    Field("fit", "Fitted by", "choice", "picture",
          "How a picture of other proportions comes to width x height. Crop takes its middle. Fill "
          "takes all of it, and paints what is around it. Fit takes all of it, and one side of "
          "the result is smaller.",
          choices=FITS, shown=_is_fitted),
    Field("strength", "Strength", "slider", "picture",
          "How much of it is repainted: 0 gives the picture back, 1 ignores it.",
          (0, 1), 0.05, shown=_has_picture),
    Field("mask", "Mask", "mask", "mask",
          "White is repainted, black is kept to the last bit. Draw it, or give a file.",
          shown=_has_picture),
    Field("invert", "Mask inverted", "held", "mask",
          "Black is repainted, white is kept. The mask's own toolbar exchanges them, and it shows "
          "what is repainted in any case."),
    Field("feather", "Feather", "slider", "mask",
          "Pixels over which the mask's edge fades, on the side that is repainted.",
          (0, 64), shown=_has_mask),
    Field("content", "Starts from", "choice", "mask",
          "What the masked part starts from: the original, noise, or a fill of the colours around.",
          choices=CONTENTS, shown=_has_mask),
    Field("padding", "Only the masked part", "optional", "mask",
          "Generate only the masked part, at width x height, with so many pixels around it, and "
          "put it back: more detail for small things.",
          shown=_has_mask),
)  # fmt: skip

BY_NAME = {field.name: field for field in FIELDS}


def whose(name: str, resolved: Resolved, settings: Settings, suited: Settings) -> str:
    """Whose value it is that an open field gets; `settings` are the model's, and `suited` those in
    force, which a LoRA may have brought.
    """
    brought = settings != suited and name in ("steps", "cfg", "sampler", "schedule", "eta")
    of_sampler = name == "schedule" and resolved.sampler != settings.sampler
    no_ones = name == "eta" and (suited.eta is None or resolved.sampler != suited.sampler)
    if no_ones or (of_sampler and not brought):
        return "the sampler's own"
    only_part = resolved.mask is not None and resolved.padding is not None
    if name in ("width", "height") and resolved.image is not None and not only_part:
        return "the picture's own"
    return "the LoRA's own" if brought else "the model's own"
