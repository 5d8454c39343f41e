"""A mask editor over a picture, the hand that draws in it, and a place where nothing is lost."""

import pytest
from helpers.mask_hand import Hand, picture
from ipywidgets.widgets.widget import _instances

from sdnb.widgets import remembered
from sdnb.widgets.masks.editor import MaskEditor


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """A folder of the test's own for `outputs` and for what is remembered."""
    place = tmp_path_factory.mktemp("place")
    monkeypatch.chdir(place)
    monkeypatch.setattr(remembered, "path", lambda: place / "config" / "settings.json")
    return place


@pytest.fixture(autouse=True)
def _widgets_end_with_their_test():
    """ipywidgets keeps them all: tens of thousands, which each search for leaks looks through."""
    before = {*_instances}
    yield
    for name in _instances.keys() - before:
        widget = _instances.pop(name)
        widget.comm.on_msg(None)
        widget.comm.on_close(None)


@pytest.fixture
def editor():
    return MaskEditor(picture())


@pytest.fixture
def hand(editor):
    return Hand(editor)
