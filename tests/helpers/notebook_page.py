"""A notebook of `sdnb lab` in real JupyterLab, in headless Chromium: what a person does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Error

from sdnb.bench import lab_page

SHOTS = Path(__file__).parents[2] / "test-results"
# How many seconds a test waits for what comes at once on a machine that has nothing else to do.
LIMIT = 180
ANYTHING = object()
# Of the browser's console and the kernel's stderr: what says nothing about the notebook.
NOISE = re.compile(
    r"favicon|ResizeObserver loop|net::ERR_|Failed to load resource|willReadFrequently"
    r"|Kernel is running over TCP without encryption"
    # Of ipywidgets' own comm, by which a page asks every kernel for its widgets: one that has not
    # imported ipywidgets has no such target, one that is busy answers before the comm is open.
    r"|No such comm:|No such comm target registered: jupyter\.widget\.control"
    # Of a box whose contents were exchanged twice in a moment: those between are gone before the
    # browser has asked for them, and were never to be seen. What is missed is seen: `complaints`.
    r"|widget model not found"
    # anywidget's patience, of 2 s, with a browser that has much to do: the part comes all the same.
    # One that cannot be loaded or run is said in other words, and where it should be.
    r"|\[anywidget\] Failed to initialize model",
    re.IGNORECASE,
)

# The server was writing to a page that was closed at that moment.
PAGE_IS_GONE = re.compile(
    r"^future: <Task .*exception=WebSocketClosedError\(\)>$"
    r".*?^tornado\.websocket\.WebSocketClosedError$",
    re.MULTILINE | re.DOTALL,
)

_FRAMES = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"


class Notebook(lab_page.Notebook):
    """A notebook, and all that went wrong in it."""

    def __init__(self, page, lab: lab_page.Lab, name: str, address: str | None = None) -> None:
        self._console = []
        page.on("pageerror", lambda error: self._console.append(f"page: {error}"))
        page.on("console", self._heard)
        super().__init__(page, lab, name, address)

    def _open(self, lab: lab_page.Lab, address: str | None) -> None:
        """In a page that shows JupyterLab already: one more notebook there."""
        if address is not None or not self.page.url.startswith(f"{lab.url}/lab/"):
            super()._open(lab, address)
        else:
            self.js("await app.commands.execute('docmanager:open', {path: PATH})")

    def reload(self, *, alive: bool = True) -> None:
        """Save, and open the page again; the kernel goes on, and `alive` widgets are there again. A
        kernel that is busy for 4 s is asked for each of a thousand widgets by itself.
        """
        self.js("await panel.context.save()")
        self.page.reload()
        self.page.wait_for_function("() => window.jupyterapp !== undefined", timeout=240_000)
        self._ready()
        if alive:
            widget = self.page.locator(".sdnb, .sdnb-mask").locator("visible=true").first
            widget.wait_for(timeout=240_000)

    def becomes(self, expression: str, wanted=ANYTHING, seconds: float = LIMIT):
        """Wait until a Python expression in the kernel is true, or has the wanted value; returns
        its value. It may raise until then, as of a result that is not there.
        """

        def ask():
            try:
                return self.kernel(expression)
            except json.JSONDecodeError as error:
                raise AssertionError(f"{expression}: {error.doc}") from None

        return self.sees(ask, wanted, seconds, what=expression)

    def sees(self, look, wanted=ANYTHING, seconds: float = LIMIT, *, what: str = "it"):
        """Look until that is true, or the wanted value; returns what was seen. A look may assert,
        and may meet a part that the page exchanges at that moment: then it looks again.
        """
        for _ in self.looks(seconds):
            try:
                found = look()
            except (AssertionError, Error) as error:
                reason = error
                continue
            if found if wanted is ANYTHING else found == wanted:
                return found
            more = "" if wanted is ANYTHING else f", and not {wanted!r}"
            reason = AssertionError(f"after {seconds} s {what} is {found!r}{more}")
        raise reason

    def settle(self) -> None:
        """The kernel has done all that it was asked, and the browser has had time to draw it."""
        self.page.wait_for_timeout(100)
        self.kernel("0")
        self.page.wait_for_timeout(200)

    def theme(self, name: str) -> None:
        """Show JupyterLab in its "Light" or "Dark"."""
        change = f"{{theme: 'JupyterLab {name}'}}"
        self.js(f"await app.commands.execute('apputils:change-theme', {change})")
        self.until(f"return document.body.dataset.jpThemeName === 'JupyterLab {name}'")

    def open_tab(self, name: str) -> None:
        """Turn a studio to a tab, and wait for its panel: it is built when it is first opened."""
        self.page.get_by_role("tab", name=name, exact=True).click()
        self.kernel("0")  # it has heard of that
        self.page.locator("button.sdnb-main >> visible=true").first.wait_for()

    def place(self, part) -> dict[str, float]:
        """Where a part of the page is, once it is there and stands still."""

        def stands():
            before = part.bounding_box()
            self.page.evaluate(_FRAMES)
            return before if before == part.bounding_box() else None

        return self.sees(stands, what="its place")

    def complaints(self) -> list[str]:
        """All that went wrong, wherever it was said; empty when nothing did."""
        found = [*self._console, *self.js("return window.heard")]
        found += self.page.get_by_text("Error displaying widget").all_inner_texts()
        return [words for words in found if not NOISE.search(words)]

    def pictures(self) -> list[int]:
        """The width of each picture shown, as the browser decoded it."""
        return self.page.locator(".jp-OutputArea-output img").evaluate_all(
            "all => all.filter(i => i.complete && i.checkVisibility()).map(i => i.naturalWidth)"
        )

    def unfold(self) -> None:
        """Open each part that is folded, and what is folded in it. A request opens some by itself,
        and a click on one that has just opened folds it again: so it looks until all are open.
        """
        folded = self.page.locator("button.sdnb-fold:not(.mod-active) >> visible=true")
        for _ in range(20):
            while folded.count():
                folded.first.click()
            self.kernel("0")  # has opened what was clicked
            self.page.wait_for_timeout(300)
            if not folded.count():
                return
        raise AssertionError(f"folded again and again: {folded.all_inner_texts()}")

    def screenshot(self, path: Path) -> None:
        """The whole notebook, from top to bottom."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.set_viewport_size({"width": 1200, "height": 900})
        outer = "panel.content.node.querySelector('.jp-WindowedPanel-outer')"
        size = {"width": 1200, "height": int(self.js(f"return {outer}.scrollHeight")) + 150}
        self.page.set_viewport_size(size)
        self.js(f"{outer}.scrollTop = 0")
        self.page.wait_for_timeout(800)
        self.page.screenshot(path=path)

    def _heard(self, message) -> None:
        if message.type == "error":
            self._console.append(f"console: {message.text}")
