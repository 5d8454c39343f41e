"""The grid's viewer and the studio's Grid tab in JupyterLab, by mouse and keyboard."""

from lab_page import SHOTS
from test_panel_page import Page

SETUP = "import sdnb\nmodel = sdnb.load()\nused = []"
GRID = """
base = sdnb.Request("a fox in the snow", seed=7, width=128, height=128)
grid = sdnb.sweep(base, steps=[1, 8, 9], cfg=[1, 4], seed=[7, 8])
view = sdnb.GridView(grid, model, use=used.append)
view
"""
THUMBS = (
    """all => all.map(b => getComputedStyle(b).backgroundImage.startsWith('url("data:image'))"""
)


class GridPage(Page):
    """A notebook with a grid's view."""

    def thumbs(self):
        """Which cells show a picture."""
        return self.page.locator(".sdnb-table button").evaluate_all(THUMBS)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def focused(self):
        return self.page.evaluate("document.activeElement.getAttribute('aria-label')")


def test_a_grid_fills_stops_resumes_and_is_looked_at(page, lab):
    """Everything once, as a person does it; arrows and Enter reach the grid and not the notebook."""
    view = GridPage(page, lab, "grid.ipynb", SETUP, GRID)
    assert view.thumbs() == [False] * 6
    view.click("Run")
    view.until("grid.done >= 1")
    view.click("Stop")
    view.until("not view.running")
    done = view.kernel("grid.done")
    assert 1 <= done < 12
    assert any(view.thumbs())
    assert "stopped" in page.locator(".sdnb-quiet:has-text('cells')").first.inner_text()
    assert view.enabled("Resume")
    assert not view.enabled("Stop")
    view.click("Resume")
    view.until("grid.done == 12 and not view.running", 120)
    page.wait_for_timeout(500)
    assert view.thumbs() == [True] * 6

    page.locator(".sdnb-table button").first.click()
    view.until("view.chosen == grid.at(steps=1, cfg=1, seed=7)", 10)
    cell = view.notebook.js("return panel.content.activeCellIndex")
    view.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft")
    assert view.focused() == "steps 8 cfg 4"
    view.press("Enter")
    view.until("view.chosen == grid.at(steps=8, cfg=4, seed=7)", 10)
    assert view.notebook.js("return panel.content.activeCellIndex") == cell
    assert view.notebook.js("return panel.content.mode") == "command"
    view.notebook.screenshot(SHOTS / "grid.png")

    view.click("Compare")
    page.locator(".sdnb-table button[aria-label='steps 9 cfg 4']").click()
    slider = page.locator(".sdnb-compare input")
    slider.focus()
    before = page.locator(".sdnb-compare").evaluate("e => e.style.getPropertyValue('--at')")
    view.press("ArrowRight", "ArrowRight")
    after = page.locator(".sdnb-compare").evaluate("e => e.style.getPropertyValue('--at')")
    assert (before, after) == ("", "52%")
    view.notebook.screenshot(SHOTS / "grid-slider.png")
    view.click("difference")
    page.locator(
        "img[alt='the difference of steps=8, cfg=4, seed=7 and steps=9, cfg=4, seed=7']"
    ).wait_for()
    view.notebook.screenshot(SHOTS / "grid-difference.png")
    view.click("Use these settings")
    view.until("used == [grid.at(steps=9, cfg=4, seed=7)]", 10)

    before = page.locator(".sdnb-table button").first.evaluate(
        "b => getComputedStyle(b).backgroundImage"
    )
    page.get_by_role("slider", name="seed").first.focus()
    view.press("ArrowRight")
    view.until("view._page == 1", 10)
    page.wait_for_timeout(300)
    other = page.locator(".sdnb-table button").first.evaluate(
        "b => getComputedStyle(b).backgroundImage"
    )
    assert other != before
    view.click("Close")
    view.until("view.chosen is None", 10)
    assert view.notebook.complaints() == []


def test_the_studio_has_a_grid_tab(page, lab):
    """Its settings come from a tab, its grid is typed, and a cell's settings go back."""
    studio = GridPage(
        page, lab, "grid-tab.ipynb", "import sdnb\nstudio = sdnb.studio(folder='made')\nstudio"
    )
    studio.kernel("studio.panels['txt2img'].form.change(prompt='a red apple', width=64, height=64)")
    page.locator(".lm-TabBar-tab:has-text('grid')").click()
    boxes = page.locator("input[type=text]:near(select) >> visible=true")
    boxes.nth(0).fill("1, 2")
    boxes.nth(0).press("Tab")
    boxes.nth(1).fill("1, x")
    boxes.nth(1).press("Tab")
    studio.click("Run grid")
    page.locator(".sdnb-error:has-text('holds what is no number')").wait_for()
    boxes.nth(1).fill("1, 4")
    boxes.nth(1).press("Tab")
    studio.click("Run grid")
    studio.until("studio.grid.view is not None and studio.grid.view.grid.done == 4")
    page.wait_for_timeout(500)
    assert studio.thumbs() == [True] * 4
    page.locator(".sdnb-table button[aria-label='steps 2 cfg 4']").click()
    page.locator("text=Use these settings").wait_for()
    studio.notebook.screenshot(SHOTS / "grid-tab.png")
    studio.click("Use these settings")
    studio.until("studio.panel is studio.panels['txt2img'] and studio.request.steps == 2", 10)
    assert studio.kernel("[studio.request.prompt, studio.request.cfg]") == ["a red apple", 4]
    assert studio.notebook.complaints() == []
