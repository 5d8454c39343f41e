"""Live of a drawing: the quick picture that follows it, and when it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from sdnb.images.result import Result
from sdnb.request import Resolved
from sdnb.widgets.form.form import Form
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.live_runs import LiveRuns
from sdnb.widgets.outcome import Outcome
from sdnb.widgets.run_queue import RunQueue
from sdnb.widgets.sketch.draft import fast_lora
from sdnb.widgets.sketch.live_view import LiveView

if TYPE_CHECKING:
    from sdnb.engine.model import Model


class LiveDrawing(LiveRuns):
    """Shows what comes in `view`, which has the switch too, in pixels of the page as wide as
    `width` says. It is on from the start, and stays so when somebody stops what runs: a drawing
    that nothing follows is no sketch.

    `asked` gives the request of the drawing, None while nothing is drawn, and raises ValueError
    where it cannot run.
    """

    ALL_THE_SAME: ClassVar[str] = "Another and Finish make one all the same, and measure again."

    def __init__(
        self, view: LiveView, form: Form, queue: RunQueue, *, outcome: Outcome,
        asked: Callable[[], Resolved | None], width: Callable[[], int], model: Model,
    ) -> None:  # fmt: skip
        super().__init__(view.switch, form, queue, model)
        self._view, self._outcome, self._asked, self._width = view, outcome, asked, width
        self._holds = False
        self.line, self.head = view, view.line
        outcome.view.layout.display = "none"
        queue.more_to_stop = lambda: self._tells

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, nothing is asked for; one request follows what was changed there, however much
        that was.
        """
        self._holds = True
        try:
            yield
        finally:
            self._holds = False
        self.ask()

    def ask(self, *, anyway: bool = False) -> None:
        """As of `LiveRuns`, unless it is held."""
        if not self._holds:
            super().ask(anyway=anyway)

    def forget(self) -> None:
        """Offer to keep the last picture no more: another one comes."""
        self._view.forget()

    def give_way(self) -> None:
        """Leave the place of its picture to one that is being finished, or is."""
        self._view.hide_picture()
        self._outcome.view.layout.display = ""

    def clear(self) -> None:
        """Show no picture, and neither one that was finished."""
        self._outcome.view.layout.display = "none"
        self._view.clear()

    # -- inside ------------------------------------------------------------------------------

    def _switched(self) -> None:
        with self._lock:
            self._say_nothing()
            self._goes = False
            if not self.on:
                self.rest()
        self.ask()

    def _wanted(self) -> Resolved | None:
        return self._asked()

    def _took(self, result: Result) -> None:
        self._outcome.newest, self._outcome.live = result, GalleryPicture(result)
        self._outcome.view.layout.display = "none"
        self._outcome.caption.say()  # it was of a finished one
        self._view.show(result, self._width())

    def _show_coming(self, preview: bytes, _: int, share: float) -> None:
        self._view.show_coming(preview, self._width(), share)

    def _expect(self, *, coming: bool) -> None:
        self._view.expect(coming)

    def _give_up(self) -> None:
        self._view.give_up()

    def _for_few_steps(self) -> str:
        """None where the draft takes the variant's LoRA already."""
        return "" if fast_lora(self._model) else super()._for_few_steps()
