"""A photograph from the page: read beside the kernel, and decoded once for all that show it.

PNG bytes of 12 megapixels take seconds to write and half a second to read; meanwhile the controls
are to be heard.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TypeVar

from PIL import Image

from sdnb import images
from sdnb.images import Source

_Read = TypeVar("_Read")


@lru_cache(maxsize=1)  # of the newest alone: one may have 200 MB
def decoded(png: bytes) -> Image.Image:
    """The picture of PNG bytes, which nobody may change."""
    return images.open(png)


def encoded(source: Source) -> bytes:
    """As `images.picture`; decoded too, which takes a while for those who show it."""
    png = images.picture(source)
    decoded(png)
    return png


def pixels_or_error(data: bytes) -> Image.Image | Exception:
    """The picture in a file, or why it cannot be read."""
    try:
        return images.pixels(data)
    except (ValueError, TypeError, OSError) as error:
        return error


def beside(read: Callable[[], _Read], then: Callable[[_Read], object]) -> None:
    """Call `read` in a thread of its own, and `then` with what it returned where this was called.

    Where no event loop runs, which is outside a kernel, both are called at once.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        then(read())
        return
    context = contextvars.copy_context()  # in it, a widget's value can be set

    def work() -> None:
        found = read()
        with suppress(RuntimeError):  # the loop has ended, and with it the page
            loop.call_soon_threadsafe(then, found, context=context)

    threading.Thread(target=work, daemon=True).start()
