"""Every notebook runs from top to bottom on the embedded model, and shows pictures.

The first one does so in a browser: `widgets/test_first_notebook.py`.
"""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert [path.stem[:3] for path in NOTEBOOKS[:3]] == ["01-", "02-", "03-"]


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()  # raises for a cell that fails
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert complaints == []
    shown = "".join(str(output.get("data", "")) for output in outputs)
    assert "application/vnd.jupyter.widget-view+json" in shown  # each ends with its panel
    if path.stem[0].isdigit():  # a lesson
        assert shown.count("image/png") + shown.count("data:image/png") > 3
