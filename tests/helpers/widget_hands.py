"""What a person at the page does with a widget, without a page: find a control, press it, read."""

from __future__ import annotations

import html
import re


def in_sight(widget):
    """This widget and all below it that are laid out."""
    layout = getattr(widget, "layout", None)
    if layout is not None and layout.display == "none":
        return
    yield widget
    for child in getattr(widget, "children", ()):
        yield from in_sight(child)


def called(widget, words):
    """The controls in sight that are called so: by their label, or as a screen reader says it."""
    return [part for part in in_sight(widget) if getattr(part, "description", None) == words]


def find(widget, words):
    """The one control in sight that is called so."""
    matches = called(widget, words)
    names = [getattr(part, "description", "") for part in in_sight(widget)]
    assert len(matches) == 1, f"{len(matches)} are called {words!r}; in sight: {sorted(set(names))}"
    return matches[0]


def press(widget, words):
    """Click the button in sight that is called so."""
    find(widget, words).click()


def read(widget):
    """All text in sight, a line for each piece of HTML. Markup that was not escaped is no text."""
    return "\n".join(_text(piece) for piece in _html(widget) if _text(piece))


def status(widget):
    """What a screen reader is told when it has time; "" for nothing."""
    return _in_role(widget, "status")


def alert(widget):
    """What a screen reader is told at once; "" for nothing."""
    return _in_role(widget, "alert")


def beside(widget, words):
    """The text in the same row as the control that is called so."""
    control = find(widget, words)
    rows = [part for part in in_sight(widget) if control in getattr(part, "children", ())]
    return "\n".join(_text(part.value) for part in rows[0].children if _is_html(part))


def thumbs(gallery):
    """The thumbnails in sight, in their order."""
    return [part for part in in_sight(gallery) if "sdnb-thumb" in part._dom_classes]


def _is_html(widget):
    return getattr(widget, "_view_name", "") == "HTMLView"


def _html(widget):
    return [part.value for part in in_sight(widget) if _is_html(part)]


def _in_role(widget, role):
    return "\n".join(_text(piece) for piece in _html(widget) if f'role="{role}"' in piece)


def _text(piece):
    piece = re.sub("<style>.*?</style>", "", piece, flags=re.DOTALL)
    lines = re.sub("<br>|</div>|</tr>", "\n", piece.replace("</th>", " "))
    return html.unescape(re.sub("<[^>]*>", "", lines)).strip()
