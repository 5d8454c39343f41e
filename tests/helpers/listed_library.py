"""A library of a folder of weight files, looked through with a cache of its own."""

import pytest

from helpers import hostile_checkpoints as hostile
from sdnb.library import Library, known


def listed_library(folder, files):
    """The library of a folder; `files` are the shapes of each file's tensors, by its path there."""
    for name, shapes in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        hostile.headed(path, *hostile.laid_out(shapes))
    library = Library(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "path", lambda: folder / "cache.json")
        library.refresh()
    return library
