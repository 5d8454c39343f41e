"""Every notebook, run from top to bottom in a browser on the embedded model.

One also runs without a browser, where nothing answers a widget: `../test_notebooks.py`.
"""

from pathlib import Path

import pytest
from helpers.notebook_page import PAGE_IS_GONE, SHOTS, Notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# The pictures that it shows at the least, beside its panel or its viewer.
PICTURES = {
    "01-txt2img": 8,
    "02-resize-then-img2img": 4,
    "03-inpainting": 4,
    "04-grids": 7,
    "05-memory": 4,
    "06-clusters": 4,
    "07-add-ons": 5,
    "08-control": 8,
    "09-draw": 2,
    "studio": 0,
}
WIDGET = "application/vnd.jupyter.widget-view+json"
OUTPUTS = "return panel.context.model.toJSON().cells.flatMap(cell => cell.outputs ?? [])"


def test_none_is_forgotten():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(PICTURES)


@pytest.mark.parametrize(("name", "pictures"), PICTURES.items())
@pytest.mark.browser
@pytest.mark.notebook
def test_a_notebook_in_a_browser(lab, request, name, pictures):
    first = name.startswith("01")  # README promises that `sdnb lab` opens this one by itself
    page = request.getfixturevalue("open_page")() if first else request.getfixturevalue("page")
    notebook = Notebook(page, lab, f"{name}.ipynb", address="" if first else None)
    notebook.run_all(seconds=1500)  # lessons of minutes, on a busy machine
    notebook.screenshot(SHOTS / f"{name}.png")
    assert notebook.complaints() == []
    outputs = notebook.js(OUTPUTS)
    assert [each for each in outputs if each.get("name") == "stderr"] == []
    shown = str([output.get("data") for output in outputs])
    assert shown.count("image/png") + shown.count("data:image/png") >= pictures
    assert WIDGET in shown  # its panel
    if first:
        assert notebook.pictures()[0] == 256
    assert "Traceback" not in PAGE_IS_GONE.sub("", lab.log())


@pytest.mark.browser
def test_messages_are_sent_without_delay(lab):
    """The server of `sdnb lab` has loaded `sdnb.cli.connection`, by the file that was installed."""
    assert "messages of kernels are sent without delay" in lab.log()
