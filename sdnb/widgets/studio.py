"""`sdnb.studio(model)`: a model picker, a tab for each way to a picture, and one gallery."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from sdnb import images
from sdnb.jobs.executor import Executor
from sdnb.request import Request
from sdnb.request.plain_words import counted
from sdnb.widgets import style
from sdnb.widgets.engine_door import load_model, worker_of
from sdnb.widgets.gallery import Gallery
from sdnb.widgets.gallery_picture import GalleryPicture, untold
from sdnb.widgets.grid.grid_tab import GridTab
from sdnb.widgets.kept_gallery import saving_gallery
from sdnb.widgets.panel import Panel
from sdnb.widgets.picker import ModelPicker
from sdnb.widgets.run_again import RunAgain
from sdnb.widgets.upscale import UpscalePanel

if TYPE_CHECKING:
    from pathlib import Path

    from sdnb.engine.model import Model
    from sdnb.images.result import Result

_PICTURE_FIELDS = ("image", "mask", "invert", "strength", "feather", "content", "padding")
TABS = ("txt2img", "img2img", "inpaint", "upscale")
_SWEPT = TABS[:3]  # not upscale: it is two requests, and a grid's cell is one
_STOP_SECONDS = 120.0  # how long a step may take to end before its model is freed


class Studio(RunAgain, widgets.VBox):
    """Tabs for txt2img, img2img, inpaint and upscale that share a model and a gallery, and a tab
    for grids of their requests.

    `panels` holds the tabs' panels by name. `panel` is the selected one and `request` is its
    request; `result` is the newest of all tabs. `models` is a folder of checkpoints to pick from.
    The gallery shows the pictures in `folder`, and each new one is saved there as soon as it is
    finished. `autosave=False` turns that off, as does a switch, which is remembered.
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
        self.gallery = gallery or saving_gallery(folder)
        if autosave is not None:
            self.gallery.autosave.on = autosave
        runs = executor or worker_of(self.model)
        shared: dict[str, Any] = {"executor": runs, "gallery": self.gallery}
        self.panels = {name: Panel(self.model, name, **shared) for name in _SWEPT}
        self.panels["upscale"] = UpscalePanel(self.model, **shared)
        self.picker = ModelPicker(self.model, models, self._free, self._serve)
        for name in TABS:
            tip = f"Carry it and its settings to {name}"
            act = partial(self._sent, name)
            self.gallery.send(name, act, tip)
            for other, panel in self.panels.items():
                if other != name:
                    panel.view.send(name, tip, act)
        asked = {name: self.panels[name].asked for name in _SWEPT}
        sends = {name: partial(self.send, name=name) for name in TABS}
        self.grid = GridTab(
            self.model, asked, self._use, executor, send=sends, folder=self.gallery.folder
        )
        for panel in self.panels.values():
            panel.about.layout.display = "none"  # the picker has it
            panel.begun.append(self.picker.quiet)
        self._tabs = widgets.Tab([*self.panels.values(), self.grid], titles=(*TABS, "grid"))
        self._tabs.observe(lambda _: self.grid.show_prompt(), "selected_index")
        super().__init__([style.sheet(), self.picker, self._tabs, self.gallery])
        self.add_class("sdnb")

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
        """Select this tab; the page comes to its Generate button, wherever it was."""
        self._tabs.selected_index = TABS.index(name)
        self.panels[name].focus()
        return self.panels[name]

    def send(self, picture: GalleryPicture, name: str) -> None:
        """Put a picture and its settings into a tab, and select it."""
        if name == "txt2img" and not picture.known:
            raise ValueError("It brings no settings: send it to a tab that starts from a picture.")
        panel = self.show(name)
        png = images.picture(picture.image)
        if not picture.known:  # a photograph: the tab's other controls stay
            panel.start_from(png)
            panel.form.propose()
            return
        request = picture.request
        if name == "txt2img":
            plain = {name: getattr(Request, name) for name in _PICTURE_FIELDS}
            panel.request = request.but(**plain)
            return
        fields = untold(request, picture.strength_told)
        if name == "upscale" and request.image is not None:
            fields = (*fields, "strength")  # that of another kind of pass
        kept = {name: getattr(panel.form.request, name) for name in fields}
        panel.request = request.but(image=png, mask=None, width=None, height=None, **kept)
        if isinstance(panel, UpscalePanel):
            panel.enlarge(panel.times)

    def stop(self) -> None:
        """Stop the runs of every tab, and drop the requests that wait."""
        for panel in self.panels.values():
            panel.stop()
        self.grid.stop()

    def close(self) -> None:
        if hasattr(self, "panels"):  # false where the arguments were refused
            self.stop()
        super().close()

    def __repr__(self) -> str:
        return f"Studio({self.model.name}, {counted(len(self.gallery.pictures), 'picture')})"

    def _sent(self, name: str, picture: GalleryPicture) -> None:
        self.send(picture, name)
        self.gallery.say(f"It is in the tab {name} now, above.")

    def _use(self, request: Request, name: str) -> None:
        """Put a grid cell's request into the tab it came from."""
        self.show(name).request = request

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
        for panel in self.panels.values():
            panel.pause(why)
        self.grid.pause()

    def _serve(self, model: Any) -> None:
        """Run all tabs on this model from now on; None pauses them."""
        if model is None:
            self._pause("no model is loaded: choose one above, then Load")
            return
        self.model = model
        for panel in self.panels.values():
            panel.serve(model)
        self.grid.serve(model)


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
