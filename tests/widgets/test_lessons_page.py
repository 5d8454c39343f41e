"""The notebooks that end in something to play with, each run from top to bottom in a browser.

The others run without one: `../test_notebooks.py`.
"""

import pytest
from lab_page import SHOTS, Notebook

WIDGET = "application/vnd.jupyter.widget-view+json"
OUTPUTS = "return panel.context.model.toJSON().cells.flatMap(cell => cell.outputs ?? [])"


@pytest.mark.parametrize(
    ("name", "pictures"),
    [("01-txt2img", 8), ("02-resize-then-img2img", 4), ("03-inpainting", 4), ("studio", 0)],
)
def test_a_notebook_in_a_browser(lab, page, name, pictures):
    first = name.startswith("01")  # README promises that `sdnb lab` opens this one by itself
    notebook = Notebook(page, lab, f"{name}.ipynb", address="" if first else None)
    notebook.run_all(seconds=600)
    notebook.screenshot(SHOTS / f"{name}.png")
    assert notebook.complaints() == []
    outputs = notebook.js(OUTPUTS)
    assert [each for each in outputs if each.get("name") == "stderr"] == []
    shown = str([output.get("data") for output in outputs])
    assert shown.count("image/png") + shown.count("data:image/png") >= pictures
    assert WIDGET in shown  # its panel
    if first:
        assert notebook.pictures()[0] == 256
    assert "Traceback" not in lab.log()
