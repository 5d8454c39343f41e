"""The upscale panel: a picture at the model's own size, then img2img at the larger size."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import PurePath
from typing import Any, ClassVar

import ipywidgets as widgets
from PIL import Image

from sdnb import images
from sdnb.images import Saved
from sdnb.images.canvas import exact
from sdnb.images.result import Progress, Result
from sdnb.jobs.executor import Executor, Job
from sdnb.request import RANGES, Request, Resolved, png_header, sizes
from sdnb.request.choices import steps_run
from sdnb.request.plain_words import counted, digits, plain
from sdnb.request.sizes import Size
from sdnb.widgets.buttons import text_button
from sdnb.widgets.form.fitted_view import runnable
from sdnb.widgets.form.size_offer import SizeOffer, by_pixels, in_words, proposed
from sdnb.widgets.panel import Panel
from sdnb.widgets.style import level, quiet_line, row

_TIMES = (1.5, 2.0, 3.0, 4.0)
_LARGE = 4.0  # times the model's own pixels: a larger picture is enlarged from a smaller size
_LONGEST = 60  # letters of the names of nets
_STRENGTH = 0.5  # the original's advice: it adds detail and keeps the composition


class UpscalePanel(Panel):
    """Two passes: txt2img at the model's own size, or a given picture; then a resize and img2img at
    strength 0.5 with the same prompt and seed. Width and height are those of the second pass. A
    control without a picture works in the second pass, and follows the picture of the first.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("upscale",)
    times = 2.0  # the factor chosen last; a new picture is enlarged by it too
    _enlarged_from: tuple[int, int] | None = None  # the size that `times` was applied to
    _factor_size: tuple[int, int] | None = None  # the size that came of it
    _from_own = False  # whether a large picture is enlarged from its own size all the same

    def __init__(self, model: Any = None, **more: Any) -> None:
        self._second: dict[Request, Resolved] = {}  # what follows a first pass, as `_timed`
        super().__init__(model, "upscale", **more)
        self._actions.live.layout.display = "none"  # it takes two runs
        self.form.controls["strength"].value = _STRENGTH
        self.enlarge(self.times)

    def enlarge(self, times: float) -> None:
        """Set width and height to `times` the picture's sides, or the model's own size. A picture
        that is large beside that is enlarged from a size near it, unless somebody takes its own.
        """
        width, height = self._enlarged(times)
        self.times, self._factor_size = times, (width, height)
        self.form.change(width=width, height=height)
        self._show_plan()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set what `state` gave; a size that is one of the factors' follows it again, and so does
        an open one, whose picture is not there any more.
        """
        super().restore(state)
        size = tuple(self.form.controls[name].value for name in ("width", "height"))
        own = [times for times in _TIMES if size == self._enlarged(times)]
        if own or size == (None, None):
            self.enlarge((own or [self.times])[0])

    def _enlarged(self, times: float) -> Size:
        (low, high), base = RANGES["width"], self._base()
        most = min(times, high / max(base))  # both sides alike
        width, height = (max(round(side * most / 8) * 8, int(low)) for side in base)
        return width, height

    def serve(self, model: Any, executor: Executor | None = None) -> None:
        """Run on this model from now on; a size that came of a factor follows the model's."""
        followed = self.form.request.image is None and self._follows_factor
        super().serve(model, executor)
        if followed:
            self.enlarge(self.times)

    def start_from(self, png: bytes, mask: bytes | None = None) -> None:
        """Make this the input picture, enlarged by the factor chosen last."""
        super().start_from(png, mask)
        self.enlarge(self.times)

    def passes(self) -> tuple[Resolved | None, Resolved]:
        """The first pass (None if a picture is given) and the second; raises as `resolved` does.

        Both passes are resolved and have the same seed.
        """
        settings = self.form.suited[0]
        asked = self.request.but(mask=None, count=1)
        width, height = asked.width, asked.height
        if asked.image is not None:
            last = asked.enlarged(asked.image, width, height, asked.strength).but(fit=asked.fit)
            return None, last.resolved(settings)
        strength = asked.strength
        own = settings.width, settings.height
        w, h = own if width is None or height is None else sizes.near((width, height), own)
        words = _of_words(asked).but(width=w, height=h, strength=Request.strength)
        first = words.resolved(settings)
        last = first.but(width=width, height=height, strength=strength).resolved(settings)
        return first, replace(last, controls=asked.controls)

    def generate(self) -> Job | None:
        """Queue the first pass, and the second when the first has its picture."""
        try:
            self._checked()
            first, last = self.passes()
        except (ValueError, TypeError) as error:
            self.progress.refuse(error)
            return None
        self.gallery.turn_to_newest()
        if first is None:
            return self.submit(exact(last)[0])  # its note repeats the line under the buttons

        self._second[first] = self._timed(last)

        def polish(result: Result) -> None:
            self._second.pop(first, None)
            png = images.picture(result.image)
            request = last.enlarged(png, last.width, last.height, last.strength)
            self.submit(request.resolved(self.model.settings))

        return self.submit(first, then=polish)

    def _left(self, request: Request, progress: Progress) -> float | None:
        left, second = super()._left(request, progress), self._second.get(request)
        more = None if second is None else self.model.pace.seconds(second)
        return left if left is None or more is None else left + more

    def _checked(self) -> Resolved:
        """As a panel's; from words, the controls that wait for their picture are no obstacle."""
        asked = self.request
        asked = _of_words(asked) if asked.image is None else asked
        return runnable(asked, self.kind, self.form.suited[0], self.model.library)

    def _foreseen(self) -> Request:
        return _with_pictures(super()._foreseen())

    def _timed(self, last: Resolved) -> Resolved:
        """A second pass without its picture, which takes as long: it runs a share of the steps."""
        return replace(last, steps=max(1, steps_run(last.steps, last.schedule, last.strength)))

    @property
    def _follows_factor(self) -> bool:
        """Whether the size came of a factor; one that a person typed stays."""
        size = tuple(self.form.controls[name].value for name in ("width", "height"))
        return size == self._factor_size and not any(
            self.form.controls[name].wrong for name in ("width", "height")
        )

    def _base(self) -> Size:
        """The size that factors count from."""
        original, near = self._picture()
        return original if near is None or self._from_own else near

    def _picture(self) -> tuple[Size, Size | None]:
        """The picture's size, and the one that a large picture is enlarged from instead; without a
        picture, the model's own.
        """
        image, s = self.form.controls["image"].value, self.model.settings
        if image is None:
            return (s.width, s.height), None
        original = png_header.size(image)
        return original, proposed(original, s, small=0, large=_LARGE)

    def _enlarge_from(self, own: bool) -> None:
        self._from_own = own
        self.enlarge(self.times)

    def _above(self) -> list[widgets.Widget]:
        buttons = []
        for times in _TIMES:
            tip = f"{times:g} times the sides of the picture, or of the model's own size"
            button = text_button(f"× {times:g}", "", tip, partial(self.enlarge, times))
            button.layout.width = "56px"
            buttons.append(button)
        self._factors = dict(zip(_TIMES, buttons, strict=True))
        self._passes_line = quiet_line()
        take = (partial(self._enlarge_from, own) for own in (False, True))
        self._offer = SizeOffer(*take)
        return [level(part) for part in (row(buttons), self._offer, self._passes_line)]

    def _edited(self) -> None:
        exchanged = self._base() != self._enlarged_from  # or removed
        if exchanged and self._follows_factor:
            self._enlarge_from(own=False)
        else:
            self._show_plan()

    def _offered(self, saved: Saved) -> None:
        super()._offered(saved)
        self.enlarge(self.times)  # the settings' own width and height would enlarge nothing

    def _show_plan(self) -> None:
        super()._show_plan()
        self._enlarged_from = self._base()
        for times, button in self._factors.items():
            in_force = self._follows_factor and times == self.times
            button.button_style = "primary" if in_force else ""
        self._show_offer()
        try:
            first, last = self.passes()
        except (ValueError, TypeError) as error:
            self._passes_line.value = html.escape(str(error))
            return
        steps = last.steps
        done = max(1, steps_run(steps, last.schedule, last.strength))
        if not self._queue.paused:  # the time is that of both passes, and of a share of the steps
            second = last if first is None else self._timed(last)
            runs = [first, second] if first else [second]
            self._plan.ask(self.model, self._foreseen(), *runs, settings=self.form.suited[0])
        begin = (
            f"1. {first.width} × {first.height} from words, {counted(first.steps or 0, 'step')}"
            if first is not None
            else f"1. the picture, {in_words(self._picture()[0])}"
        )
        self._passes_line.value = (
            f"{begin}<br>2. resized to {last.width} × {last.height}, then img2img: about {done} of "
            f"{counted(steps, 'step')}, strength {digits(last.strength)} (0 only enlarges)"
            f"{'' if first is None else _followed(last)}"
        )

    def _show_offer(self) -> None:
        """Say from which size a large picture is enlarged, and offer the other one."""
        original, near = self._picture()
        if near is None:
            self._offer.hide()
            return
        words = f"The picture is {by_pixels(original, self.model.settings)}"
        if self._from_own:
            self._offer.show(f"{words}.", f"Enlarge from {in_words(near)}", "", warn=True)
        else:
            words += f": it is enlarged from {in_words(near)}."
            self._offer.show(words, "", "Enlarge from its own size", warn=False)


def _of_words(request: Request) -> Request:
    """A request of words without the controls that have no picture to follow yet."""
    return request.but(controls=[each for each in request.controls if each.image is not None])


def _followed(last: Request) -> str:
    """HTML: which controls follow the picture of the first pass."""
    nets = [PurePath(each.net).name for each in last.controls if each.image is None]
    words = html.escape(plain(", ".join(nets), _LONGEST))
    return f"; {words} {'follows' if len(nets) == 1 else 'follow'} the picture of 1" if nets else ""


def _with_pictures(request: Request) -> Request:
    """The request with some picture for each control that is to follow one: what a run takes does
    not depend on what it shows.
    """
    if request.image is not None:
        return request
    given = [replace(each, image=each.image or _any_picture()) for each in request.controls]
    return request.but(controls=given)


@lru_cache(maxsize=1)
def _any_picture() -> bytes:
    return images.picture(Image.new("RGB", (8, 8)))
