"""The control networks of a request are found, opened, and taken in among the model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sdnb.engine.adapters.control_file import ControlFile, ControlWeights, matched, open_control
from sdnb.engine.checkpoint import CheckpointError, hub
from sdnb.engine.model import Model
from sdnb.engine.networks.controlnet import ControlNetConfig
from sdnb.engine.planning.facts import CONTROL
from sdnb.engine.stages.adapt import libraries, path_of
from sdnb.images.used_files import UsedFile
from sdnb.library import hashes
from sdnb.request import Resolved, checks
from sdnb.request.control import Control, Part


@dataclass(frozen=True)
class UsedNet:
    """A control of a request with its file, and the network's weights for the model."""

    control: Control
    file: ControlFile
    weights: ControlWeights

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
        found = tuple(replace(used.control, sha256=used.file.sha256) for used in self.used)
        return replace(request, controls=found)


def choose(model: Model, request: Resolved, part: Part | None = None) -> ChosenNets:
    """The control networks of a request, opened and matched with the model, and their hints, made;
    headers are read, and no weights. With `part`, the request is for that part of a picture alone,
    as in `Control.hint_at`.

    Raises CheckpointError for a file that is missing, damaged, of a kind that is not run or made
    for another model, or that has another digest than the control, and LookupError for a name that
    neither the model nor its library has.
    """
    used = tuple(_used(model, control) for control in request.controls)
    notes = [note for each in used for note in each.file.notes]
    size = request.width, request.height
    notes += [note for each in used for note in each.control.notes_at(*size, part)]
    return ChosenNets(used, tuple(dict.fromkeys(notes)), part)


def _used(model: Model, control: Control) -> UsedNet:
    file = open_control(_path(model, control))
    if control.sha256 not in (None, file.sha256):
        raise CheckpointError(
            f"{file.path} is another file than the control network {checks.shown(control.net)} "
            f"that is wanted: its sha256 begins with {file.sha256[:12]}, and "
            f"{control.sha256[:12]} is expected. Give that file, or take the digest off the "
            "request (a Control without sha256)."
        )
    return UsedNet(control, file, matched(file, model.config, model.weights.source("unet")))


def _path(model: Model, control: Control) -> Path:
    here = Path(control.net).expanduser()
    if here.is_dir():
        return here
    shelves = libraries(model, "control")
    known = any(each.path("control", control.net) != control.net for each in shelves)
    if not here.is_file() and not known and hub.is_id(control.net) and not here.suffix:
        return hub.download(control.net, [], hub.needed_of_network)
    return path_of(model, "control", control.net, control.sha256)


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
            role = "unet" if isinstance(each.weights.config, ControlNetConfig) else "text"
            network, weights = each.weights.build(), each.weights
            model.weights.add(name, role, network, weights.tensors, weights.additions)
