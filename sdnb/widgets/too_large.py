"""Says that an upload was too large to arrive: the server's part (`sdnb.cli.connection`) tells it.

A message beyond the server's bound never reaches the kernel, and the browser hears nothing either.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from comm import get_comm_manager

from sdnb.assets import TOO_LARGE

_listeners: list[weakref.WeakMethod[Callable[[str], None]]] = []


def hear(say: Callable[[str], None]) -> None:
    """Have this method called with words when an upload was too large, while its owner lives."""
    if not _listeners:
        get_comm_manager().register_target(TOO_LARGE, _told)
    _listeners[:] = [listener for listener in _listeners if listener() is not None]
    _listeners.append(weakref.WeakMethod(say))


def _told(_: Any, message: dict[str, Any]) -> None:
    most = int(message["content"]["data"]["most"]) >> 20
    words = (
        f"The upload did not arrive: it takes more than the {most} MiB that this server accepts in "
        "a message. Make the picture smaller, or give it in code, by its path."
    )
    for listener in _listeners:
        say = listener()
        if say is not None:
            say(words)
