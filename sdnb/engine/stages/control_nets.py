"""The control networks of a request are found, opened, and taken in among the model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import ImageStat

from sdnb.engine.adapters.control_file import ControlFile, ControlWeights, matched, open_control
from sdnb.engine.checkpoint import CheckpointError, hub
from sdnb.engine.model import Model
from sdnb.engine.networks.controlnet import ControlNetConfig
from sdnb.engine.planning.facts import CONTROL
from sdnb.engine.stages.adapt import path_of
from sdnb.hints.preparation_names import LINES
from sdnb.images import followed
from sdnb.images.canvas import Canvas
from sdnb.images.used_files import UsedFile
from sdnb.library import hashes, layouts
from sdnb.request import Resolved, checks
from sdnb.request.control import Control, Part

if TYPE_CHECKING:
    from PIL import Image

_DARK = 64  # of 255: the ground of a hint of lines is darker


@dataclass(frozen=True)
class UsedNet:
    """A control of a request, which has its picture, with its file, and the network's weights for
    the model.
    """

    control: Control
    file: ControlFile
    weights: ControlWeights
    notes: tuple[str, ...] = ()  # on where its file is from

    @property
    def key(self) -> str:
        """The network's name among the model's weights."""
        return CONTROL + self.file.sha256

    @property
    def prompt_only(self) -> bool:
        """Whether the negative prompt's half of guidance goes without it."""
        return self.control.mode == "control" or self.file.averaged

    def module(self, model: Model) -> Any:
        return model.weights.networks[self.key]


@dataclass(frozen=True)
class ChosenNets:
    """The control networks of a request, in its order."""

    used: tuple[UsedNet, ...]
    notes: tuple[str, ...]
    part: Part | None  # of the picture, which alone is made

    @property
    def files(self) -> tuple[UsedFile, ...]:
        """Their names and hashes."""
        return tuple(
            UsedFile("control", u.control.net, u.file.sha256, short=hashes.old_hash(u.file.path))
            for u in self.used
        )

    def noted(self, request: Resolved) -> Resolved:
        """The request with the digests of the files that were taken."""
        if not self.used:
            return request
        pairs = zip(request.controls, self.used, strict=True)
        found = tuple(replace(each, sha256=used.file.sha256) for each, used in pairs)
        return replace(request, controls=found)


def choose(model: Model, request: Resolved, canvas: Canvas | None) -> ChosenNets:
    """The control networks of a request, and their hints, made. `canvas` is the picture that the
    request starts from: where a part of it alone is made, that part of each hint is read. Raises as
    `used`.
    """
    given = followed.with_pictures(request, canvas)
    part = None if canvas is None else canvas.part
    nets = used(model, given)
    notes = [note for each in nets for note in (*each.notes, *each.file.notes)]
    size = request.width, request.height
    notes += [note for each in nets for note in each.control.notes_at(*size, part)]
    notes += [note for each in nets for note in _no_lines(each, each.control.hint_at(*size, part))]
    notes += [note for each in nets for note in _no_hole(each.control)]
    return ChosenNets(nets, tuple(dict.fromkeys(notes)), part)


def used(model: Model, controls: Sequence[Control]) -> tuple[UsedNet, ...]:
    """The networks of controls, opened and matched with the model; headers are read, no weights.

    Raises CheckpointError for a file that is missing, damaged, of a kind that is not run or made
    for another model, or that has another digest than the control, and LookupError for a name that
    neither the model nor its library has.
    """
    return tuple(_used(model, control) for control in controls)


def _used(model: Model, control: Control) -> UsedNet:
    at_hub = _is_at_hub(model, control)
    path, notes = _from_hub(control.net) if at_hub else (_path(model, control), ())
    file = open_control(path, control.net if at_hub else "")
    if control.sha256 not in (None, file.sha256):
        raise CheckpointError(
            f"{file.path} is another file than the control network {checks.shown(control.net)} "
            f"that is wanted: its sha256 begins with {file.sha256[:12]}, and "
            f"{control.sha256[:12]} is expected. Give that file, or take the digest off the "
            "request (a Control without sha256)."
        )
    weights = matched(file, model.config, model.weights.source("unet"))
    return UsedNet(control, file, weights, notes)


def _no_lines(used: UsedNet, hint: Image.Image) -> list[str]:
    """Words for a net of lines whose picture was given as it is and is none of white lines on
    black, which mostly is black: without them the net does next to nothing.
    """
    learnt = used.file.wanted.prepare if used.file.wanted else None
    if used.control.prepare is not None or learnt not in LINES:
        return []
    if ImageStat.Stat(hint.convert("L")).median[0] < _DARK:
        return []
    note = (
        f"The control network {checks.shown(used.control.net)} learnt from white lines on black, "
        f"and its picture is none of them: prepare={learnt!r} makes such lines of a picture, and "
        "prepare='invert' of dark lines on white."
    )
    return [note]


def _no_hole(control: Control) -> list[str]:
    """Words for a control that fills a hole and has none: it holds the whole picture then."""
    if control.prepare != "inpaint" or control.mask is not None:
        return []
    note = (
        f"The control network {checks.shown(control.net)} has no hole to fill, and keeps the whole "
        "picture: give sdnb.Control(mask=), or inpaint with a mask, which it takes where it has no "
        "picture of its own or one of that size."
    )
    return [note]


def _path(model: Model, control: Control) -> Path:
    here = Path(control.net).expanduser()
    return here if here.is_dir() else path_of(model, "control", control.net, control.sha256)


def _is_at_hub(model: Model, control: Control) -> bool:
    """Whether a net's name is a hub id, and means no file or folder here."""
    return (
        hub.is_id(control.net)
        and Path(control.net).suffix.lower() not in layouts.WEIGHTS
        and not Path(control.net).exists()
        and (model.library is None or model.library.path("control", control.net) == control.net)
    )


def _from_hub(net: str) -> tuple[Path, tuple[str, ...]]:
    """The file or folder of a hub id, and notes on it. While it is there it is not asked for again:
    without a connection each run would wait for one.
    """
    path, notes = _downloaded(net)
    if not path.exists():
        _downloaded.cache_clear()
        path, notes = _downloaded(net)
    return path, notes


@lru_cache(maxsize=64)
def _downloaded(net: str) -> tuple[Path, tuple[str, ...]]:
    notes: list[str] = []
    path = hub.download(net, notes, hub.NETWORK)
    return path, tuple(notes)


def take_in(model: Model, used: Sequence[UsedNet]) -> None:
    """Have these networks among the model's weights, and no others for control; the plan that is
    put in force next places them.
    """
    wanted = {each.key: each for each in used}
    for name in [name for name in model.weights.networks if name.startswith(CONTROL)]:
        if name not in wanted:
            model.weights.drop(name)
    for name, each in wanted.items():
        if name not in model.weights.networks:
            role = "control" if isinstance(each.weights.config, ControlNetConfig) else "text"
            network, weights = each.weights.build(), each.weights
            model.weights.add(name, role, network, weights.tensors, weights.additions)
