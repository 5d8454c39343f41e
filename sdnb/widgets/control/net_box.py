"""The net of a control: a box to search the library or write a path in, and what it finds."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_string import TextStyle

from sdnb.widgets.addons.finding import Item, label, refusal, title
from sdnb.widgets.buttons import icon_button
from sdnb.widgets.control.nets_on_offer import NetFacts, NetsOnOffer, is_hub_id
from sdnb.widgets.hearing import in_order
from sdnb.widgets.line_list import Line, LineList
from sdnb.widgets.style import box, level, quiet_line, shared

_MOST = 50  # lines that are shown
_NO_LIBRARY = (
    "The model has no library of files yet: write the path of a control network or its id on the "
    "Hugging Face hub, or choose the folder of AUTOMATIC1111, ComfyUI or InvokeAI where the model "
    'is chosen. In Python: <code>sdnb.load(library="stable-diffusion-webui")</code>'
)  # fmt: skip


class NetBox(widgets.VBox):
    """Shows a net's name; `take` is called with another one that a person chose. What is typed is
    searched for, and taken as soon as it is the name or the path of a net.
    """

    def __init__(
        self, nets: Callable[[], NetsOnOffer], take: Callable[[str], object],
        beside: Sequence[widgets.Widget],
    ) -> None:  # fmt: skip
        self._nets, self._take = nets, take
        self._name = ""
        self._sha256: str | None = None
        self._setting = False
        self._shown: list[str] = []  # the names of the lines
        self.facts = NetFacts()  #: what is known of the net
        # The page sends a click at once, and what was typed before it when it has been answered: a
        # click shows the other box, and what still comes to the one before is not heard.
        self._box, self._other = self._new_box(), self._new_box()
        self._more = icon_button(
            "list", "All nets", "Show what the library has", widgets.ToggleButton
        )
        self._more.observe(lambda _: self.refresh(), "value")
        self._lines = LineList(self._clicked)
        self._found = widgets.VBox([self._lines])
        self._said = quiet_line()
        self._head = box("sdnb-net", [self._box, self._more, *beside])
        super().__init__([self._head, level(self._found), level(self._said)])
        in_order(self, self._other)

    def _new_box(self) -> widgets.Text:
        text = widgets.Text(
            description="Net", placeholder="search the library, or write a path or a hub id",
            tooltip="The control network: the name of a file in the library, its path, or its id "
            "on the Hugging Face hub",
            style=shared(TextStyle, "76px"), layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        text.observe(self._typed, "value")
        return text

    @property
    def wrong(self) -> str:
        """Why what is typed is no net; "" where it is one, or nothing is typed."""
        typed = self._box.value.strip()
        if typed in ("", self._name.strip()):
            return ""
        if is_hub_id(typed):
            return f"{typed} may be on the Hugging Face hub: click its line to take it from there"
        return f"{typed!r} is no net: {self._nets().about(typed).why_not}"

    def show(self, name: str, sha256: str | None = None) -> None:
        """Show this net, "" for none, in place of what was typed."""
        self._name, self._sha256 = name, sha256
        self._setting = True
        try:
            self._box.value = name
            self._more.value = False
        finally:
            self._setting = False
        self.refresh()

    def refresh(self) -> None:
        """Show again what the library has, and what is known of the net."""
        if self._setting:
            return
        nets, typed = self._nets(), self._box.value.strip()
        self.facts = nets.about(self._name, self._sha256) if self._name else NetFacts()
        searched = typed if typed != self._name.strip() else ""
        seen = bool(self._more.value or searched or not self._name)
        items = nets.found(searched) if seen else []
        self._show_lines(items[:_MOST], searched)
        self._found.layout.display = "" if self._shown else "none"
        self._more.layout.display = "" if nets.has_any else "none"
        self._said.value = self._words(nets, len(items), searched, seen)
        self._said.layout.display = "" if self._said.value else "none"
        self._box.tooltip = self.facts.title or self._name

    def _words(self, nets: NetsOnOffer, count: int, searched: str, seen: bool) -> str:
        """What stands below: why the net cannot be used, what it is, or what was found."""
        if self.facts.why_not:
            words = html.escape(f"{self._name}: {self.facts.why_not}")
            return f'<div class="sdnb-warn" role="alert">{words}</div>'
        if not nets.is_listed:
            return "The library is being looked through …"
        if not seen:
            return html.escape(self.facts.about)
        if count > _MOST:
            return f"and {count - _MOST:,} more: type to find them"
        if self._shown:
            return ""
        if not nets.has_any and not searched:
            return _NO_LIBRARY
        if searched:
            why_not = nets.about(searched).why_not
            return html.escape(f"{why_not[:1].upper()}{why_not[1:]}")
        return "No control network is in the library."

    def _show_lines(self, items: Sequence[Item], searched: str) -> None:
        nets = self._nets()
        self._shown = [nets.shortest(item.file) for item in items]
        lines = [self._line(item, name) for item, name in zip(items, self._shown, strict=True)]
        if is_hub_id(searched) and searched not in self._shown:
            self._shown.append(searched)
            words = f"{searched} · from the Hugging Face hub, if it is there"
            lines.append(Line(searched, words, "download", "A click takes it; a run downloads it"))
        self._lines.show(lines)

    def _line(self, item: Item, name: str) -> Line:
        chosen = name == self._name
        icon = "ban" if item.why_not else "check" if chosen else "plus"
        what = refusal(item) or ("It is chosen" if chosen else "A click takes it")
        tooltip = f"{title(item.file)}\n{what}"
        return Line(name, label(item), icon, tooltip, enabled=not item.why_not)

    # -- a person's hand -----------------------------------------------------------------------
    def _typed(self, change: Any) -> None:
        if self._setting or change["owner"] is not self._box:
            return
        words = change["new"].strip()
        known = words and not is_hub_id(words) and self._nets().about(words).known
        if words != self._name.strip() and (known or not words):
            self._name, self._sha256 = words, None
            self._take(words)
        self.refresh()

    def _clicked(self, name: str) -> None:
        self._box, self._other = self._other, self._box
        self.show(name)
        self._head.children = [self._box, *self._head.children[1:]]
        self._take(self._name)
