"""Words in JupyterLab: a template, what ran before, and a style, by mouse and keyboard."""

import pytest
from helpers.notebook_page import SHOTS, Notebook

pytestmark = pytest.mark.browser

PANEL = """
import pathlib, sdnb
lists = pathlib.Path("webui", "wildcards")
lists.mkdir(parents=True, exist_ok=True)
(lists / "animals.txt").write_text("cat\\nfox\\n")
(lists.parent / "styles.csv").write_text('name,prompt\\noil,"oil painting of {prompt}"\\n')
panel = sdnb.Panel(sdnb.load(library="webui"))
panel.request = sdnb.Request(width=64, height=64, steps=1, seed=7)
panel
"""


def test_words_are_chosen_come_back_and_get_a_style(page, lab):
    notebook = Notebook(page, lab, lab.write("words.ipynb", PANEL, "panel.request"))
    notebook.run_all()
    box = page.get_by_label("Prompt", exact=True).locator("visible=true").first

    def click(words):
        page.locator(f"button:has-text('{words}') >> visible=true").first.click()

    template = "a {red|blue} __animals__"
    box.fill(template)
    box.press("Tab")
    chosen = notebook.kernel(f"sdnb.prompt.expand({template!r}, 7, panel.model)")
    page.locator(f".sdnb-quiet:has-text('With seed 7: {chosen}') >> visible=true").first.wait_for()
    click("Generate")
    notebook.becomes("panel.result is not None")
    assert notebook.kernel("panel.result.request.prompt") == chosen
    assert notebook.kernel("panel.result.request.template") == template
    box.fill("another thing")
    box.press("Tab")
    click("Earlier prompts and styles")
    page.locator(f".sdnb-library button:has-text('{template}') >> visible=true").click()
    notebook.becomes(f"panel.request.prompt == {template!r}")
    page.get_by_label("Show", exact=True).locator("visible=true").first.select_option("styles")
    page.locator(".sdnb-library button:has-text('oil') >> visible=true").click()
    notebook.becomes(f"panel.request.prompt == 'oil painting of ' + {template!r}")
    notebook.screenshot(SHOTS / "words.png")
    click("Undo")
    notebook.becomes(f"panel.request.prompt == {template!r}")
    kept = notebook.kernel(
        "__import__('sdnb.widgets.prompt_history').widgets.prompt_history.recall()[0][0].prompt"
    )
    assert kept == template
    assert notebook.complaints() == []
