"""`sweep` and `Grid`: the same request with one to three things varied, as pictures and as data.

grid = sdnb.sweep(sdnb.Request("a castle", seed=7), steps=[10, 20, 40], cfg=[4, 7.5, 11])
grid.run(model, store="castles")        # can be stopped and run again at any time
grid.show()                             # a matplotlib figure
grid.frame                              # a pandas frame, one row a cell
grid.curve("steps", "ssim")             # how many steps are enough
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sdnb.assets import user_path
from sdnb.grid import layout, lettering
from sdnb.grid.axes import Axis, make_axes
from sdnb.grid.cells import Cell, make_cells, with_seed
from sdnb.grid.checkpoints import checkpoint_groups, refuse_lora_axes
from sdnb.grid.outcomes import Pictures
from sdnb.grid.remaining import with_bar
from sdnb.grid.run import executor_choice, fill_here, fill_through
from sdnb.grid.run_account import GridProgress, RunAccount
from sdnb.grid.store import Store
from sdnb.images import files
from sdnb.images.made import Made
from sdnb.request import Request
from sdnb.request.plain_words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from PIL import Image

    from sdnb.engine.model import Model


def sweep(base: Request, **varied: Any) -> Grid:
    """A grid of requests: `base` with each combination of the values.

    One to three axes, each with a list of values. An axis is any field of a Request, or

    - `prompt_sr=("apple", "pear")`, which replaces the first text in the prompts by each of them,
    - `weight=("fog", [0, 0.5, 1])`, the weight of one block,
    - `lora=("pixelart", [0, 0.5, 1])`, the strength of one LoRA, 0 without it; `lora2` and `lora3`
      are of others. LoRAs side by side are `loras=["pixelart", "fog", ("pixelart", "fog")]`,
    - `control_scale=[0, 0.5, 1]`, and `control_start`, `control_end`, `control_net` and
      `control_hint` (pictures), of the base's only control, or of one of several:
      `control_scale=("canny", [0, 1])`,
    - `model=` paths or hub ids, or `memory=` names of plans.

    A seed that is left open is drawn once, for all cells.

    Raises TypeError for an unknown axis, and ValueError that names each cell that cannot be made.
    """
    axes = make_axes(varied)
    base = with_seed(base)
    return Grid(base, axes, make_cells(base, axes))


class Grid:
    """Requests in one to three dimensions, and the pictures that were made of them so far.

    Iterating, indexing and `at` give Requests; `image` and `made` give their pictures. The last
    axis runs fastest. `grid[2, 0]` has one index for each axis.
    """

    def __init__(
        self,
        base: Request,
        axes: tuple[Axis, ...],
        cells: tuple[Cell, ...],
        pictures: Pictures | None = None,
    ) -> None:
        self.base, self.axes, self.cells = base, axes, cells
        self.pictures = Pictures() if pictures is None else pictures
        self._by_index = {cell.index: cell for cell in cells}

    # -- requests ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(map(len, self.axes))

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[Request]:
        return (cell.request for cell in self.cells)

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice | tuple[int | slice, ...]) -> Request | Grid: ...
    def __getitem__(self, index: int | slice | tuple[int | slice, ...]) -> Request | Grid:
        """With one number, the request at that place in the order. With a number for each axis,
        the request there. With a slice among them, a smaller grid.
        """
        if isinstance(index, int):
            return self.cells[index].request
        if isinstance(index, slice):
            index = (index,)
        if len(index) != len(self.axes):
            names = ", ".join(axis.name for axis in self.axes)
            raise IndexError(
                f"{len(index)} given for the axes {names}; one place is expected for each"
            )
        places = [range(len(axis))[i] for axis, i in zip(self.axes, index, strict=True)]
        if all(isinstance(place, int) for place in places):
            return self._by_index[tuple(places)].request  # type: ignore[arg-type]
        return self._part([[place] if isinstance(place, int) else list(place) for place in places])

    def at(self, **values: Any) -> Request:
        """The request of one cell by its values: `grid.at(steps=20, cfg=7.5)`. An axis of one value
        may be left out. Raises TypeError for an unknown axis, and KeyError for an unknown value.
        """
        return self._cell(values).request

    def select(self, **values: Any) -> Grid:
        """A smaller grid with these values, one or a list for each axis named, and our pictures."""
        self._check_names(values)
        places = []
        for axis in self.axes:
            chosen = values.get(axis.name, list(axis.values))
            chosen = chosen if isinstance(chosen, (list, tuple, range)) else [chosen]
            places.append([axis.place(value) for value in chosen])
        return self._part(places)

    def _part(self, places: list[list[int]]) -> Grid:
        if not all(places):
            raise IndexError("this selects no cell")
        axes = tuple(axis.part(p) for axis, p in zip(self.axes, places, strict=True))
        return Grid(self.base, axes, make_cells(self.base, axes), self.pictures)

    def _check_names(self, values: dict[str, Any]) -> None:
        names = [axis.name for axis in self.axes]
        for name in values:
            if name not in names:
                raise TypeError(f"{name} is no axis of this grid; {', '.join(names)} are")

    def _cell(self, values: dict[str, Any]) -> Cell:
        self._check_names(values)
        missing = [a.name for a in self.axes if a.name not in values and len(a) > 1]
        if missing:
            raise TypeError(f"one cell is meant by a value of each axis; missing: {missing}")
        index = (a.place(values[a.name]) if a.name in values else 0 for a in self.axes)
        return self._by_index[tuple(index)]

    # -- pictures ---------------------------------------------------------------------------

    @property
    def done(self) -> int:
        """How many cells have a picture."""
        return sum(cell.key in self.pictures.made for cell in self.cells)

    def image(self, **values: Any) -> Image.Image:
        """The picture of one cell. Raises LookupError where there is none yet."""
        cell = self._cell(values)
        if cell.key not in self.pictures.made:
            raise LookupError(f"{cell.label} {self.pictures.why_empty(cell)}")
        return self.pictures.made[cell.key].image

    def made(self, **values: Any) -> Made | None:
        """The PNG of one cell and how it was made, or None where there is none yet."""
        return self.pictures.made.get(self._cell(values).key)

    # -- filling ----------------------------------------------------------------------------

    def run(
        self,
        model: Model | str | os.PathLike[str] | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
        executor: Any = None,
        progress: bool = True,
    ) -> Grid:
        """Make the pictures that are missing, and show a bar. Returns the grid, so that `.show()`
        can follow.

        `model` is what `sdnb.load()` returns, a path or a hub id. Without it the built-in model is
        used, or the axis of models. `store` is a folder: each finished cell is saved there, and
        cells that are there already are not made again. `executor` is any
        `concurrent.futures.Executor`, a Dask Client, or an executor of `sdnb.jobs.executor`.

        Ctrl-C, or the notebook's ■, stops within a second. Finished cells are kept, and another run
        makes the rest. Raises ValueError, before anything runs, that names each cell the model
        cannot make. Raises RuntimeError at the end where cells have failed; the others are kept.
        """
        with closing(self.steps(model, store=store, executor=executor)) as steps:
            for _ in with_bar(steps) if progress else steps:
                pass
        self.pictures.raise_failures(self.cells)
        return self

    def steps(
        self,
        model: Model | str | os.PathLike[str] | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
        executor: Any = None,
    ) -> Generator[GridProgress, None, None]:
        """The generator under `run`, to be closed at any time. It yields a `GridProgress` at the
        start, after each step and after each cell.
        """
        groups = checkpoint_groups(self.cells, model, here=executor is None)
        if executor is None:
            refuse_lora_axes(self.axes, model)
        folder = None if store is None else Store(store, self.base, self.axes)
        self.pictures.take(self.cells, groups, folder)
        account = RunAccount(self.cells, self.pictures, folder)
        left = [group.without(self.pictures.made) for group in groups]
        yield account.now()
        if executor is None:
            yield from fill_here(left, account)
        else:
            executor_of, ahead = executor_choice(executor, self.axes)
            yield from fill_through(executor_of, left, account, ahead)

    # -- as data and as pictures ------------------------------------------------------------

    @property
    def frame(self) -> pd.DataFrame:
        """One row a cell: its values, seconds, steps_per_second, peak (GB), path, brightness,
        contrast, sharpness (0 to 1) and, where steps vary, psnr (dB) and ssim against the otherwise
        equal cell of most steps.
        """
        from sdnb.grid.frame import frame

        return frame(self.cells, self.axes, self.pictures.made, self.pictures.measured)

    def curve(self, x: str = "steps", y: str = "ssim", enough: float | None = None) -> Figure:
        """Plot a column of the frame over an axis, with a line for each combination of the other
        axes. `enough` draws a level to compare with.
        """
        from sdnb.grid.frame import curve

        lettering.warn_of_missing(self._labels())
        return curve(self.frame, self.axes, x, y, enough)

    def show(self, width: int | None = None) -> Figure:
        """The grid as a matplotlib figure, its pictures on whole pixels: the first axis across, the
        second down, a third in blocks. `width` is the width of a picture in pixels.
        """
        from sdnb.grid.figure import figure

        lettering.warn_of_missing(self._labels())
        return figure(self.axes, self._picture_or_why, self.pictures.size(self.cells), width)

    def save(self, path: str | os.PathLike[str], *, full: bool = False) -> Path:
        """Write the grid to one PNG, SVG or PDF file, make its folder, and return its path. In a
        folder that is there it becomes the next 00001-grid.png. With `full`, a PNG keeps every
        pixel of every picture. Raises ValueError for another format, and for a sheet that does not
        fit into memory; OSError where it cannot be written.
        """
        target = user_path(path)
        kind = "png" if target.is_dir() else target.suffix.lower().removeprefix(".")
        if kind not in ("png", "svg", "pdf"):
            raise ValueError(
                f"path={str(path)!r}: a grid is saved as .png, .svg or .pdf, or in a folder that "
                "is there"
            )
        if not self.done:
            raise ValueError("no cell of this grid is made yet: run it first")
        lettering.warn_of_missing(self._labels())
        if target.is_dir():
            names = (f"{n:05d}-grid.png" for n in itertools.count(files.next_number(target)))
            return files.write_new(target, names, self._encoded(kind, full))
        target.parent.mkdir(parents=True, exist_ok=True)
        files.replace(target, self._encoded(kind, full))
        return target

    def _encoded(self, kind: str, full: bool) -> bytes:
        size, buffer = self.pictures.size(self.cells), BytesIO()
        if kind == "png" and full:
            from sdnb.grid.sheet import sheet

            sheet(self.axes, self._picture_or_why, size).save(buffer, "PNG")
        else:
            from sdnb.grid.figure import DPI, figure

            page = figure(self.axes, self._picture_or_why, size, None, whole=kind != "png")
            page.savefig(buffer, format=kind, dpi=DPI)
        return buffer.getvalue()

    def view(self, model: Any = None, **options: Any) -> Any:
        """The grid as a widget: see `sdnb.GridView`."""
        import sdnb

        return sdnb.GridView(self, model, **options)

    def _labels(self) -> list[str]:
        return [text for axis in self.axes for text in layout.texts(axis)]

    def _picture_or_why(self, index: tuple[int, ...]) -> Image.Image | str:
        cell = self._by_index[index]
        made = self.pictures.made.get(cell.key)
        return self.pictures.why_empty(cell) if made is None else made.image

    def __repr__(self) -> str:
        shape = " × ".join(f"{len(axis)} {axis.title}" for axis in self.axes)
        failed = sum(cell.key in self.pictures.errors for cell in self.cells)
        more = f", {failed} failed" if failed else ""
        return (
            f"Grid({shape}, {self.done} of {counted(len(self), 'cell')} made{more}, {self.base!r})"
        )
