"""The models of a grid, each with its cells: one that is loaded, or arguments of `sdnb.load`.

All of them are checked before the first cell runs.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdnb.assets import user_path
from sdnb.grid import lora_axis
from sdnb.grid.axes import Axis
from sdnb.grid.cells import Cell, noting_errors, refuse_cells, refuse_unresolvable
from sdnb.library import Library, few_steps, model_library, opened
from sdnb.request import checks, lora, memory_plan, words

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.request import Request, Resolved, Settings


@dataclass(frozen=True)
class CheckpointGroup:
    """A model and the cells that it makes, in their order."""

    load_arguments: dict[str, Any]  # of `sdnb.load`
    loaded: Model | None
    fingerprint: str
    settings: Settings
    cells: tuple[Cell, ...]
    folders: tuple[Path, ...] = ()  # where files lie that the model brings along

    def without(self, made: Container[str]) -> CheckpointGroup:
        """The group with the cells that are not made yet; equal cells once."""
        left = {cell.key: cell for cell in self.cells if cell.key not in made}
        return replace(self, cells=tuple(left.values()))

    def by_files(self) -> CheckpointGroup:
        """The group with cells of the same LoRAs one after the other, since a change writes
        weights, and among these of the same control networks, which a change reads from the disk.
        """
        first: dict[object, int] = {}
        for cell in self.cells:
            for files in (_loras(cell), _nets(cell)):
                first.setdefault(files, len(first))
        ordered = sorted(self.cells, key=lambda c: (first[_loras(c)], first[_nets(c)]))
        return replace(self, cells=tuple(ordered))

    @cached_property
    def library(self) -> Library | None:
        """Where the LoRAs and embeddings of the cells are; None: nowhere, or on another machine,
        where the user's library may be alone.
        """
        if self.loaded is not None:
            return self.loaded.library
        given = None
        with suppress(FileNotFoundError):
            given = opened(self.load_arguments.get("library"))
        return model_library.joined(model_library.brought_by(self.folders), given)

    def resolved(self, request: Request) -> Resolved:
        """The request of a cell as this model will make it. Raises as `Request.resolved` and
        `words.settled`; lists of words that are on another machine are not looked for.
        """
        is_here = self.library is not None and self.library.given is not None
        if is_here or not self.load_arguments.get("library"):
            request = words.settled(request, self.library)
        return request.resolved(few_steps.suited(request, self.settings, self._find)[0])

    @cached_property
    def _find(self) -> few_steps.Find:
        return few_steps.finder(self.library)

    @contextmanager
    def model(self) -> Iterator[Model]:
        """A context manager that gives the model. If it loads the model, it also unloads it."""
        if self.loaded is not None:
            yield self.loaded
            return
        from sdnb.engine.loading import load

        with load(**self.load_arguments) as model:
            yield model


def checkpoint_groups(
    cells: Sequence[Cell], model: Model | str | os.PathLike[str] | None, *, here: bool = True
) -> list[CheckpointGroup]:
    """Group the cells by their model. Raises ValueError that names each cell that its model cannot
    make, and TypeError for what is no model. Only if the cells run `here` are a plan's device and
    kernels checked: another machine may have others.
    """
    if isinstance(model, (str, os.PathLike)):
        model = os.fspath(model)
    elif model is not None:
        checks.model(model)
    if "model" in cells[0].names and model is not None:
        raise TypeError("the models are an axis of this grid: leave model out of run()")
    if hasattr(model, "settings"):
        checks.loaded(model)
    by_model: dict[tuple[Any, Any], list[Cell]] = {}
    for cell in cells:
        by_model.setdefault((cell.value("model"), cell.value("memory")), []).append(cell)
    groups: list[CheckpointGroup] = []
    wrong: list[tuple[str, str]] = []
    for same_model in by_model.values():
        with noting_errors(wrong, *same_model):
            groups.append(_group(same_model, model, here))
    refuse_cells(wrong, len(cells))
    for group in groups:
        refuse_unresolvable(group.cells, group.resolved)
        _refuse_files(group, here)
    return [group.by_files() for group in groups]


def _refuse_files(group: CheckpointGroup, here: bool) -> None:
    """Raise ValueError that names the cells whose LoRAs or control networks are missing or do not
    fit the model, as far as it is loaded, and runs here.
    """
    if group.loaded is None or not here:
        return
    from sdnb.engine.stages import adapt, control_nets

    by_loras: dict[object, list[Cell]] = {}
    by_nets: dict[object, list[Cell]] = {}
    for cell in group.cells:
        by_loras.setdefault(_loras(cell), []).append(cell)
        by_nets.setdefault(_nets(cell), []).append(cell)
    wrong: list[tuple[str, str]] = []
    for cells in by_loras.values():
        with noting_errors(wrong, *cells):
            adapt.choose(group.loaded, cells[0].request)
    for cells in by_nets.values():
        with noting_errors(wrong, *cells):
            control_nets.used(group.loaded, cells[0].request.controls)
    refuse_cells(wrong, len(group.cells))


def refuse_lora_axes(axes: Sequence[Axis], model: Any) -> None:
    """Raise ValueError where two axes are of one file of the model's library, which may have
    several names, and for a LoRA that is not there and that no cell asks for, at strength 0.
    """
    library = model.library if hasattr(model, "unet") else None
    known: dict[Path, str] = {}
    for axis in axes:
        if library is None or axis.name not in lora_axis.NAMES or user_path(axis.of).is_file():
            continue
        try:
            path = library.find("lora", axis.of).path
        except LookupError:
            if any(axis.values):  # its cells were looked at: a digest may have led to the file
                continue
            raise
        if path in known:
            raise ValueError(
                f"{known[path]} and {axis.name} are both of {path}; give one axis to each LoRA"
            )
        known[path] = axis.name


def _loras(cell: Cell) -> tuple[lora.Lora, ...]:
    return lora.of_request(cell.request.prompt, cell.request.loras)


def _nets(cell: Cell) -> frozenset[tuple[str, str | None]]:
    return frozenset((each.net, each.sha256) for each in cell.request.controls)


def _group(cells: Sequence[Cell], model: Any, here: bool) -> CheckpointGroup:
    first = cells[0]
    load_arguments = dict(getattr(model, "load_arguments", {"path": model}))
    if hasattr(model, "unet") and not {"model", "memory"} & set(first.names):
        _refuse_without_picture(model.name, model.config.unet.in_channels, cells)
        return CheckpointGroup(
            load_arguments, model, model.fingerprint, model.settings, tuple(cells)
        )
    if "model" in first.names:
        load_arguments["path"] = first.value("model")
    if "memory" in first.names:
        load_arguments["memory"] = first.value("memory")
    from sdnb.engine import loading
    from sdnb.engine.planning import machine

    plan = memory_plan.plan(load_arguments.get("memory", "auto"))
    if here:
        machine.usable(plan, load_arguments.get("precision", "auto"))
    # This reads only headers. The weights are read when these cells run.
    checkpoint = loading.recognise(
        load_arguments["path"],
        *(load_arguments.get(name) for name in ("vae", "config", "prediction")),
        tiny_vae=load_arguments.get("tiny_vae"),
        library=load_arguments.get("library"),
    )
    loading.tokenizer_of(checkpoint)
    _refuse_without_picture(checkpoint.name, checkpoint.config.unet.in_channels, cells)
    return CheckpointGroup(
        load_arguments, None, checkpoint.fingerprint, checkpoint.config.settings, tuple(cells),
        checkpoint.folders,
    )  # fmt: skip


def _refuse_without_picture(name: str, channels: int, cells: Sequence[Cell]) -> None:
    for cell in cells:
        checks.picture_given(name, channels, cell.request.image)


def portable(load_arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments for another process: paths of this disk become absolute."""
    given = dict(load_arguments)
    for name in given.keys() & {"path", "vae", "tiny_vae", "config"}:
        value = given[name]
        if isinstance(value, (str, os.PathLike)) and Path(value).expanduser().exists():
            given[name] = str(Path(value).expanduser().resolve())
    return given
