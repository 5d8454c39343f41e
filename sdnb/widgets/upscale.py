"""The upscale panel: a picture at the model's own size, then img2img at the larger size."""

from __future__ import annotations

import html
from functools import partial
from typing import Any, ClassVar

import ipywidgets as widgets

from sdnb import images
from sdnb.images import Saved
from sdnb.images.canvas import exact
from sdnb.images.result import Result
from sdnb.jobs.executor import Executor, Job
from sdnb.request import RANGES, Request, png_header
from sdnb.widgets.buttons import text_button
from sdnb.widgets.panel import Panel
from sdnb.widgets.style import quiet_line

_TIMES = (1.5, 2.0, 3.0, 4.0)
_STRENGTH = 0.5  # the original's advice: it adds detail and keeps the composition


class UpscalePanel(Panel):
    """Two passes: txt2img at the model's own size, or a given picture; then a resize and img2img at
    strength 0.5 with the same prompt and seed. Width and height are those of the second pass.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("upscale",)
    times = 2.0  # the factor chosen last; a new picture is enlarged by it too
    _enlarged_from: tuple[int, int] | None = None  # the size that `times` was applied to
    _factor_size: tuple[int, int] | None = None  # the size that came of it

    def __init__(self, model: Any = None, **more: Any) -> None:
        super().__init__(model, "upscale", **more)
        self.form.controls["strength"].value = _STRENGTH
        self.enlarge(self.times)

    def enlarge(self, times: float) -> None:
        """Set width and height to `times` the picture's sides, or the model's own size."""
        low, high = RANGES["width"]
        sides = (min(max(round(side * times / 8) * 8, low), high) for side in self._base())
        width, height = map(int, sides)
        self.times, self._factor_size = times, (width, height)
        self.form.change(width=width, height=height)
        self._show_plan()

    def serve(self, model: Any, executor: Executor | None = None) -> None:
        """Run on this model from now on; a size that came of a factor follows the model's."""
        request = self.form.request
        followed = request.image is None and (request.width, request.height) == self._factor_size
        super().serve(model, executor)
        if followed:
            self.enlarge(self.times)

    def start_from(self, png: bytes) -> None:
        """Make this the input picture, enlarged by the factor chosen last."""
        super().start_from(png)
        self.enlarge(self.times)

    def passes(self) -> tuple[Request | None, Request]:
        """The first pass (None if a picture is given) and the second; raises as `resolved` does.

        Both passes are resolved and have the same seed.
        """
        settings = self.model.settings
        asked = self.form.request.but(mask=None, count=1)
        width, height = asked.width, asked.height
        if asked.image is not None:
            last = asked.enlarged(asked.image, width, height, asked.strength)
            return None, last.resolved(settings)
        strength = asked.strength
        first = asked.but(width=settings.width, height=settings.height, strength=Request.strength)
        first = first.resolved(settings)
        return first, first.but(width=width, height=height, strength=strength)

    def generate(self) -> Job | None:
        """Queue the first pass, and the second when the first has its picture."""
        try:
            self._checked()
            first, last = self.passes()
        except (ValueError, TypeError) as error:
            self._refuse(error)
            return None
        if first is None:
            return self.submit(exact(last)[0])  # its note repeats the line under the buttons

        def polish(result: Result) -> None:
            png = images.picture(result.image)
            request = last.enlarged(png, last.width, last.height, last.strength)
            self.submit(request.resolved(self.model.settings))

        return self.submit(first, then=polish)

    def _base(self) -> tuple[int, int]:
        image = self.form.controls["image"].value
        s = self.model.settings
        return (s.width, s.height) if image is None else png_header.size(image)

    def _above(self) -> list[widgets.Widget]:
        buttons = []
        for times in _TIMES:
            tip = f"{times:g} times the sides of the picture, or of the model's own size"
            button = text_button(f"× {times:g}", "", tip, partial(self.enlarge, times))
            button.layout.width = "56px"
            buttons.append(button)
        self._passes_line = quiet_line()
        return [widgets.HBox(buttons), self._passes_line]

    def _edited(self) -> None:
        if self._base() != self._enlarged_from:  # the picture was exchanged or removed
            self.enlarge(self.times)
        else:
            self._show_plan()

    def _offered(self, saved: Saved) -> None:
        super()._offered(saved)
        self.enlarge(self.times)  # the settings' own width and height would enlarge nothing

    def _show_plan(self) -> None:
        super()._show_plan()
        self._enlarged_from = self._base()
        try:
            first, last = self.passes()
        except (ValueError, TypeError) as error:
            self._passes_line.value = html.escape(str(error))
            return
        steps = last.steps or 0
        begin = (
            f"1. {first.width} × {first.height} from words, {first.steps} steps"
            if first is not None
            else "1. the picture, {} × {}".format(*self._base())
        )
        done = round(steps * last.strength)
        self._passes_line.value = (
            f"{begin}<br>2. resized to {last.width} × {last.height}, then img2img: about {done} of "
            f"{steps} steps, strength {last.strength:g}"
        )
