"""A picture as a gallery shows it, and its request: as a table, and as Python."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING

from sdnb.request import Request, control, lora, png_header
from sdnb.request.control import Control
from sdnb.request.plain_words import counted, digits
from sdnb.widgets.compare import compared
from sdnb.widgets.form.fields import BY_NAME
from sdnb.widgets.form.size_offer import in_words
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.gallery.picture_search import day_of
from sdnb.widgets.jpegs import data_uri

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images import Saved
    from sdnb.images.result import Result

_MAKERS = {"image": "picture", "mask": "mask"}
_NO_CONTROL = {"template": "Template", "negative_template": "Negative template"}
_COPY = (
    "const t = this.parentNode.querySelector('textarea'); t.select();"
    "(navigator.clipboard ? navigator.clipboard.writeText(t.value) : document.execCommand('copy'));"
    "this.textContent = 'copied';"
    "setTimeout(function (button) { button.textContent = 'copy' }, 2000, this)"
)


def python(request: Request) -> str:
    """Python code for this request; its pictures are read from files."""
    lines = []
    for item in fields(Request):
        value = getattr(request, item.name)
        if value == item.default:
            continue
        maker = _MAKERS.get(item.name)
        text = f'sdnb.images.{maker}("{item.name}.png")' if maker else repr(value)
        if item.name == "controls":
            text = f"[{', '.join(_control(i, each) for i, each in enumerate(value, 1))}]"
        lines.append(f"    {item.name}={text},")
    body = "\n".join(lines)
    return f"request = sdnb.Request(\n{body}\n)\nsdnb.generate(model, request)"


def _control(number: int, given: Control) -> str:
    """A control as Python, its pictures as paths."""
    told = given.plain()
    if "image" in told:
        told["image"] = f"control-{number}.png"
    if "mask" in told:
        told["mask"] = f"control-{number}-mask.png"
    return f"sdnb.Control({', '.join(f'{name}={value!r}' for name, value in told.items())})"


def about(model: Model) -> str:
    """A model's name, size, device and notes, as HTML."""
    s, name = model.settings, html.escape(model.name)
    notes = "".join(f"<div>&#9432; {html.escape(note)}</div>" for note in model.notes)
    return f"<b>{name}</b> · {s.width} × {s.height} · {model.device}{notes}"


def made_by(saved: Saved) -> str:
    """The program that made a picture; only sdnb's own text has the seconds."""
    if saved.seconds is not None:
        return f"sdnb {saved.version}"
    if saved.version.startswith("sdnb"):
        return saved.version
    return f"another tool, {saved.version}" if saved.version else "another tool"


def caption(result: Result) -> str:
    """A line under a picture: its main settings, seconds and peak memory. Of several, the seed of
    the one in sight stands beside its number.
    """
    r, n = result.request, len(result.images)
    size = in_words(result.image.size)
    several = f"{counted(n, 'picture')} of " if n > 1 else ""
    seed = "" if n > 1 else f" · seed {r.seed}"
    return (
        f"{several}{size} · {counted(r.steps or 0, 'step')} of {r.sampler} · "
        f"CFG {digits(r.cfg or 0)}{seed} · {result.seconds:.1f} s · peak {result.peak:.2f} GB"
    )


def settings(request: Request, result: Result | None = None) -> str:
    """An HTML table of the settings and of the run: what is not the default, and what a picture or
    a mask makes use of.
    """
    rows = _rows(request)
    if result is not None:
        rows = _with_size(rows, result)
        rows += [
            ("Model", result.model),
            ("Time of its run", f"{result.seconds:.1f} s" if result.seconds else ""),
            ("Peak memory", f"{result.peak:.2f} GB" if result.peak else ""),
        ]
        rows += [("Note", note) for note in result.notes]
    body = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{html.escape(value)}</td></tr>"
        for label, value in rows
        if value  # an upload may lack seconds, memory and model
    )
    return f'<table class="sdnb-settings">{body}</table>'


def _with_size(rows: list[tuple[str, str]], result: Result) -> list[tuple[str, str]]:
    """The rows with the picture's own size, where a part of it was made at the request's."""
    size = in_words(result.image.size)
    asked = dict(rows).get("Size", size)
    if asked == size:
        return rows
    return [("Size", size), *(("Made at" if n == "Size" else n, value) for n, value in rows)]


def _rows(request: Request) -> list[tuple[str, str]]:
    """Names and values of the settings that `settings` shows."""
    used = (("strength",) if request.image else ()) + (("feather",) if request.mask else ())
    rows = []
    for item in fields(Request):
        value = getattr(request, item.name)
        if item.name == "loras":
            with suppress(ValueError):  # a tag that cannot be done
                value = lora.of_request(request.prompt, value)
        if item.name in ("image", "mask") and value is not None:
            value = in_words(png_header.size(value))
        elif item.name in ("height", "digests") or (
            value == item.default and item.name not in used
        ):
            continue
        if item.name == "loras":
            value = lora.in_words(value)
        if item.name == "controls":
            rows.append(("Control", control.in_words(value)))
            continue
        label = _NO_CONTROL.get(item.name) or BY_NAME[item.name].label
        if isinstance(value, str) and item.name in BY_NAME:
            value = BY_NAME[item.name].called.get(value, value)
        if item.name == "width":
            label, value = "Size", f"{request.width} × {request.height}"
        rows.append((label, digits(value) if isinstance(value, float) else str(value)))
    return rows


def sides(one: GalleryPicture, other: GalleryPicture) -> tuple[str, str]:
    """What tells two pictures apart, in words for each: their prompts and seeds where these differ,
    else the settings that do.
    """
    if one.words != other.words:
        return one.words, other.words
    left, right = (dict(_rows(picture.request)) for picture in (one, other))
    names = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    if not names:
        return one.words, other.words
    return _named(left, names), _named(right, names)


def _named(table: Mapping[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {table.get(name, 'as usual')}" for name in names)


def code(request: Request) -> str:
    """The Python of `python`, with a button that copies it."""
    text = html.escape(python(request))
    return (
        f'<details><summary>as Python</summary><div><textarea class="sdnb-code" readonly '
        f'aria-label="the request as Python" rows="8">{text}</textarea>'
        f'<button type="button" class="jupyter-button" onclick="{_COPY}">copy</button>'
        "</div></details>"
    )


def seen(picture: GalleryPicture, other: GalleryPicture | None) -> str:
    """A gallery's picture as HTML; beside another one, both under a slider, the other one left."""
    if other is not None and other is not picture:
        return compared(other.image, picture.image, sides(other, picture), ways=True)
    return zoomed(picture)


def zoomed(picture: GalleryPicture) -> str:
    """HTML of a picture that fits its column; a click shows it in its full size, and back."""
    image, words = picture.image, html.escape(picture.words, quote=True)
    return (
        '<label class="sdnb-zoom"><input type="checkbox" aria-label="full size">'
        f'<img src="{data_uri(image, quality=92)}" width="{image.width}" height="{image.height}"'
        f' alt="{words}"></label>'
    )


def opened(picture: GalleryPicture) -> str:
    """A line above a gallery's picture: which it is, and its file's name and day."""
    seed = picture.request.seed
    which = [picture.which, "" if seed is None else f"seed {seed}"]
    if picture.saved is not None:
        which.append(f"{picture.name} · {day_of(picture):%d %B %Y}")
    return ": ".join(filter(None, ("Opened from the gallery", " · ".join(filter(None, which)))))


def told(picture: GalleryPicture) -> str:
    """What is known of a gallery's picture, as HTML."""
    if not picture.known:
        return "A picture without settings."
    return settings(picture.request, picture.result) + code(picture.request)
