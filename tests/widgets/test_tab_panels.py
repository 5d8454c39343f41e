"""Tabs of the studio are built when they are first opened, once, as the others are by then."""

import threading
import time

import ipywidgets
import pytest
from helpers.fakes import Model, make
from helpers.widget_hands import read

from sdnb.jobs.executor import Inline
from sdnb.widgets.studio import TABS, Studio

pytestmark = pytest.mark.slow


@pytest.fixture
def studio(tmp_path):
    return Studio(Model(), executor=Inline(make), folder=tmp_path / "out")


def test_a_tab_is_built_once_when_it_is_first_opened_or_asked_for(studio):
    tabs = next(child for child in studio.children if isinstance(child, ipywidgets.Tab))
    assert studio.panels.built == [studio.panel]
    tabs.selected_index = 2  # as a click does
    assert studio.panels.built == [studio.panels["txt2img"], studio.panel]
    assert tabs.children[2].children == (studio.panels["inpaint"],)
    tabs.selected_index = 5  # the grid, which varies the first tab's request
    assert studio.panel is studio.panels["txt2img"]
    assert len(studio.panels.built) == 2
    assert [name for name in studio.panels if studio.panels[name].kind != name] == []
    assert len(set(studio.panels.values())) == len(TABS)
    with pytest.raises(KeyError):
        studio.panels["outpaint"]


def test_a_tab_that_two_threads_ask_for_is_built_once(monkeypatch, studio):
    begun, build = threading.Event(), studio.panels._build

    def slowly(name):
        begun.set()
        time.sleep(0.2)
        return build(name)

    monkeypatch.setattr(studio.panels, "_build", slowly)
    got = []
    other = threading.Thread(target=lambda: got.append(studio.panels["inpaint"]))
    other.start()
    assert begun.wait(60)
    built = studio.panels.built  # what is being built is waited for
    other.join()
    assert built == [studio.panels["txt2img"], *got] == studio.panels.built


def test_a_tab_that_is_opened_late_has_the_model_and_the_pause_of_the_others(studio):
    studio._pause("a model is being loaded")
    late = studio.show("upscale")
    assert late.generate() is None
    assert "a model is being loaded" in read(late)
    other = Model()
    studio._serve(other)
    assert late.model is studio.show("img2img").model is other
    assert late.generate().wait(60)
