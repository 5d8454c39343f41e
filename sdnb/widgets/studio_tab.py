"""What a studio does with a panel that is one of its tabs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from sdnb.jobs.executor import Executor
from sdnb.request import Request
from sdnb.widgets.actions import Actions
from sdnb.widgets.as_left import AsLeft
from sdnb.widgets.engine_door import worker_of
from sdnb.widgets.form.form import Form
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.live_runs import LiveRuns
from sdnb.widgets.progress import ProgressView
from sdnb.widgets.run_queue import RunQueue

if TYPE_CHECKING:
    from sdnb.engine.model import Model


class StudioTab(AsLeft, widgets.VBox):
    """The part of a panel that its studio holds. A panel alone may be paused and served, too."""

    model: Model
    form: Form
    progress: ProgressView
    about: widgets.HTML  #: the model's name
    kind: str
    gallery: Gallery
    has_gallery: bool
    _actions: Actions
    _queue: RunQueue
    _live: LiveRuns

    def be_tab(self, name: str, go: Callable[[str], object] = lambda _: None) -> None:
        """Be the tab of this name, by which others speak of its runs; the model is named above.
        `go` opens another tab.
        """
        self._queue.owner, self._queue.has_tabs, self._actions.go = name, True, go
        self._queue.show_line()
        self.about.layout.display = "none"

    @property
    def main_button(self) -> widgets.Button:
        """Generate, or what it is called here."""
        return self._actions.generate

    @property
    def has_queued(self) -> bool:
        """Whether a run that somebody asked for goes on or waits; those of live are none."""
        return bool(self._queue.jobs)  # without its lock: a line of runs asks, which holds others

    def stop(self) -> None:
        """End the run within a second, and drop the requests that wait. Live is switched off."""
        self._live.end()
        self._queue.stop()

    def skip(self) -> None:
        """End the run within a second, as the button does; the requests that wait go on. Live is
        switched off.
        """
        self._live.end()
        self._queue.skip()

    def pause(self, why: str) -> None:
        """Stop, and refuse requests until `serve`; `why` is shown beside the buttons."""
        self._live.end()
        self._queue.pause(why)

    def serve(self, model: Model, executor: Executor | None = None) -> None:
        """Run on this model from now on; the controls stay as they are."""
        self._queue.serve(executor or worker_of(model))
        self.model = model
        self.progress.preview_of, self.progress.full_preview_of = model.preview, model.full_preview
        self._live.serve(model)
        self.form.serve(model.settings, model.tokenizer)
        self.form.find_as(model)
        self._show_model()
        self._show_plan()

    def state(self) -> dict[str, Any]:
        """The request by the panel's kind, and the gallery's switch if it is its own. A seed that
        live has locked comes back open, as the line that speaks of it does not come back.
        """
        switch = {"autosave": self.gallery.autosave.on} if self.has_gallery else {}
        with suppress(ValueError):  # a seed that is too large for the count
            return {self.kind: self._live.as_before(self.form.request), **switch}
        return switch

    def lasting(self) -> dict[str, Any]:
        """`state` without what the canvas of a picture has brought: the picture does not last."""
        return {
            name: self.form.lasting(value) if isinstance(value, Request) else value
            for name, value in self.state().items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set what `state` gave."""
        if self.kind in state:
            self.request = state[self.kind]
        if "autosave" in state:
            self.gallery.autosave.on = state["autosave"]

    def look_again(self) -> None:
        """Note what the model's library has now: for a panel that needs some of it."""

    def _show_model(self) -> None:
        """Say which model it is."""
        raise NotImplementedError

    def _show_plan(self) -> None:
        """Update the forecast."""
        raise NotImplementedError
