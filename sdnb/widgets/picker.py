"""The model picker: the built-in models, those of a library, or any path or hub id."""

from __future__ import annotations

import contextvars
import html
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from sdnb.assets import user_path
from sdnb.library import Library
from sdnb.request.plain_words import counted
from sdnb.widgets.engine_door import load_model, read_checkpoint
from sdnb.widgets.keys import GenerateKeys
from sdnb.widgets.model_list import BUILT_IN, is_built_in, is_here, models_of, most_alike, offered
from sdnb.widgets.progress import folded
from sdnb.widgets.style import quiet_line, row
from sdnb.widgets.way_back import WayBack

if TYPE_CHECKING:
    from sdnb.engine.model import Model

# What a folder without models may add to the one in use.
_ADDED = {"lora": "LoRA", "embedding": "embedding", "control": "control network", "vae": "VAE"}
# Of `load`: they hold for the next model too, a tiny VAE for those of Stable Diffusion.
_KEPT_ARGUMENTS = ("memory", "precision", "tiny_vae")


class ModelPicker(widgets.VBox):
    """A list of models, a box for a path or a hub id, and Load, which Enter in the box is too.

    Choosing in the list loads at once. Where `busy` says that something runs or waits, which would
    be lost, it is Load that does so, and this is said.

    A folder in the box, of AUTOMATIC1111, ComfyUI, InvokeAI or any other, is opened as a library:
    its models are listed, and the next model finds its LoRAs and embeddings there.

    The list shows the model in use until another is chosen; it is empty where none is. Text in the
    box goes before the list; choosing another model clears it. Loading first reads the checkpoint
    without its weights, so that a wrong path costs nothing. A thread then calls `free`, loads the
    model, and calls `serve` with it. If loading fails, the previous model is loaded again; if that
    fails too, `serve` is called with None. A folder that holds no model, but LoRAs or what else a
    library has, is given to `join` for the model in use.
    """

    def __init__(
        self,
        model: Model,
        folder: str | Path | None,
        free: Callable[[], None],
        serve: Callable[[Model | None], None],
        join: Callable[[Library | None], object] = lambda _: None,
        *,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._free, self._serve, self._join, self._busy = free, serve, join, busy
        self._showing = False  # whether it is not a person that moves the list
        self._thread: threading.Thread | None = None
        self._build()
        self._library = model.library and model.library.given  # another model brings other files
        if folder is not None and user_path(folder).is_dir():
            self._library = Library(folder)
        self._show(BUILT_IN, offered(models_of(self._library)))
        self._remember(model)

    def _build(self) -> None:
        self._list = widgets.Dropdown(
            description="Model", tooltip="Models to choose from",
            style={"description_width": "76px"}, layout=widgets.Layout(width="392px"),
        )  # fmt: skip
        self._box = widgets.Text(
            description="or path", placeholder="a file, a hub id, a web UI's folder",
            tooltip="Path or hub id of a model, or a folder of models, LoRAs or a web UI: of "
            "AUTOMATIC1111, ComfyUI, InvokeAI", continuous_update=False,
            style={"description_width": "76px"}, layout=widgets.Layout(width="360px"),
        )  # fmt: skip
        self._button = widgets.Button(
            description="Load", tooltip="Free the model that is there, and load this one",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._list.observe(lambda change: self._chosen(change["new"]), "value")
        self._box.observe(lambda change: self._typed(change["new"]), "value")
        self._box.add_class("sdnb-enters")  # as the button: `keys.js`
        self._button.on_click(lambda _: self._asked())
        self._button.add_class("sdnb-generate")  # by which `keys.js` finds it
        keys = GenerateKeys([self._box], self._asked)
        hidden = widgets.Layout(width="120px", display="none")
        self._bar = widgets.FloatProgress(max=1.0, layout=hidden)
        self._message = quiet_line()
        parts = [self._list, self._box, self._button, self._bar, self._message]
        self._again = WayBack()  # to a model that was left
        super().__init__([keys, row(parts), self._again])
        self.add_class("sdnb")  # in which the keys are heard
        self.add_class("sdnb-picker")

    # -- what is chosen ------------------------------------------------------------------------

    def _asked(self) -> None:
        if (path := str(self._box.value).strip() or self._list.value) is None:
            self._say("Choose a model from the list, or write its path or hub id into the box.")
        else:
            self.load(path)

    def _chosen(self, path: str | None) -> None:
        """Load what a person has chosen in the list."""
        if self._showing or self._button.disabled:  # the list is shown anew when one is loaded
            return
        if path in (None, self._loaded_path):
            self.quiet()
            return
        self._box.value = ""
        if self._busy():
            name = self._list.label
            self._say(f"Not loaded yet: something runs or waits. Load ends it, and loads {name}.")
        else:
            self.load(str(path))

    def _typed(self, words: str) -> None:
        """Show the model in use again, since Load takes the words."""
        if words.strip():
            self._show(self._loaded_path)
        self.quiet()

    def _show(self, path: str | None, options: Sequence[tuple[str, str]] = ()) -> None:
        """Show this model in the list, and these models in it, if any are given."""
        self._showing = True
        try:
            if options:
                self._list.options = options
            self._list.value = path
        finally:
            self._showing = False

    def _remember(self, model: Model) -> None:
        """Remember how this model was loaded, and show it in the list."""
        self._name = model.name
        self._load_arguments: dict[str, Any] = dict(getattr(model, "load_arguments", {}))
        self._loaded_path: str | None = str(self._load_arguments.get("path") or BUILT_IN)
        self._show_loaded()

    @property
    def _present(self) -> str:
        """The model in use, as the list calls it."""
        return "The built-in model" if self._loaded_path == BUILT_IN else self._name

    def _show_loaded(self) -> None:
        options, path = tuple(self._list.options), self._loaded_path
        if path is not None and path not in (each for _, each in options):
            options = (*options, (self._name, path))
        self._show(path, options)
        self._box.value = ""

    # -- loading -------------------------------------------------------------------------------

    def load(self, path: str) -> threading.Thread:
        """Begin to load a model; "" is the built-in one. A folder's models are listed instead.

        Raises RuntimeError while another model is being loaded.
        """
        if self._thread is not None and self._thread.is_alive():
            raise RuntimeError("a model is being loaded already; wait until it is there")
        return self._begin(partial(self._open_or_load, path))

    @property
    def left(self) -> dict[str, Any]:
        """The model and the folders of its library, as `come_back` takes them; without a model
        that nobody but the code can make again.
        """
        folders = () if self._library is None else self._library.folders
        left: dict[str, Any] = {"library": tuple(str(folder.resolve()) for folder in folders)}
        known = self._loaded_path is not None and "path" in self._load_arguments
        return {**left, "model": self._loaded_path} if known else left

    def come_back(
        self, model: str | None, library: Sequence[str] | None, *, at_once: bool
    ) -> threading.Thread:
        """Begin to open these folders, and to load this model, as they were left; None stays as it
        is. What is loaded already goes on first. Unless `at_once`, and where the model is not on
        this disk, a button loads it.
        """
        return self._begin(partial(self._come_back, model, library, at_once))

    def _begin(self, work: Callable[[], object]) -> threading.Thread:
        """Do this in a thread, after what is done already."""
        self._again.forget()
        self._button.disabled = self._list.disabled = True
        context, args = contextvars.copy_context(), (self._work, work, self._thread)
        self._thread = threading.Thread(target=context.run, args=args, daemon=True)
        self._thread.start()
        return self._thread

    def _work(self, work: Callable[[], object], before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        self._button.disabled = self._list.disabled = True
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a thread's error would be seen nowhere
            self._complain(error, trace=True)
        finally:
            self._bar.layout.display = "none"
            self._button.disabled = self._list.disabled = False

    def _come_back(self, path: str | None, folders: Sequence[str] | None, at_once: bool) -> None:
        if folders is not None:
            self._library = self._looked_through(*folders) if folders else None
            self._show(BUILT_IN, offered(models_of(self._library)))
            self._show_loaded()
            self._load_arguments["library"] = list(folders)
            self._join(self._library)
            self._say(f"The library is {' and '.join(folders)}, as it was left." if folders else "")
        if path in (None, self._loaded_path):
            return
        if not at_once or not is_here(path, self._library):
            words = f"The model was {path or 'the built-in one'}."
            self._again.say(words, "Load it again", partial(self.load, path))
        elif self._looks_loadable(path):
            self._replace_model(path)

    def _open_or_load(self, path: str) -> None:
        if not self._open(path) and self._looks_loadable(path):
            self._replace_model(path)

    def _looked_through(self, *folders: str | Path) -> Library:
        """A library of these folders. Raises FileNotFoundError for one that is not there."""
        self._bar.value, self._bar.layout.display = 0.0, ""
        self._say(f"looking through {' and '.join(map(str, folders))}")
        library = Library(*folders)
        library.refresh(progress=partial(setattr, self._bar, "value"))
        return library

    def _open(self, path: str) -> bool:
        """List the models of a folder; one that has none is the library of the model in use. False
        where it is no folder, has nothing for a library, or is itself a model.
        """
        folder = user_path(path)
        if not path or not folder.is_dir():
            return False
        library = self._looked_through(folder)
        files = models_of(library)
        if not files:
            return self._joined(folder, library)
        if files[0].path == folder:
            return False
        self._library = library
        self._show(BUILT_IN, offered(files))
        self._show_loaded()
        unused = sum(1 for file in files if file.why_not)
        why = f" The list says why {unused} cannot be used." if unused else ""
        self._say(f"{counted(len(files), 'model')} in {folder}: choose one.{why}")
        return True

    def _joined(self, folder: Path, library: Library) -> bool:
        """Make a folder without models the library of the model in use, if it holds anything."""
        kinds = Counter(file.kind for file in library.files() if file.kind in _ADDED)
        if not kinds or self._loaded_path is None:
            return False
        self._library = library
        self._load_arguments["library"] = [str(folder.resolve())]
        self._join(library)
        self._show_loaded()
        has = ", ".join(counted(kinds[kind], what) for kind, what in _ADDED.items() if kinds[kind])
        self._say(f"{folder} is the library of {self._name} now: {has}, and no model.")
        return True

    def _looks_loadable(self, path: str) -> bool:
        """Read the checkpoint's files, or show why they cannot be loaded; the model stays."""
        if not path:
            return True
        asks = f"asking the hub for {path}: without a network this takes half a minute"
        self._say(f"looking into {path}" if is_here(path, self._library) else asks)
        try:
            read_checkpoint(path, self._library)
        except (OSError, ValueError, TypeError) as error:
            self._complain(error, f"{self._present} stays. Mend the path, or choose from the list.")
            if near := most_alike(path, self._list.options):
                act = partial(self.load, near[1])
                self._again.say(f"The list has {near[0]}.", f"Load {near[0]}", act, "download")
            return False
        return True

    def _replace_model(self, path: str) -> None:
        """Free the model, and load another with the same memory plan and precision."""
        began = time.perf_counter()
        self._bar.value, self._bar.layout.display = 0.0, ""
        self._say(f"loading {path or 'the built-in model'}")
        self._free()
        before = self._load_arguments
        kept = {name: before[name] for name in _KEPT_ARGUMENTS if name in before}
        if is_built_in(path) and kept.get("tiny_vae"):  # the built-in one has latents of its own
            del kept["tiny_vae"]
        if self._library is not None:
            kept["library"] = self._library
        try:
            model = self._load_and_serve({"path": path or None, **kept})
        except Exception as error:  # noqa: BLE001 - `_reload_last` shows it
            self._reload_last(error)
            return
        self._say(f"{model.name}: loaded in {time.perf_counter() - began:.1f} s")

    def _load_and_serve(self, load: dict[str, Any]) -> Model:
        model = load_model(**load, progress=partial(setattr, self._bar, "value"))
        try:
            self._serve(model)
        except BaseException:
            model.unload()  # the previous one is loaded next, and two may not fit
            raise
        self._remember(model)
        return model

    def _reload_last(self, error: Exception) -> None:
        """Load the previous model again, and show why the new one could not be loaded."""
        name = self._name
        try:
            model = self._load_and_serve(self._load_arguments)
        except Exception as second:  # noqa: BLE001 - shown; another model can be chosen
            self._serve(None)
            self._loaded_path = None
            words = f"{name} could not be loaded again either: {second}"
            self._complain(error, words, trace=True)
            return
        same = model.name == name  # not if it was built by hand: the built-in one comes then
        what = f"{name} was loaded again" if same else f"{name} is gone, {model.name} was loaded"
        self._complain(error, f"{what}; in Python it is the studio's .model now.", trace=True)

    # -- saying --------------------------------------------------------------------------------

    def _complain(self, error: BaseException, more: str = "", trace: bool = False) -> None:
        self._show(self._loaded_path)  # not the one that failed
        words = html.escape(f"{str(error) or type(error).__name__} {more}")
        words += folded("".join(traceback.format_exception(error)) if trace else "")
        self._message.value = f'<div class="sdnb-error" role="alert">{words}</div>'

    def quiet(self) -> None:
        """Clear the message of the last attempt, unless one is going on, or the list shows a model
        that is not loaded yet.
        """
        if not self._button.disabled and self._list.value == self._loaded_path:
            self._message.value = ""

    def _say(self, words: str) -> None:
        self._message.value = f'<span role="status">{html.escape(words)}</span>'
