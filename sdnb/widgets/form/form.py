"""The form: all controls of a request, laid out and kept consistent with one another."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import ipywidgets as widgets

from sdnb.images import Saved
from sdnb.library import few_steps
from sdnb.request import Request, Resolved, Settings
from sdnb.request.choices import gone_with
from sdnb.request.record import TEMPLATES
from sdnb.widgets.addons.addons import AddOns
from sdnb.widgets.addons.loras_control import LorasControl
from sdnb.widgets.addons.tag_warnings import TagWarnings
from sdnb.widgets.buttons import icon_button
from sdnb.widgets.control.control_cards import ControlCards
from sdnb.widgets.fold import Fold
from sdnb.widgets.form.controls import KINDS, Changed, FieldControl, SeedControl
from sdnb.widgets.form.fields import FIELDS, Field, whose
from sdnb.widgets.form.fitted_view import FittedView, with_borders_anew
from sdnb.widgets.form.framing import Framing
from sdnb.widgets.form.inspector import Inspector
from sdnb.widgets.form.mask_box import MaskBox
from sdnb.widgets.form.painted_box import PaintedBox, painted_mask
from sdnb.widgets.form.picture_before import PictureBefore
from sdnb.widgets.form.picture_box import PictureBox
from sdnb.widgets.form.proposed_size import ProposedSize
from sdnb.widgets.style import box, level

if TYPE_CHECKING:
    from sdnb.engine.networks.tokenizer import Tokenizer

# These have no widget: they come and go with a request that is assigned.
_WITHOUT = ("digests", *TEMPLATES.values())
_NAMES = tuple(item.name for item in fields(Request) if item.name not in _WITHOUT)
_PARTS = {  # the mask editor shows the feather
    "picture": ("image", "fit", "strength"), "mask": ("mask", "content", "padding"),
}  # fmt: skip
_MORE = ("schedule", "eta", "cfg_rescale", "cfg_start", "cfg_end", "cfg_every", "deep_every",
         "token_merging")  # fmt: skip
_ADD_ONS = ("clip_skip", "syntax")
# Which parts each kind of panel shows beside the prompts and the main settings.
PICTURES = {
    "all": ("picture", "mask"), "txt2img": (), "img2img": ("picture",),
    "inpaint": ("picture", "mask"), "upscale": ("picture",), "sketch": (),
}  # fmt: skip
# Those that are nothing without a picture, and what one does with it then.
_INVITE = {"img2img": "", "inpaint": " Then paint over what is to change."}


class Form(widgets.VBox):
    """A control for each field of a `Request`; `request` reads them, and assigning moves them.

    `settings` are the model's values for open fields, `tokenizer` is its own. `changed` is
    called after a person's change, not after an assignment. `offer` goes to the `PictureBox`.
    """

    def __init__(
        self, settings: Settings, tokenizer: Tokenizer | None = None, kind: str = "all",
        changed: Changed = lambda: None, offer: Callable[[Saved], None] | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.kind = kind
        self._on_change = changed
        self._kept: dict[str, Any] = {}  # what an assigned request has of `_WITHOUT`
        self._chosen: dict[str, str] = {}  # the prompts that came with these templates
        self._sampler: str | None = None  # the sampler before a person's change
        self.controls = {field.name: self._control(field, offer) for field in FIELDS}
        self.seed = cast("SeedControl", self.controls["seed"])
        #: The box of the picture to start from.
        self.picture = cast("PictureBox", self.controls["image"])
        self._mask = cast("MaskBox", self.controls["mask"])
        self._loras = cast("LorasControl", self.controls["loras"])
        #: The section of control networks: the owner of the form says of which model.
        self.control = cast("ControlCards", self.controls["controls"])
        self._inspectors = {
            name: Inspector(tokenizer, self._read_as, negative=name == "negative")
            for name in ("prompt", "negative")
        }
        #: LoRAs, embeddings, and how prompts are read: the owner of the form says of which model.
        self.addons = AddOns(
            self._loras, [self.controls[name].widget for name in _ADD_ONS],
            lambda name: str(self.controls[name].value), self._write, self._listed,
        )  # fmt: skip
        self._size = ProposedSize(self.controls, self._mask, kind, partial(self._changed, "width"))
        self._fitted = FittedView()
        self._framing = Framing(self.controls, self._mask)
        self._before = PictureBefore(self.controls, self._go_back)
        #: The prompt box: the owner of the form lays it out.
        self._tags = TagWarnings(self._loras.take_out, self._loras.rename)
        words = self.controls["prompt"].widget, self._tags, self._inspectors["prompt"]
        self.words = widgets.VBox(words)
        super().__init__(self._laid_out())
        self._refresh()

    @property
    def request(self) -> Request:
        """The controls as a request, without numbers that are refused: for them, `check` raises.
        Raises ValueError for a seed too large for the count.
        """
        values = {name: control.value for name, control in self.controls.items()}
        if values["image"] is None:
            values["mask"] = None  # the control keeps it for the next picture
        elif (painted := painted_mask(self.controls["image"])) is not None:
            # What is painted is what that part starts from.
            values |= {"mask": painted, "invert": False, "content": "original"}
        of_others = {t: "" for n, t in TEMPLATES.items() if values[n] != self._chosen.get(n)}
        return Request(**values, **self._kept | of_others)

    @request.setter
    def request(self, request: Request) -> None:
        if not isinstance(request, Request):
            raise TypeError(f"request={request!r} is no sdnb.Request; write sdnb.Request(...)")
        self._kept = {name: getattr(request, name) for name in _WITHOUT}
        self._chosen = {name: getattr(request, name) for name in TEMPLATES}
        self._assign(request, _NAMES)

    @property
    def suited(self) -> tuple[Settings, str]:
        """The settings for open fields: the model's, or what a LoRA brings, which is then said."""
        return few_steps.suited(self.request, self.settings, self.addons.file_of)

    def lasting(self, request: Request) -> Request:
        """A request of this form without what its extended canvas has brought: for a time when
        another picture is there.
        """
        return self._framing.without(request)

    def change(self, **values: Any) -> None:
        """Set some fields and leave the others."""
        request = self.request.but(**values)  # another sampler may open schedule and eta
        now = {name: control.value for name, control in self.controls.items()}
        others = [name for name in _NAMES if getattr(request, name) != now[name]]
        self._assign(request, {*values, *others})

    def check(self) -> None:
        """Raise ValueError that names each number that was typed and is refused."""
        self.addons.look_if_gone()
        wrong = [control.wrong for control in self.controls.values() if control.wrong]
        if wrong:
            raise ValueError(". ".join(wrong))

    def serve(self, settings: Settings, tokenizer: Tokenizer | None) -> None:
        """Show another model's values and tokens from now on."""
        self.settings = settings
        for inspector in self._inspectors.values():
            inspector.tokenizer = tokenizer
        self._refresh()

    def find_as(self, model: Any) -> None:
        """Find LoRAs, embeddings and control networks as this model does."""
        self.control.serve(model)
        self.addons.serve(model)

    def propose(self) -> None:
        """Set a size near the model's own for a picture that is far from it, and say so; a size
        that somebody typed stays.
        """
        if self._size.propose(self.settings):
            self._refresh()

    def size_came(self) -> None:
        """Note that width and height came with the picture: nobody typed them."""
        self._size.came()

    def _assign(self, request: Request, names: Collection[str]) -> None:
        used, held = self._loras.used, self.control.value
        self._mask.turn(request.invert, shown="mask" not in names)
        for name in _NAMES:  # the image before the mask, which is drawn on it
            if name in names:
                self.controls[name].value = getattr(request, name)
            if name == "image":
                self._mask.on_picture(request.image)
        self._sampler = request.sampler
        if "padding" in names:
            self._framing.forget()  # the request says how
        self._framing.look(self.settings)
        if self._fold is not None and request.image is not None:
            self._fold.unfolded = True
        self._refresh()
        if self._loras.used and self._loras.used != used:
            self.addons.unfolded = True
        if self.control.value and self.control.value != held:
            self.control.fold.unfolded = True

    # -- building ----------------------------------------------------------------------------

    def _control(self, field: Field, offer: Callable[[Saved], None] | None) -> FieldControl:
        changed = partial(self._changed, field.name)
        if field.kind == "picture" and self.kind == "img2img":
            return PaintedBox(field, changed, offer)
        if field.kind == "picture":
            return PictureBox(field, changed, offer, small=self.kind != "inpaint")
        if field.kind == "mask":
            guest = "mask" not in PICTURES[self.kind]
            return MaskBox(field, changed, self._told, guest=guest)
        if field.kind == "loras":
            return LorasControl(field, changed, partial(self._write, "prompt"))
        if field.kind == "controls":
            return ControlCards(field, changed)
        return KINDS[field.kind](field, changed)

    def _laid_out(self) -> list[widgets.Widget]:
        w = {n: each.widget for n, each in self.controls.items() if each.field.kind != "held"}
        w["image"] = widgets.VBox([w["image"], self._size.offer])
        if self.kind == "inpaint":  # the mask editor shows the picture
            w["fit"] = widgets.VBox([w["fit"], self._fitted])
        else:
            self.picture.beside(self._fitted)
            level(w["image"])
        if self.kind in _INVITE:
            self.picture.invite(_INVITE[self.kind])
        if isinstance(self.picture, PaintedBox):
            w["image"] = widgets.VBox([w["image"], self.picture.place])
        swap = icon_button("exchange", "Exchange", "Exchange width and height")
        swap.on_click(lambda _: self._swapped())
        size = box("sdnb-size", [w["width"], swap, w["height"]])
        more = Fold("More", [w[name] for name in _MORE])
        above: list[widgets.Widget] = []
        below: list[widgets.Widget] = []
        guests: list[widgets.Widget] = []  # what this kind lacks: hidden until a request needs it
        for part, names in _PARTS.items():
            place = above if part in PICTURES[self.kind] else guests
            place += [w[name] for name in names]
        self._guests = widgets.VBox(guests)
        self._fold = Fold("Start from a picture", above) if self.kind == "all" else None
        if self._fold is not None:
            above, below = [], [self._fold]
        settings = [
            w["negative"], self._inspectors["negative"],
            size, self._size.about, w["steps"], w["cfg"], w["sampler"], w["seed"],
            *([w["count"]] if self.kind != "upscale" else []),  # upscaling makes one picture
        ]  # fmt: skip
        if self.kind == "inpaint":  # the canvas has the place
            rest = [w[name] for name in ("content", "padding")]
            above = [w["image"], w["mask"], w["fit"], w["strength"]]
            settings, more = [Fold("Settings", [*rest, *settings, more])], widgets.VBox()
        elif self.kind == "sketch":
            settings, more = [Fold("Settings", [*settings, more])], widgets.VBox()
        return [*above, self._guests, *settings, self.addons, w["controls"], more, *below]

    # -- acting ------------------------------------------------------------------------------

    def _swapped(self) -> None:
        asked, sides = self._resolved(), (self.controls["width"], self.controls["height"])
        if asked is not None and not any(side.wrong for side in sides):
            sides[0].value, sides[1].value = asked.height, asked.width
            self._changed("width")

    def _changed(self, name: str) -> None:
        if name == "image":
            self._mask.on_picture(self.controls["image"].value)
            self._framing.look(self.settings)
            self.propose()
        if name == "sampler":
            self._sampler_exchanged()
        if name == "mask":
            self._framing.look(self.settings)
        if name in ("mask", "padding") and self._mask.is_extended:
            self.propose()  # another part, or all of it
        self._refresh()
        self._on_change()

    def _go_back(self, **fields: Any) -> None:
        """Take the picture before, which a person asked for."""
        self.change(**fields)
        self._on_change()

    def _sampler_exchanged(self) -> None:
        """Open schedule and eta where they do not suit the new sampler, as `Request.but` does."""
        now, schedule, eta = (self.controls[name].value for name in ("sampler", "schedule", "eta"))
        for name in gone_with(self._sampler, now, schedule, eta):
            self.controls[name].value = None
        self._sampler = now

    def _read_as(self, syntax: str) -> None:
        """Take a syntax that an inspector offered."""
        self.controls["syntax"].value = syntax
        self._changed("syntax")

    def _write(self, name: str, text: str) -> None:
        """Take a prompt to which an add-on has put or changed something."""
        self.controls[name].value = text
        self._changed(name)

    def _listed(self) -> None:
        """Show the prompts again, with another library's embeddings, and its control networks."""
        self.control.look()
        for inspector in self._inspectors.values():
            inspector.embeddings = self.addons.embeddings
        self._refresh()

    def _told(self, name: str, value: Any) -> None:
        """Take what the mask's editor says of another field."""
        self.controls[name].value = value
        if name == "image":
            self._framing.look(self.settings, by_hand=True)
            self._before.note()
        self._changed(name)

    def _resolved(self, **more: Any) -> Resolved | None:
        """The resolved request, with `more`; None while the controls contradict each other."""
        try:
            asked = self.request.but(eta=None, seed=0, steps=None, strength=1, controls=())
            return asked.but(**more).resolved(self.suited[0])
        except ValueError:
            return None

    def _refresh(self) -> None:
        """Update the model's own values, which controls are shown, and the notes below them."""
        resolved = self._resolved()
        settings, brought = self.suited if resolved is not None else (self.settings, "")
        if resolved is not None:
            self.control.adjust((resolved.width, resolved.height))
            for name, control in self.controls.items():
                if control.field.open and name not in ("seed", "image", "mask", "padding"):
                    of = control.value is not None and control.field.kind == "choice"
                    at = (self._resolved(**{name: None}) if of else None) or resolved
                    own = 1 if name == "clip_skip" else getattr(at, name)  # stays open
                    control.follow(own, whose(name, resolved, self.settings, settings))
        self._before.look()
        asked = self.request if resolved is not None else Request()
        mask = None if painted_mask(self.controls["image"]) else asked.mask
        guests = {"txt2img": asked.image, "img2img": mask, "upscale": mask}
        self._guests.layout.display = "none" if guests.get(self.kind) is None else ""
        for name, control in self.controls.items():
            used = name == "strength" and self.kind == "upscale"  # the second pass has a picture
            control.show(used or control.field.shown(asked, settings))
        self._mask.adjust(asked)
        self._fitted.show(with_borders_anew(asked) if self.kind == "inpaint" else asked)
        for name, inspector in self._inspectors.items():
            text, steps = self.controls[name].value, asked.steps or settings.steps
            if getattr(asked, TEMPLATES[name]):  # chosen before
                inspector.show(text, asked.syntax, steps)
            else:
                library = self.addons.library
                inspector.show_chosen(text, asked.syntax, steps, asked.seed, library)
        self._loras.prompted(self.controls["prompt"].value)
        self.addons.show([name for each in self._inspectors.values() for name in each.found])
        self._tags.show(self.addons.warnings())
        self._size.show(resolved, self.settings, brought)
