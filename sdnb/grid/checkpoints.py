"""Which model makes which cell: one that is loaded, or what `sdnb.load` takes; all checked before
the first cell runs.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdnb.grid.cells import Cell, checked, refuse
from sdnb.request import checks
from sdnb.request import memory_plan as plans

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.request.request import Settings


@dataclass(frozen=True)
class Source:
    """A model that makes some of the cells, in their order."""

    load: dict[str, Any]  # the arguments of `sdnb.load`
    loaded: Model | None
    fingerprint: str
    settings: Settings
    cells: tuple[Cell, ...]

    def without(self, made: Container[str]) -> Source:
        """The same, for the cells that are not made; equal ones once."""
        left = {cell.key: cell for cell in self.cells if cell.key not in made}
        return replace(self, cells=tuple(left.values()))

    @contextmanager
    def model(self) -> Iterator[Model]:
        """The model; one that is loaded for this is unloaded afterwards."""
        if self.loaded is not None:
            yield self.loaded
            return
        from sdnb.engine.loading import load

        with load(**self.load) as model:
            yield model


def sources(
    cells: Sequence[Cell], model: Model | str | os.PathLike[str] | None, *, here: bool = True
) -> list[Source]:
    """The models of the cells, each with its own. Raises ValueError that names each cell that its
    model cannot make, TypeError for what is no model.

    Whether a plan's device and its kernels are there is asked only where the cells run `here`:
    another machine may have them.
    """
    names = cells[0].names
    if isinstance(model, (str, os.PathLike)):
        model = os.fspath(model)
    elif model is not None:
        checks.model(model)
    if "model" in names and model is not None:
        raise TypeError("the models are an axis of this grid: leave model out of run()")
    if hasattr(model, "settings"):
        checks.loaded(model)
    groups: dict[tuple[Any, Any], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.value("model"), cell.value("memory")), []).append(cell)
    found, wrong = [], []
    for of_group in groups.values():
        source, why = _source_or_why(of_group, model, here)
        if source is None:
            wrong += [(cell.label, why) for cell in of_group]
        else:
            found.append(source)
    refuse(wrong, len(cells))
    for source in found:
        checked(source.cells, source.settings)
    return found


def _source_or_why(cells: Sequence[Cell], model: Any, here: bool) -> tuple[Source | None, str]:
    try:
        return _source(cells, model, here), ""
    except (OSError, TypeError, ValueError) as error:
        return None, str(error)


def _source(cells: Sequence[Cell], model: Any, here: bool) -> Source:
    first = cells[0]
    varied = {name: first.value(name) for name in ("model", "memory") if name in first.names}
    if hasattr(model, "unet") and not varied:
        _refuse_without_picture(model.name, model.config.unet.in_channels, cells)
        return Source(
            dict(model.load_arguments), model, model.fingerprint, model.settings, tuple(cells)
        )
    load: dict[str, Any] = (
        dict(model.load_arguments) if hasattr(model, "load_arguments") else {"path": model}
    )
    if "model" in varied:
        load["path"] = varied["model"]
    if "memory" in varied:
        load["memory"] = varied["memory"]
    from sdnb.engine import loading
    from sdnb.engine.planning import machine as limits

    plan = plans.plan(load.get("memory", "auto"))
    if here:
        limits.usable(plan, load.get("precision", "auto"))
    # The headers alone: the weights are read when the turn of these cells comes.
    there = loading.recognise(load["path"], load.get("vae"), load.get("config"))
    loading.tokenizer_of(there)
    _refuse_without_picture(there.name, there.config.unet.in_channels, cells)
    return Source(load, None, there.fingerprint, there.config.settings, tuple(cells))


def _refuse_without_picture(name: str, channels: int, cells: Sequence[Cell]) -> None:
    for cell in cells:
        checks.picture_given(name, channels, cell.request.image)


def portable(load: dict[str, Any]) -> dict[str, Any]:
    """The arguments as another process can use them: a path on this disk in full."""

    def full(value: Any) -> Any:
        is_path = isinstance(value, (str, os.PathLike)) and Path(value).expanduser().exists()
        return str(Path(value).expanduser().resolve()) if is_path else value

    return {n: full(v) if n in ("path", "vae", "config") else v for n, v in load.items()}
