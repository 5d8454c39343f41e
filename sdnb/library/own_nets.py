"""The control networks that a model brings along, and those of a library beside them."""

from __future__ import annotations

from pathlib import Path

from sdnb.library.library import Library
from sdnb.library.library_file import LibraryFile

_FOLDER = "control"


def beside(model: Path) -> Library | None:
    """The control networks in the folder `control` of a model's folder, as a library; None where
    there is no such folder.
    """
    folder = model / _FOLDER
    return Library(folder) if folder.is_dir() else None


def control_nets(own: Library | None, library: Library | None) -> list[LibraryFile]:
    """The control networks that a model can name: its own, then those of a library. Where both have
    a name, it means the model's own; the other one is named by its path.
    """
    return [file for each in (own, library) if each is not None for file in each.files("control")]
