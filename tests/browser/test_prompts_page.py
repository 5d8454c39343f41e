"""Prompts of other programs in JupyterLab: what is read, what is offered, and one click."""

import pytest
from helpers.notebook_page import SHOTS, Notebook

pytestmark = pytest.mark.browser

PANEL = "import sdnb\nmodel = sdnb.load()\npanel = sdnb.Panel(model)\n"
PANEL += "panel.request = sdnb.Request(width=64, height=64, steps=4)\npanel"


def test_a_prompt_of_automatic1111_is_offered_to_be_read_so_and_runs(page, lab):
    notebook = Notebook(page, lab, lab.write("prompts.ipynb", PANEL, "panel.request"))
    notebook.run_all()
    words = (
        "masterpiece, (a castle:1.2), [fog], [an owl:a fox:0.5], " + "a red apple on snow, " * 16
    )
    box = page.get_by_label("Prompt", exact=True).locator("visible=true").first
    box.fill(words)
    box.press("Tab")
    button = page.locator("button:has-text('Read as AUTOMATIC1111') >> visible=true").first
    button.wait_for()
    assert notebook.kernel("panel.request.syntax") == "blocks"
    notebook.screenshot(SHOTS / "prompt-offered.png")
    button.click()
    button.wait_for(state="hidden")
    notebook.becomes("panel.request.syntax", "a1111")
    chips = page.locator(".sdnb-chip >> visible=true")
    for sign in ("× 1.2", "‖"):
        notebook.sees(lambda sign=sign: sign in " ".join(chips.all_inner_texts()))
    notebook.screenshot(SHOTS / "prompt-read.png")
    page.locator("button:has-text('Generate') >> visible=true").first.click()
    notebook.becomes("panel.result is not None")
    assert notebook.kernel("panel.result.request.syntax") == "a1111"
