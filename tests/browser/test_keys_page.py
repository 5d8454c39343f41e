"""The keys of panel, gallery and mask editor in JupyterLab, which has keys of its own."""

import pytest
from helpers.notebook_page import SHOTS, Notebook
from playwright.sync_api import expect

from sdnb.widgets.gallery.thumbnails import PAGE

pytestmark = pytest.mark.browser

PANEL = """
import sdnb
panel = sdnb.Panel(sdnb.load(), 'txt2img')
panel.request = sdnb.Request(width=64, height=64, steps=2)
panel
"""
GALLERY = """
import sdnb
from PIL import Image
from sdnb.widgets.gallery.gallery_picture import from_file
gallery = sdnb.Gallery("of-keys")
def add(number):
    from io import BytesIO
    file = BytesIO()
    Image.new("RGB", (64, 64), (4 * number, 90, 200 - 4 * number)).save(file, "PNG")
    gallery.put(from_file(file.getvalue(), f"{number}.png"))
for number in range(50):  # the newest first: 49, 48, ... 0
    add(number)
gallery.choose(None)
gallery
"""
NAMES = "[p.file[0] for p in gallery.pictures]"
CHOSEN = "gallery.chosen and gallery.chosen.file[0]"
CELLS = "return panel.content.widgets.length"
# Asks the page's parts that listen to keys, which it loads a moment after it shows the widgets: of
# a panel its own part alone, since its gallery's is not needed here.
HEARD = """(lambda ears: [
    each.when_heard(lambda each=each: setattr(each, "is_heard", True)) for each in ears
] and any(getattr(each, "is_heard", False) for each in ears))((lambda found: [
    each for each in found if each._ear.kind == "panel"
] or found)([
    each for each in list(__import__("ipywidgets").widgets.widget._instances.values())
    if isinstance(each, __import__("sys").modules["sdnb.widgets.keys"].Keys)
]))"""
RUNS = "return panel.content.widgets.map(cell => cell.model.executionCount)"


@pytest.fixture
def opened(lab, request):
    def run(name, *cells, page=None, hears=True):
        page = page or request.getfixturevalue("page")
        notebook = Notebook(page, lab, lab.write(name, *cells))
        notebook.run_all()
        if hears:
            notebook.becomes(HEARD)
        return notebook

    return run


def press(notebook, *keys):
    for key in keys:
        notebook.page.keyboard.press(key)
        notebook.page.wait_for_timeout(60)


def until_focused(notebook, name):
    """Wait until what a screen reader reads of the element with the focus begins like this."""

    def reads():
        words = notebook.js("return document.activeElement.innerText.trim()")
        assert words.startswith(name)
        return words

    return notebook.sees(reads)


def test_ctrl_enter_generates_with_what_was_typed_last(opened, page):
    notebook = opened("ctrl-enter.ipynb", PANEL)
    cells, runs = notebook.js(CELLS), notebook.js(RUNS)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a fox")
    page.get_by_label("Steps", exact=True).first.fill("3")
    prompt.focus()
    page.keyboard.type(" in the snow")
    page.keyboard.press("Control+Enter")
    notebook.becomes("len(panel.results)", 1)
    made = "[panel.results[-1].request.prompt, panel.results[-1].request.steps]"
    assert notebook.kernel(made) == [prompt.input_value(), 3]
    assert "in the snow" in prompt.input_value()

    steps = page.get_by_label("Steps", exact=True).first
    steps.fill("4")  # a number box reports what is in it only when it is left
    steps.press("Control+Enter")
    notebook.becomes("len(panel.results)", 2)
    assert notebook.kernel(made)[1] == 4

    page.get_by_role("button", name="Generate").focus()
    press(notebook, "Control+Enter")
    notebook.becomes("len(panel.results)", 3)
    page.get_by_role("button", name="Generate").click()
    notebook.becomes("len(panel.results)", 4)
    assert (notebook.js(CELLS), notebook.js(RUNS)) == (cells, runs)  # the cell did not run again
    assert notebook.complaints() == []


def test_letters_after_a_click_are_not_the_notebooks(opened, page):
    """A, B, D D and arrows, on a button, a list and a switch; Ctrl+S is still the notebook's."""
    notebook = opened("letters.ipynb", PANEL, "1")
    cells = notebook.js(CELLS)
    sampler = page.get_by_label("Sampler", exact=True)
    page.locator("button.sdnb-fold").first.click()
    there = notebook.js("return panel.content.activeCellIndex")
    press(notebook, "a", "b", "d", "d", "ArrowDown", "x")
    before = sampler.input_value()
    sampler.focus()
    press(notebook, "u")  # a letter chooses, as in any list
    notebook.becomes("(panel.request.sampler or '')[:1]", "u")
    assert sampler.input_value() != before
    press(notebook, "d", "d")
    assert notebook.js(CELLS) == cells
    assert notebook.js("return panel.content.activeCellIndex") == there
    # After a click on words, too, where Ctrl+Enter is Generate.
    page.locator(".sdnb .sdnb-quiet >> visible=true").first.click()
    press(notebook, "a", "d", "d", "x", "ArrowDown")
    notebook.settle()
    assert notebook.js(CELLS) == cells
    assert notebook.js("return panel.content.activeCellIndex") == there
    press(notebook, "Control+Enter")
    notebook.becomes("len(panel.results)", 1)
    notebook.js("panel.context.model.dirty = true")
    page.keyboard.press("Control+s")
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    notebook.until("return !panel.context.model.dirty")


def test_shift_enter_in_the_prompt_is_a_new_line(opened, page):
    notebook = opened("shift-enter.ipynb", PANEL, "'the next cell'")
    runs = notebook.js(RUNS)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a fox")
    press(notebook, "End", "Shift+Enter", "x")
    notebook.becomes("panel.request.prompt", "a fox\nx")
    assert notebook.js(RUNS) == runs
    assert notebook.kernel("len(panel.results)") == 0


def test_the_focus_comes_to_what_is_late_in_the_page_unless_someone_is_at_work(opened, page):
    notebook = opened("late-focus.ipynb", PANEL)
    made = "globals().update(late=__import__('ipywidgets').Button(description='late'))"
    focused = "return document.activeElement.innerText || document.activeElement.tagName"
    for typed in (False, True):
        notebook.kernel(f"{made} or panel._long.focus(late)")
        page.wait_for_timeout(1500)
        if typed:
            page.get_by_label("Prompt", exact=True).press_sequentially("a fox")
        notebook.kernel("setattr(panel, 'children', (*panel.children, late))")
        page.locator("button:text-is('late')").nth(int(typed)).wait_for()
        notebook.sees(lambda: notebook.js(focused), "TEXTAREA" if typed else "late")
        page.wait_for_timeout(500)  # and there it stays
        assert notebook.js(focused) == ("TEXTAREA" if typed else "late")
    assert notebook.kernel("panel.request.prompt") == "a fox"


def test_what_is_typed_is_used_although_its_own_message_is_late(opened, page):
    """Each box sends its value for itself; here none of the prompt's ever arrives."""
    late = """
from sdnb.widgets.keys import _boxes
prompt = next(_boxes([panel]))
prompt.set_state = lambda state: None  # what the browser sends of it is lost
"""
    notebook = opened("late.ipynb", PANEL, late)
    page.get_by_label("Prompt", exact=True).fill("a green boat")
    assert notebook.kernel("panel.request.prompt") != "a green boat"
    page.get_by_role("button", name="Generate").click()
    notebook.becomes("len(panel.results)", 1)
    assert notebook.kernel("panel.results[0].request.prompt") == "a green boat"


SLOW = """
import time
told = []
def slow(change):
    told.append(change["new"])
    time.sleep(4)
panel.form.controls['sampler'].widget.observe(slow, 'index')
"""


def test_what_is_chosen_and_dragged_while_the_kernel_is_busy_is_used(opened, page):
    """ipywidgets sends the first change of a list or a slider, and holds the next ones back."""
    notebook = opened("busy.ipynb", PANEL, SLOW)
    sampler = page.get_by_label("Sampler", exact=True)
    steps = page.get_by_label("Steps", exact=True).first
    steps.fill("3")
    steps.press("Tab")
    notebook.becomes("panel.request.steps", 3)
    sampler.select_option("heun")  # the kernel is at work with it
    sampler.select_option("lms")
    sampler.select_option("euler")
    track = page.locator(".sdnb-slider:has(> .widget-text > label:text-is('Steps'))")
    line, handle = (
        notebook.place(track.locator(part)) for part in (".noUi-base", ".noUi-touch-area")
    )
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(line["x"] + line["width"] * 0.08, handle["y"] + 5, steps=6)
    page.mouse.up()
    page.get_by_role("button", name="Generate").click()
    seen = "panel.results and [panel.results[0].request.sampler, panel.results[0].request.steps]"
    found = notebook.becomes(seen)
    assert found[0] == "euler"
    assert found[1] == notebook.kernel("panel.request.steps") == int(steps.input_value()) > 3
    assert notebook.complaints() == []


def test_a_box_that_python_set_meanwhile_is_not_set_back(opened, page):
    """What was typed once is news no longer when something else has changed it."""
    notebook = opened("set-since.ipynb", PANEL)
    page.get_by_label("Prompt", exact=True).fill("a fox")
    notebook.becomes("panel.request.prompt", "a fox")
    notebook.kernel("panel.form.change(prompt='an owl')")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("an owl")
    page.get_by_role("button", name="Generate").click()
    notebook.becomes("len(panel.results)", 1)
    assert notebook.kernel("panel.results[0].request.prompt") == "an owl"


def test_a_page_without_anywidget_has_all_but_the_keys(opened, open_page):
    page = open_page()
    page.route("**/extensions/anywidget/**", lambda route: route.abort())
    notebook = opened("no-keys.ipynb", PANEL, page=page, hears=False)
    page.get_by_label("Prompt", exact=True).fill("a fox")
    notebook.becomes("panel.request.prompt", "a fox")
    page.get_by_role("button", name="Generate").click()
    notebook.becomes("len(panel.results)", 1)
    assert notebook.kernel("panel.results[0].request.prompt") == "a fox"
    assert page.get_by_text("Error displaying widget").locator("visible=true").count() == 0
    assert page.get_by_text("Failed to load model class").locator("visible=true").count() == 0


def several_are_picked_and_deleted(notebook, page, thumbs):
    thumbs.nth(3).click(modifiers=["Control"])
    thumbs.nth(6).click(modifiers=["Shift"])
    thumbs.nth(4).focus()
    press(notebook, "Control+Space")  # no longer
    page.get_by_text("3 pictures picked").wait_for()
    assert notebook.kernel(CHOSEN) is None  # none of them was opened, and what was open closes
    picked = [notebook.kernel(NAMES)[place] for place in (3, 5, 6)]
    notebook.screenshot(SHOTS / "gallery-picked.png")
    press(notebook, "Delete")
    page.get_by_role("button", name="Delete 3").click()
    notebook.becomes("len(gallery.pictures)", 48)
    assert not set(picked) & set(notebook.kernel(NAMES))


def test_the_gallery_by_keys_and_the_notebook_hears_none(opened, page):
    notebook = opened("gallery-keys.ipynb", GALLERY, "'a cell below'")
    cells = notebook.js(CELLS)
    thumbs = page.locator(".sdnb-thumb >> visible=true")
    thumbs.first.focus()
    press(notebook, "ArrowRight", "ArrowRight", "ArrowLeft")
    until_focused(notebook, "48.png")
    assert notebook.kernel(CHOSEN) is None  # nothing is open: only the focus moves
    columns = thumbs.evaluate_all(
        "all => all.filter(each => each.offsetTop === all[0].offsetTop).length"
    )
    press(notebook, "ArrowDown")
    until_focused(notebook, f"{48 - columns}.png")
    press(notebook, "ArrowUp", "Enter")
    notebook.becomes(CHOSEN, "48.png")
    press(notebook, "ArrowRight")  # one is open: the next one opens
    notebook.becomes(CHOSEN, "47.png")
    notebook.screenshot(SHOTS / "gallery-keys.png")

    press(notebook, "s")
    page.get_by_text("Saved as").wait_for()
    assert notebook.kernel("[p.saved is not None for p in gallery.pictures[1:4]]") == [
        False, True, False,
    ]  # fmt: skip
    press(notebook, "Delete")
    page.get_by_text("Delete “47.png, without settings”?").wait_for()
    assert until_focused(notebook, "Delete 1") == "Delete 1"
    assert "47.png" in notebook.kernel(NAMES)
    notebook.screenshot(SHOTS / "gallery-keys-asks.png")
    press(notebook, "Tab", "Enter")  # No
    until_focused(notebook, "47.png")
    press(notebook, "Delete")
    until_focused(notebook, "Delete 1")
    press(notebook, "Enter")
    notebook.becomes("len(gallery.pictures)", 49)
    assert "47.png" not in notebook.kernel(NAMES)
    until_focused(notebook, "46.png")

    notebook.kernel("add(50) or add(51)")
    expect(thumbs.first).to_contain_text("51.png")
    until_focused(notebook, "46.png")  # it goes with its picture
    assert notebook.kernel(CHOSEN) == "46.png"
    press(notebook, "ArrowLeft")
    notebook.becomes(CHOSEN, "48.png")

    several_are_picked_and_deleted(notebook, page, thumbs)
    press(notebook, *"ddabxyzm0011", "Shift+Enter", "Escape")
    notebook.settle()
    assert notebook.js(CELLS) == cells
    assert notebook.js("return panel.content.mode") == "command"
    assert notebook.js("return panel.content.widgets.map(cell => cell.model.type)") == [
        "code", "code",
    ]  # fmt: skip
    assert notebook.complaints() == []


def test_arrows_turn_the_gallerys_pages(opened, page):
    notebook = opened("gallery-pages.ipynb", GALLERY)
    thumbs = page.locator(".sdnb-thumb >> visible=true")
    after = 49 - PAGE
    page.get_by_text("page 1 of").wait_for()
    thumbs.nth(PAGE - 1).focus()
    until_focused(notebook, f"{after + 1}.png")
    press(notebook, "ArrowRight")
    page.get_by_text("page 2 of").wait_for()
    until_focused(notebook, f"{after}.png")
    press(notebook, "ArrowLeft")
    page.get_by_text("page 1 of").wait_for()
    until_focused(notebook, f"{after + 1}.png")
    press(notebook, *["ArrowUp"] * 5, *["ArrowLeft"] * 20)
    until_focused(notebook, "49.png")  # no further than the newest
    outer = "panel.content.node.querySelector('.jp-WindowedPanel-outer')"
    scrolled = notebook.js(f"return {outer}.scrollTop")
    for key, name in (("End", "0.png"), ("Home", "49.png")):
        press(notebook, key)
        until_focused(notebook, name)
    assert notebook.js(f"return {outer}.scrollTop") == scrolled
    press(notebook, "Enter")
    notebook.becomes(CHOSEN, "49.png")
    cells = notebook.js(CELLS)
    page.locator(".sdnb-chosen-box img >> visible=true").first.click()  # keys are its own still
    press(notebook, "b", "x", "Delete")
    notebook.becomes("gallery._question.row.layout.display", "")
    press(notebook, "Escape")
    notebook.becomes(CHOSEN, None)
    assert notebook.js(CELLS) == cells
    assert notebook.complaints() == []


def test_the_focus_is_seen_on_a_thumbnail_that_is_chosen(opened, page):
    """Its ring and the mark of what is chosen differ, in both themes."""
    notebook = opened("gallery-focus.ipynb", GALLERY)
    looks = (
        "const look = getComputedStyle(document.querySelectorAll('.sdnb-thumb')[{}]);"
        "return [look.outline, look.boxShadow, look.zIndex]"
    )
    for theme in ("Light", "Dark"):
        notebook.theme(theme)
        thumbs = page.locator(".sdnb-thumb >> visible=true")
        thumbs.nth(PAGE - 1).wait_for()
        thumbs.first.focus()
        press(notebook, "Enter")
        notebook.becomes(CHOSEN, "49.png")
        page.locator(".sdnb-thumb.sdnb-chosen >> visible=true").wait_for()

        def differ():
            both, plain = (notebook.js(looks.format(place)) for place in (0, 5))
            assert both[0] != plain[0]  # what is chosen has its outline
            assert both[1:] != plain[1:]  # what has the focus has a ring
            return both, plain

        both, plain = notebook.sees(differ)
        notebook.screenshot(SHOTS / f"gallery-focus-{theme.lower()}.png")
        page.get_by_role("button", name="Close").focus()
        notebook.sees(lambda: notebook.js(looks.format(0)), [both[0], *plain[1:]])  # no ring
        press(notebook, "Escape")
        notebook.becomes(CHOSEN, None)
    notebook.theme("Light")


EDITOR = """
import sdnb
from PIL import Image
editor = sdnb.MaskEditor(Image.new("RGB", (512, 512), (96, 96, 96)))
editor
"""


def test_the_canvas_takes_the_wheel_only_when_it_was_clicked(opened, page):
    notebook = opened("wheel.ipynb", EDITOR, "editor", *["'\\n' * 9"] * 8)
    zoom = "round(editor._state.view.zoom, 4)"
    scrolled = "return panel.content.node.querySelector('.jp-WindowedPanel-outer').scrollTop"
    canvas = page.locator(".jp-OutputArea-output canvas").first
    canvas.wait_for()
    canvas.hover(position={"x": 100, "y": 300})
    page.mouse.wheel(0, 100)
    notebook.sees(lambda: notebook.js(scrolled) > 50)
    page.wait_for_timeout(1000)  # the browser's turns of a wheel are one until then
    assert notebook.js(scrolled) > 50
    assert notebook.kernel(zoom) == 1

    canvas.hover(position={"x": 120, "y": 280})
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    notebook.becomes(zoom, 1.2)
    at = notebook.js(scrolled)

    canvas.click(position={"x": 200, "y": 200})
    page.mouse.wheel(0, -100)
    notebook.becomes(zoom, 1.44)
    assert notebook.js(scrolled) == at
    page.keyboard.press("Escape")  # the notebook has its keys again, and the wheel
    notebook.until("return !document.activeElement.matches('canvas')")
    page.wait_for_timeout(1000)  # as above
    page.mouse.wheel(0, -100)
    notebook.sees(lambda: notebook.js(scrolled) < at)
    notebook.settle()
    assert notebook.kernel(zoom) == 1.44
    assert notebook.complaints() == []
