"""What stays where it is on the studio's page, and what comes to the top, in JupyterLab."""

import re

import pytest
from helpers.notebook_page import SHOTS, Notebook
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

STUDIO = """
import sdnb
studio = sdnb.studio(sdnb.load(), folder="moves")
studio.request = sdnb.Request("a fox", width=128, height=128, steps=16, count=3, seed=5)
studio
"""
# Each place that the gallery has on the page of the studio, in turn, as the browser paints it.
WATCH = """() => {
  const top = name => document.querySelector(name).getBoundingClientRect().top;
  window.places = [];
  const look = () => {
    const place = Math.round(top(".sdnb-takes:has(.sdnb-thumb)") - top(".sdnb"));
    if (place !== window.places.at(-1)) window.places.push(place);
    window.looking = requestAnimationFrame(look);
  };
  look();
}"""
PLACES = "() => { cancelAnimationFrame(window.looking); return window.places; }"
TOP = """part => part.getBoundingClientRect().top - document.querySelector(
  ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer").getBoundingClientRect().top"""


@pytest.fixture(scope="module")
def opened(shared_page, lab):
    notebook = Notebook(shared_page, lab, lab.write("moves.ipynb", STUDIO, "'a cell below'"))
    shared_page.set_viewport_size({"width": 1400, "height": 900})
    notebook.run_all()
    yield notebook
    assert notebook.complaints() == []


@pytest.fixture(autouse=True)
def at_rest(opened):
    """What a test had begun and set ends with it, also where it failed."""
    yield
    opened.kernel("studio.panel.stop()")
    opened.becomes("not studio.panel.running")
    opened.kernel("studio.panel.form.change(steps=16, seed=5) or studio.panel._show_plan()")


def batch(opened):
    before = opened.kernel("len(studio.gallery.pictures)")
    opened.page.get_by_role("button", name="Generate").locator("visible=true").click()
    opened.becomes(f"len(studio.gallery.pictures) == {before + 3} and not studio.panel.running")
    expect(opened.page.locator(".sdnb-thumb >> visible=true")).to_have_count(before + 3)
    opened.page.wait_for_timeout(500)


def test_the_page_stands_still_while_pictures_come(opened):
    page = opened.page
    batch(opened)
    previews = opened.kernel("studio.panel.progress.previews")
    page.evaluate(WATCH)
    batch(opened)
    places = page.evaluate(PLACES)
    assert opened.kernel("studio.panel.progress.previews") >= previews + 3
    page.screenshot(path=SHOTS / "stands-still.png")
    assert len(places) == 1


def test_the_result_stays_where_it_is_whatever_is_said_above_it(opened):
    page = opened.page
    where = """() => [...document.querySelectorAll('.sdnb-result')].filter(e => e.checkVisibility())
      .map(e => e.getBoundingClientRect().top - e.closest('.sdnb').getBoundingClientRect().top)"""
    (top,) = page.evaluate(where)
    opened.kernel("studio.panel.form.change(steps=90, seed=None) or studio.panel._show_plan()")
    page.get_by_role("button", name="Generate").locator("visible=true").click()
    page.get_by_text(re.compile(r"step \d+ of")).locator("visible=true").wait_for()
    page.get_by_role("button", name="Queue").locator("visible=true").click()
    page.get_by_role("button", name="Remove all").locator("visible=true").wait_for()
    assert page.evaluate(where) == [top]
    opened.kernel("studio.panel.stop()")
    page.get_by_role("button", name="Use seed").locator("visible=true").wait_for()
    assert page.evaluate(where) == [top]
    opened.kernel("studio.panel.bring(studio.result.request)")
    page.get_by_role("button", name="Random again").locator("visible=true").wait_for()
    page.screenshot(path=SHOTS / "result-stays.png")
    assert page.evaluate(where) == [top]
    opened.kernel("studio.panel.progress.clear()")


def test_a_question_has_the_focus_moves_nothing_and_escape_is_no(opened):
    page = opened.page
    focus = "[document.activeElement.innerText, document.activeElement.className]"
    opened.kernel("setattr(studio.panel._long, 'asks', lambda _, begin:"
                  " bool(studio.panel._long.ask('Begin?', begin)) or True)")  # fmt: skip
    negative = page.get_by_label("Negative", exact=True).locator("visible=true")
    before = negative.bounding_box()
    page.get_by_label("Prompt", exact=True).locator("visible=true").focus()
    page.keyboard.press("Control+Enter")
    page.locator("button:text-is('Yes'):focus >> visible=true").wait_for()
    page.screenshot(path=SHOTS / "question.png")
    assert negative.bounding_box() == before
    page.keyboard.press("Escape")
    page.locator("button:text-is('Yes') >> visible=true").wait_for(state="hidden")
    opened.sees(lambda: "sdnb-generate" in page.evaluate(focus)[1], what="the focus on Generate")
    assert not opened.kernel("studio.panel.running or bool(delattr(studio.panel._long, 'asks'))")


def test_words_of_what_was_done_move_nothing(opened):
    page = opened.page
    opened.kernel("studio.panel.form.change(seed=4_123_456_789)")  # a long file name
    batch(opened)
    opened.kernel("studio.panel.form.change(seed=5) or studio.panel.progress.clear()")
    page.locator(".sdnb-thumb >> visible=true").nth(1).click()
    box = page.locator(".sdnb-chosen-box >> visible=true")
    save = box.locator("button:text-is('Save')")
    save.wait_for()
    opened.settle()
    before = opened.place(save)
    save.click()
    said = box.get_by_text("Saved as")
    said.wait_for()
    page.screenshot(path=SHOTS / "saved-as.png")
    assert opened.place(save) == before
    assert abs(opened.place(said)["y"] - before["y"]) < 40
    box.get_by_role("button", name="Close").click()
    box.wait_for(state="hidden")
    opened.settle()
    thumb = page.locator(".sdnb-thumb >> visible=true").nth(2)
    before = opened.place(thumb)
    thumb.focus()
    page.keyboard.press("s")
    page.get_by_text("Saved as").locator("visible=true").wait_for()
    assert opened.place(thumb) == before


def test_a_picture_that_is_sent_brings_the_tabs_to_the_top(opened):
    page = opened.page
    page.locator(".sdnb-thumb >> visible=true").nth(1).click()
    box = page.locator(".sdnb-chosen-box >> visible=true")
    for name in ("upscale", "inpaint", "upscale"):  # the third is built already
        button = box.get_by_role("button", name=f"to {name}")
        button.scroll_into_view_if_needed()
        button.click()
        opened.becomes(f"studio.panel is studio.panels[{name!r}]")
        tab = page.get_by_role("tab", name=name, exact=True)
        opened.until("return document.activeElement.classList.contains('sdnb-generate')")
        opened.sees(lambda tab=tab: -2 <= tab.evaluate(TOP) <= 60)
        page.wait_for_timeout(1000)  # and there it stays
        page.screenshot(path=SHOTS / f"sent-to-{name}.png")
        assert -2 <= tab.evaluate(TOP) <= 60
        opened.until("return document.activeElement.classList.contains('sdnb-generate')")


def test_what_of_a_drawing_is_followed_is_seen_beside_the_sheet(opened):
    page = opened.page
    page.set_viewport_size({"width": 1700, "height": 900})  # as wide as 1400 without the files
    page.evaluate("document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)"
                  " .jp-WindowedPanel-outer').scrollTop = 0")  # fmt: skip
    page.get_by_role("tab", name="sketch", exact=True).click()
    sheet = page.locator(".sdnb-follows .sdnb-stage canvas >> visible=true").first
    sheet.wait_for()
    page.screenshot(path=SHOTS / "followed.png")
    for label in ("Follow", "Freedom", "Hold", "Live steps"):
        part = page.get_by_label(label, exact=True).locator("visible=true")
        opened.sees(lambda part=part: bottom(opened, part) <= opened.place(sheet)["y"])
    page.set_viewport_size({"width": 1400, "height": 900})


def bottom(opened, part):
    place = opened.place(part)
    return place["y"] + place["height"]


def test_no_label_is_cut(opened):
    page = opened.page
    opened.open_tab("txt2img")
    for words in ("Add-ons", "More"):
        page.locator(f"button.sdnb-fold:has-text('{words}') >> visible=true").first.click()
    page.get_by_text("rescale").locator("visible=true").wait_for()
    ends = """all => [...new Set(all.map(e => Math.round(e.getBoundingClientRect().right)))]"""
    tracks = page.locator(".sdnb-columns .sdnb-track >> visible=true")
    assert tracks.count() > 6
    assert len(tracks.evaluate_all(ends)) == 1
    assert (
        len(
            page.locator(".sdnb-number input >> visible=true").evaluate_all(
                "all => [...new Set(all.map(e => Math.round(e.getBoundingClientRect().width)))]"
            )
        )
        == 1
    )
    height = page.locator(".widget-label:text-is('CFG rescale') >> visible=true").evaluate(
        "e => { const r = document.createRange(); r.selectNodeContents(e);"
        " return r.getBoundingClientRect().height; }"
    )
    assert height < 20  # one line
    labels = page.locator(".sdnb .widget-label >> visible=true")
    cut = """all => all.filter(each => each.scrollWidth > each.clientWidth + 1
      || each.scrollHeight > each.clientHeight + 2).map(each => each.textContent)"""
    opened.sees(lambda: labels.count() > 12)
    opened.sees(lambda: labels.evaluate_all(cut), [])
