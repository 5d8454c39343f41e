"""What is typed into a number box, assigned or sent stays; a slider rounds when it is dragged."""

import random
from decimal import Decimal

import pytest
from helpers.notebook_page import SHOTS, Notebook
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

PANEL = """
import sdnb
from PIL import Image
model = sdnb.load()
panel = sdnb.Panel(model)
photo = sdnb.images.picture(Image.new("RGB", (256, 256), "teal"))
mask = sdnb.images.mask(Image.new("L", (256, 256), 255))
asked = sdnb.Request(
    "a cat", width=264, height=256, steps=7, cfg=7.3, sampler="euler_a", eta=0.33, seed=2**53 + 1,
    image=photo, strength=0.63, mask=mask, feather=2.7, padding=13)
panel.request = asked
panel
"""
# By label: what is typed, what a request then has, and its field. Each lies between two steps of
# the slider, beyond its reach, or is written in another way.
TYPED = [
    ("Width", "312", 312, "width"), ("Height", "200", 200, "height"),
    ("Steps", "333", 333, "steps"), ("Steps", "1e1", 10, "steps"),
    ("CFG", "3.14", 3.14, "cfg"), ("CFG", "300", 300, "cfg"), ("CFG", "7.3", 7.3, "cfg"),
    ("Eta", "0.123456789", 0.123456789, "eta"), ("Strength", "0.63", 0.63, "strength"),
    ("Strength", ".07", 0.07, "strength"), ("Feather", "2.71", 2.71, "feather"),
    ("Feather", "311.5", 311.5, "feather"), ("Pixels around it", "77", 77, "padding"),
    ("Pictures", "3", 3, "count"), ("Seed", "9007199254740993", 2**53 + 1, "seed"),
]  # fmt: skip
REFUSED = [
    ("Width", "75", "Width: 75 is not a multiple of 8"), ("Steps", "5000", "nearest is 1000"),
    ("Steps", "7.5", "Steps: 7.5 is not a whole number"), ("CFG", "-1", "CFG: -1 is not"),
    ("Strength", "63", "nearest is 1"), ("Pixels around it", "4.5", "Pixels around it: 4.5"),
    ("Pictures", "0", "Pictures: 0"), ("Seed", "1.5", "not a whole number"),
    ("Feather", "600", "Feather: 600"),
]  # fmt: skip


class Numbers:
    """A panel, and a person who types into its boxes and drags its sliders."""

    def __init__(self, page, lab, name, *cells):
        self.notebook = Notebook(page, lab, lab.write(name, *cells))
        self.notebook.run_all()
        self.page, self.kernel = page, self.notebook.kernel
        self.until = self.notebook.becomes

    def box(self, label):
        return self.page.get_by_label(label, exact=True).locator("visible=true").first

    def type(self, label, words):
        """By the keyboard alone, once the box has the focus."""
        self.box(label).focus()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(words)
        self.page.keyboard.press("Tab")

    def drag(self, label, share):
        """Drag the slider beside this box to a share of its length, in ten moves."""
        track = self.page.locator(
            f".sdnb-slider:has(> .widget-text > label:text-is('{label}')) .noUi-base"
        ).locator("visible=true")
        track.scroll_into_view_if_needed()
        place, handle = map(self.notebook.place, (track, track.locator(".noUi-touch-area")))
        at = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
        self.page.mouse.move(*at)
        self.page.mouse.down()
        self.page.mouse.move(place["x"] + place["width"] * share, at[1], steps=10)
        self.page.mouse.up()


@pytest.fixture(scope="module")
def notebook_of_a_panel(shared_page, lab):
    return Numbers(shared_page, lab, "numbers.ipynb", PANEL)


@pytest.fixture
def one(notebook_of_a_panel):
    """The panel as its cell made it, with all controls in sight."""
    notebook_of_a_panel.kernel("setattr(panel, 'request', asked)")
    notebook_of_a_panel.notebook.unfold()
    return notebook_of_a_panel


def test_what_is_assigned_and_typed_stays(one):
    one.page.wait_for_timeout(1000)  # a slider that rounds would have told the kernel
    assert one.kernel("panel.request == asked")
    for label, words, value, field in TYPED:
        one.type(label, words)
        one.until(f"panel.request.{field} == {value!r}")
    one.notebook.settle()
    last = {field: value for _, _, value, field in TYPED}
    assert one.kernel(f"panel.request == asked.but(**{last!r})")
    for label, _, value, field in TYPED:
        if value == last[field]:
            one.notebook.sees(
                lambda label=label: Decimal(one.box(label).input_value()), Decimal(str(value))
            )
    one.notebook.screenshot(SHOTS / "numbers-typed.png")
    assert one.notebook.complaints() == []
    one.notebook.reload()
    one.notebook.unfold()
    one.page.wait_for_timeout(1000)
    assert one.kernel(f"panel.request == asked.but(**{last!r})")
    assert one.notebook.complaints() == []


STUDIO = """
import random, time
import sdnb
from PIL import Image
studio = sdnb.studio(folder='numbers')
pixels = Image.new("RGB", (256, 256), "teal")
picture, mask = sdnb.images.picture(pixels), sdnb.images.mask(pixels.convert("L"))
def any_request(seed):
    draw = random.Random(seed)
    def maybe(value):
        return draw.choice((None, value, value))
    return sdnb.Request(
        width=maybe(8 * draw.randint(8, 1024)), height=maybe(8 * draw.randint(8, 1024)),
        steps=maybe(draw.randint(1, 1000)), cfg=maybe(draw.uniform(0, 20) ** draw.choice((1, 9))),
        eta=maybe(draw.random()), seed=maybe(draw.randint(0, 2**62)), count=draw.randint(1, 64),
        sampler=maybe("euler_a"), image=picture, mask=mask, strength=draw.random(),
        feather=draw.uniform(0, 512), padding=maybe(draw.randint(0, 4096)))
studio
"""


def test_any_numbers_assigned_to_any_tab_stay(page, lab):
    one = Numbers(page, lab, "any.ipynb", STUDIO)
    for n, tab in enumerate(("txt2img", "img2img", "inpaint", "upscale")):
        one.notebook.open_tab(tab)
        one.until(f"studio.panel is studio.panels[{tab!r}]")
        for seed in range(3 * n, 3 * n + 3):
            one.kernel(f"setattr(studio, 'request', any_request({seed}))")
            one.notebook.settle()
            assert one.kernel(f"studio.request == any_request({seed})"), (tab, seed)
    assert one.notebook.complaints() == []


def test_any_number_typed_is_taken_digit_by_digit(one):
    draw = random.Random(1)
    for label, field, low, high in (
        ("CFG", "cfg", 0, 40), ("Eta", "eta", 0, 1), ("Strength", "strength", 0, 1),
        ("Feather", "feather", 0, 512), ("Steps", "steps", 1, 1000), ("Pictures", "count", 1, 64),
        ("Width", "width", 8, 1024), ("Pixels around it", "padding", 0, 4096),
    ):  # fmt: skip
        for digits in (1, 3, 9):
            whole = field in ("steps", "count", "width", "padding")
            value = draw.randint(low, high) if whole else round(draw.uniform(low, high), digits)
            value *= 8 if field == "width" else 1
            one.type(label, str(value))
            one.until(f"panel.request.{field} == {value!r}")
    assert one.notebook.complaints() == []


EDITOR = """
import sdnb
from PIL import Image
editor = sdnb.MaskEditor(Image.new("RGB", (256, 256), "teal"))
editor
"""


def test_the_brush_and_the_feather_stay_as_they_are_typed(page, lab):
    one = Numbers(page, lab, "editor.ipynb", EDITOR)
    for label, name in (("Brush", "brush"), ("Feather", "feather")):
        for words in ("12.3", "100", "7.25"):
            one.type(label, words)
            one.until(f"editor.{name} == {words}")
        one.type(label, "5000")
        page.locator(f"[role=alert]:has-text('{label}: 5000') >> visible=true").wait_for()
        assert one.kernel(f"editor.{name} == 7.25")
        one.drag(label, 0.5)
        one.until(f"editor.{name} == round(editor.{name}) != 7.25")
        one.kernel(f"setattr(editor, {name!r}, 33.3)")
        expect(one.box(label)).to_have_value("33.3")
        one.notebook.settle()
        assert one.kernel(f"editor.{name}") == 33.3
    one.type("Feather", "600")
    page.locator("[role=alert]:has-text('Feather: 600') >> visible=true").wait_for()
    one.notebook.screenshot(SHOTS / "numbers-editor.png")
    assert one.notebook.complaints() == []


def test_what_is_refused_stays_in_its_box_and_is_said(one):
    for label, words, said in REFUSED:
        one.type(label, words)
        alert = one.page.locator(f"[role=alert]:has-text('{said}') >> visible=true")
        alert.first.wait_for()
        assert one.box(label).input_value() == words
        one.page.locator("button:has-text('Generate') >> visible=true").first.click()
        one.page.locator(f".sdnb-error:has-text('{said}') >> visible=true").wait_for()
        assert not one.kernel("panel.running")
        one.kernel("setattr(panel, 'request', asked)")
        alert.first.wait_for(state="hidden")
    one.type("Width", "75")
    one.type("Steps", "5000")
    one.type("Strength", "63")
    one.page.locator("[role=alert]:has-text('nearest is 1') >> visible=true").last.wait_for()
    one.notebook.settle()
    one.notebook.screenshot(SHOTS / "numbers-refused.png")
    assert one.notebook.complaints() == []


def test_dragging_rounds_to_steps(one):
    one.kernel("panel.form.change(cfg=300, strength=0.63)")  # beyond the slider's reach
    for label, share, field, low, step, high in (
        ("CFG", 0.5, "cfg", 1, 0.5, 20), ("CFG", 0.0, "cfg", 1, 0.5, 20),
        ("Strength", 0.31, "strength", 0, 0.05, 1), ("Steps", 1.0, "steps", 1, 1, 100),
        ("Eta", 0.77, "eta", 0, 0.05, 1), ("Feather", 0.2, "feather", 0, 1, 64),
    ):  # fmt: skip
        one.drag(label, share)
        near = max(1.5 * step, 0.05 * (high - low))  # a short slider has few pixels
        wanted = low + share * (high - low)
        one.until(f"abs(panel.request.{field} - {wanted}) <= {near}")
        one.notebook.settle()
        value = one.kernel(f"panel.request.{field}")
        assert abs(value - wanted) <= near, (label, value)
        assert abs(value / step - round(value / step)) < 1e-9, (label, value)
        one.notebook.sees(lambda label=label: float(one.box(label).input_value()), value)
    assert one.notebook.complaints() == []


def test_a_number_left_open_is_replaced_by_what_is_typed_and_open_again_when_emptied(one):
    one.kernel("setattr(panel, 'request', sdnb.Request('a cat'))")
    for way in ("mouse", "Tab"):
        box = one.box("Width")
        box.click() if way == "mouse" else box.focus()
        one.page.keyboard.type("512")  # over the grey 256, not behind it
        one.page.keyboard.press("Tab")
        one.until("panel.request.width == 512")
        one.box("Width").focus()
        one.page.keyboard.press("Control+a")
        one.page.keyboard.press("Delete")
        one.page.keyboard.press("Tab")
        one.until("panel.request.width is None")
    expect(one.box("Width")).to_have_value("256")
    for words, taken in (("0", "1"), ("3", "3"), ("0", "3")):  # one that is never open
        one.type("Pictures", words)
        refused = one.page.locator("[role=alert]:has-text('Pictures: 0') >> visible=true")
        expect(refused).to_have_count(int(words == "0"))
        one.notebook.settle()
        one.box("Pictures").focus()
        one.page.keyboard.press("Control+a")
        one.page.keyboard.press("Delete")
        one.page.keyboard.press("Tab")
        one.until(f"panel.request.count == {taken} and not panel.form.controls['count'].wrong")
        expect(one.box("Pictures")).to_have_value(taken)
        expect(refused).to_have_count(0)
    assert one.notebook.complaints() == []


def test_keys_step_through_a_box_and_a_comma_is_a_point(one):
    one.kernel("panel.form.change(steps=None, cfg=7.3)")
    own = one.kernel("model.settings.steps")
    one.box("Steps").focus()
    one.page.keyboard.press("ArrowUp")
    one.until(f"panel.request.steps == {own + 1}")
    for _ in range(12):  # faster than the kernel answers
        one.page.keyboard.press("ArrowUp")
    one.until(f"panel.request.steps == {own + 13}")
    expect(one.box("Steps")).to_have_value(str(own + 13))
    one.box("CFG").focus()
    one.page.keyboard.press("ArrowDown")
    one.until("panel.request.cfg == 7.0")  # the browser's way from 7.3, in steps of 0.5
    one.type("CFG", "7,5")
    one.until("panel.request.cfg == 7.5")
    one.type("Steps", "1,5")
    one.until("panel.form.controls['steps'].wrong.startswith('Steps: 1.5 is not a whole')")
    assert one.notebook.complaints() == []
