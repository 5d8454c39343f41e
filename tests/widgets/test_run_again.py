"""What is dead says "run this cell again": what a notebook's file holds for it."""

from pathlib import Path

import pytest
from helpers.fakes import Model, make
from helpers.mask_hand import picture
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from sdnb.jobs.executor import Inline
from sdnb.widgets import run_again
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.panel import Panel

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def shown():
    """The outputs of a cell that shows a widget, by IPython itself."""
    InteractiveShell.instance()
    yield _outputs
    InteractiveShell.clear_instance()


def _outputs(widget):
    from IPython.display import display

    with capture_output() as captured:
        display(widget)
    return [output.data for output in captured.outputs]


@pytest.mark.parametrize(
    "build",
    [Gallery, lambda: MaskEditor(picture()), lambda: Panel(Model(), executor=Inline(make))],
    ids=["gallery", "editor", "panel"],
)
def test_a_widget_is_followed_by_a_line_for_a_page_without_its_kernel(shown, build):
    widget = build()
    view, line = shown(widget)
    assert view[VIEW]["model_id"] == widget.model_id
    assert view["text/plain"] == repr(widget)
    assert "run this cell again" in line["text/html"]
    assert "run this cell again" in line["text/plain"]


def test_a_widget_that_was_closed_is_only_named(shown):
    gallery = Gallery()
    gallery.close()
    assert [set(output) for output in shown(gallery)] in ([], [{"text/plain"}])


def test_the_style_sheet_says_the_same_of_a_page_whose_kernel_was_restarted():
    css = Path(run_again.__file__).with_name("style.css").read_text(encoding="utf-8")
    assert f'content: "{run_again.WORDS}"' in css
