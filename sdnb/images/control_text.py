"""Control networks in an infotext: one key for each unit of AUTOMATIC1111's ControlNet extension.

    ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.8,
    Resize Mode: Just Resize, Threshold A: 100, Threshold B: 200, Guidance Start: 0,
    Guidance End: 1, Pixel Perfect: True, Control Mode: Balanced"

The picture that a unit follows is not in the text. Until 2023 the keys were others, and modes had
numbers. The number in brackets is what the web UI once gave checkpoints (`hashes.old_hash`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sdnb.hints import PREPARATIONS
from sdnb.images.used_files import LONGEST_NAME, UsedFile, tag_name
from sdnb.request import checks, control
from sdnb.request.control import Control
from sdnb.request.plain_words import digits, plain

# Its names of our preparations. It has no "scribble" of drawn lines in either polarity, and no soft
# edges without a network: there stands what comes nearest.
_MODULES = {
    "canny": "canny", "scribble": "invert (from white bg & black line)", "xdog": "scribble_xdog",
    "lineart": "lineart_standard (from white bg & black line)", "softedge": "softedge_pidinet",
    "tile": "tile_resample", "blur": "blur_gaussian", "inpaint": "inpaint_only",
    "recolor": "recolor_luminance", "recolor_intensity": "recolor_intensity",
    "threshold": "threshold", "invert": "invert (from white bg & black line)",
    "shuffle": "shuffle", None: "none",
}  # fmt: skip
_PREPARE: dict[str, str | None] = {
    module.split(" ")[0]: name
    for name, module in _MODULES.items()
    if name not in ("scribble", "softedge")
} | {"inpaint": "inpaint", "inpaint_global_harmonious": "inpaint"}
_MODES = {
    "balanced": "Balanced", "prompt": "My prompt is more important",
    "control": "ControlNet is more important",
}  # fmt: skip
_FITS = {"stretch": "Just Resize", "crop": "Crop and Resize", "fill": "Resize and Fill"}
_UNIT = re.compile(r"ControlNet(?: [0-9]{1,2})?", re.IGNORECASE)
_PAIR = re.compile(r"([\w/ ]+): *(\([^()]*\)|[^,]*)")
_TITLE = re.compile(r"(.*?) *(?:\[([0-9a-f]{8})\])?")
_OLD_KEYS = {"preprocessor": "module", "starting/ending": "range"}


def write(
    controls: Sequence[Control], files: Sequence[UsedFile], fit: str = "stretch"
) -> dict[str, str]:
    """The keys of a request's controls, each with its text; `fit` is that of the picture which one
    without a picture follows.
    """
    shorts = {_stem(f.name): f.short for f in files if f.kind == "control" and f.short}
    fit = fit if fit in _FITS else "stretch"  # of "fit", the size says all
    laid = [each if each.image is not None else replace(each, fit=fit) for each in controls]
    return {f"ControlNet {i}": _written(each, shorts) for i, each in enumerate(laid)}


def read(values: dict[str, str]) -> tuple[tuple[UsedFile, ...], list[str]]:
    """The nets of all units, and a note on each: what it is, and that its picture is missing. The
    keys are taken out of `values`.
    """
    keys = [key for key in values if _UNIT.fullmatch(key)]
    texts = [values.pop(key) for key in keys][: control.MOST]
    files, notes = [], []
    for text in texts:
        pairs = {key.strip().lower(): value.strip() for key, value in _PAIR.findall(text[:2000])}
        unit = {_OLD_KEYS.get(key, key): value for key, value in pairs.items()}
        title = _TITLE.fullmatch(unit.get("model", ""))
        name = plain(title[1], LONGEST_NAME) if title else ""
        if title is None or not name or name == "None":
            continue
        files.append(UsedFile("control", name, title[2] or ""))
        notes.append(_note(name, unit))
    return tuple(files), notes


def _written(each: Control, shorts: Mapping[str, str]) -> str:
    name = _stem(each.net)
    short = shorts.get(name)
    known = PREPARATIONS[each.prepare] if each.prepare and each.prepare != "shuffle" else ()
    numbers = [*each.values, *(value.default for value in known[len(each.values) :])][: len(known)]
    named = zip(("Threshold A", "Threshold B"), map(digits, numbers), strict=False)
    pairs = {
        "Module": _MODULES[each.prepare],
        "Model": f"{name} [{short}]" if short else name,
        "Weight": digits(each.scale),
        "Resize Mode": _FITS[each.fit],
        **dict(named),
        "Guidance Start": digits(each.start),
        "Guidance End": digits(each.end),
        "Pixel Perfect": "True",
        "Control Mode": _MODES[each.mode],
    }
    return ", ".join(f"{key}: {value}" for key, value in pairs.items())


def _stem(net: str) -> str:
    """The name without folders, ending, and what would part it."""
    return re.sub(r"\.(pth|bin)$", "", tag_name(net))


def _note(name: str, unit: Mapping[str, str]) -> str:
    module = unit.get("module", "none").split(" ")[0]
    made = ""
    if module not in _PREPARE:
        made = f" (a hint that {checks.shown(module)} makes: give it ready-made)"
    return left_out(name, made, _fields(unit))


def left_out(name: str, made: str = "", fields: Mapping[str, Any] | None = None) -> str:
    """The note on a net that a picture was made with, with the code for its control."""
    written = "".join(f", {key}={value!r}" for key, value in (fields or {}).items())
    return (
        f"Left out: the control network {checks.shown(name)}, since the picture that it followed "
        f"is not stored in it; give it again{made}: controls=[sdnb.Control({name!r}, "
        f"picture{written})]."
    )


def _fields(unit: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a `Control` that a unit tells and that differ from the usual ones."""
    start, _, end = unit.get("range", "").strip("()").partition(",")
    prepare = _PREPARE.get(unit.get("module", "none").split(" ")[0])
    told: dict[str, Any] = {
        "scale": _number(unit.get("weight")),
        "start": _number(unit.get("guidance start", start)),
        "end": _number(unit.get("guidance end", end)),
        "prepare": prepare,
        "mode": _called(_MODES, unit.get("control mode", "")),
        "fit": _called(_FITS, unit.get("resize mode", "")),
    }
    usual = {"scale": 1.0, "start": 0.0, "end": 1.0, "mode": "balanced", "fit": "stretch"}
    return {k: v for k, v in told.items() if v is not None and v != usual.get(k)}


def _called(names: Mapping[str, str], label: str) -> str | None:
    """Ours of a label, of an old one's number, or of "ControlMode.BALANCED"."""
    small = label.rpartition(".")[2].lower()
    for number, (ours, theirs) in enumerate(names.items()):
        if small in (theirs.lower(), str(number), ours):
            return ours
    return None


def _number(text: str | None) -> float | None:
    with suppress(TypeError, ValueError):
        value = float(text or "")
        return value if 0 <= value <= control.MOST_SCALE else None
    return None
