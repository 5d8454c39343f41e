"""`sdnb.studio(model)`: a model picker, a tab for each way to a picture, and one gallery."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from sdnb.jobs.executor import Executor
from sdnb.request import Request
from sdnb.request.plain_words import counted
from sdnb.widgets import style
from sdnb.widgets.ahead import line_of
from sdnb.widgets.as_left import AsLeft
from sdnb.widgets.drops import Drops
from sdnb.widgets.engine_door import load_model, worker_of
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.gallery.kept_gallery import saving_gallery
from sdnb.widgets.grid.grid_tab import GridTab
from sdnb.widgets.hearing import in_order
from sdnb.widgets.leaving import Leaving
from sdnb.widgets.lifetime import tie_to_cell
from sdnb.widgets.panel import Panel
from sdnb.widgets.picker import ModelPicker
from sdnb.widgets.picture_acts import HOLDS, SEED, keep_seed
from sdnb.widgets.sends import Sends
from sdnb.widgets.sketch.sketch_panel import Sketch
from sdnb.widgets.tab_panels import TabPanels
from sdnb.widgets.tabs import Tabs
from sdnb.widgets.upscale import UpscalePanel
from sdnb.widgets.way_back import WayBack

if TYPE_CHECKING:
    from pathlib import Path

    from sdnb.engine.model import Model
    from sdnb.images.result import Result
    from sdnb.library import Library

TABS = ("txt2img", "img2img", "inpaint", "upscale", "sketch")
_SWEPT = TABS[:3]  # not upscale: it is two requests, and a grid's cell is one
_PANELS = {"upscale": UpscalePanel, "sketch": Sketch}
_STOP_SECONDS = 120.0  # how long a step may take to end before its model is freed


class Studio(AsLeft, widgets.VBox):
    """Tabs for txt2img, img2img, inpaint, upscale and sketch that share a model and a gallery,
    and a tab for grids of their requests.

    `panels` holds the tabs' panels by name, each built when it is first opened or asked for.
    `panel` is the selected one and `request` is its request; `result` is the newest of all tabs.
    `models` is a folder of checkpoints to pick from. The gallery shows the pictures in `folder`,
    and each new one is saved there as soon as it is finished. `autosave=False` turns that off, as
    does a switch, which is remembered.
    """

    def __init__(
        self,
        model: Model | None = None,
        *,
        models: str | Path | None = None,
        folder: str | Path = "outputs",
        gallery: Gallery | None = None,
        executor: Executor | None = None,
        autosave: bool | None = None,
    ) -> None:
        self.model = load_model() if model is None else model
        self._own_model = model is None  # no code has it
        self._leaving: Leaving | None = None
        self.gallery = gallery or saving_gallery(folder)
        self.given = (gallery,) if gallery else ()
        if autosave is not None:
            self.gallery.autosave.on = autosave
        self._executor = executor or worker_of(self.model)
        self.as_left = WayBack()
        self._left: dict[str, Request] = {}  # of tabs that are not built yet
        self._fresh: dict[str, Request] = {}  # of those that are, as they were at first
        self._paused = ""  # why nothing runs, while it does not
        self.picker = ModelPicker(
            self.model, models, self._free, self._serve, self._join, busy=lambda: self.running
        )
        self.panels = TabPanels(TABS, self._built)
        self._sends = Sends(self)
        for name in TABS:
            self.gallery.send(name, *self._sends.button(name))
        self.gallery.send("Control", self._sends.hold_to, HOLDS)
        self.gallery.action(*SEED, lambda picture: keep_seed(self.panel, self.gallery, picture))
        asked = {name: partial(self._asked, name) for name in _SWEPT}
        sends: dict[str, Callable[[GalleryPicture], None]] = {
            name: partial(self.send, name=name) for name in TABS
        }
        sends["Control"] = self._sends.hold_to
        self.grid = GridTab(
            self.model, asked, self._use, executor, send=sends, gallery=self.gallery
        )
        self._tabs = Tabs([*self.panels.places, self.grid], titles=(*TABS, "grid"))
        self._tabs.observe(lambda _: self._opened(), "selected_index")
        line_of(self._executor).heard(self._mark)
        # Beside the model where there is room: when the line goes, nothing below it moves.
        top = style.box("sdnb-head", [self.picker, self.as_left])
        rows = [top, self._tabs, self.gallery]
        self._parts = [style.sheet(), self._tabs.ear, Drops(), *rows]
        super().__init__(self._parts)
        self.add_class("sdnb")
        tie_to_cell(self)  # for the panels too: one that is built later has no cell of its own
        in_order(self)

    def _built(self, name: str) -> Panel:
        """The panel of a tab."""
        shared: dict[str, Any] = {"executor": self._executor, "gallery": self.gallery}
        kind = _PANELS.get(name)
        panel = kind(self.model, **shared) if kind else Panel(self.model, name, **shared)
        for other in TABS:
            if other != name:
                panel.view.send(other, *self._sends.button(other))
        panel.be_tab(name, self.turn)
        panel.begun += [self.picker.quiet, self.as_left.forget, self.keep]
        self._fresh[name] = panel.form.request
        if name in self._left:
            panel.restore({name: self._left.pop(name)})
        if self._paused:
            panel.pause(self._paused)
        return panel

    @property
    def panel(self) -> Panel:
        """The selected tab's panel; for the grid tab, the panel whose request it varies."""
        names = (*TABS, self.grid.source)
        return self.panels[names[self._tabs.selected_index or 0]]

    @property
    def request(self) -> Request:
        """The selected panel's request; assigning moves its controls."""
        return self.panel.request

    @request.setter
    def request(self, request: Request) -> None:
        self.panel.request = request

    @property
    def result(self) -> Result | None:
        """The newest result of all tabs that nobody deleted."""
        return next((p.held for p in self.gallery.pictures if p.held is not None), None)

    def show(self, name: str) -> Panel:
        """Select this tab; the page comes to the row of tabs, and the focus to Generate."""
        panel = self.panels[name]  # built before it is seen
        self.turn(name)
        self._tabs.focus(panel.main_button)
        return panel

    def turn(self, name: str) -> None:
        """Select this tab, and leave the page where it is."""
        self._tabs.turn((*TABS, "grid").index(name))

    def send(self, picture: GalleryPicture, name: str) -> None:
        """Put a picture into a tab, and select it. Its settings come along as `carried` has it; to
        txt2img they come alone.
        """
        self._sends.send(picture, name)

    def state(self) -> dict[str, Any]:
        """The requests of the tabs that were opened, the model and its library, the grid's axes,
        the tab and the switch.
        """
        return self._state([panel.state() for panel in self.panels.built])

    def lasting(self) -> dict[str, Any]:
        """`state`, each panel's as it has it for the next kernel."""
        return self._state([panel.lasting() for panel in self.panels.built])

    def _state(self, panels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        requests: dict[str, Any] = dict(self._left)
        for state in panels:
            requests |= state
        tab, switch = self._tabs.selected_index, self.gallery.autosave.on
        rest = {"grid": self.grid.typed, "tab": tab, "autosave": switch}
        return {**requests, **self.picker.left, **rest}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set what `state` gave; None for a tab's request as it is at first."""
        for name in state.keys() & set(TABS):
            self._left.pop(name, None)
            asked = state[name] or self._fresh.get(name)
            if name in self._fresh:
                self.panels[name].restore({name: asked})
            elif asked is not None:
                self._left[name] = asked
        if "grid" in state:
            self.grid.typed = state["grid"]
        if "tab" in state:
            self._tabs.selected_index = state["tab"]
        if "autosave" in state:
            self.gallery.autosave.on = state["autosave"]
        model, library = (state.get(name) for name in ("model", "library"))
        if (model, library) != (None, None):
            # Code that has the model goes on with it: a click takes it away, and no restart.
            at_once = self._own_model or self._leaving is not None
            self.picker.come_back(model, library, at_once=at_once)

    def be_page(self, place: str = "") -> None:
        """Be all of a page, whose kernel ends when it is left: it asks before, while something runs
        or waits. The next page of this `place` has the controls as they were left; "" is none.
        """
        self.place, self._leaving = place, Leaving(lambda: self.running, self.keep)
        self._leaving.hear(self._executor)
        self.add_class("sdnb-page")
        self.children = [*self._parts, self._leaving]

    @property
    def running(self) -> bool:
        """Whether something runs or waits in any tab; a picture of live is over in a moment."""
        return self._fills or any(panel.has_queued for panel in self.panels.built)

    @property
    def _fills(self) -> bool:
        """Whether a grid is being filled."""
        return self.grid.view is not None and self.grid.view.filling

    def stop(self) -> None:
        """Stop the runs of every tab, and drop the requests that wait."""
        for panel in self.panels.built:
            panel.stop()
        self.grid.stop()

    def close(self) -> None:
        if hasattr(self, "panels"):  # false where the arguments were refused
            self.stop()
        super().close()

    def __repr__(self) -> str:
        return f"Studio({self.model.name}, {counted(len(self.gallery.pictures), 'picture')})"

    def _opened(self) -> None:
        """A tab was selected: build its panel, and show the prompt that a grid would vary."""
        self.panel  # noqa: B018 - asking builds it
        self.gallery.say("")  # where a picture was sent, seen from another tab, says nothing
        self.grid.show_prompt()

    def _mark(self) -> None:
        """Mark the tabs in which something runs or waits: one may be looking at another."""
        names = self.panels.named(lambda panel: panel.has_queued)
        places = {TABS.index(name) for name in names}
        self._tabs.mark(places | ({len(TABS)} if self._fills else set()))

    def _asked(self, name: str) -> Request:
        return self.panels[name].asked()

    def _use(self, request: Request, name: str) -> None:
        """Put a grid cell's request into the tab it came from."""
        self.show(name).bring(request)

    def _free(self) -> None:
        """End all work on the model and free its memory, before another one is loaded.

        Raises RuntimeError, and goes on with the model, if its work does not end.
        """
        self._pause("a model is being loaded")
        try:
            _end(self.model, self.grid)
        except RuntimeError:
            self._serve(self.model)
            raise
        self.model.unload()

    def _pause(self, why: str) -> None:
        self._paused = why
        for panel in self.panels.built:
            panel.pause(why)
        self.grid.pause()

    def _serve(self, model: Any) -> None:
        """Run all tabs on this model from now on; None pauses them."""
        if model is None:
            self._pause("no model is loaded: choose one above")
            return
        self.model, self._executor, self._paused = model, worker_of(model), ""
        line_of(self._executor).heard(self._mark)
        if self._leaving is not None:
            self._leaving.hear(self._executor)
        for panel in self.panels.built:
            panel.serve(model)
        self.grid.serve(model)

    def _join(self, library: Library | None) -> None:
        """Have the model find its LoRAs and all else there from now on; what runs goes on."""
        self.model.use_library(library)
        for panel in self.panels.built:
            panel.form.find_as(self.model)
            panel.look_again()


def _end(model: Any, grid: GridTab) -> None:
    """End all runs of a model, other cells' too. Raises RuntimeError if one does not end."""
    words = (
        f"{model.name} is still at work: its step takes more than {_STOP_SECONDS:g} s. Try again "
        "when it has ended."
    )
    # The grid first: a cell whose job is stopped below would count as failed.
    if grid.view is not None and not grid.view.wait(_STOP_SECONDS):
        raise RuntimeError(words)
    jobs = worker_of(model).jobs
    for job in jobs:
        job.stop()
    if not all(job.wait(_STOP_SECONDS) for job in jobs):
        raise RuntimeError(words)


def studio(model: Model | None = None, **more: Any) -> Studio:
    """The studio for a model, by default the built-in one.

    `models` is a folder of checkpoints for the model picker. Pictures are saved to `folder` by
    themselves, unless `autosave` is False or the switch is off.
    """
    return Studio(model, **more)
