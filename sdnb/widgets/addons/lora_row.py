"""One LoRA of a panel: its name, how strongly it works, and its trigger words."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_bool import CheckboxStyle
from ipywidgets.widgets.widget_string import TextStyle

from sdnb.request.lora import PRESETS, Lora
from sdnb.request.plain_words import digits
from sdnb.widgets.buttons import icon_button
from sdnb.widgets.hearing import in_order
from sdnb.widgets.slider import Slider
from sdnb.widgets.style import box, lay, quiet_line, shared

_LIMITS = (-1e6, 1e6)  # those of `Lora`
_REACH = (-1.0, 2.0)
_STEP = 0.05
_WIDTH = "96px"  # of the labels of what is unfolded
_FEW = 5  # words that are seen before a row is unfolded


@dataclass(frozen=True)
class FileFacts:
    """What is known of a row's file: a tooltip, trigger words, what would keep it from use, and
    whether another row is of the same file. Where there is no file, `near` is a similar name.
    """

    title: str = ""
    words: tuple[str, ...] = ()
    why_not: str = ""
    twice: str = ""
    near: str = ""


@dataclass(frozen=True)
class Acts:
    """What a row does when a person moves it: `take` gets the LoRA, `turn` whether it is on."""

    take: Callable[[Lora], object]
    turn: Callable[[bool], object]
    remove: Callable[[], object]
    put: Callable[[str], object]  # a trigger word into the prompt
    grown: Callable[[], object]  # it has more boxes now


class LoraRow(widgets.VBox):
    """Shows a LoRA; `show` sets everything and calls nobody. The strengths apart and the block
    weights are behind a button; a LoRA that a tag in the prompt names has neither.
    """

    def __init__(self) -> None:
        self.acts: Acts | None = None
        self._lora, self._tagged, self._setting = Lora("?"), False, False
        self._facts = FileFacts()
        self._state: object = None
        self._wrong_blocks = ""
        self._on = widgets.Checkbox(
            value=True, indent=False, layout=shared(widgets.Layout),
            style=shared(CheckboxStyle),
        )  # fmt: skip
        self._on.observe(self._turned, "value")
        self._strength = _slider("Strength", self._moved)
        self._more = icon_button(
            "sliders", "Strengths apart", "Strengths of UNet and text encoder, block weights",
            widgets.ToggleButton,
        )  # fmt: skip
        self._more.observe(lambda _: self._unfolded(), "value")
        self._cross = icon_button("times", "", "")
        self._cross.on_click(lambda _: self._act("remove"))
        self._said, self._words = quiet_line(), box("sdnb-words", [])
        self._pool: list[widgets.Button] = []
        buttons = box("sdnb-lora-buttons", [self._more, self._cross])
        self._top = box("sdnb-lora-top", [self._on, self._strength, buttons])
        self._below = box("sdnb-lora-below", [self._said, self._words])
        self._apart: widgets.VBox | None = None  # made when it is first unfolded
        super().__init__([self._top, self._below])
        self.add_class("sdnb-lora")
        in_order(self)

    @property
    def wrong(self) -> str:
        """Why a number in it is refused; "" where none is."""
        text = self._text.wrong if self._apart is not None else ""
        return str(self._strength.wrong or text or self._wrong_blocks)

    def fold(self) -> None:
        """Hide the strengths apart and forget what was refused, for another LoRA."""
        self._wrong_blocks = ""
        self._more.value = False

    def show(self, lora: Lora, facts: FileFacts, *, on: bool = True, tagged: bool = False) -> None:
        """Show this LoRA; `tagged`: a tag in the prompt names it."""
        state = lora, on, tagged
        if state != self._state or not self.wrong:  # what was typed and refused stays
            self._state = state
            self._put(lora, on=on, tagged=tagged)
        self.tell(facts)

    def tell(self, facts: FileFacts) -> None:
        """Say what is known of the file by now, which no number here depends on."""
        self._facts = facts
        where = "In the prompt: a click takes it out, and keeps its strength here"
        where = where if self._tagged else "On or off"
        self._on.tooltip = f"{facts.title or self._lora.name}\n{where}"
        self._say()
        self._show_words()

    def _put(self, lora: Lora, *, on: bool, tagged: bool) -> None:
        self._setting = True
        try:
            self._lora, self._tagged = lora, tagged
            name = lora.name
            self._on.description, self._on.value = name, on
            self._strength.box.description = f"Strength of {name}"
            self._strength.show(lora.unet)
            self._strength.disabled = not on
            take = f"Take {name} out of the prompt" if tagged else f"Remove {name}"
            self._cross.description = self._cross.tooltip = take
            self._more.layout.display = "none" if tagged else ""
            self._more.description = f"More of {name}"
            if self._apart is not None:
                self._show_apart()
        finally:
            self._setting = False

    def _say(self) -> None:
        """Say where it stands, and what keeps it from running."""
        lora, said = self._lora, ["in the prompt"] if self._tagged else []
        if lora.text is not None:
            said.append(f"text encoder {digits(lora.text)}")
        if lora.blocks is not None:
            said.append(f"block weights {_blocks_in_words(lora)}"[:60])
        if lora.dyn is not None:
            said.append(f"its first {lora.dyn} ranks alone")
        why_not = html.escape(self._facts.why_not or self._facts.twice)
        warning = f'<div class="sdnb-warn">{why_not}</div>' if why_not else ""
        self._said.value = html.escape(" · ".join(said)) + warning
        self._said.layout.display = "" if said or warning else "none"

    # -- trigger words -------------------------------------------------------------------------
    def _show_words(self) -> None:
        words = self._facts.words if self._more.value else self._facts.words[:_FEW]
        while len(self._pool) < len(words):
            button = widgets.Button(
                layout=shared(widgets.Layout), style=shared(widgets.ButtonStyle)
            )
            button.add_class("sdnb-word")
            button.on_click(partial(self._word, len(self._pool)))
            in_order(button)
            self._pool.append(button)
        for button, word in zip(self._pool, words, strict=False):
            button.description, button.tooltip = word, f"Put “{word}” into the prompt"
        self._words.children = self._pool[: len(words)]
        self._words.layout.display = "" if words else "none"

    def _word(self, n: int, _: Any) -> None:
        self._act("put", self._facts.words[n])

    # -- the strengths apart -------------------------------------------------------------------
    def _unfolded(self) -> None:
        if self._apart is None and self._more.value:
            self._make_apart()
        if self._apart is not None:
            self._apart.layout.display = "" if self._more.value else "none"
        self._show_words()

    def _make_apart(self) -> None:
        self._text = _slider("Text encoder", lambda number: self._changed(text=number))
        self._same = icon_button("undo", "Text encoder: as the UNet", "As strong as on the UNet")
        self._same.on_click(lambda _: self._changed(text=None))
        self._same.add_class("sdnb-reset")
        self._blocks = widgets.Combobox(
            description="Block weights", options=tuple(PRESETS), placeholder="all of it",
            tooltip="A preset, or 17 or 26 numbers with commas between them", ensure_option=False,
            continuous_update=False, style=shared(TextStyle, _WIDTH),
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._blocks.observe(self._blocks_typed, "value")
        self._refused = widgets.HTML(layout=widgets.Layout(display="none"))
        text = widgets.HBox([self._text, self._same])
        text.add_class("sdnb-openable")
        self._apart = widgets.VBox([text, self._blocks, self._refused])
        self._apart.add_class("sdnb-apart")
        in_order(self._apart)
        self.children = (self._top, self._apart, self._below)
        self._setting = True
        try:
            self._show_apart()
        finally:
            self._setting = False
        self._act("grown")

    def _show_apart(self) -> None:
        lora, is_open = self._lora, self._lora.text is None
        self._text.show(lora.unet if lora.text is None else lora.text)
        (self._text.add_class if is_open else self._text.remove_class)("sdnb-open")
        self._same.layout.display = "none" if is_open else ""
        self._blocks.value = _blocks_in_words(lora)
        self._refuse("")

    def _blocks_typed(self, change: Any) -> None:
        if self._setting:
            return
        words = change["new"].strip()
        try:
            lora = replace(self._lora, blocks=words or None)
        except (ValueError, TypeError) as error:
            self._refuse(f"{self._lora.name}: {error}")
            self._act("take", self._lora)  # Generate is asked anew
        else:
            self._refuse("")
            self._act("take", lora)

    def _refuse(self, words: str) -> None:
        self._wrong_blocks = words
        said = f'<div class="sdnb-warn" role="alert">{html.escape(words)}</div>'
        self._refused.value = said if words else ""
        self._refused.layout.display = "" if words else "none"

    # -- a person's hand -----------------------------------------------------------------------
    def _moved(self, number: float) -> None:
        self._changed(unet=number)

    def _turned(self, change: Any) -> None:
        if not self._setting:
            self._act("turn", change["new"])

    def _changed(self, **values: Any) -> None:
        self._act("take", replace(self._lora, **values))

    def _act(self, what: str, *arguments: Any) -> None:
        if self.acts is not None:
            getattr(self.acts, what)(*arguments)


def _slider(description: str, moved: Callable[[float], object]) -> Slider:
    slider = Slider(description, 1.0, _LIMITS, moved, reach=_REACH, step=_STEP, label_width=_WIDTH)
    lay(slider, flex="1 1 0", min_width="0")
    return slider


def _blocks_in_words(lora: Lora) -> str:
    if lora.blocks is None:
        return ""
    named = (name for name, weights in PRESETS.items() if weights == lora.blocks)
    return next(named, ",".join(map(digits, lora.blocks)))
