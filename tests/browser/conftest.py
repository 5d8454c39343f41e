"""One JupyterLab, one browser and one page for all tests of this folder that follow each other:
each takes seconds.
"""

import os
from collections import deque
from contextlib import contextmanager, nullcontext

import pytest
from helpers import forked_kernels
from helpers.notebook_page import LIMIT, SHOTS
from playwright.sync_api import expect, sync_playwright

from sdnb.bench.lab_page import CHROMIUM_FLAGS, Lab, chromium


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    with forked_kernels.offered(folder) if hasattr(os, "fork") else nullcontext():
        # For the server alone, where it goes before the environment's: voila has Jupyter's kernels.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JUPYTER_PATH", str(folder))
            lab = Lab(tmp_path_factory.mktemp("lab"))
        yield lab
        lab.stop()


ERRORS = deque(maxlen=20)  # the last that the browser's console said


class Browser:
    """Chromium, from the first test of a page in a row to the last: while Playwright runs, no other
    test can have an event loop.
    """

    def __init__(self):
        self._playwright = self._chromium = self._visitor = None

    def chromium(self):
        if self._chromium is None:
            self._playwright = sync_playwright().start()
            launch = self._playwright.chromium.launch
            self._chromium = launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
            expect.set_options(timeout=1000 * LIMIT)
        return self._chromium

    def page(self, **settings):
        """A new one, as of a new visitor."""
        context = self.chromium().new_context(viewport=SIZE, **settings)
        context.set_default_timeout(1000 * LIMIT)
        page = context.new_page()
        page.on("console", lambda said: said.type == "error" and ERRORS.append(said.text[:2000]))
        return page

    def visitor(self):
        """The page that tests share."""
        if self._visitor is None:
            self._visitor = self.page()
        return self._visitor

    def forget_visitor(self):
        """The next one is new."""
        if self._visitor is not None:
            self._visitor.context.close()
        self._visitor = None

    def close(self):
        if self._chromium is not None:
            self._chromium.close()
            self._playwright.stop()
            self.__init__()


BROWSER = Browser()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """Each worker has its tests of this folder in a row (`../conftest.py`)."""
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path.parent != item.path.parent:
            BROWSER.close()


SIZE = {"width": 1200, "height": 900}
# A page that was loaded again has its notebook from its layout, and opens it by its address some
# seconds later: perhaps over the notebook of the test that follows.
LOADED_AGAIN = "() => performance.getEntriesByType('navigation')[0].type === 'reload'"
# A notebook is closed as it is: nobody is asked whether to save it.
CLOSE = """() => {
    const widgets = window.jupyterapp ? [...window.jupyterapp.shell.widgets('main')] : [];
    for (const widget of widgets) if (widget.context) widget.dispose();
}"""


@contextmanager
def pages(lab):
    """Opens fresh pages, as of new visitors; `open_page(2)` on a screen of twice the density."""
    fresh, before = [], lab.kernels() if lab else set()

    def opened(density=1):
        fresh.append(BROWSER.page(device_scale_factor=density))
        return fresh[-1]

    opened.pages = fresh
    yield opened
    for page in fresh:
        page.context.close()
    if lab:
        lab.end_kernels(keep=before)


@pytest.fixture
def open_page(request):
    """`pages` of one test."""
    lab = request.getfixturevalue("lab") if "lab" in request.fixturenames else None
    failed = request.session.testsfailed
    with pages(lab) as opened:
        yield opened
        if request.session.testsfailed > failed:
            for page in opened.pages:
                if not page.is_closed():
                    say_what_is_seen(page, request.node.name)


SEEN = """() => [
    ...document.querySelectorAll('.lm-DockPanel-tabBar li.lm-mod-current'),
    ...document.querySelectorAll('.jp-Cell'), ...document.querySelectorAll('.jp-Dialog'),
].map(e => (e.checkVisibility() ? 'seen: ' : 'hidden: ') + (e.innerText || e.textContent))"""


def say_what_is_seen(page, name):
    """A failure's report says what was in the page: who reads it has no browser."""
    print(f"The page of {name}, at {page.url}:")  # pytest shows it with the failure
    for part in page.get_by_text("Click to show javascript error").locator("visible=true").all():
        part.click()  # where a widget should be, and what was wrong with it is behind that
    print("\n".join(words[:2000] for words in [*page.evaluate(SEEN), "Its console:", *ERRORS]))
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"failed-{name}.png")


@pytest.fixture
def page(lab, request):
    """The page that tests share, without a notebook; each opens its own, with its own kernel.
    JupyterLab is loaded once: that takes longer than a short test. After a failure, and after a
    test that loaded it again, it is a new one.
    """
    page, kernels, failed = BROWSER.visitor(), lab.kernels(), request.session.testsfailed
    yield page
    if request.session.testsfailed > failed:
        say_what_is_seen(page, request.node.name)
        BROWSER.forget_visitor()
    elif page.evaluate(LOADED_AGAIN):
        BROWSER.forget_visitor()
    else:
        page.evaluate(CLOSE)
        page.set_viewport_size(SIZE)
    lab.end_kernels(keep=kernels)


@pytest.fixture(scope="module")
def shared_page(lab):
    """A page of its own for several tests of a file, for a notebook that each leaves as it was."""
    with pages(lab) as opened:
        yield opened()


@pytest.fixture(autouse=True)
def _what_of_it_is_seen(request):
    """After a failure, as of any other page."""
    page = request.getfixturevalue("shared_page") if "shared_page" in request.fixturenames else None
    failed = request.session.testsfailed
    yield
    if page and request.session.testsfailed > failed:
        say_what_is_seen(page, request.node.name)
