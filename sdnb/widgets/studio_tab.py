"""What a studio does with a panel that is one of its tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from sdnb.jobs.executor import Executor
from sdnb.widgets.actions import Actions
from sdnb.widgets.as_left import AsLeft
from sdnb.widgets.engine_door import worker_of
from sdnb.widgets.form.form import Form
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
    _actions: Actions
    _queue: RunQueue
    _live: LiveRuns

    def be_tab(self, name: str) -> None:
        """Be the tab of this name, by which others speak of its runs; the model is named above."""
        self._queue.owner = name
        self.about.layout.display = "none"

    @property
    def main_button(self) -> widgets.Button:
        """Generate, or what it is called here."""
        return self._actions.generate

    @property
    def has_queued(self) -> bool:
        """Whether a run that somebody asked for goes on or waits; those of live are none."""
        return bool(self._queue.jobs)  # without its lock: a line of runs asks, which holds others

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

    def look_again(self) -> None:
        """Note what the model's library has now: for a panel that needs some of it."""

    def _show_model(self) -> None:
        """Say which model it is."""
        raise NotImplementedError

    def _show_plan(self) -> None:
        """Update the forecast."""
        raise NotImplementedError
