"""Fixtures of the engine's tests."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="module")
def parts():
    """Random weights of a small model, by part (`tiny_checkpoints.Parts`)."""
    from helpers import tiny_checkpoints as tiny

    return tiny.weights()


@pytest.fixture(scope="module")
def diffusers_folder(tmp_path_factory, parts):
    """A folder with the model as a diffusers folder; tests copy it."""
    from helpers import tiny_checkpoints as tiny

    return tiny.folder(tmp_path_factory.mktemp("diffusers") / "model", parts)


@pytest.fixture
def folder(diffusers_folder, tmp_path):
    return shutil.copytree(diffusers_folder, tmp_path / "model")
