"""A person's hands and eyes for a widget without a page: find a control, press it, read text."""

from __future__ import annotations

import html
import re


def in_sight(widget):
    """This widget and the widgets inside it, without those that are hidden."""
    layout = getattr(widget, "layout", None)
    if layout is not None and (layout.display == "none" or layout.visibility == "hidden"):
        return
    yield widget
    for child in getattr(widget, "children", ()):
        yield from in_sight(child)


def called(widget, words):
    """The controls in sight whose label, or name for screen readers, is `words`."""
    return [part for part in in_sight(widget) if getattr(part, "description", None) == words]


def find(widget, words):
    """The only control in sight with this label."""
    matches = called(widget, words)
    names = [getattr(part, "description", "") for part in in_sight(widget)]
    assert len(matches) == 1, f"{len(matches)} are called {words!r}; in sight: {sorted(set(names))}"
    return matches[0]


def press(widget, words):
    """Click the only button in sight with this label."""
    find(widget, words).click()


def read(widget):
    """All text in sight, a line for each HTML widget. Unescaped markup is dropped as a tag."""
    return "\n".join(_text(piece) for piece in _html(widget) if _text(piece))


def status(widget):
    """The text that a screen reader announces when it is idle; "" for none."""
    return _in_role(widget, "status")


def alert(widget):
    """The text that a screen reader announces at once; "" for none."""
    return _in_role(widget, "alert")


def beside(widget, words):
    """The text in the same row as the control with this label, or else beside that row."""
    part, said = find(widget, words), []
    for _ in range(2):
        part = next(one for one in in_sight(widget) if part in getattr(one, "children", ()))
        said = said or [_text(other.value) for other in part.children if _is_html(other)]
    return "\n".join(said)


def thumbs(gallery):
    """The gallery's thumbnails in sight, in order."""
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
