"""JupyterLab's interrupt button (■) while no cell runs: it stops what panels and grids run."""

import pytest
from helpers.notebook_page import SHOTS
from test_panel_page import PANEL, Page

pytestmark = pytest.mark.browser

GRID = """
base = sdnb.Request("a fox in the snow", seed=7, steps=200)
view = sdnb.GridView(sdnb.sweep(base, cfg=[2, 4]), model)
view
"""
LONG = "import time\nlong = globals().get('long', 0)\ntime.sleep(long)"
LAST = "panel._queue.jobs[0]"
BUTTON = "[data-command='notebook:interrupt-kernel'] >> visible=true"


def test_the_interrupt_button_stops_a_panel_and_a_grid(page, lab):
    """And a cell that runs is interrupted as ever, while the panel goes on."""
    view = Page(page, lab, "interrupt.ipynb", PANEL, GRID, LONG)
    stop_a_panel(view)
    stop_a_grid(view)
    assert view.notebook.complaints() == []
    view.kernel("panel.submit(sdnb.Request('a fox', steps=300)) and None")
    view.until("panel.running")
    interrupt_a_cell(view)
    assert view.kernel("panel.running")
    view.kernel("panel.stop()")


def stop_a_panel(view):
    view.kernel("panel.submit(sdnb.Request('a fox', steps=300)) and None")
    view.until(f"{LAST}.progress is not None and {LAST}.progress.step > 1")
    view.page.locator(BUTTON).first.click()
    view.until("not panel.running")
    view.page.get_by_text("stopped at step").first.wait_for()
    view.notebook.screenshot(SHOTS / "interrupted.png")


def stop_a_grid(view):
    view.click("Run")
    view.until("view.running and view._cell_begun")
    view.page.locator(BUTTON).first.click()
    view.until("not view.running")
    view.page.get_by_text("0 of 2 cells · stopped").wait_for()


def interrupt_a_cell(view):
    view.kernel("globals().update(long=60)")
    view.notebook.js("panel.content.activeCellIndex = 2; panel.content.mode = 'command'")
    view.page.locator(".jp-Cell").nth(2).locator(".jp-InputPrompt").click()
    view.page.keyboard.press("Control+Enter")
    view.notebook.until("return panel.sessionContext.session.kernel.status === 'busy'")
    view.page.wait_for_timeout(1000)  # it sleeps by now
    view.page.locator(BUTTON).first.click()
    view.page.get_by_text("KeyboardInterrupt").first.wait_for()
