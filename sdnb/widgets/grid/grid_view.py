"""`grid.view(model)`: shows a grid while it fills, with Run, Stop and Resume.

    view = grid.view(model); view          # in one cell
    view.chosen, view.grid.frame           # in the next

The pictures stay in the kernel; the browser gets thumbnails, and beside them the picture of the
open cell.
"""

from __future__ import annotations

import contextvars
import html
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from sdnb.grid.layout import texts
from sdnb.jobs.executor import Worker
from sdnb.request import stop
from sdnb.request.pace import in_words
from sdnb.request.plain_words import counted
from sdnb.widgets import style
from sdnb.widgets.ahead import line_of
from sdnb.widgets.buttons import text_button
from sdnb.widgets.engine_door import load_model, worker_of
from sdnb.widgets.grid.grid_detail import GridDetail, Send, Use
from sdnb.widgets.grid.grid_table import GridTable
from sdnb.widgets.grid.save_grid import SaveGrid
from sdnb.widgets.hearing import in_order
from sdnb.widgets.lifetime import tie
from sdnb.widgets.progress import ErrorBox, Throttle
from sdnb.widgets.run_again import RunAgain
from sdnb.widgets.slider import WordSlider

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.grid.cells import Cell
    from sdnb.grid.grid import Grid
    from sdnb.grid.run_account import GridProgress
    from sdnb.jobs.executor import Executor
    from sdnb.request import Request
    from sdnb.widgets.gallery.gallery import Gallery

_THUMB, _SMALLEST = 160, 64  # pixels of a thumbnail's longer side, depending on the columns
_WIDE = 980  # pixels of all columns
_BAR_EVERY = 0.15  # seconds between two updates of the bar


class GridView(RunAgain, widgets.VBox):
    """A grid as thumbnails, with Run, Stop and Resume; a click opens a cell. The kernel's interrupt
    (■) stops it too, while no cell of the notebook runs.

    `model` and `store` are those of `grid.run`; `executor` runs the cells, by default in the thread
    that the panels of this model share. The large view saves its picture to `folder`. `use` is
    called with its request when someone presses "Use these settings"; `send` has a function for
    each button after "Send to", which is called with the picture. `gallery`, if given, gets the
    picture of each cell as it is finished, and its folder is the one.
    """

    def __init__(
        self,
        grid: Grid,
        model: Model | None = None,
        *,
        store: str | None = None,
        executor: Executor | None = None,
        use: Use | None = None,
        send: Mapping[str, Send] | None = None,
        folder: str | Path = "outputs",
        gallery: Gallery | None = None,
    ) -> None:
        folder = Path(folder) if gallery is None else gallery.folder
        self._gallery = gallery
        self.given = () if gallery is None else (gallery,)
        self.grid, self.model, self._store, self._executor = grid, model, store, executor
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._page = 0
        self._filling = False
        self.turned: Callable[[bool], object] = lambda _: None  #: called with whether it fills
        self._cell_executor: Executor | None = None  # runs the cells; None if the grid does
        self._cell_begun = False  # whether a cell is running
        self._cells = {cell.index: cell for cell in grid.cells}
        self._detail = GridDetail(grid.pictures, self._mark_cells, use, send or {}, folder)
        self._build(folder)
        super().__init__([style.sheet(), self._head, self._both])
        self.add_class("sdnb")
        self.add_class("sdnb-grid")
        self._refresh()
        tie(self)
        in_order(self)

    # -- what Python sees --------------------------------------------------------------------

    @property
    def chosen(self) -> Request | None:
        """The request of the open cell."""
        return None if self._detail.cell is None else self._detail.cell.request

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def filling(self) -> bool:
        """Whether cells are made, or are to be; said when it changes to who hears the model's line
        of runs.
        """
        return self._filling

    def run(self) -> None:
        """Make the missing cells in a thread, as the button does."""
        with self._lock:
            if self.running:
                return
            self._stopping.clear()
            self._filling = True
            self._set_buttons(running=True)
            context = contextvars.copy_context()  # in it, a thread can set a widget's value
            self._thread = threading.Thread(
                target=context.run, args=(self._fill,), name="sdnb-grid", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop within a second; finished cells are kept, and `run` makes the rest."""
        self._stopping.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until filling ends; False if it goes on after so many seconds."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return not self.running

    def serve(self, model: Model, executor: Executor | None = None) -> None:
        """Stop, and use this model from now on; Resume refuses if the cells made are another's."""
        self.stop()
        self.model, self._executor = model, executor
        self._problem.hide()

    def choose(self, cell: Cell | None) -> None:
        """Open this cell; None closes it."""
        with self._lock:
            if cell is not None and len(cell.index) > 2:
                self._slider.index = cell.index[2]  # this calls `_page_turned`
            self._detail.look_at(cell)

    def close(self) -> None:
        if hasattr(self, "_stopping"):  # false where the arguments were refused
            self.stop()
        super().close()

    def __repr__(self) -> str:
        return f"GridView({self.grid!r})"

    # -- building ----------------------------------------------------------------------------

    def _build(self, folder: Path) -> None:
        labels = [texts(axis) for axis in self.grid.axes]
        down = labels[1] if len(labels) > 1 else [""]
        size = self._thumbnail(len(labels[0]))
        self._table = GridTable(labels[0], down, size, self._cell_clicked)
        pages = [self._pager(labels[2])] if len(labels) > 2 else []
        self._run_button = text_button("Run", "play", "Make the cells that are missing", self.run)
        self._run_button.button_style = "primary"
        self._stop_button = text_button(
            "Stop", "stop", "End within a second; what is made is kept", self.stop
        )
        self._bar = widgets.FloatProgress(
            min=0, max=1, layout=widgets.Layout(width="160px", margin="0 8px")
        )
        self._line = style.quiet_line()
        self._problem = ErrorBox()
        self._save = SaveGrid(self.grid, folder)
        buttons = [self._run_button, self._stop_button, self._save]
        row = style.row([*buttons, self._bar, self._line])
        self._head = widgets.VBox([row, self._problem])
        beside = widgets.Layout(width=f"{self._table.width}px", max_width="100%")
        self._both = widgets.Box([widgets.VBox([*pages, self._table], layout=beside), self._detail])
        self._both.add_class("sdnb-grid-both")
        self._set_buttons(running=False)

    def _thumbnail(self, columns: int) -> tuple[int, int]:
        width, height = self.grid.pictures.size(self.grid.cells)
        longest = min(_THUMB, max(_SMALLEST, _WIDE // columns))
        scale = longest / max(width, height)
        return max(8, round(width * scale)), max(8, round(height * scale))

    def _pager(self, labels: list[str]) -> widgets.Widget:
        self._slider = WordSlider(self.grid.axes[2].title, labels)
        self._slider.layout.width, self._slider.layout.max_width = "420px", "100%"
        self._slider.observe(lambda change: self._page_turned(change["new"]), "index")
        return self._slider

    # -- acting ------------------------------------------------------------------------------

    def _page_turned(self, page: int) -> None:
        with self._lock:
            self._page = page
            self._refresh()
            self._mark_cells()

    def _cell_clicked(self, place: int) -> None:
        with self._lock:
            self.choose(self._cell_at(place))

    def _mark_cells(self) -> None:
        """Mark the open cell on the grid; while two are compared, the left one as A, it as B."""
        cell, other = self._detail.cell, self._detail.other
        letters = {cell: "B" if other else "", other: "A"}
        seen = {self._place(c): letter for c, letter in letters.items() if c and self._in_sight(c)}
        self._table.mark(seen)
        (self._both.add_class if cell else self._both.remove_class)("sdnb-looking")

    # -- filling, in its own thread ----------------------------------------------------------

    def _fill(self) -> None:
        try:
            throttle = Throttle(_BAR_EVERY)
            # Where the grid runs its cells in this thread, Stop is heard inside a step too.
            with (
                suppress(stop.Stopped),
                stop.heard(self._stopping.is_set),
                closing(self._steps()) as steps,
                self._in_line(),
            ):
                for at in steps:
                    ended = at.made is not None or at.error is not None
                    self._cell_begun = not ended and (self._cell_begun or at.cell is not None)
                    if ended:
                        self._cell_ended(at)
                    elif throttle.due():
                        began = throttle.now()
                        self._show_progress(at)
                        throttle.spent(began)
                    if self._stopping.is_set():
                        break
            self._show_end()
        except BaseException as error:  # noqa: BLE001 - a thread's error would be seen nowhere
            self._problem.show_error(error)
        finally:
            self._filling = False
            self._set_buttons(running=False)
            if self.model is not None:
                line_of(self._executor or worker_of(self.model)).tell()

    def _steps(self) -> Any:
        own = {axis.name for axis in self.grid.axes} & {"model", "memory"}
        if own:  # the grid loads each model, or each plan, when its cells come
            return self.grid.steps(self.model, store=self._store)
        if self.model is None:
            self.model = load_model()
        self._cell_executor = self._executor or worker_of(self.model)
        return self.grid.steps(self.model, store=self._store, executor=self._cell_executor)

    def _in_line(self) -> AbstractContextManager[None]:
        """While its cells are made, panels of the executor say that they wait for one."""
        return line_of(self._cell_executor).filled() if self._cell_executor else nullcontext()

    def _cell_ended(self, at: GridProgress) -> None:
        with self._lock:
            if at.cell is not None:
                self._show_cell(at.cell)
                if at.cell in (self._detail.cell, self._detail.other):
                    self._detail.refresh()
            self._show_progress(at)
        if self._gallery is not None and at.cell is not None and at.made is not None:
            self._gallery.put(self._detail.kept(at.cell))

    def _show_progress(self, at: GridProgress) -> None:
        executor = self._cell_executor
        self._bar.value = at.share
        words = [f"{at.done} of {counted(at.total, 'cell')}"]
        if at.cell is not None and at.progress is not None:
            words += [at.cell.label, at.progress.where]
        elif not self._cell_begun and isinstance(executor, Worker) and len(executor.jobs) > 1:
            words.append("waiting for another run")
        done = at.share - at.share_before
        if done > 0.02 and at.share < 1:
            words.append(f"{in_words(at.seconds / done * (1 - at.share))} left")
        self._line.value = html.escape(" · ".join(words))

    def _show_end(self) -> None:
        with self._lock:
            self._refresh()
            left = len(self.grid) - self.grid.done
            failed = sum(cell.key in self.grid.pictures.errors for cell in self.grid.cells)
            words = f"{self.grid.done} of {counted(len(self.grid), 'cell')}"
            if self._gallery is not None and self.grid.done:
                words += " · its pictures are in the gallery below"
            if failed:
                words += f" · {failed} failed: open them to see why, or run again"
            elif left:
                words += " · stopped"
            self._line.value = words
            if not left:
                self._bar.value = 1

    # -- showing -----------------------------------------------------------------------------

    def _set_buttons(self, running: bool) -> None:
        if running:
            self._problem.hide()
        done = self.grid.done
        left = len(self.grid) - done
        tried = done or self._stopping.is_set()
        self._run_button.description = "Resume" if tried and left and not running else "Run"
        self._run_button.disabled = running or not left
        # Beside the studio's "Run grid" a second one, that cannot be pressed, is a riddle.
        self._run_button.layout.display = "none" if self._run_button.disabled else ""
        self._bar.layout.visibility = "visible" if running or left else "hidden"
        self._stop_button.disabled = not running
        self._stop_button.button_style = "primary" if running else ""
        self.turned(running)
        self._save.look()

    def _cell_at(self, place: int) -> Cell:
        row, column = divmod(place, len(self.grid.axes[0]))
        return self._cells[(column, row, self._page)[: len(self.grid.axes)]]

    def _refresh(self) -> None:
        for place in range(self._table.count):
            self._show_cell(self._cell_at(place))
        if not self._line.value:
            self._line.value = f"{self.grid.done} of {counted(len(self.grid), 'cell')}"
            self._bar.value = self.grid.done / len(self.grid)

    def _show_cell(self, cell: Cell) -> None:
        if not self._in_sight(cell):
            return
        filled = self.grid.pictures.made.get(cell.key)
        words = "" if filled or cell.key not in self.grid.pictures.errors else "failed"
        image = None if filled is None else filled.image
        key = f"{cell.key} {filled is not None} {words}"
        self._table.show(self._place(cell), image, words, key)

    def _place(self, cell: Cell) -> int:
        x, y = (*cell.index, 0)[:2]
        return y * len(self.grid.axes[0]) + x

    def _in_sight(self, cell: Cell) -> bool:
        return len(cell.index) < 3 or cell.index[2] == self._page
