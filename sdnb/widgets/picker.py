"""Choosing a model: the one inside, one of a folder, or any path; the last one is freed first."""

from __future__ import annotations

import contextvars
import html
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from sdnb.widgets.models import loaded

if TYPE_CHECKING:
    from sdnb.loading import Model

_KINDS = (".safetensors", ".ckpt")
_EMBEDDED = ""  # what is loaded when nothing is named


def checkpoints(folder: Path) -> list[Path]:
    """What can be loaded in a folder: checkpoint files, and folders as diffusers saves them."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir(), key=lambda path: path.name.lower())
        if path.suffix.lower() in _KINDS or (path / "model_index.json").is_file()
    ]


class ModelPicker(widgets.VBox):
    """A list of models, a box for a path or a hub id, and Load.

    `free` is called before a model is loaded, `serve` with the new one, both in a thread of their
    own. Where loading fails, the model that was there before is loaded again, and that is said.
    """

    def __init__(
        self,
        model: Model,
        folder: str | Path | None,
        free: Callable[[], None],
        serve: Callable[[Model], None],
    ) -> None:
        self._free, self._serve = free, serve
        self._path = _EMBEDDED
        self._name = model.name
        self._thread: threading.Thread | None = None
        found = [(path.name, str(path)) for path in checkpoints(Path(folder))] if folder else []
        self._list = widgets.Dropdown(
            description="Model", options=[("the embedded one", _EMBEDDED), *found],
            tooltip="Models to choose from", style={"description_width": "76px"},
        )  # fmt: skip
        self._box = widgets.Text(
            description="or path", placeholder="a file, a folder, a hub id",
            tooltip="Path or hub id of a model", continuous_update=False,
            style={"description_width": "76px"}, layout=widgets.Layout(width="360px"),
        )  # fmt: skip
        self._button = widgets.Button(
            description="Load", tooltip="Free the model that is there, and load this one",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._button.on_click(lambda _: self.load(self._box.value.strip() or self._list.value))
        self._bar = widgets.FloatProgress(max=1.0, layout=widgets.Layout(width="120px"))
        self._bar.layout.display = "none"
        self._said = widgets.HTML()
        self._said.add_class("sdnb-quiet")
        row = widgets.HBox(
            [self._list, self._box, self._button, self._bar, self._said],
            layout=widgets.Layout(flex_flow="row wrap", align_items="center"),
        )
        super().__init__([row])

    def load(self, path: str) -> threading.Thread:
        """Begin to load a model; "" is the embedded one. A folder of checkpoints joins the list."""
        folder = Path(path).expanduser() if path else None
        if folder is not None and (found := checkpoints(folder)) and not _is_model(folder):
            self._list.options = [
                ("the embedded one", _EMBEDDED), *((each.name, str(each)) for each in found),
            ]  # fmt: skip
            self._box.value = ""
            self._say(f"{len(found)} models in {folder}: choose one, then Load.")
            return threading.Thread()
        if folder is not None and folder.suffix.lower() in _KINDS and not folder.is_file():
            self._complain(FileNotFoundError(f"{path}: there is no such file"))
            return threading.Thread()  # before anything is freed
        self._button.disabled = True
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._work, path), daemon=True)
        self._thread.start()
        return self._thread

    def _work(self, path: str) -> None:
        began = time.perf_counter()
        self._bar.value, self._bar.layout.display = 0.0, ""
        self._say(f"loading {path or 'the embedded model'}")
        try:
            self._free()
            model = loaded(path or None, self._reached)
        except Exception as error:  # noqa: BLE001 - whatever it was: said here, nothing is lost
            self._failed(error)
        else:
            self._path, self._name = path, model.name
            self._serve(model)
            self._say(f"{model.name}: loaded in {time.perf_counter() - began:.1f} s")
        finally:
            self._bar.layout.display = "none"
            self._button.disabled = False

    def _reached(self, share: float) -> None:
        """So much of the weights is there."""
        self._bar.value = share

    def _failed(self, error: Exception) -> None:
        self._serve(loaded(self._path or None))
        self._complain(error, f"{self._name} was loaded again.")

    def _complain(self, error: Exception, more: str = "") -> None:
        trace = html.escape("".join(traceback.format_exception(error)))
        details = f"<details><summary>Traceback</summary><pre>{trace}</pre></details>"
        self._said.value = (
            f'<div class="sdnb-error" role="alert">{html.escape(str(error))} {html.escape(more)}'
            f"{details if more else ''}</div>"
        )

    def _say(self, words: str) -> None:
        self._said.value = f'<span role="status">{html.escape(words)}</span>'


def _is_model(folder: Path) -> bool:
    return (folder / "model_index.json").is_file()
