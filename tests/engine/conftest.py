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


@pytest.fixture(scope="module")
def oracle():
    """A small pipeline of diffusers, with random weights."""
    from oracles import tiny_pipeline

    pipe = tiny_pipeline.build()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def model_of_oracle(oracle, tmp_path_factory):
    """The same weights in sdnb."""
    import sdnb

    folder = tmp_path_factory.mktemp("model")
    oracle.save_pretrained(folder)
    return sdnb.load(folder)
