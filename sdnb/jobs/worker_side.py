"""What a worker does with the requests that `Remote` sends: it makes the pictures of one at a time
in its process, and keeps the model until `release` is called.
"""

from __future__ import annotations

import asyncio
import platform
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from sdnb.images.made import Made
from sdnb.images.result import Progress
from sdnb.jobs import stop_signal
from sdnb.library import lacking
from sdnb.request import Request, stop
from sdnb.request.fingerprint import difference

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images.result import Result
    from sdnb.images.used_files import UsedFile

E = TypeVar("E", bound=BaseException)

SO_FAR = "sdnb_so_far"  #: of an error in a worker: `Made`, the pictures that were finished before

_lock = threading.Lock()  # held while a request runs: one at a time in a process
_held: dict[str, Model] = {}  # at most one: the last model, by the arguments of its load


class StoppedError(Exception):
    """The run was stopped."""


def work(
    load: Mapping[str, Any], fingerprint: str, request: Request, signal: stop_signal.StopSignal,
    files: Sequence[UsedFile],
) -> Made:  # fmt: skip
    """Make the pictures of a request in this process, with the LoRAs and embeddings `files`.

    Raises what loading and running raise, ValueError where the model or a file is another one here,
    and StoppedError where `signal` is set before the end. What was finished goes with the error.
    """
    from sdnb.engine.pipeline import run

    stopped = stop_signal.watched(signal)
    with _lock:
        if stopped():  # while it waited for the lock
            raise StoppedError
        at: Progress | None = None
        so_far: Result | None = None
        model = _held_model(load, fingerprint)
        _refuse_other_files(model, request, files)
        try:
            with stop.heard(stopped), closing(run(model, request)) as steps:
                for at in steps:
                    so_far = at.so_far or so_far
                    if at.result is None:
                        stop.look()
        except stop.Stopped:
            raise _with_pictures(StoppedError(), so_far, at) from None
        except BaseException as error:
            _with_pictures(error, so_far, at)
            raise
    if at is None or at.result is None:
        raise RuntimeError("the run ended without a result")
    return Made.of(at.result, at.total)


def _with_pictures(error: E, so_far: Result | None, at: Progress | None) -> E:
    """The error, and with it what was finished before."""
    if so_far is not None and at is not None:
        setattr(error, SO_FAR, Made.of(so_far, at.total))
    return error


def release() -> None:
    """Unload the model that this process holds for requests sent to it, after a running one."""
    with _lock:
        _unload_held()


async def release_beside_the_loop() -> None:
    """`release` in a thread, so that the event loop of a Dask worker goes on."""
    await asyncio.to_thread(release)


def _unload_held() -> None:
    while _held:
        _held.popitem()[1].unload()


def _held_model(load: Mapping[str, Any], fingerprint: str) -> Model:
    """The model of these arguments. Raises ValueError where its fingerprint differs."""
    from sdnb.engine import loading

    key = repr(sorted(load.items()))
    if key not in _held or _replaced_on_disk(_held[key], load, fingerprint):
        _unload_held()  # first, because two may not fit
        _held[key] = loading.load(**load)
    differs = difference(_held[key].fingerprint, fingerprint) if fingerprint else None
    if differs is not None:
        what, digits, expected = differs
        raise ValueError(
            f"{platform.node()} has {what} at {load.get('path')!r} ({digits}, expected "
            f"{expected}): copy the same file there, and the YAML that goes with it"
        )
    return _held[key]


def _refuse_other_files(model: Model, request: Request, files: Sequence[UsedFile]) -> None:
    """Raise ValueError for files of the sender that are missing or other ones here. A name that
    means one of the model's own is not looked at: the sender's library may have it too.
    """
    if not files:
        return
    library = model.library
    asked = [each for each in files if library is None or not library.brings(each.kind, each.name)]
    others = lacking(asked, request, library)
    if others:
        raise ValueError(
            f"{platform.node()} has other files than those to be used: {'; '.join(others)}. "
            "Copy the same ones there, into the library of its model"
        )


def _replaced_on_disk(model: Model, load: Mapping[str, Any], fingerprint: str) -> bool:
    """Whether the held model differs from the expected one, and the file on the disk does not."""
    if not fingerprint or difference(model.fingerprint, fingerprint) is None:
        return False
    from sdnb.engine import loading

    # `recognise` reads the headers, not the weights.
    where = {name: load.get(name) for name in ("path", "vae", "config")}
    return difference(loading.recognise(**where).fingerprint, fingerprint) is None
