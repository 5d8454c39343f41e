"""A page's messages are heard where it sends them, whatever version of ipykernel hears them."""

import ipywidgets
import numpy as np
import pytest
from helpers.fakes import Model, make

from sdnb import MaskEditor
from sdnb.jobs.executor import Inline
from sdnb.widgets.studio import TABS, Studio


@pytest.fixture
def routed(monkeypatch):
    """A kernel that hears each widget somewhere else than where the page sends its messages."""
    kind = type(ipywidgets.Button().comm)
    monkeypatch.setattr(kind, "_reply_subshell_for", lambda *_: "elsewhere", raising=False)


def elsewhere(widget):
    """The widgets in sight of a page that are not heard where their messages are sent."""
    if widget.comm._reply_subshell_for({}, "as sent") != "as sent":
        yield widget
    for child in getattr(widget, "children", ()):
        yield from elsewhere(child)


@pytest.mark.slow
def test_every_part_of_the_studio_is_heard_in_order(routed, tmp_path):
    studio = Studio(Model(), executor=Inline(make), folder=tmp_path)
    for name in TABS:
        studio.show(name)
    studio.show("txt2img").generate()
    assert list(elsewhere(studio)) == []
    assert list(elsewhere(studio.grid.run())) == []


def test_a_mask_editor_and_its_canvas_are_heard_in_order(routed):
    editor = MaskEditor(np.zeros((64, 64, 3), np.uint8))
    assert list(elsewhere(editor)) == list(elsewhere(editor.canvas)) == []
