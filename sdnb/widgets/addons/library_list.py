"""The list of a library's LoRAs and embeddings: searched as one types, a click takes one."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Sequence
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import TextStyle

from sdnb.request.plain_words import counted
from sdnb.widgets.addons.finding import Item, found, label, refusal, title
from sdnb.widgets.buttons import icon_button
from sdnb.widgets.hearing import in_order
from sdnb.widgets.line_list import Line, LineList
from sdnb.widgets.style import box, quiet_line, row, shared

MOST = 50  # lines that are shown
_KINDS = [("all", ""), ("LoRAs", "lora"), ("embeddings", "embedding")]
_WAY_IN = (
    "In the studio, write the folder of AUTOMATIC1111, ComfyUI or InvokeAI into “or path” and "
    "press Load, then choose a model of its list. In Python: "
    '<code>sdnb.load(library="stable-diffusion-webui")</code>; and the environment\'s '
    "<code>SDNB_LIBRARY</code> says it for good."
)
_NO_LIBRARY = f"This model has no library of files yet. {_WAY_IN}"
_BROUGHT = f"The model brings these along. For files of your own: {_WAY_IN[0].lower()}{_WAY_IN[1:]}"


class LibraryList(widgets.VBox):
    """Shows the files that match what is typed. `take` is called with the file of a line that is
    clicked, and for an embedding with where its name goes, "prompt" or "negative"; `again` when
    somebody wants the folders to be looked at again.
    """

    def __init__(self, take: Callable[[Item, str], object], again: Callable[[], object]) -> None:
        self._take, self._items, self._used = take, list[Item](), frozenset[Any]()
        self._shown: list[Item] = []
        self._has_users = True
        self._search = widgets.Text(
            description="Search", placeholder="names, folders, trigger words",
            tooltip="Search the library's LoRAs and embeddings",
            style=shared(TextStyle, "76px"), layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._kind = _list_box("Kind", _KINDS, "Show LoRAs, embeddings, or both")
        places = [("prompt", "prompt"), ("negative", "negative")]
        self._place = _list_box("Embeddings to", places, "Where a click puts an embedding's name")
        self._again = icon_button("refresh", "Look again", "Look through the folders again")
        self._again.on_click(lambda _: again())
        for part in (self._search, self._kind):
            part.observe(lambda _: self._refresh(), "value")
        self._head = box(
            "sdnb-library-head", [self._search, self._again, row([self._kind, self._place])]
        )
        self._lines = LineList(self._clicked)
        self._message = quiet_line()
        super().__init__([self._head, self._lines, self._message])
        in_order(self)

    def show(self, items: Sequence[Item], *, has_users: bool) -> None:
        """Show these files. Where a user's are not among them, since no folder was given, it is
        said how one is.
        """
        self._items, self._has_users = list(items), has_users
        is_empty = not items and not has_users
        for part in (self._head, self._lines):
            part.layout.display = "none" if is_empty else ""
        if is_empty:
            self._message.value = _NO_LIBRARY
        else:
            self._refresh()

    def say(self, words: str) -> None:
        """Say something in place of how many there are."""
        self._message.value = f'<span role="status">{html.escape(words)}</span>'

    def mark(self, used: Collection[Any]) -> None:
        """Mark the files at these paths: they are in use."""
        if frozenset(used) != self._used:
            self._used = frozenset(used)
            self._show_lines()

    def _refresh(self) -> None:
        matching = found(self._items, self._search.value, self._kind.value)
        self._shown, more = matching[:MOST], len(matching) - MOST
        self._show_lines()
        if not matching:
            what = "none of them matches" if self._items else "no LoRA and no embedding is there"
            self.say(f"{counted(len(self._items), 'file')}: {what}.")
        elif not self._has_users and more <= 0:
            self._message.value = _BROUGHT
        else:
            self.say(f"and {more:,} more: type to find them" if more > 0 else "")

    def _show_lines(self) -> None:
        self._lines.show([self._line(item) for item in self._shown])

    def _line(self, item: Item) -> Line:
        is_used = item.file.path in self._used
        icon = "ban" if item.why_not else "check" if is_used else "plus"
        tooltip = f"{title(item.file)}\n{_what(item, is_used)}"
        return Line(item, label(item), icon, tooltip, enabled=not item.why_not)

    def _clicked(self, item: Item) -> None:
        self._take(item, self._place.value)


def _what(item: Item, is_used: bool) -> str:
    """What a click does."""
    if item.why_not:
        return refusal(item)
    if item.file.kind == "embedding":
        return "A click puts its name into the prompt"
    return "In use: a click takes it away" if is_used else "A click adds it"


def _list_box(words: str, options: Sequence[tuple[str, str]], tooltip: str) -> widgets.Dropdown:
    return widgets.Dropdown(
        options=options, description=words, tooltip=tooltip,
        style=shared(DescriptionStyle, "initial"), layout=widgets.Layout(width="auto"),
    )  # fmt: skip
