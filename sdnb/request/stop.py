"""Whether the run in this thread is to stop, which its layers ask in the middle of a step.

A step of a large picture takes a minute on a CPU, and decoding it as long. Whoever runs it says
with `heard` how Stop is known; the layers `look` between pieces of a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_asked: ContextVar[Callable[[], bool] | None] = ContextVar("sdnb_stop", default=None)


class Stopped(BaseException):
    """The run has stopped in the middle of its work, because it was asked to.

    It is no Exception, like `KeyboardInterrupt`: whatever handles errors on the way lets it pass.
    """


@contextmanager
def heard(asked: Callable[[], bool]) -> Generator[None]:
    """Inside, what runs in this thread raises `Stopped` soon after `asked()` is true. It is called
    often, so it must be quick.
    """
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)


def look() -> None:
    """Raise `Stopped` if the run is to stop."""
    asked = _asked.get()
    if asked is not None and asked():
        raise Stopped
