"""`sdnb.Sketch(model)`: draw on the left, and the picture on the right follows.

sketch = sdnb.Sketch(model); sketch        # in one cell
sketch.drawing, sketch.result, sketch.request  # in the next
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

import ipywidgets as widgets
from PIL import Image

from sdnb import images
from sdnb.images.canvas import flat
from sdnb.images.result import Result
from sdnb.jobs.executor import Executor
from sdnb.request import Request, sizes
from sdnb.request.quick_enough import Quicker
from sdnb.request.sizes import Size
from sdnb.widgets.form.fitted_view import runnable
from sdnb.widgets.masks.drawing_sheet import Sheet
from sdnb.widgets.masks.strokes import Stroke
from sdnb.widgets.masks.trace_fold import fitted
from sdnb.widgets.panel import Panel
from sdnb.widgets.sketch.draft import draft, net_for_lines, own_steps
from sdnb.widgets.sketch.drawn_request import drawn, undrawn
from sdnb.widgets.sketch.following import Following
from sdnb.widgets.sketch.live_drawing import LiveDrawing
from sdnb.widgets.sketch.live_view import LiveView
from sdnb.widgets.slider import Slider
from sdnb.widgets.style import box

_SIDE = 440  # pixels of the page: the sheet is seen at once with its tools
_LEAST = 512  # pixels of a sheet's longer side: lines are finer than small pictures have them
_SEED_BITS = 32


class Sketch(Panel):
    """A canvas in colours, and the picture that a model makes of the drawing, again after each
    stroke: in few steps, and the newest request wins.

    `drawing` can be read and assigned: RGBA, transparent where nothing is drawn. `request` is what
    Finish makes, with all of the model's steps; `draft` is what is made live. `result` is the
    newest picture of either. `canvas` is the sheet, with its tools. The other arguments are those
    of `Panel`.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("sketch",)
    GENERATE: ClassVar[tuple[str, str]] = (
        "Finish", "Make the picture with all steps, and put it into the gallery (Ctrl+Enter)"
    )  # fmt: skip

    FORESEEN: ClassVar[str] = "To finish: "
    canvas: Sheet  #: the sheet that one draws on, with its tools
    followed: LiveView  #: the picture that follows
    _following: Following
    _live: LiveDrawing
    _steps: Slider

    def __init__(self, model: Any = None, **more: Any) -> None:
        self._seed = _random()  # of what is live, while the form leaves it open
        self._png: tuple[tuple[Stroke, ...], bytes] | None = None  # of a drawing of these strokes
        super().__init__(model, "sketch", **more)
        self.add_class("sdnb-follows")
        self.progress.picture.observe(lambda _: self._finishing(), "value")
        self._suit()

    # -- a value -----------------------------------------------------------------------------

    @property
    def drawing(self) -> Image.Image:
        """What is drawn: RGBA, transparent where nothing is. Assign any picture, or None."""
        return self.canvas.drawing

    @drawing.setter
    def drawing(self, source: images.Source | None) -> None:
        self.canvas.drawing = source

    @property
    def request(self) -> Request:
        """The request of the finished picture: the controls and the drawing. Assigning moves the
        controls, and its picture becomes the drawing, all of which is followed: a mask does not
        come along, and the size is the sketch's own unless it is told. Raises ValueError as a
        panel's.
        """
        self.form.check()
        if self._following.wrong:
            raise ValueError(self._following.wrong)
        return self._drawn(self.form.request)

    @request.setter
    def request(self, request: Request) -> None:
        settings = self.model.settings
        own = settings.width, settings.height
        rest, self._following.way, png = undrawn(request, self._following.way, own)
        with self._live.held():  # one change after the other is no reason to begin
            self.form.request = rest
            self._suit()
            self._draw(png)
            self._show_plan()

    @property
    def draft(self) -> Request:
        """The request of the quick picture that is made live. Raises as `request`."""
        return draft(self.request, self.model, int(self._steps.value), self._seed)

    def keep_shown(self) -> None:
        """Put the picture that is shown into the gallery, unless it is there, with the drawing that
        it was made of, which may have gone on since.
        """
        if self.result is None:
            return
        shown = self._outcome.live
        if shown is None:
            self.followed.say("It is in the gallery.")
            return
        self._outcome.keep_live()
        words = "It is in the gallery now."
        if _drawing(shown.request) != _drawing(self._foreseen()):
            words = "It is in the gallery now, with its own drawing: the sheet has gone on since."
        self.followed.say(words)

    def another(self) -> None:
        """Make it of another seed, however long that takes, and also while it does not follow."""
        self._seed = _random()
        with self._live.held():
            self.form.change(seed=None)
            self._show_plan()
        self._live.ask(anyway=True)

    def state(self) -> dict[str, Any]:
        """The request, with the drawing in it, and the gallery's switch if it is its own."""
        state = {name: value for name, value in super().state().items() if name != self.kind}
        with suppress(ValueError):  # as a panel
            return {self.kind: self._drawn(self.form.request), **state}
        return state

    def start_from(self, png: bytes, mask: bytes | None = None) -> None:  # noqa: ARG002 - a drawing has none
        """Make this picture the drawing, to be followed by its colours."""
        self.request = self.form.request.but(image=png, strength=self._following.way.strength)

    def empty(self) -> None:
        """Show no picture: what was made is of another drawing than the one that came."""
        super().empty()
        if not self._queue.running:
            self._live.clear()

    def serve(self, model: Any, executor: Executor | None = None) -> None:
        """Run on this model from now on; the drawing stays."""
        with self._live.held():
            super().serve(model, executor)
            self._following.serve(net_for_lines(model))
            self._steps.show(own_steps(model))
            self._suit()

    def look_again(self) -> None:
        """Take a network for lines that the library has now."""
        self._following.serve(net_for_lines(self.model))

    def close(self) -> None:
        super().close()
        if hasattr(self, "canvas"):
            self.canvas.close()

    def __repr__(self) -> str:
        return f"Sketch({self.model.name}, {self.canvas!r}, {self._following.way.way})"

    # -- building ----------------------------------------------------------------------------

    def _above(self) -> list[widgets.Widget]:
        self.canvas = Sheet((_LEAST, _LEAST), _SIDE)
        self.canvas.on_change(lambda _: self._redrawn())
        self._following = Following(net_for_lines(self.model), self._edited)
        self._steps = Slider(
            "Live steps", own_steps(self.model), (1, 150), lambda _: self._live.ask(),
            reach=(1, 25), label_width="76px", multiple=1,
            tooltip="Steps of the picture that follows; fewer are quicker",
        )  # fmt: skip
        return [self.canvas]

    def _beside(self) -> list[widgets.Widget]:
        # Below the sheet nobody would see them.
        return [box("sdnb-following", [self._following, self._steps])]

    # -- live --------------------------------------------------------------------------------

    def _made_live(self) -> LiveDrawing:
        self.followed = LiveView(self.keep_shown, self.another, self._quicken)
        self._actions.live.layout.display = "none"  # its switch is beside the picture
        return LiveDrawing(
            self.followed, self.form, self._queue, outcome=self._outcome, asked=self._drafted,
            width=lambda: self.canvas.page[0], model=self.model,
        )  # fmt: skip

    def _edited(self) -> None:
        self._suit()
        super()._edited()

    def _quicken(self, way: Quicker) -> None:
        with self._live.held():
            if way.steps is not None:  # those of the picture that follows; Finish keeps its own
                self._steps.show(way.steps)
            super()._quicken(replace(way, steps=None))

    def _redrawn(self) -> None:
        """Follow a change of the drawing."""
        if self.canvas.is_empty and not self._queue.running:
            self._live.clear()
        self._live.ask()

    def _drafted(self) -> Any:
        """The quick picture's request; None while nothing is drawn."""
        if self.canvas.is_empty:
            return None
        return runnable(self.draft, self.kind, self.form.suited[0], self.model.library)

    def _finishing(self) -> None:
        """Give the place to the picture that is being finished, once something of it is seen."""
        if self._queue.running:
            self._live.give_way()

    def _took(self, result: Result, before: Result | None, of: int) -> None:
        super()._took(result, before, of)
        self._live.give_way()
        self.followed.say("Finished, and in the gallery.")

    # -- the request -------------------------------------------------------------------------

    def _drawn(self, request: Request) -> Request:
        """A request of the controls with the drawing in it, if anything is drawn."""
        if self.canvas.is_empty:
            return request
        strokes, picture = self.canvas.strokes, self.canvas.picture
        if self._png is None or self._png[0] != strokes:
            self._png = strokes, images.picture(picture)
        return drawn(request, picture, self._following.way, self._made(), self._png[1])

    def _draw(self, png: bytes | None) -> None:
        """Make a picture the drawing: all of it, in the middle of the sheet where that has other
        proportions. Its bytes are those of the request until something is drawn on it.
        """
        if png is None:
            self.canvas.drawing = self._png = None
            return
        picture = flat(images.open(png))[0]
        alike = sizes.same_proportions(picture.size, self.canvas.size)
        if picture.tobytes() != self.canvas.picture.tobytes():
            self.canvas.drawing = picture if alike else fitted(picture, self.canvas.size)
        self._png = (self.canvas.strokes, png) if alike else None

    def _made(self) -> Size:
        """The size that is made."""
        request, settings = self.form.request, self.model.settings
        return request.width or settings.width, request.height or settings.height

    def _suit(self) -> None:
        """Give the sheet the proportions of what is made."""
        size = self._made()
        times = max(1.0, _LEAST / max(size))
        self.canvas.resize((round(size[0] * times), round(size[1] * times)))

    def _checked(self) -> Any:
        if self.canvas.is_empty:
            raise ValueError("Nothing is drawn yet: draw on the sheet, or trace a photo.")
        request = self.request
        request = request.but(seed=self._seed) if request.seed is None else request
        return runnable(request, self.kind, self.form.suited[0], self.model.library)

    def _foreseen(self) -> Request:
        with suppress(ValueError):  # without a network for lines
            return self._drawn(self.form.request)
        return self.form.request


def _drawing(request: Request) -> tuple[bytes | None, ...]:
    """What of a request is drawn."""
    return request.image, *(control.image for control in request.controls)


def _random() -> int:
    return secrets.randbits(_SEED_BITS)
