"""The grid's viewer and the studio's Grid tab in JupyterLab, by mouse and keyboard."""

import re
from pathlib import Path

import pytest
from helpers.notebook_page import SHOTS
from helpers.pictures import chunk, raw_png
from playwright.sync_api import expect
from test_panel_page import Page

pytestmark = pytest.mark.browser

SETUP = "import sdnb\nmodel = sdnb.load()\nused = []"
GRID = """
base = sdnb.Request("a fox in the snow", seed=7, width=128, height=128)
grid = sdnb.sweep(base, steps=[1, 8, 9], cfg=[1, 4], seed=[7, 8])
view = sdnb.GridView(grid, model, use=used.append)
view
"""
STUDIO = "import sdnb\nstudio = sdnb.studio(folder='of-grids')\nstudio"
LOOK = "button => getComputedStyle(button).backgroundImage"
THUMBS = (
    """all => all.map(b => getComputedStyle(b).backgroundImage.startsWith('url("data:image'))"""
)

LETTERS = """
all => Object.fromEntries(all.map(b => [b.ariaLabel, getComputedStyle(b, '::before').content])
    .filter(([_, c]) => c !== 'none').map(([label, c]) => [label, c.replaceAll('"', '')]))
"""
SEEN = """
tab => { const r = tab.getBoundingClientRect();
  return tab.contains(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)) }
"""
LARGE = ".sdnb-picture img"
CHOSEN = "list => list.selectedOptions[0]?.label"


class GridPage(Page):
    """A notebook with a grid's view."""

    @property
    def cells(self):
        return self.page.locator(".sdnb-table button")

    def cell(self, label):
        return self.page.locator(f".sdnb-table button[aria-label='{label}']")

    def thumbs(self):
        """Which cells show a picture."""
        return self.cells.evaluate_all(THUMBS)

    def shows_all(self, count):
        """Wait until so many cells are all that there are, and each shows a picture."""
        self.notebook.sees(self.thumbs, [True] * count)

    def has_letters(self, letters):
        """Wait until these are in the corners of cells, and no others."""
        self.notebook.sees(lambda: self.cells.evaluate_all(LETTERS), letters)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def shot(self, name):
        self.notebook.screenshot(SHOTS / f"{name}.png")


def test_a_grid_fills_stops_resumes_and_is_looked_at(page, lab):
    """Everything once, as a person does it; the grid's keys do not reach the notebook."""
    view = GridPage(page, lab, "grid.ipynb", SETUP, GRID)
    fill(view)
    move_and_open(view)
    compare(view)
    turn(view)
    view.click("Close")
    view.until("view.chosen is None")
    assert view.notebook.complaints() == []


def fill(view):
    """Run, Stop and Resume."""
    view.notebook.sees(view.thumbs, [False] * 6)
    view.click("Run")
    view.until("grid.done >= 1")
    view.click("Stop")
    view.until("not view.running")
    assert 1 <= view.kernel("grid.done") < 12
    view.notebook.sees(lambda: any(view.thumbs()))
    expect(view.page.locator(".sdnb-quiet:has-text('cells')").first).to_contain_text("stopped")
    expect(view.named("Resume")).to_be_enabled()
    expect(view.named("Stop")).to_be_disabled()
    view.click("Resume")
    view.until("grid.done == 12 and not view.running")
    view.shows_all(6)


def move_and_open(view):
    """Arrows move, and stay inside the grid; Enter opens."""
    view.cells.first.click()
    view.until("view.chosen == grid.at(steps=1, cfg=1, seed=7)")
    active = view.notebook.js("return panel.content.activeCellIndex")
    view.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft")
    expect(view.cell("steps 8 CFG 4")).to_be_focused()
    view.press("Enter")
    view.until("view.chosen == grid.at(steps=8, cfg=4, seed=7)")
    assert view.notebook.js("return panel.content.activeCellIndex") == active
    assert view.notebook.js("return panel.content.mode") == "command"
    for width, is_beside in ((1400, True), (1000, False)):
        view.page.set_viewport_size({"width": width, "height": 900})
        view.notebook.sees(lambda beside=is_beside: stands(view, beside))
        view.page.screenshot(path=SHOTS / f"grid-{width}.png")
    view.page.set_viewport_size({"width": 1200, "height": 900})
    keep(view)


def stands(view, is_beside):
    """The large view is beside the grid, and below it in a narrow page; no row is cut off."""
    table, picture = (view.notebook.place(view.page.locator(s)) for s in (".sdnb-table", LARGE))
    beside = picture["x"] >= table["x"] + table["width"] and picture["y"] < table["y"] + 200
    below = picture["y"] >= table["y"] + table["height"] and picture["x"] < table["x"] + 50
    assert (beside, below) == (is_beside, not is_beside), (table, picture)
    assert picture["width"] >= 300
    return view.page.locator(".sdnb-table").evaluate("t => t.scrollWidth <= t.clientWidth")


def keep(view):
    """Save writes the picture with its settings; a lone grid has nowhere to send it."""
    view.page.locator("button:text-is('Save') >> visible=true").click()
    said = view.page.locator("[role=status]:has-text('Saved as')").inner_text()
    path = said.removeprefix("Saved as ")
    assert Path(path).parent == Path("outputs")
    assert view.kernel(f"sdnb.read({path!r}) == view._detail._pictures.made["
                       "view._detail.cell.key].request")  # fmt: skip
    expect(view.page.locator("text=Send to >> visible=true")).to_have_count(0)
    code = view.page.locator("summary:has-text('as Python')")
    code.click()
    expect(view.page.locator(".sdnb-code")).to_have_value(re.compile("steps=8"))
    code.click()


def compare(view):
    """By a slider over both, moved by keys and by hand, and by the difference; the grid says which
    is A and B.
    """
    view.click("Compare")
    view.has_letters({"steps 8 CFG 4": "A"})
    view.cell("steps 9 CFG 4").click()
    view.page.locator(".sdnb-compare").wait_for()
    view.has_letters({"steps 8 CFG 4": "A", "steps 9 CFG 4": "B"})
    sides = [view.page.locator(".sdnb-compare img").nth(i) for i in (0, 1)]

    def are_level():
        left, right = map(view.notebook.place, sides)
        assert {s: round(left[s], 1) for s in left} == {s: round(right[s], 1) for s in right}
        return left

    left = view.notebook.sees(are_level)
    view.page.locator(".sdnb-compare input").focus()
    view.press("ArrowRight", "ArrowRight")
    at = "e => parseFloat(e.style.getPropertyValue('--at'))"
    view.notebook.sees(lambda: view.page.locator(".sdnb-compare").evaluate(at), 52)
    left = view.notebook.place(sides[0])  # the focus may have scrolled the page
    hand, middle = view.page.mouse, left["y"] + left["height"] * 0.7
    hand.move(left["x"] + left["width"] * 0.52, middle)
    hand.down()
    hand.move(left["x"] + left["width"] * 0.25, middle, steps=4)
    hand.up()
    view.notebook.sees(lambda: 24 <= view.page.locator(".sdnb-compare").evaluate(at) <= 26)
    view.shot("grid-slider")
    view.click("difference")
    both = "A (steps=8, cfg=4, seed=7) and B (steps=9, cfg=4, seed=7)"
    view.page.locator(f"img[alt='the difference of {both}']").wait_for()
    view.shot("grid-difference")
    view.click("Use these settings")
    view.until("used == [grid.at(steps=9, cfg=4, seed=7)]")


def turn(view):
    """The third axis is a slider for the mouse, and a list for the keyboard."""
    before = view.cells.first.evaluate(LOOK)
    view.page.get_by_label("seed", exact=True).focus()
    for key in ("Space", "ArrowDown", "Enter"):  # opened, JupyterLab takes no key from it
        view.press(key)
    view.until("view._page == 1")
    view.notebook.sees(lambda: view.cells.first.evaluate(LOOK) != before)
    track = view.page.locator(".sdnb-track .noUi-base >> visible=true")
    track.click(position={"x": 2, "y": 2})
    view.until("view._page == 0")
    view.notebook.sees(lambda: view.cells.first.evaluate(LOOK), before)


def test_the_studio_has_a_grid_tab(page, lab):
    """Its settings come from a tab, its grid is typed, and a cell's settings go back."""
    studio = GridPage(page, lab, "grid-tab.ipynb", STUDIO)
    bring(studio)
    studio.kernel("studio.panels['txt2img'].form.change(prompt='a pear', width=64, height=64)")
    studio.notebook.open_tab("grid")
    third = studio.box("Third")
    studio.notebook.sees(lambda: third.evaluate(CHOSEN), "nothing")
    across, down = (page.locator(".sdnb-values input >> visible=true").nth(i) for i in (0, 1))
    for box, words in ((across, "1-2"), (down, "1, x")):
        box.fill(words)
        box.press("Tab")
    studio.click("Run grid")
    page.locator(".sdnb-error:has-text('is no number and no range')").wait_for()
    down.fill("1-4 (+3)")
    down.press("Tab")
    studio.click("Run grid")
    studio.until("studio.grid.view is not None and studio.grid.view.grid.done == 4")
    studio.shows_all(4)
    studio.cell("steps 2 CFG 4").click()
    page.locator("text=Use these settings").wait_for()
    studio.shot("grid-tab")
    studio.click("Use these settings")
    studio.until("studio.panel is studio.panels['txt2img'] and studio.request.steps == 2")
    assert studio.kernel("[studio.request.prompt, studio.request.cfg]") == ["a pear", 4]
    send(studio)
    assert studio.notebook.complaints() == []


def send(studio):
    """The large view's picture goes to a tab, which comes into view, and is saved."""
    tab = studio.page.get_by_role("tab", name="img2img", exact=True)
    studio.notebook.open_tab("grid")
    buttons = studio.page.locator(".sdnb-grid button:has-text('img2img')")

    def is_scrolled_away():
        buttons.evaluate("b => b.scrollIntoView({block: 'start'})")
        return not tab.evaluate(SEEN)

    studio.notebook.sees(is_scrolled_away)  # else nothing would be shown
    buttons.click()
    studio.until("studio.panel.kind == 'img2img'")
    studio.until("studio.request.image == sdnb.images.picture("
                 "studio.grid.view.grid.image(steps=2, cfg=4))")  # fmt: skip
    studio.notebook.sees(lambda: tab.evaluate(SEEN))
    # What it shows comes along; steps are the tab's own, which are the model's here.
    assert studio.kernel("[studio.request.prompt, studio.request.steps]") == ["a pear", None]
    studio.notebook.open_tab("grid")
    studio.page.locator(".sdnb-grid button:text-is('Save') >> visible=true").click()
    studio.page.locator("[role=status]:has-text('Saved as of-grids')").wait_for()


def bring(studio):
    """A file of 11 MiB reaches the gallery: more than a server takes that knows nothing of sdnb."""
    rows = [bytes(3 * 8)] * 8
    heavy = raw_png(8, 8, 8, 2, rows, extra=chunk(b"sdNb", bytes(11 * 2**20)))
    with studio.page.expect_file_chooser() as chooser:
        studio.click("Add a picture")
    chooser.value.set_files([{"name": "heavy.png", "mimeType": "image/png", "buffer": heavy}])
    studio.page.locator("button.sdnb-thumb >> visible=true").wait_for()
    assert studio.kernel("[len(picture.file[1]) for picture in studio.gallery.pictures]") == [
        len(heavy)
    ]


THOUSAND = f"""
import sys
import sdnb
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from helpers import grids
from sdnb.jobs.executor import Worker
grid = sdnb.sweep(grids.BASE, steps=range(1, 41), cfg=[1 + i / 10 for i in range(25)])
view = sdnb.GridView(grid, grids.model(), executor=Worker(grids.make))
view
"""


def test_a_thousand_cells_are_all_seen_and_looked_through_by_keys(page, lab):
    """A page that is sent thousands of widgets at once shows none of them, or stands still."""
    view = GridPage(page, lab, "thousand.ipynb", THOUSAND)
    view.click("Run")
    view.until("grid.done == 1000 and not view.running", seconds=600)
    view.shows_all(1000)
    assert view.kernel("len({id(each.layout) for each in view._table._cell_styles.values()})") == 1
    view.cell("steps 3 CFG 2").click()
    view.until("view.chosen == grid.at(steps=3, cfg=2)")
    view.page.locator(LARGE).first.wait_for()
    view.press("ArrowRight", "ArrowDown", "Enter")
    view.until("view.chosen == grid.at(steps=4, cfg=2.1)")
    view.notebook.reload()
    view.shows_all(1000)
    view.cell("steps 40 CFG 3.4").click()
    view.until("view.chosen == grid.at(steps=40, cfg=3.4)")
    assert view.notebook.complaints() == []


def test_the_grid_that_runs_and_the_model_that_loads_are_those_in_the_boxes(page, lab):
    """Also while the boxes' own messages are late: here none of them arrives."""
    boxes = "[studio.picker._box, *(values for _, values in studio.grid._axes)]"
    lost = f"for box in {boxes}:\n    box.set_state = lambda state: None"
    studio = GridPage(page, lab, "late-grid.ipynb", STUDIO, lost)
    studio.kernel("studio.panels['txt2img'].form.change(prompt='a pear', width=64, height=64)")
    studio.notebook.open_tab("grid")
    across, down = (page.locator(".sdnb-values input >> visible=true").nth(i) for i in (0, 1))
    down.fill("1")
    across.fill("1, 2")
    studio.click("Run grid")
    ran = "studio.grid.view and [list(axis.values) for axis in studio.grid.view.grid.axes]"
    studio.until(f"({ran}) == [[1, 2], [1]]")
    across.fill("1, 2, 3")
    across.press("Control+Enter")  # as in every tab
    studio.until(f"({ran}) == [[1, 2, 3], [1]] and studio.grid.view.grid.done == 3")
    page.get_by_label("or path").fill("/nowhere")
    studio.click("Load")
    page.locator(".sdnb-picker [role=alert]:has-text('/nowhere')").wait_for()
    assert studio.notebook.complaints() == []
