"""A notebook runs from top to bottom where no browser looks: no widget waits for an answer.

All of them run in one: `browser/test_notebooks_page.py`.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.notebook

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def run(name, folder, before=""):
    """The outputs of a notebook whose first cell is `before`; raises for a cell that fails."""
    import nbformat  # two seconds that tests of other files need not wait for
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(before))
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert complaints == []
    return outputs


def pictures(outputs):
    shown = "".join(str(output.get("data", "")) for output in outputs)
    return shown.count("image/png") + shown.count("data:image/png")


def test_a_notebook_runs_without_a_browser(tmp_path):
    """Of those that end with a panel, the quickest."""
    outputs = run("05-memory.ipynb", tmp_path)
    shown = "".join(str(output.get("data", "")) for output in outputs)
    assert "application/vnd.jupyter.widget-view+json" in shown  # it ends with its panel
    assert pictures(outputs) > 3


def test_the_lesson_on_clusters_runs_without_dask(tmp_path):
    """On the packages of README's first line; with Dask all lessons run in the browser's test."""
    outputs = run("06-clusters.ipynb", tmp_path, "import sys; sys.modules['dask'] = None")
    (said,) = [output.text for output in outputs if output.get("name") == "stdout"]
    assert said.count("\n") == 1
    assert 'pip install "sdnb[dask]"' in said
    assert pictures(outputs) >= 4
