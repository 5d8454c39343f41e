"""The errors of this package. A message says what a file is and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence


class CheckpointError(ValueError):
    """A file that cannot be used as asked. The message says what it is and the way out."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """No file, folder or hub model has this name. `except FileNotFoundError` catches it too."""

    def __str__(self) -> str:
        return str(self.args[0])  # not an errno and a file name


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in one line; a long list is cut and counted, never silently shortened."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, and {len(names) - most} more"
