"""Infotext, the `parameters` text of AUTOMATIC1111's web UI and other tools: writing and reading.

    a castle in fog
    Negative prompt: blurred
    Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 7, Size: 512x512

Prompts are copied and never translated: `(castle:1.2)` in the web UI and `castle:1.2 fog` in sdnb
weigh words in different ways. Keys, their order and the quoting follow `create_infotext` in the web
UI's `modules/processing.py`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from sdnb.request import Request, checks
from sdnb.request.choices import ETA_SAMPLERS, NATURAL_SCHEDULES, own_eta

_SAMPLER_LABELS = {
    "ddim": "DDIM", "plms": "PLMS", "euler": "Euler", "euler_a": "Euler a", "heun": "Heun",
    "lms": "LMS", "dpm2": "DPM2", "dpm2_a": "DPM2 a", "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE", "unipc": "UniPC", "lcm": "LCM",
}  # fmt: skip
_SAMPLERS = {label.lower(): name for name, label in _SAMPLER_LABELS.items()}

# The web UI calls the timesteps of our "uniform" "DDIM". Its "Uniform" and "Normal" differ from
# them by less than a step, and so does "Simple" from our "trailing".
_SCHEDULE_LABELS = {
    "uniform": "DDIM", "trailing": "SGM Uniform", "karras": "Karras", "exponential": "Exponential",
}  # fmt: skip
_SCHEDULES = {
    "ddim": "uniform", "uniform": "uniform", "normal": "uniform", "sgm uniform": "trailing",
    "simple": "trailing", "karras": "karras", "exponential": "exponential",
}  # fmt: skip
_CONTENT_LABELS = {"original": "original", "noise": "latent noise", "fill": "fill"}
_CONTENTS = {label: name for name, label in _CONTENT_LABELS.items()}

_NEGATIVE = "Negative prompt:"
_STEPS = re.compile(r"(?:\A|, )Steps: *[0-9]+ *(?:,|\Z)")
_EMPHASIS = re.compile(r"[(\[]|:[-+.0-9]+\s")
_SIZE = re.compile(r"([0-9]+)x([0-9]+)")

# Keys that need no note: they say nothing about the request, or are read in another way.
_SILENT = {"Model", "Model hash", "Version", "RNG", "User", "Hashes", "Lora hashes", "TI hashes"}


@dataclass(frozen=True)
class Saved:
    """The facts that a saved picture carries; those of an infotext lack the seconds."""

    request: Request
    model: str  # the model's name
    fingerprint: str
    version: str  # of the program that saved the picture
    seconds: float | None = None
    notes: tuple[str, ...] = ()


def write(request: Request, model: str, fingerprint: str, version: str) -> str:
    """The infotext of a resolved request for one picture, as the web UI would write it."""
    if request.sampler is None or request.cfg is None or request.eta is None:
        raise ValueError(f"{request!r} is not resolved: request.resolved(settings) settles it")
    # The web UI writes no schedule for DDIM, PLMS and LCM, which have one of their own.
    natural = request.schedule == NATURAL_SCHEDULES.get(request.sampler)
    eta_key = "Eta DDIM" if request.sampler == "ddim" else "Eta"
    default_eta = request.eta == own_eta(request.sampler)
    values = {
        "Steps": request.steps,
        "Sampler": _SAMPLER_LABELS[request.sampler],
        "Schedule type": None if natural else _SCHEDULE_LABELS[request.schedule or "uniform"],
        "CFG scale": _plain(request.cfg),
        "Seed": request.seed,
        "Size": f"{request.width}x{request.height}",
        "Model hash": fingerprint[:10] or None,
        "Model": model or None,
        "Denoising strength": None if request.image is None else _plain(request.strength),
        **({} if request.mask is None else _mask_values(request)),
        "RNG": "CPU",  # sdnb draws its noise on the CPU
        eta_key: None if default_eta else _plain(request.eta),
        "Version": f"sdnb {version}",
    }
    line = ", ".join(f"{key}: {_quoted(v)}" for key, v in values.items() if v is not None)
    negative = f"\n{_NEGATIVE} {request.negative}" if request.negative else ""
    text = f"{request.prompt}{negative}\n{line}".strip()
    return text.replace("\0", " ")  # a text chunk of a PNG cannot hold it


def read(text: str) -> Saved:
    """Parse the infotext of any program. Raises ValueError for a sampler or a schedule that sdnb
    lacks, and for a value that a Request does not accept.
    """
    prompt, negative, line = _split(text.replace("\r\n", "\n"))
    values = _key_values(line)
    fields: dict[str, Any] = {"prompt": prompt, "negative": negative}
    if "Sampler" in values:
        fields["sampler"], fields["schedule"] = _sampler(
            values.pop("Sampler"), values.pop("Schedule type", "")
        )
    if "Size" in values:
        fields["width"], fields["height"] = _size(values.pop("Size"))
    if values.get("Masked content") in _CONTENTS:
        fields["content"] = _CONTENTS[values.pop("Masked content")]
    if values.get("Inpaint area") == "Only masked":
        values.pop("Inpaint area")
        fields["padding"] = 32  # the web UI's default, which it does not write
    for key, field, kind in _NUMBERS:
        if key in values:
            fields[field] = _number(key, values.pop(key), kind)
    eta_notes = _without_idle_eta(fields)
    try:
        request = Request(**fields)
    except ValueError as error:
        raise ValueError(f"the parameters text asks for what sdnb has not: {error}") from None
    model, fingerprint, version = (values.get(k, "") for k in ("Model", "Model hash", "Version"))
    notes = (*_notes(values, fields), *eta_notes)
    return Saved(request, model, fingerprint, version, notes=notes)


_NUMBERS: tuple[tuple[str, str, type[int | float]], ...] = (
    ("Steps", "steps", int),
    ("CFG scale", "cfg", float),
    ("Seed", "seed", int),
    ("Denoising strength", "strength", float),
    ("Eta DDIM", "eta", float),
    ("Eta", "eta", float),
    ("Masked area padding", "padding", int),
)


def _mask_values(request: Request) -> dict[str, object]:
    """The keys for a mask. Like the web UI, leave the defaults out."""
    usual = request.content == "original"
    return {
        "Masked content": None if usual else _CONTENT_LABELS[request.content],
        "Inpaint area": None if request.padding is None else "Only masked",
        "Masked area padding": request.padding,
    }


def _split(text: str) -> tuple[str, str, str]:
    """Prompt, negative prompt and the line of values: the last line that contains the steps."""
    lines = text.split("\n")
    last = next((i for i in reversed(range(len(lines))) if _STEPS.search(lines[i].strip())), None)
    if last is None:
        raise ValueError(
            f"the parameters text {checks.shown(text)} has no line of values as AUTOMATIC1111 "
            "writes it (Steps: 20, Sampler: Euler a, ...); another program wrote it: make a Request"
        )
    line, lines = lines[last].strip(), lines[:last]
    is_negative = [line.lstrip().startswith(_NEGATIVE) for line in lines]
    start = is_negative.index(True) if True in is_negative else len(lines)
    negative = "\n".join(lines[start:]).lstrip().removeprefix(_NEGATIVE).removeprefix(" ")
    return "\n".join(lines[:start]), negative, line


def _key_values(line: str) -> dict[str, str]:
    """Parse `Key: value, Key: "quoted, value"`. A value may be a JSON string, object or array."""
    values: dict[str, str] = {}
    position = 0
    while (colon := line.find(":", position)) >= 0:
        start = colon + 1 + (line[colon + 1 : colon + 2] == " ")
        end = line.find(",", position)
        if 0 <= end < colon:  # a key without a value
            position = end + 1
            continue
        key = line[position:colon].strip()
        value, end = _json_value(line, start) or (None, start)
        end = line.find(",", end)
        end = len(line) if end < 0 else end
        values[key] = line[start:end].strip() if value is None else value
        position = end + 1
    return values


def _json_value(line: str, start: int) -> tuple[str, int] | None:
    """The JSON value at `start`, as text, and its end; None if there is no valid JSON."""
    if line[start : start + 1] not in ('"', "{", "["):
        return None
    try:
        value, end = json.JSONDecoder().raw_decode(line, start)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else line[start:end], end


def _sampler(label: str, schedule: str) -> tuple[str, str]:
    """Our names of sampler and schedule. Older texts have both in one label ("DPM++ 2M Karras").

    If the text names no schedule, the web UI used its uniform one.
    """
    name, plain = label.strip().lower(), schedule.strip().lower()
    for suffix in ("karras", "exponential"):
        if name.endswith(" " + suffix):
            name, plain = name.removesuffix(" " + suffix), plain or suffix
    if name not in _SAMPLERS:
        raise ValueError(
            f"the parameters text names the sampler {checks.shown(label)}, which sdnb has not; "
            f"choose another for a new Request. Known are {', '.join(_SAMPLER_LABELS.values())}"
        )
    sampler = _SAMPLERS[name]
    if plain in ("", "automatic"):
        return sampler, NATURAL_SCHEDULES.get(sampler, "uniform")
    if plain not in _SCHEDULES:
        raise ValueError(
            f"the parameters text names the schedule type {checks.shown(schedule)}, which sdnb has "
            f"not; choose another for a new Request. Known are {', '.join(sorted(_SCHEDULES))}"
        )
    return sampler, _SCHEDULES[plain]


def _size(value: str) -> tuple[int, int]:
    size = _SIZE.fullmatch(value)
    if size is None or len(value) > 20:
        raise ValueError(
            f"the parameters text has Size: {checks.shown(value)}; a size is written 512x512"
        )
    return int(size[1]), int(size[2])


def _number(key: str, value: str, kind: type[int | float]) -> float:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(
            f"the parameters text has {key}: {checks.shown(value)}, which is not a number"
        ) from None


def _without_idle_eta(fields: dict[str, Any]) -> list[str]:
    """Remove an eta that its sampler does not use, and return a note on it. The web UI writes its
    "Eta DDIM" also for UniPC and PLMS.
    """
    sampler, eta = fields.get("sampler"), fields.get("eta")
    if not eta or sampler is None or sampler in ETA_SAMPLERS:
        return []
    del fields["eta"]
    return [f"Left out: an eta of {_plain(eta)}, because {sampler} draws no noise."]


def _notes(unused: dict[str, str], fields: dict[str, Any]) -> list[str]:
    """Notes on settings that a Request lacks or takes in another meaning."""
    notes = []
    foreign = not unused.get("Version", "").startswith("sdnb")
    if foreign and any(_EMPHASIS.search(fields[name] + " ") for name in ("prompt", "negative")):
        notes.append(
            "The prompt is kept as it was written: (text:1.2) and [text] weigh words in "
            "AUTOMATIC1111 and are plain text here, where text:1.2 before a space is a weight."
        )
    if "seed" in fields and unused.get("RNG", "GPU") != "CPU":
        notes.append("Its noise was drawn on a graphics card: the seed gives another picture here.")
    if "strength" in fields:
        notes.append(
            "The picture that this one was made from is not stored in it: give it as image=."
            if not any(key.startswith("Hires") for key in unused)
            else "It was made in two passes (Hires fix); this is the first: go on with upscale."
        )
    unknown = [f"{key}: {value}" for key, value in unused.items() if key not in _SILENT]
    if unknown:
        listed = ", ".join(unknown)
        listed = listed if len(listed) <= 300 else listed[:297] + "..."
        notes.append(f"Left out, because sdnb has no such setting: {listed}.")
    return notes


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _quoted(value: object) -> str:
    text = str(value)
    special = any(mark in text for mark in ",:\n")
    return json.dumps(text, ensure_ascii=False) if special else text
