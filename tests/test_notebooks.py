"""A notebook runs from top to bottom where no browser looks: no widget waits for an answer.

All of them run in one: `browser/test_notebooks_page.py`. The lesson here is another one without
Dask; it has no panel, so one is put below it.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.notebook

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def run(name, folder, before="", after=""):
    """The outputs of a notebook with a cell before its first and one after its last; raises for a
    cell that fails.
    """
    import nbformat  # two seconds that tests of other files need not wait for
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    first, last = map(nbformat.v4.new_code_cell, (before, after))
    notebook.cells = [first, *notebook.cells, last]
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert complaints == []
    return outputs


def test_a_lesson_and_a_panel_run_without_a_browser_and_without_dask(tmp_path):
    """On the packages of README's first line; with Dask all lessons run in the browser's test."""
    without = "import sys; sys.modules['dask'] = None"
    outputs = run("06-clusters.ipynb", tmp_path, without, "sdnb.Panel(model)")
    (said,) = [output.text for output in outputs if output.get("name") == "stdout"]
    assert said.count("\n") == 1
    assert 'pip install "sdnb[dask]"' in said
    shown = [str(output.get("data", "")) for output in outputs]
    assert "application/vnd.jupyter.widget-view+json" in "".join(shown[-2:])  # below it: a notice
    shown = "".join(shown)
    assert shown.count("image/png") + shown.count("data:image/png") >= 4
