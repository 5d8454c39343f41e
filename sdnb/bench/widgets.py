"""`sdnb bench widgets`: what the panel costs a run, and how quickly ink follows the hand.

In this process it measures a run with and without a panel, and the kernel's share of a stroke; in
JupyterLab, if Playwright and Chromium are installed, the whole way from the mouse to the ink. With
`--live` it draws on a sketch there instead, whose picture follows.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import sdnb
from sdnb.bench import widgets_page
from sdnb.bench.alternating import in_turn, seconds
from sdnb.bench.live_page import bench_live
from sdnb.bench.widgets_mask import move_to_ink
from sdnb.engine import pipeline
from sdnb.jobs.executor import Inline
from sdnb.request.plain_words import counted
from sdnb.widgets.panel import Panel
from sdnb.widgets.studio import Studio


def bench_widgets(
    rounds: int = 3, steps: int | None = None, moves: int = 300,
    say: Callable[[str], object] = print, *, browser: bool = True, live: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table, return its data. `browser`: also in one, if it is installed. With
    `live` only how a picture follows a drawing there. `steps` are 25, or those of a live picture.
    """
    if live:
        return bench_live(rounds, steps, say=say)
    steps = 25 if steps is None else steps
    model = sdnb.load()
    request = sdnb.Request("a red apple", seed=1, steps=steps).resolved(model.settings)
    panel = Panel(model, executor=Inline(partial(pipeline.run, model)))
    view, counts = panel.progress, []

    def watched() -> None:
        panel.submit(request)
        counts.append((view.previews, view.preview_seconds, view.preview_bytes))

    bare = partial(sdnb.generate, model, request, progress=False)
    runs = in_turn({"bare": bare, "panel": watched}, rounds)
    # Without those of the first run, which does not count.
    previews, spent, sent = (b - a for a, b in zip(counts[0], counts[-1], strict=True))
    studios = [seconds(lambda: Studio(model)) for _ in range(rounds)]
    data: dict[str, Any] = {
        "steps": steps,
        "bare_seconds": statistics.median(runs["bare"]),
        "panel_seconds": statistics.median(runs["panel"]),
        "previews_a_run": previews / rounds,
        "preview_percent": 100 * spent / sum(runs["panel"]),
        "preview_bytes": sent / max(previews, 1),
        "studio_seconds": statistics.median(studios),
        "ink": [move_to_ink(side, moves, busy) for side in (512, 1088) for busy in (False, True)],
    }
    say(table(data))
    if browser and (why := widgets_page.missing()):
        say(f"not measured in a browser: {why}")
    elif browser:
        data["page"] = widgets_page.measure(rounds)
        say(page_table(data["page"]))
    return data


def table(data: dict[str, Any]) -> str:
    """The figures in words."""
    lines = [
        (
            f"built-in model, 256x256, {counted(data['steps'], 'step')}: "
            f"{data['bare_seconds']:.2f} s without a panel, {data['panel_seconds']:.2f} s in one "
            "(medians)"
        ),
        (
            f"previews: {data['previews_a_run']:.1f} a run, {data['preview_percent']:.2f} % of its "
            f"time, {data['preview_bytes'] / 1024:.1f} KiB each"
        ),
        f"building the studio: {data['studio_seconds']:.2f} s (median)",
        "from a mouse event to the ink that is sent:",
    ]
    lines += [
        f"  {ink['side']} px, {'beside a torch thread:' if ink['busy'] else 'alone:':23}"
        f"median {ink['median_ms']:.1f} ms, 95 % within {ink['p95_ms']:.1f} ms"
        for ink in data["ink"]
    ]
    return "\n".join(lines)


def page_table(page: list[dict[str, Any]]) -> str:
    """The figures of the browser in words."""
    lines = ["from a mouse move in the browser to its ink, 512x512, the same way each (medians):"]
    lines += [
        f"  {stroke['what']}, {'while a picture is made:' if stroke['busy'] else 'alone:':25}"
        f"{stroke['ink_ms']:.0f} ms, 95 % within {stroke['p95_ms']:.0f} ms; "
        f"{stroke['frame_ms']:.0f} ms to the next frame"
        for stroke in page
    ]
    return "\n".join(lines)
