"""`voila studio.ipynb`: the studio without code, in a browser that comes after the cells ran."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from helpers.notebook_page import SHOTS

from sdnb import assets

pytestmark = pytest.mark.browser

PLACES = ("JUPYTER_CONFIG_DIR", "IPYTHONDIR", "XDG_CONFIG_HOME")


@pytest.fixture
def voila(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A copy: the studio saves its pictures beside its notebook.
    notebook = shutil.copy(assets.notebooks() / "studio.ipynb", tmp_path)
    log = (tmp_path / "voila.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "voila", notebook, "--no-browser", f"--port={port}",
         "--Voila.ip=127.0.0.1"],
        env=os.environ | dict.fromkeys(PLACES, str(tmp_path)),
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            break
        assert process.poll() is None, (tmp_path / "voila.log").read_text()
        time.sleep(0.2)
    yield url
    process.kill()  # asked to end, it takes half a minute; its kernels see that it is gone, and end
    process.wait()


def test_the_studio_as_a_page(open_page, voila):
    page = open_page()
    page.goto(voila, timeout=120_000)
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true").first
    prompt.wait_for(timeout=120_000)
    assert page.locator("text=import sdnb").count() == 0  # no code
    prompt.fill("a red apple on a blue background")
    prompt.press("Tab")
    steps = page.get_by_label("Steps", exact=True).locator("visible=true").first
    steps.fill("4")
    steps.press("Tab")
    page.locator("button:has-text('Generate') >> visible=true").click()
    thumbs = page.locator("button.sdnb-thumb >> visible=true")
    thumbs.first.wait_for(timeout=120_000)
    thumbs.first.click()
    page.locator("button:has-text('to inpaint') >> visible=true").last.click()
    canvas = page.locator("canvas").first
    canvas.wait_for()
    page.wait_for_timeout(1500)
    drawn = canvas.evaluate(
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " return d.filter((v, i) => i % 4 === 3 && v > 0).length / (c.width * c.height); }"
    )
    assert drawn > 0.9  # the picture is on the canvas, though the browser came late
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / "voila.png", full_page=True)
