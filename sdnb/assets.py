"""Where the files that belong to sdnb are: configurations, notebooks, the embedded model.

A wheel carries `configs/` and `notebooks/` inside the package; in a checkout (and so in an
editable install) they stand beside it. This module is the only one that knows.
"""

from __future__ import annotations

from pathlib import Path

__version__ = "0.2.0.dev0"  # here, at the bottom, where every room may import it

PACKAGE = Path(__file__).resolve().parent

EMBEDDED = "tiny"  # the model that `sdnb.load()` gives: a folder or a file in sdnb/models


def configs() -> Path:
    """The folder of YAML files: model families and memory presets."""
    return _beside("configs")


def notebooks() -> Path:
    """The folder of lessons. They are copied before they are opened, never edited in place."""
    return _beside("notebooks")


def embedded_model() -> Path:
    """What `sdnb.load()` loads when it is given nothing."""
    return _present(PACKAGE / "models" / EMBEDDED)


def _beside(name: str) -> Path:
    installed = PACKAGE / name
    return installed if installed.is_dir() else _present(PACKAGE.parent / name)


def _present(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"sdnb is not whole: {path} is missing. Install it again with --force-reinstall."
        )
    return path
