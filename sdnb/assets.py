"""The version of sdnb, the paths of its configurations, notebooks and model, and users' paths.

In a wheel, `configs/` and `notebooks/` are inside the package; in a checkout (and in an editable
install) they are beside it. No other module needs to know.
"""

from __future__ import annotations

import os
from pathlib import Path

__version__ = "0.2.0.dev0"  # here, because every room may import this module

PACKAGE = Path(__file__).resolve().parent

EMBEDDED = "tiny"  # a folder or a file in sdnb/models


#: What the Jupyter server's part and the widgets call the news of an upload that was too large.
TOO_LARGE = "sdnb.too_large"


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path that a person typed. A shell leaves the ~ of `--flag=~/folder` as it is. Raises
    ValueError for the home of a user that there is not.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(
            f"the path {str(path)[:80]!r} begins with a home that is not known; write it out"
        ) from None


def configs() -> Path:
    """The folder of YAML files for model families and memory plans."""
    return _beside("configs")


def notebooks() -> Path:
    """The folder of lessons. `sdnb lab` opens copies of them, so nothing here is edited."""
    return _beside("notebooks")


def embedded_model() -> Path:
    """The model that `sdnb.load()` loads without an argument."""
    return _present(PACKAGE / "models" / EMBEDDED)


def built_in() -> dict[str, Path]:
    """The folders of the models that ship with sdnb, by their names."""
    folders = (PACKAGE / "models").iterdir()
    return {folder.name: folder for folder in sorted(folders) if (folder / "sdnb.yaml").is_file()}


def _beside(name: str) -> Path:
    installed = PACKAGE / name
    return installed if installed.is_dir() else _present(PACKAGE.parent / name)


def _present(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"sdnb is not whole: {path} is missing. Install it again with --force-reinstall."
        )
    return path
