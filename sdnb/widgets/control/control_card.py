"""One control of a panel: its net, its picture, how that becomes a hint, how strongly it works."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import partial
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_description import DescriptionStyle
from PIL import Image

from sdnb.hints import PREPARATIONS, Value
from sdnb.hints.preparation_names import ABOUT
from sdnb.request import png_header, sizes
from sdnb.request.control import FITS, MODES, MOST_SCALE, Control
from sdnb.request.sizes import Size
from sdnb.widgets.buttons import icon_button, text_button
from sdnb.widgets.control.net_box import NetBox
from sdnb.widgets.control.nets_on_offer import NetsOnOffer
from sdnb.widgets.control.picture_or_sketch import PictureOrSketch
from sdnb.widgets.hearing import in_order
from sdnb.widgets.slider import NumberBox, Slider
from sdnb.widgets.style import level, quiet_line, row, shared

_WIDTH = "76px"  # of the labels, as in the form
_USUAL = {f.name: None if f.default is MISSING else f.default for f in fields(Control)}
_MODES = dict(zip(MODES, ("balanced", "prompt matters more", "control matters more"), strict=True))
_FOLLOWS = (
    "Without a picture of its own, it follows the one that img2img, inpaint and upscale start from."
)
_FILLS = "Without a picture of its own, it takes the one that is inpainted, and fills its mask."
_ITS_HOLE = (
    "Its mask is not painted here: it fills that of inpaint, where this picture has the size of "
    "the one that is inpainted. Without a picture of its own, it takes both from there."
)
_AS_IT_IS = "nothing: it is a hint already"
_SLIDERS = {  # label, the most of the number and of the slider, what it is
    "scale": ("Scale", MOST_SCALE, 2.0, "How strongly the net works: 0 not at all, 1 as trained"),
    "start": ("Start", 1.0, 1.0, "From which share of the steps it works: 0 is from the first"),
    "end": ("End", 1.0, 1.0, "To which share of the steps it works: 1 is to the last"),
}
# Numbers of preparations whose names are wider than a label.
_SHORT = {"low threshold": "low", "high threshold": "high", "down sampling": "coarser"}
_LONG = 1e4  # numbers beyond it have no slider


@dataclass(frozen=True)
class CardActs:
    """What a card does when a person moves it: its control changed, it is to be removed, and it has
    other boxes.
    """

    changed: Callable[[], object]
    remove: Callable[[ControlCard], object]
    grown: Callable[[], object]


class ControlCard(widgets.VBox):
    """Shows a control; `show` sets everything and calls nobody. While the net is missing, `value`
    is None, and `wrong` says so.
    """

    def __init__(self, nets: Callable[[], NetsOnOffer], acts: CardActs) -> None:
        self._acts = acts
        self._given: dict[str, Any] = dict(_USUAL)
        self._control: Control | None = None
        self._refused = ""
        self._by_hand = False  # whether the preparation was chosen, and does not follow the net
        self._setting = False
        self._size: Size = (512, 512)
        remove = icon_button("times", "Remove this control", "Remove this control")
        remove.on_click(lambda _: acts.remove(self))
        self._net = NetBox(nets, self._net_taken, [remove])
        self._picture = PictureOrSketch(self._picture_taken, acts.grown)
        self._prepare = _list_box("Prepare", "How the picture becomes what the net reads")
        self._numbers, self._known_numbers = widgets.VBox(), tuple[Value, ...]()
        self._offer_words = quiet_line()
        self._offer = text_button("", "", "Take what this net was trained on", self._offer_taken)
        self._offered = level(row([self._offer_words, self._offer]))
        self._fit = _list_box("Fitted by", "How a picture of other proportions comes to the size")
        self._mode = _list_box("Mode", "Whose word counts where picture and prompt disagree")
        self._sliders = {name: self._slider(name, *how) for name, how in _SLIDERS.items()}
        self._said = level(quiet_line())
        for part, name in ((self._prepare, "prepare"), (self._fit, "fit"), (self._mode, "mode")):
            part.observe(partial(self._chosen, name), "value")
        self._mode.options = [(words, name) for name, words in _MODES.items()]
        self._fit.options = [(name, name) for name in FITS]
        super().__init__([
            self._net, self._picture, self._prepare, self._numbers, self._offered,
            self._fit, *self._sliders.values(), self._said, self._mode,
        ])  # fmt: skip
        self.mark = f"sdnb-control-{self.model_id}"  #: a CSS class of its own
        for name in ("sdnb-control", self.mark):
            self.add_class(name)
        self._show_parts()
        in_order(self)

    # -- a value -------------------------------------------------------------------------------
    @property
    def value(self) -> Control | None:
        """The control; the last that was not refused."""
        return self._control

    @property
    def is_empty(self) -> bool:
        """Whether it has neither a net nor a picture, so that it asks for nothing."""
        return not (self._given["net"] or self._given["image"] or self._net.wrong)

    @property
    def has_picture(self) -> bool:
        return self._given["image"] is not None or bool(self._picture.wrong)

    @property
    def wrong(self) -> str:
        """Why it is refused; "" where it is not."""
        boxes = [*self._sliders.values(), *self._numbers.children]
        typed = [self._net.wrong, self._picture.wrong, *(str(part.wrong) for part in boxes)]
        missing = self._missing()
        missing = f"{missing}, or remove this control" if missing else ""
        return next(filter(None, [*typed, self._refused, missing]), "")

    def _missing(self) -> str:
        """What it has not yet; "" where it has all, or nothing at all."""
        return "" if self.is_empty or self._given["net"] else "it has no net yet: choose one"

    def show(self, control: Control | None) -> None:
        """Show this control; None: an empty one."""
        if control is not None and control == self._control and not self.wrong:
            return  # somebody may be drawing
        given = _USUAL if control is None else {n: getattr(control, n) for n in _USUAL}
        self._given, self._by_hand = dict(given), control is not None
        self._picture.show(self._given["image"])
        self._net.show(self._given["net"] or "", self._given["sha256"])
        for name, slider in self._sliders.items():
            slider.show(self._given[name])
        self._show_numbers()
        self._settle()

    def adjust(self, size: Size) -> None:
        """Show the hint for pictures of this size."""
        if size != self._size:
            self._size = size
            self._show_parts()

    def refresh(self) -> None:
        """Show again what is known of the nets."""
        self._net.refresh()
        self._show_parts()

    def hold_to(self, image: Image.Image) -> None:
        """Take a picture of this page, by a person's hand."""
        self._picture.take_image(image)

    # -- a person's hand -----------------------------------------------------------------------
    def _net_taken(self, name: str) -> None:
        changes: dict[str, Any] = {"net": name, "sha256": None}
        self._net.refresh()
        wanted = self._net.facts.wanted
        if wanted is not None and not self._by_hand:
            changes |= {"prepare": wanted.prepare, "values": ()}
        self._changed(**changes)

    def _picture_taken(self, drawn: bool) -> None:
        changes: dict[str, Any] = {"image": self._picture.value}
        if drawn and not self._by_hand and self._given["prepare"] is None:
            changes["prepare"] = "scribble"  # black lines on white are no hint
        self._changed(**changes)

    def _chosen(self, name: str, change: Any) -> None:
        if not self._setting and change["new"] != self._given[name]:
            self._by_hand = self._by_hand or name == "prepare"
            self._changed(**{name: change["new"]}, **({"values": ()} if name == "prepare" else {}))

    def _offer_taken(self) -> None:
        wanted = self._net.facts.wanted
        if wanted is not None:
            self._changed(prepare=wanted.prepare, values=())

    def _number_moved(self, place: int, number: float) -> None:
        values = self._values()
        values[place] = number
        self._changed(values=tuple(values))

    def _changed(self, **changes: Any) -> None:
        prepare = self._given["prepare"]
        self._given |= changes
        if self._given["prepare"] != prepare:
            self._show_numbers()
        self._settle()
        self._acts.changed()

    def _settle(self) -> None:
        """Make the control of what is given, if all of it is there."""
        self._refused = ""
        given = self._given
        try:
            self._control = Control(**self._whole()) if given["net"] else None
        except (ValueError, TypeError) as error:
            self._refused = str(error)
        self._show_parts()

    def _whole(self) -> dict[str, Any]:
        """What is given; a mask belongs to one preparation alone, and waits for it here."""
        return self._given | ({} if self._given["prepare"] == "inpaint" else {"mask": None})

    # -- showing -------------------------------------------------------------------------------
    def _show_parts(self) -> None:
        self._setting = True
        try:
            wanted = self._net.facts.wanted
            own = None if wanted is None else wanted.prepare
            self._prepare.options = _preparations(own)
            for part, name in (
                (self._prepare, "prepare"),
                (self._fit, "fit"),
                (self._mode, "mode"),
            ):
                # By index: a list shows None as no selection.
                part.index = [value for _, value in part.options].index(self._given[name])
        finally:
            self._setting = False
        self._show_offer()
        self._fit.layout.display = "" if self._is_fitted() else "none"
        words, missing = html.escape(self._refused), self._missing()
        refused = f'<div class="sdnb-warn" role="alert">{words}</div>'
        told = f"This control is not in use: {missing}." if missing else ""
        if self._given["net"]:
            told = self._about_picture()
        self._said.value = refused if words else told
        self._said.layout.display = "" if words or told else "none"
        self._show_hint()

    def _about_picture(self) -> str:
        """Words about the picture that it follows, and the mask that it fills."""
        fills, alone = self._given["prepare"] == "inpaint", self._given["image"] is None
        if alone:
            return _FILLS if fills else _FOLLOWS
        return _ITS_HOLE if fills and self._given["mask"] is None else ""

    def _show_hint(self) -> None:
        if self._given["image"] is None:
            self._picture.show_hint(None, self._size)
        elif not self._refused:
            alone = self._whole() | {"net": self._given["net"] or "?"}
            self._picture.show_hint(Control(**alone), self._size)

    def _show_offer(self) -> None:
        """Say what the net wants, and offer it where another preparation is chosen."""
        wanted, now = self._net.facts.wanted, self._given["prepare"]
        differs = wanted is not None and wanted.prepare != now
        words = "" if wanted is None else wanted.note
        if wanted is not None and differs:
            what = wanted.prepare or "a picture that is ready"
            words = f"The net was trained on {what}. {words}"
            self._offer.description = f"Take {wanted.prepare}" if wanted.prepare else "Take it so"
        self._offer_words.value = html.escape(words)
        self._offer.layout.display = "" if differs else "none"
        self._offered.layout.display = "" if words else "none"

    def _is_fitted(self) -> bool:
        """Whether to show how it is fitted: its proportions are others, or it was chosen."""
        image = self._given["image"]
        other = image is not None and not sizes.same_proportions(png_header.size(image), self._size)
        return other or self._given["fit"] != _USUAL["fit"]

    def _values(self) -> list[float]:
        """All numbers of the preparation."""
        known, given = PREPARATIONS.get(self._given["prepare"], ()), self._given["values"]
        return [*given, *(value.default for value in known[len(given) :])]

    def _show_numbers(self) -> None:
        """Show the preparation's numbers, in boxes of their own for each preparation."""
        known = PREPARATIONS.get(self._given["prepare"], ())
        if known == self._known_numbers:
            for part, number in zip(self._numbers.children, self._values(), strict=True):
                part.show(number)
            return
        self._known_numbers = known
        made: list[NumberBox] = []
        for place, (value, number) in enumerate(zip(known, self._values(), strict=True)):
            label = _SHORT.get(value.name, value.name).capitalize()
            limits = value.low, value.high
            moved = partial(self._number_moved, place)
            step = 1 if value.high - value.low > 10 else 0.05
            how: dict[str, Any] = {"label_width": _WIDTH, "tooltip": value.name.capitalize()}
            if value.high > _LONG:
                part = NumberBox(label, number, limits, moved, width="170px", **how)
            else:
                part = Slider(label, number, limits, moved, reach=limits, step=step, **how)
            made.append(part)
        self._numbers.children = made
        in_order(self._numbers)
        self._acts.grown()

    def _slider(self, name: str, label: str, most: float, reach: float, tooltip: str) -> Slider:
        return Slider(
            label, float(_USUAL[name] or 0), (0, most),
            lambda number: self._changed(**{name: number}),
            reach=(0, reach), step=0.05, tooltip=tooltip, label_width=_WIDTH,
        )  # fmt: skip


def _list_box(words: str, tooltip: str) -> widgets.Dropdown:
    return widgets.Dropdown(
        description=words, tooltip=tooltip, style=shared(DescriptionStyle, _WIDTH),
        layout=widgets.Layout(width="auto"),
    )  # fmt: skip


def _preparations(wanted: str | None) -> list[tuple[str, str | None]]:
    """The lines of the list: the one that the net wants says so."""
    marks = {wanted: " (this net)"}
    lines = [(f"{name}{marks.get(name, '')}: {ABOUT[name]}", name) for name in PREPARATIONS]
    return [(_AS_IT_IS, None), *lines]
