"""What README promises: `sdnb lab` opens the first notebook, and running it shows pictures."""

from pathlib import Path

import pytest
from lab_page import CHROMIUM_FLAGS, Lab, Notebook, chromium
from playwright.sync_api import sync_playwright

SHOTS = Path(__file__).parents[2] / "test-results"


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    lab.stop()


@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield browser.new_page(viewport={"width": 1200, "height": 900})
        browser.close()


def test_the_first_notebook_in_a_browser(lab, page):
    notebook = Notebook(page, lab, "01-txt2img.ipynb", address="")  # it opens by itself
    notebook.run_all(seconds=600)
    notebook.screenshot(SHOTS / "01-txt2img.png")
    assert notebook.complaints() == []
    assert notebook.pictures()[0] == 256
    assert len(notebook.pictures()) == 7
    assert "Traceback" not in lab.log()
