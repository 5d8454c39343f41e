"""`sdnb app`: the studio without code, in a browser that comes after the cells ran."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest
import requests
from helpers.notebook_page import PAGE_IS_GONE, SHOTS
from helpers.pictures import colour, encoded
from helpers.pictures import result as made

from sdnb import images

pytestmark = pytest.mark.browser

PLACES = ("JUPYTER_CONFIG_DIR", "IPYTHONDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
LINE = "[...document.querySelectorAll('.sdnb-run')].map(each => each.innerText).join('')"
DROP = """(part, bytes) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "photo.png", { type: "image/png" }));
  const how = { bubbles: true, cancelable: true, dataTransfer: data };
  for (const type of ["dragover", "drop"]) part.dispatchEvent(new DragEvent(type, how));
}"""


@pytest.fixture
def app(tmp_path, interruptible, request):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    images.save(made("of yesterday"), tmp_path / "mine")
    log = tmp_path / "app.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "sdnb", "app", "--no-browser", "--port", str(port),
             "--ip", "127.0.0.1", "--outdir", "mine", "--memory", "cpu",
             *getattr(request, "param", ())],
            env=os.environ | dict.fromkeys(PLACES, str(tmp_path)) | {"TMPDIR": str(tmp_path)},
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    for _ in range(600):
        if f"The studio is at {url}" in log.read_text():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break  # it says so just before it listens
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

    left_while_a_run_goes_on(page, process)
    page.get_by_text("The controls are as you left them.").first.wait_for(timeout=120_000)
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true").first
    assert prompt.input_value() == "a green pear"

    page.get_by_role("tab", name="sketch", exact=True).click()
    sheet = page.locator(".sdnb-stage canvas >> visible=true").first
    sheet.wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    sheet.click()
    assert leave(page, "dismiss") == ["beforeunload"]  # the drawing would go with the page

    kernels = psutil.Process(process.pid).children(recursive=True)
    assert kernels
    process.send_signal(signal.SIGINT)  # Ctrl+C
    assert process.wait(120) == 0
    assert psutil.wait_procs(kernels, 60)[1] == []
    assert "Traceback" not in PAGE_IS_GONE.sub("", log.read_text())
    assert list(tmp_path.glob("sdnb-app-*")) == []


def left_while_a_run_goes_on(page, process):
    """The page asks; who stays loses nothing, and who goes comes back to the same model."""
    page.get_by_role("tab", name="txt2img", exact=True).click()
    page.locator(".sdnb-picker select").select_option("tiny-fast · the built-in model in 4 steps")
    page.get_by_text("tiny-fast: loaded in").wait_for(timeout=120_000)
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true").first
    prompt.fill("a green pear")
    prompt.press("Tab")
    steps = page.get_by_label("Steps", exact=True).locator("visible=true").first
    steps.fill("150")
    steps.press("Tab")
    kernel = kernels_of(process)
    page.locator("button:has-text('Generate') >> visible=true").click()
    page.wait_for_function(f"{LINE}.includes('of 150')")
    assert leave(page, "dismiss") == ["beforeunload"]
    page.wait_for_timeout(1500)  # in which the kernel would end
    assert kernels_of(process) == kernel
    before = page.evaluate(LINE)
    page.wait_for_function(f"before => {LINE} !== before", arg=before)  # the run goes on
    kernels = kernels_after(lambda: leave(page, "accept"), process)  # another one, with its words
    assert kernels != kernel
    assert len(kernels) == 1
    page.get_by_text("tiny-fast: loaded in").wait_for(timeout=120_000)


def leave(page, answer):
    """Load the page again, and answer its question; returns the kinds of questions."""
    asked = []

    def questioned(dialog):
        asked.append(dialog.type)
        getattr(dialog, answer)()

    page.once("dialog", questioned)
    page.evaluate("void setTimeout(() => location.reload())")
    page.wait_for_timeout(1000)
    return asked


# Longer than a busy machine takes from the last cell to the page that asks for its kernel.
_ALONE_SECONDS = 20
ALONE = ["--", f"--MappingKernelManager.cull_idle_timeout={_ALONE_SECONDS}",
         "--MappingKernelManager.cull_interval=1"]  # fmt: skip


@pytest.mark.parametrize("app", [ALONE], indirect=True)
def test_a_kernel_ends_with_its_page(open_page, app):
    url, process, log = app
    page = open_page()
    context = page.context
    (first,) = kernels_after(lambda: page.goto(url, timeout=120_000), process)
    shown(page)
    (second,) = kernels_after(page.reload, process)
    assert second != first
    assert "403 POST" not in log.read_text()  # the page itself has ended the first one
    shown(page)
    page.wait_for_timeout(1000 * (_ALONE_SECONDS + 3))
    assert kernels_of(process) == [second]

    made = page.evaluate("document.querySelector('#jupyter-config-data').textContent")
    end = f"{url}voila/api/shutdown/{json.loads(made)['kernelId']}"
    cookies = {each["name"]: each["value"] for each in context.cookies()}
    token = {"_xsrf": cookies["_xsrf"]}
    elsewhere = {"Origin": "http://elsewhere.example"}
    assert requests.post(end, data=token, timeout=30).status_code == 403  # without the cookie
    assert requests.post(end, cookies=cookies, timeout=30).status_code == 403  # or what is in it
    answer = requests.post(end, cookies=cookies, data=token, headers=elsewhere, timeout=30)
    assert answer.status_code in (403, 404)
    assert kernels_of(process) == [second]

    page.close(run_before_unload=False)  # without a word, as a browser that was killed
    assert kernels_after(lambda: None, process, 0) == []


def shown(page):
    """Wait until the studio is there, and so the page has all that it needs to end its kernel."""
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true").first
    prompt.wait_for(timeout=120_000)


def kernels_of(process):
    """The kernels that are alive, by their process ids."""
    return [each.pid for each in psutil.Process(process.pid).children() if is_kernel(each)]


def is_kernel(process):
    try:
        return "ipykernel_launcher" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return False


def kernels_after(act, process, count=1):
    """The kernels after an act, when there are so many and none that there was before it."""
    before = set(kernels_of(process))
    act()
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = kernels_of(process)
        if len(found) == count and not before & set(found):
            break
        time.sleep(0.2)
    return found
