"""How the studio is laid out at the sizes and in the colours in which people see it: measured, and
kept as screenshots to look at.
"""

import pytest
from helpers.notebook_page import SHOTS
from playwright.sync_api import expect
from test_panel_page import Page

pytestmark = pytest.mark.browser

STUDIO = "import sdnb, tempfile\nstudio = sdnb.studio(folder=tempfile.mkdtemp())\nstudio"
SIZES = ((1400, 900), (1000, 700))
TABS = ("txt2img", "img2img", "inpaint", "upscale", "sketch", "grid")
FILES = "await app.commands.execute('application:toggle-left-area')"  # shows or hides their list
NOTEBOOK = "document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer')"

# Left and right edges of what stands in a form below each other: labels, and controls beside them.
EDGES = """columns => {
  const seen = e => e.checkVisibility() && e.getBoundingClientRect().width > 0;
  const first = [...columns.querySelectorAll('.widget-label')].filter(seen)
    .map(e => e.getBoundingClientRect());
  const left = Math.min(...first.map(r => r.left));
  const labels = first.filter(r => r.left < left + 30);
  return [...new Set(labels.map(r => Math.round(r.right)))];
}"""


class Studio(Page):
    """The studio at one size of the browser."""

    def resize(self, size):
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.page.wait_for_timeout(700)

    def tab(self, name):
        self.notebook.open_tab(name)
        self.notebook.settle()

    def scrolled(self):
        return self.page.evaluate(f"{NOTEBOOK}.scrollTop")

    def frame(self):
        """Top and bottom of what is seen of the notebook."""
        r = self.page.evaluate(f"(r => [r.top, r.bottom])({NOTEBOOK}.getBoundingClientRect())")
        return tuple(r)

    def place(self, selector):
        """Left, top, right and bottom of the first of these in sight."""
        return self.sides(self.page.locator(f"{selector} >> visible=true").first)

    def sides(self, part):
        """Left, top, right and bottom of a part."""
        box = self.notebook.place(part)
        return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]

    def button(self, words):
        return self.place(f"button:has-text('{words}')")

    def write_then_click(self, label, words, button):
        """Write into a box, and click elsewhere as slowly as a hand does: the button goes down when
        the box is left, and up when the page has answered.
        """
        box, target = self.box(label), self.page.locator(f"{button} >> visible=true").first
        target.scroll_into_view_if_needed()
        box.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(str(words))
        left, top, right, bottom = self.sides(target)
        self.page.mouse.move((left + right) / 2, (top + bottom) / 2)
        self.page.mouse.down()
        self.page.wait_for_timeout(110)
        self.page.mouse.up()

    def looks(self):
        """Each theme at each size, once; their names."""
        for theme in ("Dark", "Light"):
            self.notebook.theme(theme)
            for size in SIZES:
                self.resize(size)
                yield f"{theme.lower()}-{size[0]}"

    def shot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"studio-{name}.png")


@pytest.fixture(scope="module")
def notebook_of_a_studio(shared_page, lab):
    one = Studio(shared_page, lab, "looked-at.ipynb", STUDIO)
    one.notebook.js(FILES)
    yield one
    one.notebook.js(FILES)


@pytest.fixture
def studio(notebook_of_a_studio):
    """A studio that its cell has just made."""
    one = notebook_of_a_studio
    one.notebook.kernel("studio.close()")
    one.notebook.run_all()
    one.type("Steps", 4)
    one.page.evaluate(f"{NOTEBOOK}.scrollTop = 0")
    return one


def painted(one):
    """Make a picture, send it to inpaint and paint a line across it."""
    one.type("Prompt", "a red apple on a table")
    one.click("Generate")
    one.until("studio.result is not None")
    one.click("to inpaint")
    one.kernel("studio.panels['inpaint'].form.change(steps=4) or 0")  # its own are more
    canvas = one.page.locator(".jp-OutputArea-output canvas >> visible=true").first
    canvas.wait_for()
    one.notebook.settle()
    x, y, right, bottom = one.place(".jp-OutputArea-output canvas")
    one.page.mouse.move(x + (right - x) * 0.3, y + (bottom - y) * 0.3)
    one.page.mouse.down()
    one.page.mouse.move(x + (right - x) * 0.7, y + (bottom - y) * 0.4, steps=5)
    one.page.mouse.up()
    one.until("studio.request.mask is not None")


def test_from_the_prompt_to_the_result_nobody_scrolls(studio):
    studio.resize(SIZES[0])
    studio.type("Prompt", "a red apple on a table")
    studio.click("Generate")
    studio.until("studio.result is not None")
    picture = studio.page.locator(".sdnb-zoom img >> visible=true")
    picture.wait_for()
    studio.notebook.sees(lambda: all_is_in_sight(studio))
    assert studio.scrolled() == 0
    studio.resize(SIZES[1])
    studio.notebook.sees(lambda: one_screen_shows_both(studio))

    studio.resize(SIZES[0])
    is_of_its_pixels(studio, picture)  # its column is wider
    picture.click()
    studio.notebook.sees(lambda: fills_its_column(studio, picture))
    picture.click()
    is_of_its_pixels(studio, picture)
    assert studio.notebook.complaints() == []


def all_is_in_sight(studio):
    """Whether one sees the prompt, the picture and all buttons at once."""
    top, bottom = studio.frame()
    for place in (studio.place("textarea"), studio.button("Generate"), studio.button("Stop"),
                  studio.place(".sdnb-zoom img"), studio.button("Save"),
                  studio.button("to inpaint")):  # fmt: skip
        assert top <= place[1] <= place[3] <= bottom, place
    return True


def one_screen_shows_both(studio):
    """Whether the prompt and the picture are no further apart than the notebook is high."""
    first, last = studio.place("textarea"), studio.place(".sdnb-zoom img")
    top, bottom = studio.frame()
    return last[3] - first[1] <= bottom - top


def is_of_its_pixels(studio, picture):
    """Wait until a picture is shown in its own size."""
    studio.notebook.sees(lambda: round(studio.notebook.place(picture)["width"]), 256)


def fills_its_column(studio, picture):
    """Whether a picture is as wide as its column, and not stretched."""
    larger, column = studio.notebook.place(picture), studio.place(".sdnb-zoom")
    assert round(larger["width"]) == round(column[2] - column[0]) >= 550
    return abs(larger["width"] - larger["height"]) < 1


def test_in_inpaint_the_canvas_and_the_result_stand_side_by_side(studio):
    studio.resize(SIZES[0])
    painted(studio)
    studio.click("Generate")
    studio.until("studio.result.request.mask is not None")
    studio.page.locator(".sdnb-zoom img >> visible=true").wait_for()
    for size in SIZES:
        studio.resize(size)
        studio.notebook.sees(lambda: side_by_side(studio))
    studio.notebook.js(FILES)  # beside the list of files, too
    studio.page.wait_for_timeout(700)
    studio.notebook.sees(lambda: side_by_side(studio))
    studio.notebook.js(FILES)
    studio.page.locator("button.sdnb-fold:has-text('Settings') >> visible=true").first.click()
    top, bottom = studio.frame()
    seen = studio.place(".sdnb-zoom img")
    studio.page.evaluate(f"{NOTEBOOK}.scrollTop += {seen[1] - top + 60}")  # half of it would be out

    def is_in_sight():
        seen = studio.place(".sdnb-zoom img")
        return top <= seen[1] < seen[3] <= bottom

    studio.notebook.sees(is_in_sight)  # the picture stays there
    studio.page.evaluate(f"{NOTEBOOK}.scrollTop = 0")
    studio.page.locator("button.sdnb-fold:has-text('Settings') >> visible=true").first.click()
    for look in studio.looks():
        studio.shot(f"inpainted-{look}")

    studio.resize(SIZES[0])
    studio.click("Use as picture")  # the second round, with the mask that is there
    studio.until(
        "studio.request.mask is not None and sdnb.images.open(studio.request.image).tobytes()"
        " == studio.result.image.convert('RGB').tobytes()"
    )
    studio.click("Generate")
    studio.until("len(studio.gallery.pictures) == 3")
    studio.click("Compare")
    differs_and_is_larger(studio)
    assert studio.notebook.complaints() == []


def differs_and_is_larger(studio):
    """Two pictures that are compared have two boxes to look closer, with the kernel or without."""
    pair = studio.page.locator(".sdnb-pair >> visible=true")
    pair.wait_for()
    seen = "e => [e.clientWidth, getComputedStyle(e.querySelector('img + img')).mixBlendMode]"
    assert pair.evaluate(seen) == [256, "normal"]
    studio.page.locator(".sdnb-compare").get_by_label("Difference").check()
    studio.page.locator(".sdnb-compare").get_by_label("Larger").check()
    room = pair.evaluate("e => e.closest('.sdnb-compare').parentElement.clientWidth")
    assert pair.evaluate(seen) == [room, "difference"]
    assert room > 400
    studio.shot("difference")


def side_by_side(studio):
    """The canvas and the result are seen together, and no tool is cut off."""
    canvas, result = studio.place(".sdnb-stage canvas"), studio.place(".sdnb-zoom img")
    assert canvas[2] <= result[0]  # left of it
    assert max(canvas[1], result[1]) < min(canvas[3], result[3])  # and level with it
    tools = studio.page.locator(".sdnb-mask .sdnb-bar >> nth=0").locator("button >> visible=true")
    assert tools.count() >= 13
    assert len({round(tool.bounding_box()["y"]) for tool in tools.all()}) == 1  # in one row
    return studio.sides(tools.last)[2] <= result[0]  # and none is cut off


@pytest.fixture
def narrowed(studio):
    """The studio beside the list of files."""
    studio.notebook.js(FILES)
    yield studio
    studio.notebook.js(FILES)


@pytest.mark.parametrize("size", SIZES)
def test_a_click_right_after_a_number_was_written_meets_what_it_was_meant_for(narrowed, size):
    studio = narrowed
    studio.resize(size)
    studio.kernel("studio.panel.form.seed.made_with(5)")
    studio.write_then_click("Width", 192, "button[title='Exchange width and height']")
    studio.until("(studio.request.width, studio.request.height) == (256, 192)")
    studio.kernel("studio.panel.form.change(width=None, height=None)")
    studio.write_then_click("Width", 192, "button.sdnb-fold:has-text('More')")
    studio.box("Schedule").wait_for()
    studio.kernel("studio.panel.form.change(seed=None)")
    studio.write_then_click("Seed", 77, "button[title^='Keep the seed of the last run']")
    studio.until("studio.request.seed == 5")
    studio.kernel("studio.panel.form.change(seed=None)")
    studio.write_then_click("Seed", 77, "button[title^='Draw a seed now']")
    studio.until("studio.request.seed not in (None, 77)")


def test_in_inpaint_settings_nothing_is_cut_off_or_askew(narrowed):
    studio = narrowed
    studio.resize(SIZES[0])
    studio.tab("inpaint")
    studio.kernel('exec(\'from PIL import Image; white = Image.new("RGB", (256, 256), "white")\')')
    studio.kernel(
        "studio.panel.form.change(image=sdnb.images.picture(white), padding=32,"
        " mask=sdnb.images.mask(white.convert('L')))"
    )
    studio.page.locator("button.sdnb-fold:has-text('Settings') >> visible=true").first.click()
    edge = studio.place(".sdnb-columns textarea")[2]
    boxes = studio.page.locator(".sdnb-columns input[type=checkbox] >> visible=true")
    padding = studio.box("Pixels around it")
    padding.wait_for()
    studio.notebook.sees(lambda: studio.sides(padding)[2] <= edge)
    studio.notebook.sees(lambda: len({round(studio.sides(box)[0]) for box in boxes.all()}), 1)
    studio.type("Width", 260)
    studio.page.locator("[role=alert]:has-text('Width: 260') >> visible=true").wait_for()
    studio.notebook.settle()
    row = [studio.box("Width"), studio.box("Height")]
    studio.notebook.sees(lambda: len({round(studio.sides(box)[1]) for box in row}), 1)
    studio.type("Seed", "1.5")
    studio.page.locator("[role=alert]:has-text('Seed') >> visible=true").wait_for()

    def are_framed():
        edges = [studio.box(label).evaluate("e => getComputedStyle(e).borderColor")
                 for label in ("Width", "Seed", "Height")]  # fmt: skip
        return edges[0] == edges[1] != edges[2]

    studio.notebook.sees(are_framed)


def test_in_a_narrow_cell_a_run_is_seen_from_where_it_is_started(studio):
    studio.resize((760, 700))
    studio.type("Steps", 100)
    studio.type("Prompt", "a red apple on a table")
    studio.click("Generate")
    line = studio.page.locator(".sdnb-line:has-text('step ') >> visible=true").first
    line.wait_for()
    studio.notebook.sees(lambda: stand_below_each_other(studio, line))
    studio.page.locator("img.sdnb-picture >> visible=true").first.wait_for()
    studio.notebook.sees(lambda: shows_its_preview(studio, line))
    studio.click("Stop")
    studio.until("not studio.panel.running")

    studio.type("Steps", 4)
    studio.kernel("studio.panel.empty()")
    studio.box("Negative").click()
    studio.notebook.settle()
    before = studio.sides(studio.box("Negative"))
    studio.kernel("bool(studio.panel.generate())")  # as if it had been waiting
    studio.page.locator(".sdnb-zoom img >> visible=true").wait_for()
    studio.until("not studio.panel.running")
    studio.notebook.settle()
    assert abs(studio.sides(studio.box("Negative"))[1] - before[1]) < 3  # stays at the hand
    assert studio.place(".sdnb-zoom img")[3] <= before[1]
    studio.page.evaluate(f"{NOTEBOOK}.scrollTop = 0")
    studio.box("Prompt").focus()
    for _ in range(12):  # by Tab it goes as one sees it: the picture's buttons, then the settings
        studio.page.keyboard.press("Tab")
        if studio.page.evaluate("document.activeElement.innerText.includes('to img2img')"):
            break
    else:
        raise AssertionError("Tab did not come to the picture's buttons")
    studio.resize(SIZES[0])

    def stands_beside():
        picture = studio.place(".sdnb-zoom img")
        assert studio.place("textarea")[3] <= picture[1]
        return studio.sides(studio.box("Negative"))[0] < picture[0]

    studio.notebook.sees(stands_beside)


def stand_below_each_other(studio, line):
    """Whether the buttons, the bar, its words and the settings stand in this order."""
    bar, stop, words = studio.place(".progress"), studio.button("Stop"), studio.sides(line)
    negative = studio.sides(studio.box("Negative"))
    assert stop[3] <= bar[1] < bar[3] <= words[1] < words[3] <= negative[1]
    return bar[2] - bar[0] > 400


def shows_its_preview(studio, line):
    """Whether the preview stands above the settings, and one sees it and the prompt together."""
    preview, words = studio.place("img.sdnb-picture"), studio.sides(line)
    top, bottom = studio.frame()
    assert words[3] <= preview[1]
    assert preview[3] - studio.place("textarea")[1] <= bottom - top  # one screen shows both
    return preview[3] <= studio.sides(studio.box("Negative"))[1]  # above the settings


def test_labels_are_level_and_a_narrow_cell_has_one_column(studio):
    for name in TABS[:4]:
        studio.tab(name)
        for size in SIZES:
            studio.resize(size)
            columns = studio.page.locator(".sdnb-columns >> visible=true")
            studio.notebook.sees(
                lambda columns=columns: len(columns.evaluate(EDGES)) <= 1, what=f"{name}, {size}"
            )
    studio.tab("txt2img")

    def stand():
        return studio.place(".sdnb-columns .sdnb-slider"), studio.place(".sdnb-result")

    def stands_below():
        steps, result = stand()
        return steps[3] <= result[1]

    def stands_beside():
        steps, result = stand()
        assert result[1] < steps[1]
        return steps[2] <= result[0]

    studio.resize((760, 900))
    studio.notebook.sees(stands_below)
    studio.resize(SIZES[0])
    studio.notebook.sees(stands_beside)


def test_values_of_a_grid_are_as_wide_as_their_row(studio):
    studio.tab("grid")
    for size in (*SIZES, (760, 700)):
        studio.resize(size)
        studio.notebook.sees(lambda size=size: values_fill_their_row(studio, size))


def values_fill_their_row(studio, size):
    """Whether the boxes for values are as wide as they can be in a browser of this size."""
    row, keep = studio.place(".sdnb-axis"), studio.sides(studio.box("Keep in"))
    for values in studio.page.get_by_label("values", exact=True).locator("visible=true").all():
        left, _, right, _ = studio.sides(values)
        assert right - left > 140, size
        assert row[0] <= left <= right <= row[2] + 1, size
        if size[0] == 760:  # below its axis, and level with all boxes
            assert abs(left - keep[0]) < 3
    return True


def test_enter_loads_what_was_written_into_the_pickers_box(studio):
    studio.resize(SIZES[0])
    path = studio.box("or path")
    path.fill("/no/such/model.safetensors")
    path.press("Enter")
    refused = studio.page.locator(".sdnb-picker [role=alert] >> visible=true")
    expect(refused).to_contain_text("/no/such/model.safetensors")


def test_every_tab_can_be_read_in_both_themes_at_both_sizes(studio):
    studio.type("Prompt", "a castle:1 snow:0.5")
    for look in studio.looks():
        for name in TABS:
            studio.tab(name)
            studio.shot(f"{name}-{look}")
            for place in (".widget-label", ".sdnb-quiet div", "button.sdnb-main"):
                studio.can_be_read(f".sdnb {place}")
            wide = f"{NOTEBOOK}.scrollWidth > {NOTEBOOK}.clientWidth"
            studio.notebook.sees(  # nothing is beyond the right edge
                lambda wide=wide: studio.page.evaluate(wide), False, what=f"{name}, {look}: wider"
            )
    assert studio.notebook.complaints() == []
