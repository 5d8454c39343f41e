"""Nothing is lost, in JupyterLab, by mouse: the queue, saved pictures, kernels that are gone."""

import re

import pytest
from browser.test_panel_page import PANEL, Page
from helpers.notebook_page import SHOTS
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

STUDIO = "import sdnb\nstudio = sdnb.studio(folder='{}')\nstudio"
EDITOR = "import numpy as np\nsdnb.MaskEditor(np.full((64, 96, 3), 120, 'uint8'))"
GONE = "This is no longer connected to a kernel: run this cell again."
THUMBS = "button.sdnb-thumb >> visible=true"


def shot(one, name):
    one.page.screenshot(path=SHOTS / f"lost-{name}.png")


def before(page):
    """The words that the style sheet puts before each of our outermost widgets, of two."""
    outermost = page.locator(":is(.sdnb, .sdnb-mask):not(.sdnb *)")
    look = "e => getComputedStyle(e, '::before').content"
    return [outermost.nth(place).evaluate(look) for place in (0, 1)]


def test_the_queue_is_a_list_and_stop_ends_what_runs(page, lab):
    one = Page(page, lab, "queue.ipynb", PANEL)
    one.type("Steps", 100)
    for words in ("a cat", "a dog, " * 20, "an owl"):
        one.type("Prompt", words)
        one.until(f"panel.request.prompt == {words!r}")
        page.locator(".sdnb-actions button >> visible=true").first.click()
    lines = page.locator(".sdnb-waiting .sdnb-quiet >> visible=true")
    now, dogs, owl = (lines.nth(place) for place in range(3))
    expect(now).to_have_text("now: a cat · 256 × 256 · 100 steps", use_inner_text=True)
    expect(owl).to_have_text("an owl · 256 × 256 · 100 steps", use_inner_text=True)
    expect(dogs).to_contain_text("a dog, a dog")
    shot(one, "queue")
    page.locator("button:has-text('Remove') >> visible=true").first.click()
    one.until("len(panel._queue.jobs) == 2")
    one.click("Stop")
    one.until("[job.request.prompt for job in panel._queue.jobs] == ['an owl']")
    lines.first.wait_for(state="hidden")
    assert one.kernel("panel.running")
    one.click("Stop")
    one.until("not panel.running")
    assert one.notebook.complaints() == []


def test_the_light_bulb_asks(page, lab):
    one = Page(page, lab, "bulb.ipynb", PANEL)
    bulb = page.locator("button:has(.fa-lightbulb-o) >> visible=true").first
    bulb.click()
    one.until("panel.request.prompt == model.examples[0]")
    one.box("Prompt").fill("a castle")
    bulb.click()  # the words leave the box for the kernel with the focus
    page.get_by_text("Replace what you typed?").wait_for()
    shot(one, "bulb")
    one.click("No")
    page.get_by_text("Replace what you typed?").wait_for(state="hidden")
    assert one.kernel("panel.request.prompt") == "a castle"
    bulb.click()
    one.click("Yes")
    one.until("panel.request.prompt == model.examples[0]")
    assert one.notebook.complaints() == []


def test_pictures_of_an_earlier_session_are_there_and_the_dead_say_so(page, lab):
    one = Page(page, lab, "sessions.ipynb", STUDIO.format("kept"), EDITOR)
    small = "sdnb.Request('an apple', width=64, height=64, steps=2, count=2, seed=5)"
    one.kernel(f"setattr(studio, 'request', {small}) or 0")
    one.click("Generate")
    one.until("len([p for p in studio.gallery.pictures if p.saved]) == 2")
    assert len(list((lab.folder / "kept").glob("*.png"))) == 2
    assert before(page)[0] == "none"
    expect(page.get_by_text(GONE)).to_have_count(2)  # in the page, and hidden
    assert page.get_by_text(GONE).locator("visible=true").count() == 0
    shot(one, "alive")

    one.notebook.js("await panel.sessionContext.session.kernel.restart()")
    page.locator(".sdnb.jupyter-widgets-disconnected").first.wait_for()
    one.notebook.sees(lambda: before(page), [f'"{GONE}"'] * 2)
    expect(page.locator("textarea >> visible=true").first).to_have_value(re.compile("an apple"))
    assert all(one.notebook.pictures())  # none is broken
    shot(one, "restarted")

    one.notebook.reload(alive=False)
    expect(page.get_by_text(GONE).locator("visible=true")).to_have_count(2)
    one.notebook.settle()
    assert page.get_by_text(GONE).locator("visible=true").count() == 2
    assert page.get_by_text("Error displaying widget").locator("visible=true").count() == 0
    shot(one, "reloaded")

    one.notebook.run_all()
    page.locator(THUMBS).nth(1).wait_for()
    one.until("all(p.thumb for p in studio.gallery.pictures)")
    page.locator(THUMBS).first.click()
    one.until("studio.gallery.chosen is not None")
    assert one.kernel("studio.gallery.chosen.request.seed") in {5, 6}
    expect(page.get_by_text(GONE).locator("visible=true")).to_have_count(0)
    shot(one, "again")


def test_a_cell_that_runs_again_keeps_what_nobody_saved(page, lab):
    one = Page(page, lab, "again.ipynb", STUDIO.format("unsaved"))
    page.get_by_label("Save every picture to unsaved").click()
    one.until("not studio.gallery.autosave.on")
    one.kernel("setattr(studio, 'request', sdnb.Request('an apple', width=64, steps=2)) or 0")
    one.click("Generate")
    one.until("len(studio.gallery.pictures) == 1")
    one.notebook.run_all()
    page.locator(THUMBS).first.wait_for()
    assert one.kernel("[len(studio.gallery.pictures), studio.gallery.autosave.on]") == [1, False]
    expect(one.box("Prompt")).to_have_value("an apple")
    one.click("Start afresh")
    one.until("studio.request == sdnb.Request()")
    assert not (lab.folder / "unsaved").exists()
    page.get_by_label("Save every picture to unsaved").click()  # for the tests that follow
    one.until("studio.gallery.autosave.on")
    assert one.notebook.complaints() == []


# ipywidgets looks for a widget, waits, and looks at the clock: here, when all widgets have come.
SLOW = """window.quick = window.setTimeout;
window.setTimeout = (act, after, ...given) => quick(act, after === 100 ? 6000 : after, ...given);
"""


def test_a_page_that_is_too_slow_for_ipywidgets_has_its_widgets(open_page, lab):
    page = open_page()
    one = Page(page, lab, "slow.ipynb", STUDIO.format("slow"))
    one.type("Prompt", "an apple")
    page.add_init_script(SLOW)
    late = []
    page.on("console", lambda told: late.append("widget model not found" in told.text))
    one.notebook.reload()
    page.evaluate("() => { window.setTimeout = window.quick }")
    one.notebook.sees(lambda: any(late))
    expect(page.get_by_text("model not found")).to_have_count(0)
    expect(page.get_by_text(GONE).locator("visible=true")).to_have_count(0)
    expect(one.box("Prompt")).to_have_value("an apple")
    shot(one, "slow")
    one.type("Prompt", "a pear")
    one.until("studio.request.prompt == 'a pear'")
    page.get_by_role("tab", name="inpaint").click()
    page.get_by_text("Then paint over what is to change").locator("visible=true").wait_for()
    assert one.notebook.complaints() == []
