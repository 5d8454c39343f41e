"""The mask editor in JupyterLab: what a hand draws, what the kernel has, what the page shows."""

import base64
import io
import itertools
import math

import numpy as np
import pytest
from helpers.notebook_page import SHOTS, Notebook
from PIL import Image, ImageFilter

from sdnb.bench import widgets_page

pytestmark = pytest.mark.browser

GREY = (96, 96, 96)
CELL = """
import sdnb
from PIL import Image
editor = sdnb.MaskEditor(Image.new("RGB", ({0}, {0}), (96, 96, 96)))
editor
"""
CANVAS = ".jp-OutputArea-output canvas"
WAVE = [(60 + 16 * i, round(150 + 70 * math.sin(i / 2))) for i in range(23)]


class Page:
    """The editor in a notebook; points are pixels of the page, counted from its canvas."""

    def __init__(self, notebook, number=0):
        self.notebook = notebook
        self.canvas = notebook.page.locator(CANVAS).nth(number)
        self.canvas.wait_for()
        self.canvas.scroll_into_view_if_needed()
        self.mouse, self.settle = notebook.page.mouse, notebook.settle
        self.settle()

    def move(self, *points):
        box = self.notebook.place(self.canvas)
        for x, y in points:
            self.mouse.move(box["x"] + x, box["y"] + y)

    def drag(self, *points):
        self.move(points[0])
        self.mouse.down()
        self.move(*points[1:])
        self.mouse.up()
        self.settle()

    def press(self, *keys):
        for key in keys:
            self.notebook.page.keyboard.press(key)
        self.settle()

    def shown(self):
        """The canvas as it is, with no cursor on it."""
        self.mouse.move(5, 5)
        self.settle()
        data = self.canvas.evaluate("canvas => canvas.toDataURL('image/png')").split(",")[1]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def veil(self):
        """Where the canvas is more veil than picture."""
        apart = np.asarray(self.shown()).astype(int) - GREY
        return Image.fromarray(np.abs(apart).max(-1) > 40).convert("L")

    def agrees(self, mask):
        """Wait until the page shows the kernel's mask, but for one pixel of the canvas at the
        rim.
        """
        self.notebook.sees(lambda: agree(self.veil(), mask), what="what is drawn")

    def mask(self):
        """The mask in the kernel."""
        png = self.notebook.kernel(
            "__import__('base64').b64encode(sdnb.images.mask(editor.mask)).decode()"
        )
        return Image.open(io.BytesIO(base64.b64decode(png)))


def opened(page, lab, name, *cells):
    notebook = Notebook(page, lab, lab.write(name, *cells))
    notebook.run_all()
    return notebook


def beyond_the_rim(mask, points, size):
    """How far from the rim of the ideal stroke a mask differs from it, in pixels."""
    centre = np.stack(np.meshgrid(*(np.arange(side) + 0.5 for side in mask.size)), -1)  # [h, w, 2]
    away = np.full(mask.size[::-1], np.inf)
    for a, b in itertools.pairwise(np.array(points, float)):
        along = np.clip((centre - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)[..., None]
        away = np.minimum(away, np.linalg.norm(centre - a - along * (b - a), axis=-1))
    away -= size / 2
    return np.abs(away[(np.asarray(mask) > 127) != (away <= 0)]).max(initial=0)


def agree(veil, mask):
    """Whether a veil is that of a mask, but for one pixel at the rim."""
    expected = mask.resize(veil.size, Image.Resampling.NEAREST)
    least, most = (
        expected.filter(kind(3)) for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
    )
    found = np.asarray(veil)
    return bool(((np.asarray(least) <= found) & (found <= np.asarray(most))).all())


def test_draw_erase_undo_and_come_back(lab, page):
    notebook = opened(page, lab, "draw.ipynb", CELL.format(512), "editor")
    hand = Page(notebook)
    hand.drag(*WAVE)
    stroke = hand.mask()
    size = notebook.kernel("editor.brush")
    assert len(notebook.kernel("editor.strokes[0].points")) == len(WAVE)
    assert beyond_the_rim(stroke, WAVE, size) <= 1.0
    hand.agrees(stroke)

    hand.press("e")
    hand.drag((200, 20), (200, 480))
    erased = hand.mask()
    assert erased.getpixel((200, 150)) == 0
    hand.agrees(erased)

    hand.press("Control+z")
    assert hand.mask().tobytes() == stroke.tobytes()
    hand.agrees(stroke)
    hand.press("Control+Shift+Z")
    assert hand.mask().tobytes() == erased.tobytes()

    second = Page(notebook, number=1)  # the second cell's
    second.press("r")
    second.drag((300, 300), (420, 400))
    both = hand.mask()
    assert both.getpixel((360, 350)) == 255
    notebook.sees(lambda: second.shown().tobytes() == hand.shown().tobytes())
    second.agrees(both)

    notebook.screenshot(SHOTS / "mask-editor-two-views.png")
    notebook.reload()
    again = Page(notebook)
    again.agrees(both)
    again.drag((60, 440), (200, 470))
    again.agrees(again.mask())
    assert notebook.complaints() == []


@pytest.mark.parametrize("density", [1, 2])
def test_a_large_picture_in_a_cell_is_exact(lab, open_page, density):
    notebook = opened(open_page(density), lab, f"large-{density}.ipynb", CELL.format(1088))
    hand = Page(notebook)
    notebook.sees(lambda: hand.canvas.bounding_box()["width"], 700)
    hand.drag(*WAVE)
    points = [(x * 1088 / 700, y * 1088 / 700) for x, y in WAVE]
    mask = hand.mask()
    assert mask.size == (1088, 1088)
    assert beyond_the_rim(mask, points, notebook.kernel("editor.brush")) <= 1.0
    hand.agrees(mask)
    assert hand.veil().width == 1400  # of as many pixels as the screen has
    notebook.screenshot(SHOTS / f"mask-editor-1088-density-{density}.png")
    assert notebook.complaints() == []


def test_in_the_dark_with_keys_feather_zoom_and_the_latent_mask(lab, page):
    notebook = opened(page, lab, "dark-mask.ipynb", CELL.format(512))
    notebook.theme("Dark")
    hand = Page(notebook)
    hand.drag(*WAVE)

    def apart():
        return np.abs(np.asarray(hand.shown()).astype(int) - GREY).sum()

    hand.agrees(hand.mask())
    before = apart()
    notebook.kernel("setattr(editor, 'feather', 16.0)")
    notebook.sees(lambda: apart() < 0.9 * before)
    hand.move((256, 150))
    hand.mouse.wheel(0, -100)
    hand.mouse.wheel(0, -100)
    hand.settle()
    notebook.becomes("editor._state.view.zoom", pytest.approx(1.44))
    notebook.screenshot(SHOTS / "mask-editor-dark.png")

    hand.canvas.focus()
    hand.press("0", "m")
    latent = notebook.kernel("list(editor._state.latent_mask()[0].tobytes())")
    expected = np.array([0.3 + 0.7 * value / 255 if value else 0 for value in latent])

    def shows_cells():
        cells = np.asarray(hand.shown()).astype(int)
        bluer = cells[8::16, 8::16, 2] - cells[8::16, 8::16, 0]  # the middle of each cell
        return bluer.any() and bool(np.corrcoef(bluer.ravel(), expected)[0, 1] > 0.99)

    notebook.sees(shows_cells)
    notebook.screenshot(SHOTS / "mask-editor-latent-dark.png")

    hand.canvas.focus()
    cells = notebook.js("return panel.content.widgets.length")
    hand.press("m", "Escape")
    notebook.until("return document.activeElement.innerText === 'Brush, on'")
    page.keyboard.press("b")  # the notebook's own: a cell below
    notebook.until(f"return panel.content.widgets.length === {cells + 1}")
    assert notebook.complaints() == []


def test_no_ring_is_seen_before_the_pointer_came_and_after_it_left(lab, page):
    notebook = opened(page, lab, "ring.ipynb", CELL.format(512))
    hand = Page(notebook)

    def touched():
        """How many pixels of the canvas are not the picture's grey, as it is now."""
        hand.settle()
        data = hand.canvas.evaluate("canvas => canvas.toDataURL('image/png')").split(",")[1]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        return int((np.abs(pixels.astype(int) - GREY).max(-1) > 40).sum())

    page.get_by_label("Brush", exact=True).last.fill("90")
    page.keyboard.press("Enter")
    notebook.becomes("editor.brush", 90)
    assert touched() == 0
    hand.move((200, 200), (210, 200))
    # Two circles of radius 90 on the canvas: 4 pixels wide, the middle 2 of them white.
    notebook.sees(lambda: 2 * math.pi * 90 * 2 < touched() < 2 * math.pi * 90 * 6)
    hand.mouse.move(5, 5)
    notebook.sees(touched, 0)
    notebook.kernel("setattr(editor, 'brush', 40.0)")
    assert touched() == 0
    assert notebook.complaints() == []


def test_a_soft_mask_is_seen_as_far_as_it_goes(lab, page):
    cell = CELL.format(256) + (
        "\nfrom sdnb.widgets.masks.strokes import Brush\n"
        "editor.draw(Brush(((20, 60), (230, 60), (30, 200)), 9))\neditor.feather = 12.0"
    )
    notebook = opened(page, lab, "soft.ipynb", cell.replace("editor\n\n", "\n"), "editor")
    hand = Page(notebook)
    mask = notebook.kernel("list(editor._state.in_effect((0, 0, 256, 256)).tobytes())")
    mask = np.array(mask).reshape(256, 256)
    assert ((mask > 0) & (mask < 40)).mean() > 0.02  # a sixth of the whole at most

    def shows_all_of_it():
        shown = np.asarray(hand.shown().resize((256, 256), Image.Resampling.BOX)).astype(int)
        apart = np.abs(shown - GREY).max(-1)
        assert apart[mask > 0].min() > 15
        assert apart[mask == 0].max() < 8
        return True

    notebook.sees(shows_all_of_it)
    notebook.screenshot(SHOTS / "mask-editor-soft.png")
    assert notebook.complaints() == []


def test_export_is_a_download_and_a_file_comes_back(lab, page, tmp_path):
    notebook = opened(page, lab, "files.ipynb", CELL.format(512))
    hand = Page(notebook)
    hand.drag(*WAVE)
    drawn = hand.mask()
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_text("Download mask.png").click()
    download.value.save_as(tmp_path / "mask.png")
    assert Image.open(tmp_path / "mask.png").tobytes() == drawn.tobytes()
    page.get_by_role("button", name="Clear").click()
    notebook.becomes("editor.mask.getbbox()", None)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import a mask").click()
    chooser.value.set_files(tmp_path / "mask.png")
    notebook.sees(lambda: hand.mask().tobytes() == drawn.tobytes())
    hand.agrees(drawn)
    on_a_larger_canvas(notebook, hand, drawn)
    assert notebook.complaints() == []


def on_a_larger_canvas(notebook, hand, drawn):
    """Extend the picture, draw in what is new, and go back, by mouse."""
    page = notebook.page
    page.get_by_role("button", name="Extend the canvas").click()
    page.get_by_label("Left", exact=True).fill("188")
    page.keyboard.press("Tab")
    notebook.becomes("editor.image.size", [700, 512])
    notebook.kernel("setattr(editor, 'feather', 0.0)")
    larger = hand.mask()
    assert larger.size == (700, 512)

    def side():
        box = hand.canvas.bounding_box()
        return box["width"], round(box["height"])

    notebook.sees(side, (700, 512))
    assert larger.crop((0, 0, 188, 512)).getextrema() == (255, 255)
    assert larger.crop((204, 0, 700, 512)).tobytes() == drawn.crop((16, 0, 512, 512)).tobytes()
    hand.agrees(larger)
    page.get_by_role("button", name="Eraser").click()
    hand.drag((60, 100), (60, 400))
    erased = hand.mask()
    assert erased.getpixel((60, 250)) == 0
    assert erased.getpixel((120, 250)) == 255
    hand.agrees(erased)
    for mask in (larger, drawn):
        page.get_by_role("button", name="Undo").click()
        notebook.sees(lambda mask=mask: hand.mask().tobytes() == mask.tobytes())
        hand.agrees(mask)
    notebook.becomes("editor.image.size", [512, 512])


def test_a_page_without_ipycanvas_offers_a_file(lab, open_page, tmp_path):
    page = open_page()
    page.route("**/extensions/ipycanvas/**", lambda route: route.abort())
    cell = "from sdnb.widgets.masks import notice; notice.ANSWER_SECONDS = 1.0"
    notebook = opened(page, lab, "silent.ipynb", cell + CELL.format(512))
    page.get_by_text("Drawing is not possible yet.").wait_for()
    Image.new("L", (512, 512), 255).save(tmp_path / "white.png")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import a mask").first.click()
    chooser.value.set_files(tmp_path / "white.png")
    notebook.until("return document.body.innerText.includes('100.0%')")
    assert notebook.kernel("editor.mask.getextrema()") == [255, 255]
    notebook.screenshot(SHOTS / "mask-editor-without-ipycanvas.png")


def test_the_benchmark_sees_the_ink_of_every_move(lab, page):
    found = widgets_page.in_page(page, lab, rounds=1, moves=3)
    assert [(each["what"], each["busy"], each["moves"]) for each in found] == [
        (what, busy, 3) for busy in (False, True) for what in ("mask editor", "bare canvas")
    ]
    assert all(0 < each["ink_ms"] < each["frame_ms"] for each in found)
