"""The errors of this package. A message says what a file is and what to do about it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

MOST_LETTERS = 1600  # of a message: some twenty lines of a terminal


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


def plain(text: str, most: int = MOST_LETTERS) -> str:
    """`text` as one line that no terminal obeys: control characters as escapes, a long one without
    its middle, since the way out stands at the end.
    """
    text = _without_middle(text, most)
    if text.isprintable():
        return text
    return _without_middle("".join(map(_printable, text)), most)


def _without_middle(text: str, most: int) -> str:
    end = most // 4
    return text if len(text) <= most else f"{text[: most - end - 5]} ... {text[-end:]}"


def _printable(char: str) -> str:
    if char == "\n":
        return " "
    shown = char.isprintable() or unicodedata.category(char) == "Zs"  # a space of any script
    return char if shown else char.encode("unicode_escape").decode("ascii")


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


def reason(error: Exception) -> str:
    """An error of Python or a library in a few words."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if isinstance(error, OverflowError):
        return f"a number in it is too large ({error})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (LookupError, AttributeError, TypeError, ArithmeticError)):
        return f"a value in it is not what is expected ({type(error).__name__}: {error})"
    return str(error) or type(error).__name__
