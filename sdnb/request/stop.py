"""Whether the run in this thread is to stop, which its layers ask in the middle of a step.

A step of a large picture takes a minute on a CPU, and decoding it as long. Whoever runs it says
with `heard` how Stop is known; the layers `look` between pieces of a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

Asked = Callable[[], bool]


def _never() -> bool:
    return False


_asked: ContextVar[Asked] = ContextVar("sdnb_stop", default=_never)


class Stopped(BaseException):
    """The run has stopped in the middle of its work, because it was asked to.

    It is no Exception, like `KeyboardInterrupt`: whatever handles errors on the way lets it pass.
    """


@contextmanager
def heard(asked: Asked) -> Generator[None]:
    """Inside, what runs in this thread raises `Stopped` soon after `asked()` is true, or that of a
    `heard` around this one. It is called often, so it must be quick.
    """
    outer = _asked.get()
    token = _asked.set(asked if outer is _never else lambda: outer() or asked())
    try:
        yield
    finally:
        _asked.reset(token)


@contextmanager
def unheard() -> Generator[None]:
    """Inside, looks find nothing: for quick work that must not break off half-way."""
    token = _asked.set(_never)
    try:
        yield
    finally:
        _asked.reset(token)


def asked() -> Asked:
    """What tells whether the run in this thread is to stop, as it is heard here."""
    return _asked.get()


def look() -> None:
    """Raise `Stopped` if the run is to stop."""
    if _asked.get()():
        raise Stopped
