"""A grid as a pandas frame, one row a cell, and curves of its columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sdnb.grid import lettering
from sdnb.grid.axes import Axis
from sdnb.grid.cells import Cell
from sdnb.grid.figure import as_written, new_figure
from sdnb.images.made import Made
from sdnb.request import checks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MEASURES = ("brightness", "contrast", "sharpness")
DISTANCES = ("psnr", "ssim")
Cache = dict[tuple[str, ...], dict[str, float]]


def frame(
    cells: Sequence[Cell], axes: Sequence[Axis], made: Mapping[str, Made], cache: Cache
) -> pd.DataFrame:
    """`Grid.frame`, its rows in the grid's order. A cell without a picture has no numbers."""
    import pandas as pd

    by_index = {cell.index: cell for cell in cells}
    steps_axis = next((n for n, axis in enumerate(axes) if axis.name == "steps"), None)
    rows = []
    for cell in cells:
        row: dict[str, Any] = dict(zip(cell.names, _column_values(cell), strict=True))
        picture = made.get(cell.key)
        row |= _made_columns(picture)
        if picture is not None:
            row |= _cached(cache, (cell.key,), picture)
        if steps_axis is not None:
            reference = by_index[_most_steps(cell.index, axes[steps_axis], steps_axis)]
            most_steps = made.get(reference.key)
            row |= dict.fromkeys(DISTANCES, math.nan)
            if picture is not None and most_steps is not None:
                row |= _cached(cache, (cell.key, reference.key), picture, most_steps)
        rows.append(row)
    return pd.DataFrame(rows)


def curve(
    table: pd.DataFrame, axes: Sequence[Axis], x: str, y: str, enough: float | None
) -> Figure:
    """Plot the column `y` over the axis `x`, with a line for each combination of the other axes."""
    names = [axis.name for axis in axes]
    if x not in names:
        raise ValueError(f"x={checks.shown(x)} is no axis of this grid; {', '.join(names)} are")
    columns = [n for n in table.columns if n not in names and table[n].dtype.kind in "fi"]
    if y not in columns:
        raise ValueError(
            f"y={checks.shown(y)} is no number of this grid's cells; {', '.join(columns)} are"
            + ("" if "steps" in names else " (psnr and ssim come with an axis of steps)")
        )
    figure = new_figure(6.4, 4, layout="constrained")
    plot = figure.add_subplot()
    others = [name for name in names if name != x]
    places = _places(table[x])
    groups = table.groupby(others, sort=False, dropna=False) if others else [((), table)]
    for values, part in groups:
        values = values if isinstance(values, tuple) else (values,)
        label = ", ".join(f"{n} {_short_value(v)}" for n, v in zip(others, values, strict=True))
        finite = part[np.isfinite(part[y].astype(float))]
        along = [v if places is None else places[str(v)] for v in finite[x]]
        plot.plot(along, finite[y], "o-", markersize=4, label=lettering.shown(label))
    if enough is not None:
        plot.axhline(enough, color="0.5", linewidth=1, linestyle="--")
        plot.annotate(f"{enough:g}", (1, enough), (4, 0), xycoords=("axes fraction", "data"),
                      textcoords="offset points", va="center", color="0.4")  # fmt: skip
    plot.set(xlabel=x.replace("_", " "), ylabel=_UNITS.get(y, y.replace("_", " ")))
    plot.grid(alpha=0.3)
    if places is None:
        plot.set_xticks(sorted(set(table[x])))
    else:
        plot.set_xticks(range(len(places)), [lettering.shown(_short_value(v)) for v in places])
    if others:
        plot.legend(fontsize="small")
    as_written(figure)
    return figure


_UNITS = {
    "seconds": "seconds a picture",
    "steps_per_second": "steps a second",
    "peak": "peak memory, GB",
    "psnr": "PSNR to the most steps, dB",
    "ssim": "SSIM to the most steps",
}


def distances(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> dict[str, float]:
    """PSNR in dB and SSIM of two pictures [h, w, 3] of one size, by scikit-image."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    if np.array_equal(one, other):  # scikit-image would divide by 0
        return {"psnr": math.inf, "ssim": 1.0}
    return {
        "psnr": float(peak_signal_noise_ratio(other, one, data_range=255)),
        "ssim": float(structural_similarity(other, one, channel_axis=-1, data_range=255)),
    }


def measures(picture: NDArray[np.uint8]) -> dict[str, float]:
    """Of a picture [h, w, 3], each from 0 to 1: the mean brightness, its standard deviation
    (contrast) and its mean change from pixel to pixel (sharpness).
    """
    grey = picture.astype(np.float64) @ (0.299 / 255, 0.587 / 255, 0.114 / 255)  # ITU-R BT.601
    along, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    return {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "sharpness": float((along.mean() + down.mean()) / 2),
    }


def _cached(cache: Cache, key: tuple[str, ...], *made: Made) -> dict[str, float]:
    if key not in cache:
        arrays = [np.asarray(one.image.convert("RGB")) for one in made]
        cache[key] = measures(*arrays) if len(arrays) == 1 else distances(*arrays)
    return cache[key]


def _most_steps(index: tuple[int, ...], axis: Axis, place: int) -> tuple[int, ...]:
    """The index of the otherwise equal cell of most steps."""
    most = max(range(len(axis)), key=lambda i: axis.values[i] or 0)
    return (*index[:place], most, *index[place + 1 :])


def _made_columns(made: Made | None) -> dict[str, Any]:
    if made is None:
        empty = ("seconds", "steps_per_second", "peak", *MEASURES)
        return {"done": False, "path": None, **dict.fromkeys(empty, math.nan)}
    speed = made.steps / made.seconds if made.seconds and made.steps else math.nan
    return {
        "done": True,
        "path": None if made.path is None else str(made.path),
        "seconds": made.seconds,
        "steps_per_second": speed,
        "peak": made.peak,
    }


def _column_values(cell: Cell) -> list[Any]:
    """The values of a cell for the frame. Pictures, plans and models become their labels."""
    simple = (bool, int, float, str)
    return [
        value if isinstance(value, simple) and name != "model" else label
        for name, value, label in zip(cell.names, cell.values, cell.labels, strict=True)
    ]


def _places(column: Any) -> dict[str, int] | None:
    """Where the values of a column that are no numbers stand on an axis, by their texts."""
    if column.dtype.kind in "if":
        return None
    return {value: place for place, value in enumerate(dict.fromkeys(map(str, column)))}


def _short_value(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
