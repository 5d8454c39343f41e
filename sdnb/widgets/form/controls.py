"""The kinds of control; `sdnb.widgets.form.fields` says which kind each field of a request has.

A control holds exactly the value of the field. None leaves the field open: the control shows what
it comes to, such as the model's own value, in italics until someone moves it.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_description import DescriptionStyle

from sdnb.widgets.buttons import icon_button
from sdnb.widgets.form.fields import Field
from sdnb.widgets.slider import NumberBox, Slider
from sdnb.widgets.style import box, lay, level, shared

Changed = Callable[[], None]

_WIDTH = "76px"  # of the labels
_LABEL = {"description_width": _WIDTH}
_OPEN = "the model's own"


class FieldControl:
    """A field's value, and the `widget` that shows it.

    Assigning to `value` does not call `changed`; a person's change does.
    """

    widget: widgets.Widget

    def __init__(self, field: Field, changed: Changed) -> None:
        self.field = field
        self._changed = changed
        self._setting = False  # while Python sets a widget, its events are ignored
        self._value: Any = field.default

    @property
    def value(self) -> Any:
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        self._value = value
        self._show()

    @property
    def wrong(self) -> str:
        """Why what is typed is refused; `value` is still the last that was not. Else empty."""
        return ""

    def follow(self, default: Any, own: str = _OPEN) -> None:
        """Show `default` while the control's value is None; `own` says whose it is."""

    def show(self, visible: bool) -> None:
        """Show the control or hide it; its value stays."""
        self.widget.layout.display = "" if visible else "none"

    def _show(self) -> None:
        self._set(self.widget, value=self._value)

    def _moved(self, value: Any) -> None:
        """The widget has changed: by a person, unless Python sets it."""
        if not self._setting:
            self._take(value)

    def _take(self, value: Any) -> None:
        """Take a person's value."""
        self.value = value
        self._changed()

    def _set(self, widget: Any, **traits: Any) -> None:
        """Set a widget from Python, trait by trait."""
        self._setting = True
        try:
            for name, value in traits.items():
                setattr(widget, name, value)
        finally:
            self._setting = False

    def _hear(self, widget: widgets.Widget) -> None:
        widget.observe(lambda change: self._moved(change["new"]), "value")


class TextControl(FieldControl):
    """A text of several lines."""

    def __init__(self, field: Field, changed: Changed) -> None:
        super().__init__(field, changed)
        what = "what the picture shows" if field.name == "prompt" else "what it should not show"
        self.widget = widgets.Textarea(
            description=field.label, rows=5 if field.name == "prompt" else 2, tooltip=field.help,
            placeholder=what,
            style=_LABEL, layout=widgets.Layout(width="auto", height="auto"),
        )  # fmt: skip
        self._hear(self.widget)


class HeldControl(FieldControl):
    """A value that another control shows: it comes with a request, and no widget is its own."""

    def show(self, visible: bool) -> None:
        pass

    def _show(self) -> None:
        pass


class ChoiceControl(FieldControl):
    """One of several names; for a field that may be open, the first line means None."""

    def __init__(self, field: Field, changed: Changed) -> None:
        super().__init__(field, changed)
        self.widget = widgets.Dropdown(
            description=field.label, tooltip=field.help, options=self._options("", _OPEN),
            style=shared(DescriptionStyle, _WIDTH),
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._hear(self.widget)

    def _options(self, default: str, own: str) -> list[tuple[str, str | None]]:
        names: list[tuple[str, str | None]] = [
            (self.field.called.get(name, name), name) for name in self.field.choices
        ]
        first = f"{default} ({own})" if default else own
        return [(first, None), *names] if self.field.open else names

    def follow(self, default: Any, own: str = _OPEN) -> None:
        options = self._options(str(default), own)
        # A page is told of new options only: they undo what is chosen there meanwhile.
        if self.field.open and tuple(options) != self.widget.options:
            self._set(self.widget, options=options)
            self._show()

    def _show(self) -> None:
        # By index: a list with new options has no selection, though its value is None.
        values = [value for _, value in self.widget.options]
        self._set(self.widget, index=values.index(self._value))


class NumberControl(FieldControl):
    """A number: a box, a slider if the field has one, and a button for None if it may be open."""

    def __init__(self, field: Field, changed: Changed) -> None:
        super().__init__(field, changed)
        self._default: float = field.limits[0] if field.default is None else field.default
        self._number = self._number_box()
        self._number.observe(lambda _: self._mark(), "wrong")
        self._reset = icon_button("undo", "", "")
        self._reset.on_click(lambda _: self._take(None))
        self.widget = widgets.HBox([self._number, self._reset] if field.open else [self._number])
        self._reset.add_class("sdnb-reset")
        if field.open:
            self.widget.add_class("sdnb-openable")
        self.follow(self._default)
        self._show()

    def _number_box(self) -> NumberBox:
        field = self.field
        what = (field.label, self._default, field.limits, self._take)
        more: dict[str, Any] = {
            "multiple": {"slider": 0, "size": 8}.get(field.kind, 1),
            "step": field.step, "tooltip": field.help, "label_width": _WIDTH,
        }  # fmt: skip
        if field.kind in ("whole", "size"):
            return NumberBox(*what, width="170px", **more)
        slider = Slider(*what, reach=field.reach, **more)
        lay(slider, flex="1 1 0", min_width="200px")
        return slider

    @property
    def wrong(self) -> str:
        return str(self._number.wrong)

    def on_wrong(self, act: Callable[[], object]) -> None:
        """Call `act` when what is typed is refused, and when it no longer is."""
        self._number.observe(lambda _: act(), "wrong")

    def follow(self, default: Any, own: str = _OPEN) -> None:
        self._default = default
        self._reset.description = self._reset.tooltip = f"{self.field.label}: {own}"
        if self._value is None and not self.wrong:
            self._show()

    def _show(self) -> None:
        is_open = self._value is None
        self._number.show(self._default if is_open else self._value)
        self._mark()

    def _mark(self) -> None:
        is_open = self._value is None and not self.wrong
        (self._number.add_class if is_open else self._number.remove_class)("sdnb-open")
        _keep_room(self._reset, seen=not is_open)


class SeedControl(FieldControl):
    """A whole number; empty is None, and so is the -1 of other programs. Text, since a browser's
    numbers are exact only to 2**53.
    """

    def __init__(self, field: Field, changed: Changed) -> None:
        super().__init__(field, changed)
        self.last: int | None = None  #: the seed of the last picture
        self._wrong = ""
        self._text = widgets.Text(
            description=field.label, tooltip=field.help, placeholder="another each time",
            style=_LABEL, continuous_update=False,
            layout=widgets.Layout(flex="1 1 0", min_width="140px", width="auto"),
        )  # fmt: skip
        self._dice = icon_button("random", "Draw a seed", "Draw a seed now, and keep it")
        self._lock = icon_button("lock", "Keep the last seed", "Keep the seed of the last run")
        self._free = icon_button("undo", "Seed left open", "Another seed each time")
        self._dice.on_click(lambda _: self._take(secrets.randbits(32)))
        self._lock.on_click(lambda _: self._take(self.last))
        self._free.on_click(lambda _: self._take(None))
        self._lock.disabled = True
        self._message = widgets.HTML(layout=widgets.Layout(display="none"))
        self._message.add_class("sdnb-warn")
        self._hear(self._text)
        row = widgets.HBox([self._text, self._dice, self._lock, self._free])
        self.widget = widgets.VBox([row, self._message])
        self._show()

    def made_with(self, seed: int) -> None:
        """Note the seed of the last picture, for the lock."""
        self.last = seed
        self._lock.disabled = False
        self._lock.tooltip = f"Keep the seed of the last run, {seed}"

    @property
    def wrong(self) -> str:
        return self._wrong

    def _moved(self, value: str) -> None:
        if self._setting:
            return
        low, high = map(int, self.field.limits)
        words = value.strip()
        try:
            seed = int(words) if words not in ("", "-1") else None
            right = seed is None or low <= seed <= high
        except ValueError:
            seed, right = None, False
        if right:
            self._take(seed)
        else:
            self._say(
                f"Seed: {words!r} is not a whole number from {low} to {high}; leave it empty for "
                "another one each time"
            )

    def _say(self, words: str) -> None:
        self._wrong = words
        (self._text.add_class if words else self._text.remove_class)("sdnb-wrong")
        self._message.value = f'<span role="alert">{html.escape(words)}</span>'
        self._message.layout.display = "" if words else "none"
        _keep_room(self._free, seen=self._value is not None or bool(words))

    def _show(self) -> None:
        self._set(self._text, value="" if self._value is None else str(self._value))
        self._say("")


class OptionalControl(FieldControl):
    """A number or None: a check box, and a number when it is checked."""

    def __init__(self, field: Field, changed: Changed) -> None:
        super().__init__(field, changed)
        self._box = _check_box(field)
        self._number = NumberBox(
            "Pixels around it", 32, field.limits, self._take, multiple=1, label_width="initial",
        )  # fmt: skip
        lay(self._number, margin="0 0 0 20px", display="none")
        self._hear(self._box)
        self.widget = level(box("sdnb-optional", [self._box, self._number]))

    @property
    def wrong(self) -> str:
        return "" if self._value is None else str(self._number.wrong)

    def turn_on(self) -> None:
        """Check the box, as a person does."""
        self._box.value = True

    def _moved(self, value: bool) -> None:
        if not self._setting:
            self._take(self._number.value if value else None)

    def _show(self) -> None:
        checked = self._value is not None
        self._set(self._box, value=checked)
        if checked:
            self._number.show(self._value)
        self._number.layout.display = "" if checked else "none"


def _keep_room(button: widgets.Button, *, seen: bool) -> None:
    """Show a button, or leave its room empty: nothing moves away from under a click."""
    button.layout.visibility = "visible" if seen else "hidden"


def _check_box(field: Field) -> widgets.Checkbox:
    return widgets.Checkbox(
        description=field.label, tooltip=field.help, indent=False,
        layout=widgets.Layout(width="auto"),
    )  # fmt: skip


KINDS: dict[str, type[FieldControl]] = {
    "words": TextControl,
    "held": HeldControl,
    "choice": ChoiceControl,
    "slider": NumberControl,
    "counter": NumberControl,
    "whole": NumberControl,
    "size": NumberControl,
    "seed": SeedControl,
    "optional": OptionalControl,
}
