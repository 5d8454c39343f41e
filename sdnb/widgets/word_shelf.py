"""The shelf of words under a prompt box: prompts that ran, and prompt styles. A click takes one."""

from __future__ import annotations

import html
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import TextStyle

from sdnb.library import Library
from sdnb.library.styles import PromptStyle, Styles, offered, paths_in
from sdnb.request import Request
from sdnb.request.plain_words import counted, plain
from sdnb.widgets import prompt_history, remembered
from sdnb.widgets.buttons import icon_button, text_button
from sdnb.widgets.form.form import Form
from sdnb.widgets.hearing import in_order
from sdnb.widgets.line_list import Line, LineList
from sdnb.widgets.prompt_history import EarlierWords
from sdnb.widgets.style import box, quiet_line, row, shared
from sdnb.widgets.way_back import WayBack

MOST = 50  # lines that are shown
_LONGEST, _SHORT = 160, 24  # letters of a line, and of a name on a button
_EARLIER, _STYLES = "earlier prompts", "styles"
_NO_PROMPTS = "What you generate is listed here, newest first."
_NO_STYLES = (
    "No styles yet: save the words above under a name. Those of AUTOMATIC1111 are listed where the "
    "model's library is its folder."
)


def styles_path() -> Path:
    """The file of styles that are saved here, such as ~/.config/sdnb/styles.csv."""
    return remembered.path().parent / "styles.csv"


class WordShelf:
    """A `button`, and the `shelf` that it shows and hides. The words are those of `form`, and
    `library` gives the library in which styles are looked for; `changed` is called when a person
    took some.
    """

    def __init__(
        self, form: Form, library: Callable[[], Library | None], changed: Callable[[], object]
    ) -> None:
        self._form, self._library, self._changed = form, library, changed
        self._styles: dict[str, PromptStyle] = {}
        self._taken: PromptStyle | None = None  # the last style that was clicked
        self._note = ""  # why the newest prompt could not be kept
        self.button = icon_button(
            "history", "Earlier prompts and styles", "Earlier prompts, and prompt styles",
            widgets.ToggleButton,
        )  # fmt: skip
        self.button.observe(lambda _: self._turned(), "value")
        self.grown: Callable[[], object] = lambda: None  #: called when there are more boxes
        self.shelf = widgets.VBox(layout=widgets.Layout(display="none"))
        self.shelf.add_class("sdnb-shelf")

    def remember(self, request: Request) -> None:
        """Note that a request runs."""
        self._note = prompt_history.remember(request)
        if self.button.value:
            self._show()

    # -- building --------------------------------------------------------------------------------
    def _turned(self) -> None:
        if self.button.value and not self.shelf.children:
            self._build()
        self.shelf.layout.display = "" if self.button.value else "none"
        if self.button.value:
            self._switch.value = prompt_history.is_on()
            self._show()
            self.grown()

    def _build(self) -> None:
        self._search = widgets.Text(
            description="Search", placeholder="words", tooltip="Search the lines below",
            style=shared(TextStyle, "76px"), layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._kind = widgets.Dropdown(
            options=[_EARLIER, _STYLES], description="Show",
            tooltip="Prompts that ran, or prompt styles",
            style=shared(DescriptionStyle, "auto"), layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        for part in (self._search, self._kind):
            part.observe(lambda _: self._show(), "value")
        self._lines = LineList(self._take)
        self._message, self._undo = quiet_line(), WayBack()
        self._switch = widgets.Checkbox(
            value=True, description="Remember prompts", indent=False,
            tooltip=f"Those that you generate, in {prompt_history.path()}",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._switch.observe(self._switched, "value")
        self._delete = text_button("Delete all", "trash", "Delete the file of them", self._deleted)
        self._name = widgets.Text(
            placeholder="name", tooltip="The name of the style",
            layout=widgets.Layout(width="140px"),
        )  # fmt: skip
        save = text_button(
            "Save as a style", "save", "Save the words of both boxes under this name", self._saved
        )
        self._remove = text_button("Remove", "trash", "", self._removed)
        self._of_history = row([self._switch, self._delete])
        self._of_styles = row([self._name, save, self._remove])
        self.shelf.children = [
            box("sdnb-library-head", [self._search, self._kind]),
            self._lines, self._message, self._undo, self._of_history, self._of_styles,
        ]  # fmt: skip
        in_order(self.shelf)

    # -- what is shown ---------------------------------------------------------------------------
    def _show(self) -> None:
        styles = self._kind.value == _STYLES
        for part, there in ((self._of_history, not styles), (self._of_styles, styles)):
            part.layout.display = "" if there else "none"
        lines, said, none = self._of_all_styles() if styles else self._of_prompts()
        wanted = self._search.value.casefold().split()
        found = [line for line in lines if all(word in line.words.casefold() for word in wanted)]
        self._lines.show(found[:MOST])
        self._offer_to_remove()
        more = len(found) - MOST
        if lines and not found:
            none = f"{counted(len(lines), 'line')}: none of them matches."
        words = f"and {more:,} more: type to find them" if more > 0 else none if not found else ""
        self._say(" ".join(filter(None, [words, *said])))

    def _of_prompts(self) -> tuple[list[Line], list[str], str]:
        prompts, problem = prompt_history.recall()
        lines = [Line(each, _in_a_line(each), "history", "Take these words") for each in prompts]
        return lines, [problem, self._note], _NO_PROMPTS

    def _of_all_styles(self) -> tuple[list[Line], list[str], str]:
        library = self._library()
        self._styles, problems = offered(
            [styles_path(), *paths_in(library.folders if library else ())]
        )
        lines = [
            Line(style, _style_line(style), "magic", "Put it into the prompts")
            for style in self._styles.values()
        ]
        return lines, problems, _NO_STYLES

    def _offer_to_remove(self) -> None:
        """The style that was clicked can go, where it is one of those that are saved here."""
        taken = self._taken if self._taken and _is_own(self._taken) else None
        self._remove.layout.display = "" if taken else "none"
        if taken:
            self._remove.description = f"Remove “{plain(taken.name, _SHORT)}”"
            self._remove.tooltip = f"Take the style out of {styles_path()}"

    def _say(self, words: str) -> None:
        self._message.value = f'<span role="status">{html.escape(words)}</span>' if words else ""

    # -- acting ----------------------------------------------------------------------------------
    def _take(self, what: EarlierWords | PromptStyle) -> None:
        """Take a line: words in place of those in the boxes, or a style around them."""
        before = self._form.request
        if isinstance(what, PromptStyle):
            after, done = what.apply(before), f"“{_short(what.name)}” is in the prompts."
            self._taken = what
            self._offer_to_remove()
        else:
            after = before.but(prompt=what.prompt, negative=what.negative)
            done = "The words are those of before."
        self._put(after)
        self._undo.say(done, "Undo", lambda: self._put(before))

    def _put(self, words: Request) -> None:
        self._form.change(prompt=words.prompt, negative=words.negative)
        self._changed()

    def _switched(self, change: dict[str, Any]) -> None:
        if change["new"] != prompt_history.is_on():
            self._say(prompt_history.switch(on=bool(change["new"])))

    def _deleted(self) -> None:
        self._note = prompt_history.delete()
        self._show()

    def _saved(self) -> None:
        request = self._form.request
        if not self._name.value.strip():
            self._say("Not saved: give the style a name, in the box beside Save.")
            return
        try:
            style = PromptStyle(self._name.value.strip(), request.prompt, request.negative)
            Styles(styles_path()).keep(style)
        except (OSError, ValueError) as error:
            self._say(f"Not saved: {error}.")
            return
        self._name.value = ""
        self._taken = style
        self._show()
        self._say(f"Saved as “{_short(style.name)}”, in {styles_path()}.")

    def _removed(self) -> None:
        style = self._taken
        if style is None:
            return
        try:
            with suppress(KeyError):  # somebody has removed it meanwhile
                Styles(styles_path()).remove(style.name)
        except (OSError, ValueError) as error:
            self._say(f"Not removed: {error}.")
            return
        self._show()
        self._undo.say(f"“{_short(style.name)}” is removed.", "Undo", lambda: self._kept(style))

    def _kept(self, style: PromptStyle) -> None:
        try:
            Styles(styles_path()).keep(style)
        except (OSError, ValueError) as error:
            self._say(f"Not saved: {error}.")
            return
        self._show()


def _is_own(style: PromptStyle) -> bool:
    """Whether it is among the styles that are saved here, and not in a file of another program."""
    try:
        return Styles(styles_path()).get(style.name) == style
    except (OSError, ValueError):
        return False


def _short(text: str) -> str:
    return plain(" ".join(text.split()), _LONGEST)


def _in_a_line(words: EarlierWords) -> str:
    without = f" · without {words.negative}" if words.negative.strip() else ""
    return _short(words.prompt + without)


def _style_line(style: PromptStyle) -> str:
    words = _in_a_line(EarlierWords(style.prompt, style.negative))
    return _short(f"{style.name}: {words}" if words else style.name)
