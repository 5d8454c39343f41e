"""A notebook runs from top to bottom where no browser looks: no widget waits for an answer.

All of them run in one: `browser/test_notebooks_page.py`.
"""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.notebook

# Of those that end with a panel, the quickest.
MEMORY = Path(__file__).parents[1] / "notebooks" / "05-memory.ipynb"


def test_a_notebook_runs_without_a_browser(tmp_path):
    notebook = nbformat.read(MEMORY, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()  # raises for a cell that fails
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert complaints == []
    shown = "".join(str(output.get("data", "")) for output in outputs)
    assert "application/vnd.jupyter.widget-view+json" in shown  # it ends with its panel
    assert shown.count("image/png") + shown.count("data:image/png") > 3
