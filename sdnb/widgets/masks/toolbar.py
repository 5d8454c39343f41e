"""Toolbars of a canvas: icon buttons with words for screen readers, and sliders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from PIL import Image

from sdnb.request import RANGES
from sdnb.widgets.buttons import icon_button
from sdnb.widgets.slider import Slider
from sdnb.widgets.upload import Upload


@dataclass(frozen=True)
class _Button:
    name: str
    word: str  # for screen readers
    icon: str  # Font Awesome's name
    tip: str


_TOOLS = (
    _Button("brush", "Brush", "paint-brush", "Brush: mark what is to be repainted (B)"),
    _Button("eraser", "Eraser", "eraser", "Eraser: keep after all (E)"),
    _Button("rectangle", "Rectangle", "vector-square", "Rectangle: drag from corner to corner (R)"),
    _Button("lasso", "Lasso", "draw-polygon",
            "Lasso: drag around, or click corner by corner and close with Enter (L)"),
    _Button("pan", "Move", "hand-paper", "Move the picture when zoomed in (H)"),
)  # fmt: skip
_HISTORY = (
    _Button("undo", "Undo", "undo", "Undo (Ctrl+Z)"),
    _Button("redo", "Redo", "redo", "Redo (Ctrl+Shift+Z or Ctrl+Y)"),
)
_WHOLE = (
    _Button("invert", "Invert", "adjust",
            "Invert: exchange what is kept and what is repainted (I)"),
    _Button("clear", "Clear", "trash", "Clear: keep everything (Delete)"),
)  # fmt: skip
_ZOOM = (
    _Button(
        "farther",
        "Zoom out",
        "search-minus",
        "Zoom out (-; Ctrl+wheel, or the wheel after a click)",
    ),
    _Button("whole", "Fit", "expand", "Show the whole picture (0)"),
    _Button(
        "closer", "Zoom in", "search-plus", "Zoom in (+; Ctrl+wheel, or the wheel after a click)"
    ),
)
_LATENT = _Button(
    "latent", "As the model sees it", "th",
    "Show the mask as the model sees it: a cell for 8x8 pixels (M)",
)  # fmt: skip
IMPORT = "Import a mask", "Import a mask from a picture file: white is repainted"
_FILES = (
    _Button("alpha", "Mask from transparency", "clone",
            "Take the transparent part of the picture as the mask"),
    _Button("export", "Export", "download", "Export the mask as a PNG"),
)  # fmt: skip
_SKETCH_TOOLS = (
    _Button("brush", "Brush", "pencil", "Brush: draw a line (B)"),
    _Button("eraser", "Eraser", "eraser", "Eraser: take lines away (E)"),
    _Button("pan", "Move", "hand-paper", "Move the drawing when zoomed in (H)"),
)
_SKETCH_WHOLE = (_Button("clear", "Clear", "trash", "Clear: an empty sheet (Delete)"),)
_COLOUR_TOOLS = (
    _Button("brush", "Brush", "paint-brush", "Brush: draw in the colour (B)"),
    _Button("eraser", "Eraser", "eraser", "Eraser: take away what is drawn (E)"),
    _Button("fill", "Fill", "fill-drip", "Fill: colour all that hangs together (G)"),
    _Button("pipette", "Pipette", "eye-dropper", "Pipette: take a colour from the picture (I)"),
    _Button("rectangle", "Rectangle", "vector-square", "Rectangle: drag from corner to corner (R)"),
    _Button("lasso", "Lasso", "draw-polygon",
            "Lasso: drag around, or click corner by corner and close with Enter (L)"),
    _Button("pan", "Move", "hand-paper", "Move the picture when zoomed in (H)"),
)  # fmt: skip
_COLOUR_WHOLE = (_Button("clear", "Clear", "trash", "Clear: take away all that is drawn (Delete)"),)
_LARGEST_BRUSH = 1024  # pixels of the picture
_LARGEST_PEN, _LARGEST_COLOUR = 48, 128  # of the slider alone
_LARGEST_FEATHER = 64  # of the slider; the box takes more


class Toolbar(ipywidgets.VBox):
    """Tools, undo and redo, what is done with the `whole`, zoom, and the brush's size, whose slider
    goes to `reach` pixels. `buttons` and `tools` hold the buttons by name; `more` come
    after them, and `sliders` after the brush's.
    """

    def __init__(
        self, picture: Image.Image, tools: Sequence[_Button], whole: Sequence[_Button], *,
        more: Sequence[ipywidgets.Widget] = (), sliders: Sequence[ipywidgets.Widget] = (),
        reach: int = _LARGEST_BRUSH,
    ) -> None:  # fmt: skip
        self._tools, self._reach = tools, reach
        self.tools = {tool.name: _control(tool, ipywidgets.ToggleButton) for tool in tools}
        self.buttons = {b.name: _control(b) for b in (*_HISTORY, *whole, *_ZOOM)}
        self.size = Slider(
            "Brush", 1, (1, 2), reach=(1, 2),
            tooltip="Brush size in pixels of the picture: [ and ]",
        )  # fmt: skip
        first = [
            _row("group", self.tools.values()),
            *(_row("group", [self.buttons[b.name] for b in g]) for g in (_HISTORY, whole, _ZOOM)),
            *(_row("group", [part]) for part in more),
        ]
        super().__init__([_row("bar", first), _row("bar", [self.size, *sliders])])
        self.suit(picture)

    def focus_tool(self, name: str) -> None:
        self.tools[name].focus()

    def suit(self, picture: Image.Image) -> None:
        """Fit the brush's range to the picture."""
        self.largest = max(2, min(_LARGEST_BRUSH, max(picture.size) // 2))
        self.size.limits = (1, self.largest)
        self.size.span(1, min(self.largest, self._reach))

    def drawable(self, possible: bool) -> None:
        """Enable or disable the controls that need a canvas."""
        zoom = (self.buttons[button.name] for button in _ZOOM)
        for button in (*self.tools.values(), *zoom, self.size):
            button.disabled = not possible

    def on(self, name: str, act: Callable[[], None]) -> None:
        self.buttons[name].on_click(lambda _: act())

    def show_tool(self, name: str) -> None:
        """Show this tool as pressed, and no other."""
        for tool in self._tools:
            _press(self.tools[tool.name], tool.word, tool.name == name)


def sketch_toolbar(picture: Image.Image) -> Toolbar:
    """The toolbar of a canvas for lines."""
    return Toolbar(picture, _SKETCH_TOOLS, _SKETCH_WHOLE, reach=_LARGEST_PEN)


def colour_toolbar(picture: Image.Image) -> Toolbar:
    """The toolbar of a canvas for colours."""
    return Toolbar(picture, _COLOUR_TOOLS, _COLOUR_WHOLE, reach=_LARGEST_COLOUR)


class MaskToolbar(Toolbar):
    """The toolbar of the mask editor, which lays `files` out elsewhere. `take` gets a file that is
    imported: its bytes and its name.
    """

    def __init__(self, picture: Image.Image, take: Callable[[bytes, str], None]) -> None:
        self.latent = _control(_LATENT, ipywidgets.ToggleButton)
        self.upload = Upload(*IMPORT, take, classes=["sdnb-icon"], width=None)
        files = {button.name: _control(button) for button in _FILES}
        self._alpha = files["alpha"]
        self.files = _row("group", [self.upload, *files.values()])
        self.feather = Slider(
            "Feather", 0, RANGES["feather"], reach=(0, _LARGEST_FEATHER),
            tooltip="Pixels over which the mask's rim fades, on the side that is repainted",
        )  # fmt: skip
        super().__init__(picture, _TOOLS, _WHOLE, more=[self.latent], sliders=[self.feather])
        self.buttons |= files

    def suit(self, picture: Image.Image) -> None:
        """Fit the brush's range, and the transparency button, to the picture."""
        super().suit(picture)
        self._alpha.layout.display = None if "A" in picture.getbands() else "none"

    def drawable(self, possible: bool) -> None:
        """Enable or disable the controls that need a canvas."""
        super().drawable(possible)
        self.latent.disabled = not possible

    def show_latent(self, shown: bool) -> None:
        _press(self.latent, _LATENT.word, shown)


def _control(button: _Button, kind: type = ipywidgets.Button) -> Any:
    return icon_button(button.icon, button.word, button.tip, kind)


def _press(toggle: ipywidgets.ToggleButton, word: str, on: bool) -> None:
    """Press or release a button; its words say so, since screen readers get nothing else."""
    toggle.value = on
    toggle.description = f"{word}, on" if on else word


def _row(kind: str, children: Iterable[ipywidgets.Widget]) -> ipywidgets.HBox:
    """Widgets side by side, as a "group" or as a whole "bar"."""
    row = ipywidgets.HBox(list(children))
    row.add_class(f"sdnb-{kind}")
    return row
