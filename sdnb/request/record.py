"""How a `Request` is written down: the JSON in a PNG, in a store and on its way to a worker.

Pictures are named by the sha256 of their bytes, and travel beside the text. `version` is that of
the layout: earlier ones are read for ever, a later one is refused. Version 1, of sdnb 0.1, wrote no
version. A field that joins later is written only where it differs from its default, so that a store
finds the cells that an earlier sdnb made.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any

from sdnb.request import checks, control, documents
from sdnb.request.fingerprint import sha256
from sdnb.request.foreign_names import FIELD_OF
from sdnb.request.plain_words import counted
from sdnb.request.prompt import templates

VERSION = 3
_FIRST_WITH_TEMPLATES = 3

#: The fields of version 1, in its order: they are always written.
FIRST_FIELDS = (
    "prompt", "negative", "width", "height", "steps", "cfg", "sampler", "schedule", "eta", "seed",
    "count", "image", "strength", "mask", "invert", "feather", "content", "padding",
)  # fmt: skip
#: Fields that hold PNG bytes.
PICTURES = ("image", "mask")
#: The fields of the prompts, and those of their templates.
TEMPLATES = {"prompt": "template", "negative": "negative_template"}


def plain(fields: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request as JSON can hold them, pictures as the sha256 of their bytes."""
    written = {}
    for name, value in fields.items():
        if name not in FIRST_FIELDS and value == defaults[name]:
            continue
        is_picture = name in PICTURES and value is not None
        written[name] = sha256(value) if is_picture else value
        if name in ("loras", "controls"):
            written[name] = [each.plain() for each in value]
        if name == "digests":
            written[name] = dict(value)
    return written


def write(fields: Mapping[str, Any]) -> str:
    """One JSON object of what `plain` gives, and the version of the layout."""
    return json.dumps({"version": VERSION, **fields}, ensure_ascii=False)


def read(text: str, names: tuple[str, ...], pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """The fields that `write` wrote, in this version or an earlier one, with pictures as bytes.

    Raises ValueError for text that is not a request's JSON, a later version, an unknown field, a
    picture that is missing or was changed.
    """
    try:
        values = documents.from_json(text)
    except ValueError as error:
        raise ValueError(f"not the JSON of a Request: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(  # noqa: TRY004 - the text is wrong, not its type
            f"not the JSON of a Request: {checks.shown(values)} is not an object of fields"
        )
    version = values.pop("version", 1)
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ValueError(
            f"the JSON of this Request has version {checks.shown(version)}, and this sdnb reads 1 "
            f"to {VERSION}: pip install --upgrade sdnb"
        )
    for name in values:
        if name not in names:
            raise ValueError(
                f"the JSON has a field {checks.shown(name)} that a Request has not; "
                f"{checks.known(name, names, FIELD_OF)}"
            )
    for name in PICTURES:
        if values.get(name) is not None:
            values[name] = _picture(name, values[name], pictures)
    if "controls" in values:
        values["controls"] = [_control(each, pictures) for each in _controls(values)]
    if version < _FIRST_WITH_TEMPLATES:
        values |= as_they_stand(values)
    return values


def as_they_stand(values: Mapping[str, Any]) -> dict[str, Any]:
    """Templates for prompts among these fields that ran as they stand, where marks of alternatives
    are in them: they are text.
    """
    texts = {template: values.get(name) for name, template in TEMPLATES.items()}
    return {
        template: templates.literal(text)
        for template, text in texts.items()
        if isinstance(text, str) and not values.get(template) and templates.literal(text) != text
    }


def digests(values: Mapping[str, Any]) -> list[Any]:
    """What stands in a request's JSON for its pictures: the sha256 of each, if nobody changed it.
    Raises ValueError where its controls are none.
    """
    holders = [values, *_controls(values)]
    return [each[name] for each in holders for name in PICTURES if each.get(name) is not None]


def with_pictures(
    values: Mapping[str, Any], there: Container[Any]
) -> tuple[dict[str, Any], list[str]]:
    """A request's JSON without the pictures that are not `there`, a mask with its image, and
    without the controls that have such a one; and which fields have lost any.
    """
    lost = [name for name in PICTURES if values.get(name) is not None and values[name] not in there]
    if "image" in lost and values.get("mask") is not None:
        lost = [*PICTURES]  # a mask says nothing of another picture
    kept = {name: value for name, value in values.items() if name not in lost}
    whole = [
        each for each in _controls(values)
        if all(each.get(name) is None or each[name] in there for name in control.PICTURES)
    ]  # fmt: skip
    if len(whole) < len(_controls(values)):
        kept["controls"] = whole
        lost.append("controls")
    return kept, lost


def _controls(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The controls in a request's JSON, their pictures still digests."""
    several = values.get("controls", [])
    is_list = isinstance(several, list) and all(isinstance(each, dict) for each in several)
    if not is_list or len(several) > control.MOST:
        raise ValueError(
            f"controls={checks.shown(several)} in the JSON is not a list of at most {control.MOST} "
            "controls"
        )
    return list(several)


def _control(values: dict[str, Any], pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """The fields of a control with pictures as bytes."""
    own = {name: values[name] for name in control.PICTURES if values.get(name) is not None}
    found = {name: _picture(f"{name} of a control", own[name], pictures) for name in own}
    return {**values, **found}


def _picture(name: str, digest: object, pictures: Mapping[str, bytes]) -> bytes:
    if not isinstance(digest, str):
        raise ValueError(  # noqa: TRY004 - the text is wrong, not its type
            f"{name}={checks.shown(digest)} in the JSON is not the sha256 of a picture"
        )
    if digest not in pictures:
        raise ValueError(
            f"{name} is the picture with sha256 {checks.shown(digest)}, and it is missing: "
            f"given: {counted(len(pictures), 'picture')}; sdnb.images.save keeps them in inputs/"
        )
    data = bytes(pictures[digest])
    if sha256(data) != digest:
        raise ValueError(
            f"{name} is the picture with sha256 {digest}, but the bytes given for it have "
            f"{sha256(data)}: they were changed; find the original picture"
        )
    return data
