"""Draw and watch, and paint on a picture, by mouse and keyboard: what is seen, and what is made."""

import base64
import io
import math

import numpy as np
import pytest
from helpers.notebook_page import SHOTS, Notebook
from PIL import Image
from playwright.sync_api import expect

from sdnb.bench import live_page

pytestmark = pytest.mark.browser

CELL = """
import sdnb
from PIL import Image
from playwright.sync_api import expect
model = sdnb.load()
studio = sdnb.studio(model, folder="drawn")
sketch = studio.panels["sketch"]
sketch.request = sdnb.Request("a red apple", steps=3, width=64, height=64)
sketch._steps.show(2)
painted = studio.panels["img2img"]
painted.request = sdnb.Request("a cat", steps=2, seed=7)
painted.start_from(sdnb.images.picture(Image.new("RGB", (256, 256), (90, 120, 150))))
studio
"""
RING = [(140 + 70 * math.cos(t / 8), 140 + 70 * math.sin(t / 8)) for t in range(52)]
# What a picture of the kernel is, over its connection.
PNG = "__import__('base64').b64encode(sdnb.images.picture({})).decode()"


class Hand:
    """A person's hand on the canvas in sight; points are pixels of the page, from its corner."""

    def __init__(self, notebook):
        self.notebook, self.page, self.settle = notebook, notebook.page, notebook.settle
        self.canvas = self.page.locator(".sdnb-stage canvas >> visible=true").first
        self.canvas.wait_for()
        self.canvas.scroll_into_view_if_needed()
        self.settle()

    def move(self, *points):
        box = self.notebook.place(self.canvas)
        for x, y in points:
            self.page.mouse.move(box["x"] + x, box["y"] + y)

    def drag(self, *points):
        self.move(points[0])
        self.page.mouse.down()
        self.move(*points[1:])
        self.page.mouse.up()
        self.settle()

    def click(self, point):
        self.drag(point)

    def press(self, *keys):
        self.canvas.focus()
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True).locator("visible=true").first

    def shown(self):
        """The canvas as it is, with no cursor on it: [h, w, 3]."""
        self.page.mouse.move(5, 5)
        self.settle()
        data = self.canvas.evaluate("canvas => canvas.toDataURL('image/png')").split(",")[1]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def agrees(self, expression):
        """Wait until the page shows each pixel of a picture of the kernel, at its middle."""
        self.notebook.sees(lambda: self._shows(expression), what="what is drawn")

    def _shows(self, expression):
        truth, shown = np.asarray(seen(self.notebook, expression)), self.shown()
        rows, columns = (
            ((np.arange(n) + 0.5) * s / n).astype(int)
            for n, s in zip(truth.shape[:2], shown.shape[:2], strict=True)
        )
        # There is a JPEG below it.
        return bool(np.abs(shown[np.ix_(rows, columns)].astype(int) - truth).max() <= 2)


def seen(notebook, expression):
    """A picture of the kernel (RGB)."""
    png = base64.b64decode(notebook.kernel(PNG.format(expression)))
    return Image.open(io.BytesIO(png)).convert("RGB")


@pytest.fixture(scope="module")
def notebook(shared_page, lab):
    notebook = Notebook(shared_page, lab, lab.write("sketch.ipynb", CELL))
    notebook.run_all()
    return notebook


def test_draw_and_watch_keep_and_finish(notebook):
    notebook.open_tab("sketch")
    hand = Hand(notebook)
    hand.drag(*RING, RING[0])
    notebook.becomes("sketch.result is not None and not sketch._live.busy")
    quick = "sketch.result.request"
    assert notebook.kernel(f"[{quick}.steps, {quick}.width, {quick}.controls[0].net]") == [
        2, 64, "sketch",
    ]  # fmt: skip
    assert notebook.kernel(f"{quick}.image is None")  # lines are no colours
    notebook.page.locator(".sdnb-followed img >> visible=true").first.wait_for()

    hand.button("Draw in red").click()
    hand.press("g")
    hand.click((140, 140))
    hand.button("Draw in light blue").click()
    hand.click((20, 20))
    notebook.becomes("sketch.canvas.colour", "#8fc8f0")
    hand.press("i")
    hand.click((140, 150))
    notebook.becomes("[sketch.canvas.colour, sketch.canvas.tool]", ["#e02020", "fill"])
    hand.agrees("sketch.canvas.picture")
    colours = notebook.kernel("sorted(c for _, c in sketch.canvas.picture.getcolors())")
    assert colours == [[0, 0, 0], [143, 200, 240], [224, 32, 32]]
    hand.press("Control+z")
    notebook.becomes("len(sketch.canvas.strokes)", 2)
    hand.agrees("sketch.canvas.picture")
    hand.press("Control+y", "+", "+")  # zoomed in, and back
    hand.press("0")
    hand.agrees("sketch.canvas.picture")
    notebook.becomes(f"{quick}.image is not None and not sketch._live.busy")
    notebook.becomes(f"{quick}.image == sketch.draft.image")

    what_is_slow_is_refused(notebook, hand)

    notebook.page.locator(".sdnb-followed button:has-text('Keep')").click()
    notebook.becomes("len(studio.gallery.pictures) == 1")
    notebook.page.locator(".sdnb-main >> visible=true").click()
    notebook.becomes("len(studio.gallery.pictures) == 2 and not sketch.running")
    assert notebook.kernel("[p.request.steps for p in studio.gallery.pictures]") == [3, 2]
    assert notebook.kernel("len({p.request.seed for p in studio.gallery.pictures})") == 1
    expect(notebook.page.locator("button.sdnb-thumb >> visible=true")).to_have_count(2)

    notebook.reload()
    again = Hand(notebook)
    again.agrees("sketch.canvas.picture")
    again.press("e")
    again.drag((100, 140), (180, 140))
    notebook.becomes("sketch.canvas.strokes[-1].white", False)
    again.agrees("sketch.canvas.picture")
    notebook.becomes("not sketch._live.busy")
    assert notebook.complaints() == []
    notebook.screenshot(SHOTS / "sketch.png")


def what_is_slow_is_refused(notebook, hand):
    """Above the picture, which it does not move, and neither the sheet."""

    def places():
        return [
            notebook.place(notebook.page.locator(f"{part} >> visible=true").first)
            for part in (".sdnb-followed img", ".sdnb-stage canvas", ".sdnb-followed button")
        ]

    limit = "__import__('sdnb.request.quick_enough', fromlist='LIMIT')"
    seed = notebook.kernel("sketch.result.request.seed")
    words = notebook.page.get_by_text("live takes 0.001 s").locator("visible=true")
    for width, height in ((1400, 900), (1000, 700)):
        notebook.page.set_viewport_size({"width": width, "height": height})
        notebook.kernel(f"setattr({limit}, 'LIMIT', 0.001)")
        hand.canvas.scroll_into_view_if_needed()
        hand.settle()
        before = places()
        hand.press("Control+z")
        words.wait_for()
        assert places() == before
        notebook.page.screenshot(path=SHOTS / f"sketch-refused-{width}.png")
        notebook.becomes("sketch._live.busy", False)
        notebook.kernel(f"setattr({limit}, 'LIMIT', 1e9)")
        hand.press("Control+y")
        notebook.becomes("sketch.result.request.image == sketch.draft.image")
        words.wait_for(state="hidden")
    notebook.page.set_viewport_size({"width": 1200, "height": 900})
    assert notebook.kernel("sketch.result.request.seed") == seed


def test_paint_on_the_picture_with_and_without_a_mask(notebook):
    notebook.open_tab("img2img")
    page = notebook.page
    page.locator("button:has-text('Paint') >> visible=true").click()
    hand = Hand(notebook)
    hand.button("Draw in yellow").click()
    hand.drag((60, 60), (200, 60))
    notebook.becomes("painted.request.image != sdnb.images.picture(painted.form.controls["
                     "'image'].canvas._colours.picture)")  # fmt: skip
    hand.agrees("painted.request.image")
    assert notebook.kernel("painted.request.mask is None")
    page.locator(".sdnb-main >> visible=true").click()
    notebook.becomes("painted.result is not None and not painted.running")
    assert notebook.kernel("painted.result.request.image == painted.request.image")

    page.get_by_label("Only where I painted").locator("visible=true").click()
    notebook.becomes("painted.request.mask is not None")
    page.locator(".sdnb-main >> visible=true").click()
    notebook.becomes("painted.result.request.mask is not None and not painted.running")
    made, start, mask = (
        np.asarray(seen(notebook, each))
        for each in ("painted.result", "painted.request.image", "painted.request.mask")
    )
    kept = mask[..., 0] == 0
    assert 0 < kept.mean() < 1
    assert (made[kept] == start[kept]).all()
    assert (made[~kept] != start[~kept]).any()
    assert notebook.complaints() == []
    notebook.screenshot(SHOTS / "painted.png")


def test_the_benchmark_sees_the_picture_of_every_stroke_and_the_ink_of_every_move(page, lab):
    found = live_page.in_page(page, lab, rounds=1, steps=2, moves=3, side=64)
    assert (found["width"], found["height"], found["steps"]) == (64, 64, 2)
    assert len(found["pictures"]) == found["strokes"] == 3
    assert all(0 < first <= finished for first, finished in found["pictures"])
    assert any(first < finished for first, finished in found["pictures"])  # a preview before
    assert 0 < found["run_seconds"] < found["finished_seconds"]  # the run is a part of it
    for how in ("alone", "busy"):
        assert found["ink"][how]["moves"] == 3
        assert 0 < found["ink"][how]["median_ms"] <= found["ink"][how]["p95_ms"]
