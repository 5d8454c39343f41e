"""The time from the mouse to the ink in a real browser, beside the least that ipycanvas takes.

The least is that of a bare canvas that answers a move with one rectangle: the share of browser,
server and kernel. Both are in one notebook and are measured in turn.
"""

from __future__ import annotations

import statistics
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sdnb.bench.lab_page import CHROMIUM_FLAGS, Lab, Notebook, chromium

_CELL = """
import ipycanvas
import sdnb
from PIL import Image
from sdnb.widgets.masks.surface import drawing
panel = sdnb.Panel(sdnb.load())
panel.form.change(steps=400)
editor = sdnb.MaskEditor(Image.new("RGB", (512, 512), (96, 96, 96)))
editor.brush = 30
bare = ipycanvas.Canvas(width=512, height=512, layout={"width": "512px", "height": "auto"})
bare.fill_style = "#ff0000"
# The editor may be heard in another thread: of the canvas drawn on, ipycanvas has one record.
@bare.on_mouse_move
def answer(x, y):
    with drawing():
        bare.fill_rect(x - 15, y - 15, 30, 30)
editor
"""
_CANVAS = ".jp-OutputArea-output canvas"
_STEP = 25  # pixels of the page between two moves: more than the brush's radius
_PAUSE = 60  # milliseconds

# `watched(canvas, x, y)` starts to watch a pixel. The promise `seen` gives the milliseconds from
# the mouse move to the pixel's new colour (`ink`) and to the next frame (`frame`). Reading a canvas
# takes time, so it is read only right after something was drawn on it.
WATCH = """() => {
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  let at = null;
  const colour = () => at.pen.getImageData(at.x, at.y, 1, 1).data.join();
  CanvasRenderingContext2D.prototype.drawImage = function (...all) {
    draw.apply(this, all);
    if (!at || !at.moved || at.ink || this !== at.pen) return;
    const now = performance.now();
    if (colour() === at.before) return;
    at.ink = now;
    requestAnimationFrame(() => setTimeout(() => {
      at.done({ink: at.ink - at.moved, frame: performance.now() - at.moved}); at = null; }));
  };
  window.addEventListener('mousemove', () => {
    if (at && !at.moved) at.moved = performance.now(); }, true);
  window.watched = (canvas, x, y) => {
    const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
    at = {pen: canvas.getContext('2d'), x: Math.round((x - box.left) * scale),
      y: Math.round((y - box.top) * scale)};
    at.before = colour();
    window.seen = new Promise((done, failed) => {
      at.done = done; setTimeout(() => failed(new Error('no ink for 5 s')), 5000); });
  };
}"""


def missing() -> str:
    """The reason why no browser can be measured, or "" if one can."""
    if find_spec("playwright") is None:
        return "playwright is not installed: pip install 'sdnb[test]'"
    if chromium() is None:
        return "no Chromium was found: apt-get install chromium"
    return ""


def measure(rounds: int = 3, moves: int = 17) -> list[dict[str, Any]]:
    """Start JupyterLab and Chromium, and measure there; see `in_page`."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
            return in_page(browser.new_page(), lab, rounds, moves)
        finally:
            lab.stop()


def in_page(page: Any, lab: Lab, rounds: int, moves: int) -> list[dict[str, Any]]:
    """Milliseconds from a mouse move in the page to its ink: `what` is the mask editor on a picture
    of 512x512 or a bare canvas, and a generation runs meanwhile where it is `busy`.

    `ink_ms` (drawn on the canvas) and `frame_ms` (the next frame is out) are medians.
    """
    page.set_viewport_size({"width": 1200, "height": 1500})
    notebook = Notebook(page, lab, lab.write("ink.ipynb", _CELL, "bare"))
    notebook.run_all()
    page.evaluate(WATCH)
    page.locator(_CANVAS).nth(1).scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    strokes: dict[tuple[str, bool], list[dict[str, float]]] = {}
    for turn in range(rounds):
        for busy in (False, True):
            if busy:
                notebook.kernel("bool(panel.generate())")
                page.wait_for_timeout(2500)
            height = (2 * turn + busy + 1) / (2 * rounds + 1)  # of a row without ink
            for number, what in enumerate(("mask editor", "bare canvas")):
                strokes.setdefault((what, busy), []).extend(stroke(page, number, height, moves))
            if busy and not notebook.kernel("panel.running and not panel.stop()"):
                raise RuntimeError("the generation ended before the strokes did")
    return [_summary(what, busy, timings) for (what, busy), timings in strokes.items()]


def stroke(
    page: Any, number: int, height: float, moves: int, canvases: str = _CANVAS
) -> list[dict[str, float]]:
    """Draw across a canvas, waiting for the ink of each move: by the number of that canvas, and at
    this part of its height.
    """
    box = page.locator(canvases).nth(number).bounding_box()
    x, y = box["x"] + _STEP, box["y"] + box["height"] * height
    seen = []
    page.mouse.move(x, y)
    page.mouse.down()
    page.wait_for_timeout(300)
    for _ in range(moves):
        x += _STEP
        watch = f"([x, y]) => watched(document.querySelectorAll('{canvases}')[{number}], x, y)"
        page.evaluate(watch, [x, y])
        page.mouse.move(x, y)
        seen.append(page.evaluate("() => seen"))
        page.wait_for_timeout(_PAUSE)
    page.mouse.up()
    page.wait_for_timeout(300)
    return seen


def _summary(what: str, busy: bool, timings: list[dict[str, float]]) -> dict[str, Any]:
    ink = sorted(move["ink"] for move in timings)
    return {
        "what": what,
        "busy": busy,
        "ink_ms": statistics.median(ink),
        "frame_ms": statistics.median(move["frame"] for move in timings),
        "p95_ms": ink[int(0.95 * len(ink))],
        "moves": len(ink),
    }
