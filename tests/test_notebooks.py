"""Every notebook runs from top to bottom on the embedded model, and shows pictures.

The first lessons and the studio, which end in something to play with, do so in a browser:
`widgets/test_lessons_page.py`.
"""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
IN_A_BROWSER = ("01-txt2img", "02-resize-then-img2img", "03-inpainting", "studio")


def test_none_is_forgotten():
    assert {path.stem for path in NOTEBOOKS} > set(IN_A_BROWSER)
    there = (Path(__file__).parent / "widgets" / "test_lessons_page.py").read_text("utf-8")
    assert all(f'("{name}", ' in there for name in IN_A_BROWSER)


@pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if p.stem not in IN_A_BROWSER], ids=lambda path: path.stem
)
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
    assert shown.count("image/png") + shown.count("data:image/png") > 3
