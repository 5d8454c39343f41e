"""The errors of this package. A message says what a file is and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sdnb.request.plain_words import plain, reason


class CheckpointError(ValueError):
    """A file that cannot be used as asked. The message says what it is and the way out.

    It quotes names out of files, so that it is made `plain` here, for every message at once.
    """

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """No file, folder or hub model has this name. `except FileNotFoundError` catches it too."""

    def __str__(self) -> str:
        return str(self.args[0])  # not an errno and a file name


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in one line; a long list is cut and counted, never silently shortened."""
    shown = ", ".join(plain(name, 160) for name in names[:most])
    return shown if len(names) <= most else f"{shown}, and {len(names) - most} more"


@contextmanager
def in_words(what: object) -> Iterator[None]:
    """Turn whatever Python or a library raises inside into a CheckpointError about `what`.

    The files are anybody's, so that any line that touches their values may fail in its own way. The
    first error is not shown with ours, since it may quote a whole file; `__context__` keeps it.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001  (that is the point)
        raise CheckpointError(f"{what} cannot be read: {reason(error)}") from None
