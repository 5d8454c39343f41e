"""`sdnb app`: the studio without code, in a browser that comes after the cells ran."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from helpers.notebook_page import SHOTS
from helpers.pictures import colour, encoded
from helpers.pictures import result as made

from sdnb import images

pytestmark = pytest.mark.browser

PLACES = ("JUPYTER_CONFIG_DIR", "IPYTHONDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
DROP = """(part, bytes) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "photo.png", { type: "image/png" }));
  const how = { bubbles: true, cancelable: true, dataTransfer: data };
  for (const type of ["dragover", "drop"]) part.dispatchEvent(new DragEvent(type, how));
}"""


@pytest.fixture
def app(tmp_path, interruptible):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    images.save(made("of yesterday"), tmp_path / "mine")
    log = tmp_path / "app.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "sdnb", "app", "--no-browser", "--port", str(port),
             "--ip", "127.0.0.1", "--outdir", "mine", "--memory", "cpu"],
            env=os.environ | dict.fromkeys(PLACES, str(tmp_path)) | {"TMPDIR": str(tmp_path)},
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    for _ in range(600):
        if f"The studio is at {url}" in log.read_text():
            break
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    yield url, process, log
    if process.poll() is None:
        for each in (*psutil.Process(process.pid).children(recursive=True), process):
            each.kill()
    process.wait()


def test_the_studio_as_a_page(open_page, app, tmp_path):
    url, process, log = app
    page = open_page()
    page.goto(url, timeout=120_000)
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true").first
    prompt.wait_for(timeout=120_000)
    assert page.locator("text=import sdnb").count() == 0  # no code
    thumbs = page.locator("button.sdnb-thumb >> visible=true")
    thumbs.first.wait_for()
    assert "of yesterday" in thumbs.first.get_attribute("title")
    prompt.fill("a red apple on a blue background")
    prompt.press("Tab")
    steps = page.get_by_label("Steps", exact=True).locator("visible=true").first
    steps.fill("4")
    steps.press("Tab")
    page.locator("button:has-text('Generate') >> visible=true").click()
    thumbs.nth(1).wait_for(timeout=120_000)
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
    page.screenshot(path=SHOTS / "app.png", full_page=True)
    canvas.evaluate(DROP, list(encoded(colour(3, (48, 80)))))
    page.get_by_text("photo.png 80 × 48").wait_for(timeout=30_000)
    assert len(list((tmp_path / "mine").glob("*.png"))) == 2  # where the command was called

    kernels = psutil.Process(process.pid).children(recursive=True)
    assert kernels
    process.send_signal(signal.SIGINT)  # Ctrl+C
    assert process.wait(120) == 0
    assert psutil.wait_procs(kernels, 60)[1] == []
    assert "Traceback" not in log.read_text()
    assert list(tmp_path.glob("sdnb-app-*")) == []
