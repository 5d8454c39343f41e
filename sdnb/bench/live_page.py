"""`sdnb bench widgets --live`: how quickly a picture follows the hand that draws it.

In JupyterLab, on a sketch of the built-in model, by mouse: from the end of a stroke to the first
picture of full size that shows it, which is a preview after a step, and to the finished one; and
from a move of the mouse to its ink while one picture after the other is made. Goals for the first
and the last, on two cores that have nothing else to do: 0.7 s and 35 ms.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdnb.bench.lab_page import CHROMIUM_FLAGS, Lab, Notebook, chromium
from sdnb.bench.widgets_page import WATCH, missing, stroke
from sdnb.request.plain_words import counted

PICTURE_GOAL = 0.7  # seconds, median
INK_GOAL = 35.0  # milliseconds, median

# What is slow is measured too. `busy` has each live picture followed by one of another seed.
_CELL = """
import sdnb
import sdnb.request.quick_enough as quick
from sdnb.widgets.sketch.draft import fast_lora
quick.LIMIT = float("inf")
model = sdnb.load()
sketch = sdnb.Sketch(model)
sketch.request = sdnb.Request("a red apple on a blue background")
if STEPS:
    sketch._steps.show(STEPS)
if SIDE:
    sketch.request = sketch.request.but(width=SIDE, height=SIDE)
sketch.canvas.brush = 30
made, busy = [], False
def came(change):
    if not change["new"]:
        return
    made.append(sketch.result.seconds)
    if busy:
        sketch.another()
sketch.followed.image.observe(came, "value")
def drawn(request):
    return [request.image, *(control.image for control in request.controls)]
def settings():
    asked = sketch.draft.resolved(model.settings)
    return {"width": asked.width, "height": asked.height, "steps": asked.steps,
            "sampler": asked.sampler, "is_fast": fast_lora(model) is not None}
sketch
"""
_PICTURES = [f".sdnb-followed .sdnb-live > img:nth-child({n})" for n in (1, 2)]
_IDLE = "not sketch.running"
# The promise `followed` gives milliseconds from the next time that the mouse is let go: to the
# frame with the first picture of full size and strength, finished or a preview, and to the finished
# one.
_FOLLOW = """([finished, coming]) => {
  let up = null, first = null;
  const since = then => requestAnimationFrame(() => setTimeout(() => {
    first ??= performance.now() - up;
    then?.();
  }));
  window.addEventListener('mouseup', () => { up = performance.now(); },
    { capture: true, once: true });
  window.followed = new Promise((done, failed) => {
    const preview = document.querySelector(coming);
    preview.onload = () => {
      if (up !== null && preview.classList.contains('sdnb-coming-4')) since();
    };
    document.querySelector(finished).addEventListener('load',
      () => since(() => done([first, performance.now() - up])), { once: true });
    setTimeout(() => failed(new Error('no picture for 120 s')), 120_000);
  });
}"""


def bench_live(
    rounds: int = 3, steps: int | None = None, *, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Start JupyterLab and Chromium, measure there, print a table, return its data; see `in_page`.
    `steps` are those of a live picture (default: as a sketch has them).
    """
    if why := missing():
        say(f"not measured: {why}")
        return {"failed": True}
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
            data = in_page(browser.new_page(), lab, rounds, steps)
        finally:
            lab.stop()
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """The figures in words."""
    by = "the built-in model's variant for few steps"
    if not data["is_fast"]:
        by = "the built-in model: the weights of its variant for few steps are not there"
    picture, ink = data["picture_seconds"], data["ink"]
    lines = [
        (
            f"a sketch in JupyterLab, {data['width']}x{data['height']}, "
            f"{counted(data['steps'], 'step')} of {data['sampler']}, by {by}"
        ),
        (
            f"from the end of a stroke to the first picture that shows it: {picture:.2f} s (median "
            f"of {data['strokes']}); goal {PICTURE_GOAL} s {_met(picture <= PICTURE_GOAL)}"
        ),
        (
            f"  to the finished one: {data['finished_seconds']:.2f} s, its run "
            f"{data['run_seconds']:.2f} s"
        ),
        "from a mouse move to its ink:",
    ]
    lines += [
        f"  {words:26}median {times['median_ms']:.0f} ms, 95 % within {times['p95_ms']:.0f} ms"
        for times, words in ((ink["alone"], "alone:"), (ink["busy"], "while pictures are made:"))
    ]
    is_met = ink["busy"]["median_ms"] <= INK_GOAL
    return "\n".join(lines) + f"; goal {INK_GOAL:.0f} ms {_met(is_met)}"


def in_page(
    page: Any, lab: Lab, rounds: int, steps: int | None, *, moves: int = 14, side: int | None = None
) -> dict[str, Any]:
    """Draw `rounds` times on an empty sheet: three strokes, each watched until its picture is
    there, then one while nothing is made and one while pictures are, each of so many `moves`.

    `picture_seconds` is the median until the first picture of a stroke, `finished_seconds` that
    until the finished one, `run_seconds` that of the runs; `ink` has the median and the 95th
    percentile of the moves. `side` is the picture's, by default the model's.
    """
    page.set_viewport_size({"width": 1400, "height": 1000})
    cell = _CELL.replace("STEPS", str(steps)).replace("SIDE", str(side))
    notebook = Notebook(page, lab, lab.write("live-ink.ipynb", cell))
    notebook.run_all()
    page.evaluate(WATCH)
    page.locator(".sdnb-stage canvas").first.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    _followed(page, notebook, 0.05)  # the first one is slower than all others
    data: dict[str, Any] = notebook.kernel("settings()")
    pictures: list[list[float]] = []  # the first, the finished one
    runs: list[float] = []
    ink: dict[str, list[float]] = {"alone": [], "busy": []}
    for _ in range(rounds):
        notebook.kernel("sketch.canvas.clear()")
        for row in (1, 2, 3):
            pictures.append(_followed(page, notebook, row / 6))
            runs.append(notebook.kernel("made[-1]"))
        for row, how in ((4, "alone"), (5, "busy")):
            ink[how] += _inked(page, notebook, row / 6, moves, busy=how == "busy")
    return {
        **data,
        "strokes": len(pictures),
        "picture_seconds": statistics.median(first for first, _ in pictures),
        "finished_seconds": statistics.median(finished for _, finished in pictures),
        "run_seconds": statistics.median(runs),
        "pictures": pictures,
        "ink": {how: _summary(times) for how, times in ink.items()},
    }


def _followed(page: Any, notebook: Notebook, height: float) -> list[float]:
    """Draw a line, with nothing on its way; seconds from its end to its first picture, and to the
    finished one.
    """
    _wait(notebook, _IDLE)
    page.evaluate(_FOLLOW, _PICTURES)
    box = page.locator(".sdnb-stage canvas").first.bounding_box()
    y = box["y"] + box["height"] * height
    page.mouse.move(box["x"] + 30, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, y, steps=12)
    page.mouse.up()
    seconds = [each / 1e3 for each in page.evaluate("() => window.followed")]
    _wait(notebook, _IDLE)
    if not notebook.kernel("drawn(sketch.result.request) == drawn(sketch.draft)"):
        raise RuntimeError("the picture that came is of another drawing")
    return seconds


def _inked(page: Any, notebook: Notebook, height: float, moves: int, *, busy: bool) -> list[float]:
    """Draw a line, watching each move's ink; milliseconds. `busy`: while pictures are made."""
    _wait(notebook, _IDLE)
    before = notebook.kernel(f"globals().update(busy={busy}) or len(made)")
    if busy:
        notebook.kernel("sketch.another()")
    seen = stroke(page, 0, height, moves, canvases=".sdnb-stage canvas")
    if busy:
        _wait(notebook, f"len(made) > {before} + 1")
        if not notebook.kernel("sketch.running"):
            raise RuntimeError("no picture was made while the stroke was drawn")
        notebook.kernel("globals().update(busy=False)")
    return [move["ink"] for move in seen]


def _wait(notebook: Notebook, expression: str) -> None:
    """Until the kernel says that it is so. Raises TimeoutError after two minutes."""
    if not any(notebook.kernel(expression) for _ in notebook.looks(120)):
        raise TimeoutError(f"never: {expression}")


def _summary(times: list[float]) -> dict[str, Any]:
    ordered = sorted(times)
    return {
        "median_ms": statistics.median(ordered),
        "p95_ms": ordered[int(0.95 * len(ordered))],
        "moves": len(ordered),
    }


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"
