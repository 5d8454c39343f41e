"""A mask editor over a picture, the hand that draws in it, and a place where nothing is lost."""

import pytest
from helpers.mask_hand import Hand, picture

from sdnb.widgets import remembered
from sdnb.widgets.masks.editor import MaskEditor


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """A folder of the test's own for `outputs` and for what is remembered."""
    place = tmp_path_factory.mktemp("place")
    monkeypatch.chdir(place)
    monkeypatch.setattr(remembered, "path", lambda: place / "config" / "settings.json")
    return place


@pytest.fixture
def editor():
    return MaskEditor(picture())


@pytest.fixture
def hand(editor):
    return Hand(editor)
