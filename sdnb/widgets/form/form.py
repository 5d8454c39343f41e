"""The form: all controls of a request, laid out and kept consistent with one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from sdnb.request import Request, Settings
from sdnb.request.choices import gone_with
from sdnb.widgets.buttons import icon_button
from sdnb.widgets.form.controls import KINDS, Changed, Control, SeedControl
from sdnb.widgets.form.fields import BY_NAME, FIELDS, Field
from sdnb.widgets.form.inspector import Inspector
from sdnb.widgets.form.mask_box import MaskBox
from sdnb.widgets.form.picture_box import PictureBox

if TYPE_CHECKING:
    from sdnb.images import Saved
    from sdnb.widgets.form.inspector import Tokenize

_NAMES = tuple(item.name for item in fields(Request))

# Which parts each kind of panel shows beside the prompts and the main settings.
PICTURES = {
    "all": ("picture", "mask"), "txt2img": (), "img2img": ("picture",),
    "inpaint": ("picture", "mask"), "upscale": ("picture",),
}  # fmt: skip
# Times the model's own pixels: larger pictures often repeat their subject.
_LARGE_TIMES = 2.5


class Form(widgets.VBox):
    """A control for each field of a `Request`; `request` reads them, and assigning moves them.

    `settings` are the model's values for open fields, `tokenize` is its tokenizer. `changed` is
    called after a person's change, not after an assignment. `offer` goes to the `PictureBox`.
    """

    def __init__(
        self,
        settings: Settings,
        tokenize: Tokenize | None = None,
        kind: str = "all",
        changed: Changed = lambda: None,
        offer: Callable[[Saved], None] | None = None,
    ) -> None:
        self.settings = settings
        self.kind = kind
        self._on_change = changed
        self._sampler: str | None = None  # the sampler before a person's change
        self.controls: dict[str, Control] = {
            field.name: self._control(field, offer) for field in FIELDS
        }
        self._inspectors = {name: Inspector(tokenize) for name in ("prompt", "negative")}
        self._about_size = widgets.HTML()
        self._about_size.add_class("sdnb-quiet")
        super().__init__(self._laid_out())
        self._refresh()

    @property
    def request(self) -> Request:
        """The controls as a request. Raises ValueError for a seed too large for the count."""
        values = {name: control.value for name, control in self.controls.items()}
        if values["image"] is None:
            values["mask"] = None  # the control keeps it for the next picture
        return Request(**values)

    @request.setter
    def request(self, request: Request) -> None:
        if not isinstance(request, Request):
            raise TypeError(f"request={request!r} is no sdnb.Request; write sdnb.Request(...)")
        for name in _NAMES:  # the image before the mask, which is drawn on it
            self.controls[name].value = getattr(request, name)
            if name == "image":
                self._mask.on_picture(request.image)
        self._sampler = request.sampler
        if self._fold is not None and request.image is not None:
            self._fold.value = True
        self._refresh()

    def change(self, **values: Any) -> None:
        """Set some fields and leave the others."""
        self.request = self.request.but(**values)

    def serve(self, settings: Settings, tokenize: Tokenize | None) -> None:
        """Show another model's values and tokens from now on."""
        self.settings = settings
        for inspector in self._inspectors.values():
            inspector.tokenize = tokenize
        self._refresh()

    @property
    def seed(self) -> SeedControl:
        """The control of the seed."""
        control = self.controls["seed"]
        assert isinstance(control, SeedControl)
        return control

    @property
    def _mask(self) -> MaskBox:
        control = self.controls["mask"]
        assert isinstance(control, MaskBox)
        return control

    # -- building ----------------------------------------------------------------------------

    def _control(self, field: Field, offer: Callable[[Saved], None] | None) -> Control:
        def changed() -> None:
            self._changed(field.name)

        if field.kind == "picture":
            return PictureBox(field, changed, offer, small=self.kind != "inpaint")
        if field.kind == "mask":
            return MaskBox(field, changed, self._feathered)
        return KINDS[field.kind](field, changed)

    def _laid_out(self) -> list[widgets.Widget]:
        w = {name: control.widget for name, control in self.controls.items()}
        swap = icon_button("exchange", "Exchange", "Exchange width and height")
        swap.on_click(lambda _: self._swapped())
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        size = widgets.HBox([w["width"], swap, w["height"]], layout=row)
        more = _folded("More", [w["schedule"], w["eta"]])
        picture = [w["image"], w["strength"]]
        mask = [w["mask"], w["invert"], w["content"], w["padding"]]  # the editor shows the feather
        shown = PICTURES[self.kind]
        parts = {"picture": picture, "mask": mask}
        children = [item for name, part in parts.items() if name in shown for item in part]
        # The parts that this kind of panel lacks are hidden until a request needs them.
        self._guests = widgets.VBox(
            [item for name, part in parts.items() if name not in shown for item in part]
        )
        self._fold: widgets.ToggleButton | None = None
        if self.kind == "all":  # folded, so that the form begins with the prompt
            folded = _folded("Start from a picture", children)
            self._fold = folded.children[0]
            children = [folded]
        above = children if self.kind not in ("all", "txt2img") else []
        below = [] if above else children
        return [
            *above, self._guests,
            w["prompt"], self._inspectors["prompt"], w["negative"], self._inspectors["negative"],
            size, self._about_size, w["steps"], w["cfg"], w["sampler"], w["seed"],
            *([w["count"]] if self.kind != "upscale" else []),  # upscaling makes one picture
            more, *below,
        ]  # fmt: skip

    # -- acting ------------------------------------------------------------------------------

    def _swapped(self) -> None:
        width, height = self.controls["width"], self.controls["height"]
        asked = self._resolved()
        if asked is not None:
            width.value, height.value = asked.height, asked.width
            self._changed("width")

    def _changed(self, name: str) -> None:
        if name == "image":
            self._mask.on_picture(self.controls["image"].value)
        if name == "sampler":
            self._sampler_exchanged()
        self._refresh()
        self._on_change()

    def _sampler_exchanged(self) -> None:
        """Open schedule and eta where they do not suit the new sampler, as `Request.but` does."""
        now, schedule, eta = (self.controls[name].value for name in ("sampler", "schedule", "eta"))
        for name in gone_with(self._sampler, now, schedule, eta):
            self.controls[name].value = None
        self._sampler = now

    def _feathered(self, pixels: float) -> None:
        """Take the feather from the editor's slider."""
        self.controls["feather"].value = pixels
        self._changed("feather")

    def _resolved(self) -> Request | None:
        """The resolved request; None while the controls contradict each other."""
        try:
            return self.request.but(eta=None, seed=0).resolved(self.settings)
        except ValueError:
            return None

    def _refresh(self) -> None:
        """Update the model's own values, which controls are shown, and the notes below them."""
        resolved = self._resolved()
        if resolved is not None:
            for name, control in self.controls.items():
                if control.field.open and name not in ("seed", "image", "mask", "padding"):
                    control.follow(getattr(resolved, name))
        asked = self.request if resolved is not None else Request()
        guests = {"txt2img": asked.image, "img2img": asked.mask, "upscale": asked.mask}
        self._guests.layout.display = "none" if guests.get(self.kind) is None else ""
        for name, control in self.controls.items():
            used = name == "strength" and self.kind == "upscale"  # the second pass has a picture
            control.show(used or BY_NAME[name].shown(asked, self.settings))
        self._mask.adjust(asked)
        for name, inspector in self._inspectors.items():
            inspector.show(self.controls[name].value)
        self._about_size.value = "" if resolved is None else self._size_in_words(resolved)

    def _size_in_words(self, resolved: Request) -> str:
        assert resolved.width is not None
        assert resolved.height is not None
        s = self.settings
        size = f"{resolved.width} × {resolved.height}"
        if (resolved.width, resolved.height) == (s.width, s.height):
            return f"{size}, the model's own size"
        times = resolved.width * resolved.height / (s.width * s.height)
        words = f"{size}; the model's own is {s.width} × {s.height}"
        if times > _LARGE_TIMES and resolved.image is None and self.kind != "upscale":
            words += (
                f". {times:.0f} times its pixels: it takes that much longer or more, and things "
                "may stand there twice. Make it at the model's own size, then upscale it."
            )
        return words


def _folded(title: str, children: list[widgets.Widget]) -> widgets.VBox:
    """Children behind a button that shows and hides them; ipywidgets' Accordion takes no keys."""
    inside = widgets.VBox(children, layout=widgets.Layout(display="none"))
    button = widgets.ToggleButton(
        description=title, icon="caret-right", tooltip=f"{title}: show or hide",
        layout=widgets.Layout(width="auto", align_self="flex-start"),
    )  # fmt: skip
    button.add_class("sdnb-fold")

    def turn(change: dict[str, Any]) -> None:
        inside.layout.display = "" if change["new"] else "none"
        button.icon = "caret-down" if change["new"] else "caret-right"

    button.observe(turn, "value")
    return widgets.VBox([button, inside])
