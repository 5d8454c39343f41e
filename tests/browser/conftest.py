"""One JupyterLab, one browser and one page for all tests of this folder that follow each other:
each takes seconds.
"""

from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

from sdnb.bench.lab_page import CHROMIUM_FLAGS, Lab, chromium


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


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
        return self._chromium

    def visitor(self):
        """The page that tests share."""
        if self._visitor is None:
            self._visitor = self.chromium().new_context(viewport=SIZE).new_page()
        return self._visitor

    def forget_visitor(self):
        """The next one is new; who has this one keeps it."""
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


@pytest.fixture(scope="module")
def browser():
    return BROWSER.chromium()


SIZE = {"width": 1200, "height": 900}
OPEN = """const open = () => window.jupyterapp
    ? [...window.jupyterapp.shell.widgets('main')].filter(widget => widget.context) : [];"""
# A notebook is closed as it is: nobody is asked whether to save it.
CLOSE = f"""keep => {{ {OPEN}
    for (const widget of open()) if (!keep.includes(widget.context.path)) widget.dispose();
}}"""


@contextmanager
def pages(browser, lab):
    """Opens fresh pages, as of new visitors; `open_page(2)` on a screen of twice the density."""
    contexts, before = [], lab.kernels() if lab else set()

    def opened(density=1):
        contexts.append(browser.new_context(viewport=SIZE, device_scale_factor=density))
        return contexts[-1].new_page()

    yield opened
    for context in contexts:
        context.close()
    if lab:
        lab.end_kernels(keep=before)


@pytest.fixture
def open_page(browser, request):
    """`pages` of one test."""
    lab = request.getfixturevalue("lab") if "lab" in request.fixturenames else None
    with pages(browser, lab) as opened:
        yield opened


@contextmanager
def visit(lab, session):
    """The page that tests share, and after it as it was before: with those notebooks and kernels.
    JupyterLab is loaded once: that takes longer than a short test. After a failure, it is anew.
    """
    page, kernels, failed = BROWSER.visitor(), lab.kernels(), session.testsfailed
    before = page.evaluate(f"() => {{ {OPEN} return open().map(w => w.context.path) }}")
    yield page
    if session.testsfailed > failed:
        BROWSER.forget_visitor()
    page.evaluate(CLOSE, before)
    page.set_viewport_size(SIZE)
    lab.end_kernels(keep=kernels)


@pytest.fixture
def page(lab, browser, request):
    """For one test, which opens a notebook of its own, with its own kernel."""
    with visit(lab, request.session) as page:
        yield page


@pytest.fixture(scope="module")
def shared_page(lab, browser, request):
    """For several tests of a file, with a notebook that each leaves as it was."""
    with visit(lab, request.session) as page:
        yield page
