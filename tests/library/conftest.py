"""A user's folder, written once; and a cache that is the tests' own."""

import shutil

import pytest
from helpers import folder_of_a_user

from sdnb.library import known


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where the library keeps what it read; nothing is there yet."""
    path = tmp_path / "cache" / "library.json"
    monkeypatch.setattr(known, "path", lambda: path)
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    return folder_of_a_user.build(tmp_path_factory.mktemp("webui") / "webui")


@pytest.fixture
def webui(built, tmp_path):
    """A folder of AUTOMATIC1111 that a test may change."""
    return shutil.copytree(built, tmp_path / "webui", symlinks=True)
