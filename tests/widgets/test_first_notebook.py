"""What README promises: `sdnb lab` opens the first notebook, and running it shows pictures."""

from lab_page import SHOTS, Notebook


def test_the_first_notebook_in_a_browser(lab, page):
    notebook = Notebook(page, lab, "01-txt2img.ipynb", address="")  # it opens by itself
    notebook.run_all(seconds=600)
    notebook.screenshot(SHOTS / "01-txt2img.png")
    assert notebook.complaints() == []
    assert notebook.pictures()[0] == 256
    assert len(notebook.pictures()) == 8
    outputs = notebook.js(
        "return panel.context.model.toJSON().cells.flatMap(cell => cell.outputs ?? [])"
    )
    shown = [kind for output in outputs for kind in output.get("data", ())]
    assert "application/vnd.jupyter.widget-view+json" in shown  # it ends with its panel
    assert "Traceback" not in lab.log()
