"""Infotext, the `parameters` text of AUTOMATIC1111's web UI and other tools: writing and reading.

    a castle in fog
    Negative prompt: blurred
    Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 7, Size: 512x512

Prompts are never translated: a key of our own names their syntax where it is not sdnb's. LoRAs
become tags behind the prompt; tags name files without folders. Keys, their order and the quoting
follow `create_infotext` in the web UI's `modules/processing.py`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from sdnb.images import control_text, sampler_names, template_text, used_files
from sdnb.images.infotext_keys import KEYS, NUMBERS, SILENT, USUAL
from sdnb.images.saved import NO_PICTURE, Saved, accepted, emphasis_notes
from sdnb.images.used_files import UsedFile
from sdnb.request import Request, checks, lora
from sdnb.request.choices import NATURAL_SCHEDULES, own_eta
from sdnb.request.plain_words import digits, plain

_CONTENT_LABELS = {"original": "original", "noise": "latent noise", "fill": "fill"}
_CONTENTS = {label: name for name, label in _CONTENT_LABELS.items()}

# Its "Just resize (latent upscale)" has no like here. Of "fit", the size says all.
_FIT_LABELS = {"stretch": "Just resize", "crop": "Crop and resize", "fill": "Resize and fill"}
_FITS = {label: name for name, label in _FIT_LABELS.items()}
_NEGATIVE = "Negative prompt:"
_NEGATIVE_LINE = re.compile(rf"^[^\S\n]*{_NEGATIVE}", re.MULTILINE | re.IGNORECASE)
# Where the values begin. A prompt may speak of steps: its number is not followed by another key.
_STEPS = re.compile(r"(?<!\w)Steps: *[0-9]+(?:\.0)? *(?:,|$)", re.IGNORECASE | re.MULTILINE)
_NEXT_KEY = re.compile(
    r" *(?:Sampler|Schedule|Scheduler|CFG|Guidance|Seed|Size|Model|Eta|Denoising|Clip|RNG|Version)"
    r"[ \w]{0,12}:",
    re.IGNORECASE,
)
_EARLIER_KEY = re.compile(r"(?:^|[, ])(Sampler|Seed|Size|CFG scale): ", re.MULTILINE)
_SIZE = re.compile(r"([0-9]{1,9}) *[xX*×] *([0-9]{1,9})")

_CARDS = ("GPU", "NV", "CUDA")  # values of RNG: a graphics card's numbers, wherever they are drawn
_FIRST_PASS = 512 * 512  # pixels: the web UI's choice until 2023 where none was given

_BROKEN_JSON = 16  # values that begin as JSON does and are none; each may be looked through whole


def write(
    request: Request, model: str, fingerprint: str, version: str, files: Sequence[UsedFile] = ()
) -> str:
    """The infotext of a resolved request for one picture, as the web UI would write it.

    `files` are those that it was made with. Without the checkpoint's among them, the fingerprint
    stands in place of its hash.
    """
    if request.sampler is None or request.cfg is None or request.eta is None:
        raise ValueError(f"{request!r} is not resolved: request.resolved(settings) settles it")
    # The web UI writes no schedule for DDIM, PLMS and LCM, which have one of their own.
    natural = request.schedule == NATURAL_SCHEDULES.get(request.sampler)
    schedule = sampler_names.SCHEDULE_LABELS[request.schedule or "uniform"]
    eta_key = "Eta DDIM" if request.sampler == "ddim" else "Eta"
    default_eta = request.eta == own_eta(request.sampler)
    fitted = request.image is not None and request.fit in ("crop", "fill")  # not its default
    checkpoint, vae = (used_files.first(files, kind) for kind in ("checkpoint", "vae"))
    values = {
        "Steps": request.steps,
        "Sampler": sampler_names.SAMPLER_LABELS[request.sampler],
        "Schedule type": None if natural else schedule,
        "CFG scale": digits(request.cfg),
        "CFG Rescale phi": digits(request.cfg_rescale) if request.cfg_rescale else None,
        "CFG start": digits(request.cfg_start) if request.cfg_start else None,
        "CFG end": digits(request.cfg_end) if request.cfg_end < 1 else None,
        "CFG every": request.cfg_every if request.cfg_every > 1 else None,
        "Deep every": request.deep_every if request.deep_every > 1 else None,
        "Token merging ratio": digits(request.token_merging) if request.token_merging else None,
        "Seed": request.seed,
        "Size": f"{request.width}x{request.height}",
        "Model hash": (checkpoint.short_hash if checkpoint else fingerprint[:10]) or None,
        "Model": model or None,
        "VAE hash": vae and vae.short_hash,
        "VAE": vae and vae.name,
        "Denoising strength": None if request.image is None else digits(request.strength),
        "Resize mode": _FIT_LABELS[request.fit] if fitted else None,
        **({} if request.mask is None else _mask_values(request)),
        "Clip skip": request.clip_skip,
        "Emphasis": "No norm" if request.syntax == "a1111_no_norm" else None,
        "Prompt syntax": None if request.syntax == "blocks" else request.syntax,
        "RNG": "CPU",  # sdnb draws its noise on the CPU
        eta_key: None if default_eta else digits(request.eta),
        **control_text.write(request.controls, files, request.fit),
        **used_files.hash_lists(files),
        **template_text.write(request),
        "Version": f"sdnb {version}",
    }
    line = ", ".join(f"{key}: {_quoted(v)}" for key, v in values.items() if v is not None)
    negative = f"\n{_NEGATIVE} {request.negative}" if request.negative else ""
    prompt = lora.renamed(request.prompt, lora.stem)  # the web UI finds no file by its folder
    if request.loras:
        prompt = f"{prompt.rstrip()} {''.join(each.tag for each in request.loras)}"
    return f"{prompt}{negative}\n{line}".strip().replace("\0", " ")  # which a PNG cannot hold


def read(text: str) -> Saved:
    """Parse the infotext of any program. What a Request lacks or refuses is left out and noted.

    Raises ValueError for a text without a line of values.
    """
    prompt, negative, line = _split(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    values = _key_values(line)
    fields: dict[str, Any] = {"prompt": prompt, "negative": negative}
    fields |= template_text.read(text, values)
    notes: list[str] = []
    if "Sampler" in values or "Schedule type" in values:
        fields["sampler"], fields["schedule"], notes = sampler_names.read(
            values.pop("Sampler", ""), values.pop("Schedule type", "")
        )
    fields |= _size(values, notes)
    fields |= _picture_fields(values)
    fields["syntax"] = _syntax(values)
    for key, field, kind in NUMBERS:
        if key in values:
            number = _number(key, values.pop(key), kind, notes)
            fields |= {} if number is None else {field: number}
    nets, without_pictures = control_text.read(values)
    files = (*used_files.of_infotext(values), *nets)
    request, refused = accepted(fields)
    model, fingerprint, version = (values.get(k, "") for k in ("Model", "Model hash", "Version"))
    notes = [*_notes(values, fields), *notes, *refused, *without_pictures]
    told = fields.get("strength") == request.strength
    return Saved(
        request, model, fingerprint, version, notes=tuple(notes), files=files, strength_told=told
    )


def _syntax(values: dict[str, str]) -> str:
    """How the prompts of the program that wrote the values are read; taken out of the values."""
    version, own = values.get("Version", ""), values.pop("Prompt syntax", None)
    emphasis = values.get("Emphasis", "")
    if emphasis in ("Original", "No norm"):  # of the others a note speaks
        values.pop("Emphasis")
    if version.startswith("sdnb"):
        return own or "blocks"
    if version.startswith("ComfyUI"):
        return "comfy"
    return "a1111_no_norm" if emphasis == "No norm" else "a1111"


def _picture_fields(values: dict[str, str]) -> dict[str, Any]:
    """The fields of a picture and its mask, taken out of the values."""
    fields: dict[str, Any] = {}
    if values.get("Resize mode") in _FITS:
        fields["fit"] = _FITS[values.pop("Resize mode")]
    if values.get("Masked content") in _CONTENTS:
        fields["content"] = _CONTENTS[values.pop("Masked content")]
    if values.get("Inpaint area") == "Only masked":
        values.pop("Inpaint area")
        fields["padding"] = 32  # the web UI's default, which it does not write
    if values.get("Mask mode") == "Inpaint not masked":
        values.pop("Mask mode")
        fields["invert"] = True
    for key, usual in USUAL.items():
        if values.get(key) == usual:
            values.pop(key)
    return fields


def _mask_values(request: Request) -> dict[str, object]:
    """The keys for a mask. Like the web UI, leave the defaults out."""
    usual = request.content == "original"
    return {
        "Mask mode": "Inpaint not masked" if request.invert else None,
        "Masked content": None if usual else _CONTENT_LABELS[request.content],
        "Inpaint area": None if request.padding is None else "Only masked",
        "Masked area padding": request.padding,
    }


def _split(text: str) -> tuple[str, str, str]:
    """Prompt, negative prompt and the values: from the last line that contains the steps."""
    start = _values_at(text)
    if start is None:
        raise ValueError(
            f"the parameters text {checks.shown(text)} has no line of values as AUTOMATIC1111 "
            "writes it (Steps: 20, Sampler: Euler a, ...); another program wrote it: make a Request"
        )
    head, values = text[:start], _joined(text[start:].split("\n"))
    in_line = not head.endswith("\n")  # a prompt in the line of the values
    head = head.rstrip().removesuffix(",") if in_line else head[:-1]
    negative = _NEGATIVE_LINE.search(head)
    begin = negative.start() if negative else head.find(_NEGATIVE, head.rfind("\n") + 1)
    if begin < 0:
        return head, "", values
    prompt, negative_text = head[:begin].removesuffix("\n"), head[begin:].lstrip()
    if not negative:
        prompt = prompt.rstrip()
    return prompt, negative_text[len(_NEGATIVE) :].removeprefix(" "), values


def _joined(lines: list[str]) -> str:
    """The line of the values, with the next ones as long as each begins with a known key."""
    more = itertools.takewhile(_NEXT_KEY.match, lines[1:])
    return ", ".join(line.strip() for line in (lines[0], *more))


def _values_at(text: str) -> int | None:
    """Where the values begin: in the last line where another known key follows the steps; without
    any, in the last line that begins with a known key.
    """
    found: tuple[int, int, bool] | None = None  # begin of the line, of the steps, another follows
    begin, seen, first = 0, 0, True
    for match in _STEPS.finditer(text):
        at = match.start()
        newline = text.rfind("\n", seen, at)
        if newline >= 0:
            begin, first = newline + 1, True
        sure = _NEXT_KEY.match(text, match.end()) is not None
        better = found is None or (sure, begin > found[0]) > (found[2], False)
        if better and (sure or (first and _is_first(text, begin, at))):
            found = begin, at, sure
        seen, first = at, False
    if found is None:
        return None
    earlier = _EARLIER_KEY.search(text, found[0], found[1])
    return earlier.start(1) if earlier else found[1]


def _is_first(text: str, begin: int, at: int) -> bool:
    """Whether nothing but other values stands in a line before the steps."""
    return text[begin:at].isspace() or begin == at or bool(_EARLIER_KEY.match(text, begin, at))


def _key_values(line: str) -> dict[str, str]:
    """Parse `Key: value, Key: "quoted, value"`. A value may be a JSON string, object or array; of
    a key that comes twice the first counts.
    """
    values: dict[str, str] = {}
    position, broken = 0, 0
    while (colon := line.find(":", position)) >= 0:
        key = line[max(position, line.rfind(",", position, colon) + 1) : colon].strip()
        start = colon + 1 + (line[colon + 1 : colon + 2] == " ")
        value, end = None, start
        if broken < _BROKEN_JSON and line[start : start + 1] in ('"', "{", "["):
            value, end = _json_value(line, start)
            broken += value is None
        comma = line.find(",", end)
        end = len(line) if comma < 0 else comma
        values.setdefault(
            KEYS.get(key.lower(), key), line[start:end].strip() if value is None else value
        )
        position = end + 1
    return values


def _json_value(line: str, start: int) -> tuple[str | None, int]:
    """The JSON value at `start`, as text, and its end; None if there is no valid JSON."""
    try:
        value, end = json.JSONDecoder().raw_decode(line, start)
    except (ValueError, RecursionError):
        return None, start
    return value if isinstance(value, str) else line[start:end], end


def _size(values: dict[str, str], notes: list[str]) -> dict[str, int]:
    """Width and height of the first pass: until 2023 "Size" was that of the second."""
    final = _sides("Size", values.pop("Size", None), notes)
    first = _sides("First pass size", values.get("First pass size"), notes)
    if first is None:
        return {} if final is None else {"width": final[0], "height": final[1]}
    if 0 in first and final is not None and 0 not in final:
        scale = math.sqrt(_FIRST_PASS / (final[0] * final[1]))
        first = math.ceil(scale * final[0] / 64) * 64, math.ceil(scale * final[1] / 64) * 64
    if final is not None:
        values["Hires resize"] = f"{final[0]}x{final[1]}"
    return {} if 0 in first else {"width": first[0], "height": first[1]}


def _sides(key: str, value: str | None, notes: list[str]) -> tuple[int, int] | None:
    size = _SIZE.fullmatch((value or "").strip())
    if size is None:
        if value is not None:
            notes.append(f"Left out: {key}: {checks.shown(value)}; a size is written 512x512.")
        return None
    return int(size[1]), int(size[2])


def _number(key: str, value: str, kind: type[int | float], notes: list[str]) -> float | None:
    try:
        return kind(value.removesuffix(".0") if kind is int else value)
    except ValueError:
        notes.append(f"Left out: {key}: {checks.shown(value)}, which is not a number.")
        return None


def _notes(unused: dict[str, str], fields: dict[str, Any]) -> list[str]:
    """Notes on settings that a Request lacks or takes in another meaning."""
    notes = []
    version = unused.get("Version", "")
    if not version.startswith("sdnb"):
        notes += emphasis_notes(fields["syntax"], fields["prompt"], fields["negative"])
    drawn_by = unused.get("RNG", "CPU" if version.startswith("ComfyUI") else "GPU").upper()
    if "seed" in fields and drawn_by != "CPU":
        how = "on a graphics card" if drawn_by in _CARDS else "by another generator"
        notes.append(f"Its noise was drawn {how}: the seed gives another picture here.")
    if any(key.startswith(("Hires", "First pass")) for key in unused):
        notes.append(
            "It was made in two passes (Hires fix); this is the first: go on with upscale."
        )
    elif fields.get("strength", 1) != 1:  # ComfyUI's savers write the 1 of text to picture, too
        notes.append(NO_PICTURE)
    unknown = [f"{key}: {value}" for key, value in unused.items() if key not in SILENT]
    if unknown:
        listed = plain(", ".join(unknown), 300)
        notes.append(f"Left out, because sdnb has no such setting: {listed}.")
    return notes


def _quoted(value: object) -> str:
    text = str(value)
    special = any(mark in text for mark in ",:\n")
    return json.dumps(text, ensure_ascii=False) if special else text
