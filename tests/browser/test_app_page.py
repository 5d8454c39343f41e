"""`sdnb app`: the studio without code, in a browser that comes after the cells ran."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest
import requests
from helpers.notebook_page import LIMIT, PAGE_IS_GONE, SHOTS
from helpers.pictures import colour, encoded
from helpers.pictures import result as made
from playwright.sync_api import expect

from sdnb import images

pytestmark = pytest.mark.browser

PLACES = ("JUPYTER_CONFIG_DIR", "IPYTHONDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
LINE = "[...document.querySelectorAll('.sdnb-run')].map(each => each.innerText).join('')"
DRAWN = """() => {
  const canvas = document.querySelector("canvas"), { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  return data.filter((value, i) => i % 4 === 3 && value > 0).length > 0.9 * width * height;
}"""
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

    def listens():
        assert process.poll() is None, log.read_text()
        if f"The studio is at {url}" in log.read_text():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True  # it says so just before it listens
        return False

    try:
        until(listens)
        yield url, process, log
    finally:
        if process.poll() is None:
            for each in (*psutil.Process(process.pid).children(recursive=True), process):
                each.kill()
        process.wait()
        print(log.read_text())  # pytest shows it with a failure


def until(look):
    """Look until that is true."""
    deadline = time.monotonic() + LIMIT
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_studio_as_a_page(open_page, app, tmp_path):
    url, process, log = app
    page = open_page()
    page.goto(url, wait_until="commit")
    prompt = prompt_of(page)
    prompt.wait_for(timeout=2000 * LIMIT)
    assert page.locator("text=import sdnb").count() == 0  # no code
    thumbs = page.locator("button.sdnb-thumb >> visible=true")
    expect(thumbs.first).to_have_attribute("title", re.compile("of yesterday"))
    prompt.fill("a red apple on a blue background")
    prompt.press("Tab")
    steps = page.get_by_label("Steps", exact=True).locator("visible=true").first
    steps.fill("4")
    steps.press("Tab")
    page.locator("button:has-text('Generate') >> visible=true").click()
    thumbs.nth(1).wait_for()
    thumbs.first.click()
    page.locator("button:has-text('to inpaint') >> visible=true").last.click()
    canvas = page.locator("canvas").first
    canvas.wait_for()
    # The picture comes onto the canvas, though the browser came late.
    page.wait_for_function(DRAWN, polling=200)
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / "app.png", full_page=True)
    canvas.evaluate(DROP, list(encoded(colour(3, (48, 80)))))
    page.get_by_text("photo.png 80 × 48").wait_for()
    assert len(list((tmp_path / "mine").glob("*.png"))) == 2  # where the command was called

    left_while_a_run_goes_on(page, process)
    page.get_by_text("The controls are as you left them.").first.wait_for()
    expect(prompt_of(page)).to_have_value("a green pear")

    page.get_by_role("tab", name="sketch", exact=True).click()
    sheet = page.locator(".sdnb-stage canvas >> visible=true").first
    sheet.click()
    assert leave(page, "dismiss") == ["beforeunload"]  # the drawing would go with the page

    kernels = psutil.Process(process.pid).children(recursive=True)
    assert kernels
    process.send_signal(signal.SIGINT)  # Ctrl+C
    assert process.wait(LIMIT) == 0
    assert psutil.wait_procs(kernels, LIMIT)[1] == []
    assert "Traceback" not in PAGE_IS_GONE.sub("", log.read_text())
    assert list(tmp_path.glob("sdnb-app-*")) == []


def left_while_a_run_goes_on(page, process):
    """The page asks; who stays loses nothing, and who goes comes back to the same model."""
    page.get_by_role("tab", name="txt2img", exact=True).click()
    page.locator(".sdnb-picker select").select_option("tiny-fast · the built-in model in 4 steps")
    page.get_by_text("tiny-fast: loaded in").wait_for()
    prompt = prompt_of(page)
    prompt.fill("a green pear")
    prompt.press("Tab")
    steps = page.get_by_label("Steps", exact=True).locator("visible=true").first
    steps.fill("600")
    steps.press("Tab")
    kernel = kernels_of(process)
    page.locator("button:has-text('Generate') >> visible=true").click()
    page.wait_for_function(f"{LINE}.includes('of 600')")
    assert leave(page, "dismiss") == ["beforeunload"]
    page.wait_for_timeout(1500)  # in which the kernel would end
    assert kernels_of(process) == kernel
    before = page.evaluate(LINE)
    page.wait_for_function(f"before => {LINE} !== before", arg=before)  # the run goes on
    leave(page, "accept")
    until(lambda: len(kernels_of(process)) == 1 and kernels_of(process) != kernel)  # another one
    page.get_by_text("tiny-fast: loaded in").wait_for()


def leave(page, answer):
    """Load the page again, and answer its question; returns the kinds of questions."""
    asked = []

    def questioned(dialog):
        asked.append(dialog.type)
        getattr(dialog, answer)()

    page.once("dialog", questioned)
    page.evaluate("void setTimeout(() => location.reload())")
    deadline = time.monotonic() + LIMIT
    while not asked and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    return asked


ALONE = ["--", "--MappingKernelManager.cull_idle_timeout=20",
         "--MappingKernelManager.cull_interval=1"]  # fmt: skip


@pytest.mark.parametrize("app", [ALONE], indirect=True)
def test_a_kernel_ends_with_its_page(open_page, app):
    url, process, log = app
    page, other = open_page(), open_page()
    first = kernel_of(page, lambda: page.goto(url, wait_until="commit"), process)
    second = kernel_of(page, lambda: page.reload(wait_until="commit"), process)
    assert second != first
    until(lambda: kernels_of(process) == [second])
    assert "403 POST" not in log.read_text()  # the page itself has ended the first one

    made = page.evaluate("document.querySelector('#jupyter-config-data').textContent")
    end = f"{url}voila/api/shutdown/{json.loads(made)['kernelId']}"
    cookies = {each["name"]: each["value"] for each in page.context.cookies()}
    token = {"_xsrf": cookies["_xsrf"]}
    elsewhere = {"Origin": "http://elsewhere.example"}
    assert requests.post(end, data=token, timeout=LIMIT).status_code == 403  # without the cookie
    assert requests.post(end, cookies=cookies, timeout=LIMIT).status_code == 403  # or what is in it
    answer = requests.post(end, cookies=cookies, data=token, headers=elsewhere, timeout=LIMIT)
    assert answer.status_code in (403, 404)
    assert kernels_of(process) == [second]

    kernel_of(other, lambda: other.goto(url, wait_until="commit"), process)
    other.close(run_before_unload=False)  # without a word, as a browser that was killed
    until(lambda: kernels_of(process) == [second])  # whose page has been still for longer
    page.wait_for_timeout(3000)  # in which the server looks again
    assert kernels_of(process) == [second]


def prompt_of(page):
    return page.get_by_label("Prompt", exact=True).locator("visible=true").first


def kernel_of(page, load, process):
    """Load a page; its kernel's process id, once the studio is there, and so the page has all that
    it needs to end it. Where the machine is so busy that the page is not there before its kernel
    ends as one that is left alone, it is loaded again.
    """
    before = set(kernels_of(process))
    for _ in range(3):
        load()
        until(lambda: set(kernels_of(process)) - before)
        deadline = time.monotonic() + 2 * LIMIT
        while (found := set(kernels_of(process)) - before) and time.monotonic() < deadline:
            if prompt_of(page).is_visible():
                (kernel,) = found
                return kernel
            page.wait_for_timeout(200)
    raise AssertionError("the page was not there before its kernel ended, again and again")


def kernels_of(process):
    """The kernels that are alive, by their process ids."""
    return [each.pid for each in psutil.Process(process.pid).children() if is_kernel(each)]


def is_kernel(process):
    try:
        return "ipykernel_launcher" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return False
