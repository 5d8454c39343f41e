"""One JupyterLab for all tests of this folder, and for each file a browser and a page: each takes
seconds.
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


# Not for the whole session: while Playwright runs, no other test can have an event loop.
@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


SIZE = {"width": 1200, "height": 900}
# A notebook is closed as it is: nobody is asked whether to save it.
CLOSE = """() => {
    const widgets = window.jupyterapp ? [...window.jupyterapp.shell.widgets('main')] : [];
    for (const widget of widgets) if (widget.context) widget.dispose();
}"""


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


@pytest.fixture(scope="module")
def visitor(browser, lab):
    """What `page` gives: JupyterLab is loaded once for a file, half of what a short test takes."""
    with pages(browser, lab) as opened:
        yield opened()


@pytest.fixture
def page(lab, visitor):
    """The page of the file's tests, without a notebook; each opens its own, with its own kernel."""
    before = lab.kernels()
    yield visitor
    visitor.evaluate(CLOSE)
    visitor.set_viewport_size(SIZE)
    lab.end_kernels(keep=before)


@pytest.fixture(scope="module")
def shared_page(browser, lab):
    """One page for several tests of a file, for a notebook that each leaves as it was."""
    with pages(browser, lab) as opened:
        yield opened()
