"""The panel and the studio in JupyterLab, by mouse and keyboard, on the embedded model."""

import re

import pytest
from helpers.notebook_page import SHOTS, Notebook
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

PANEL = "import sdnb\nmodel = sdnb.load()\npanel = sdnb.Panel(model)\npanel"
STUDIO = "import sdnb\nstudio = sdnb.studio(folder='made')\nstudio"

CHANGES = """
import numpy as np
def changes():
    "The largest change of a pixel where the mask is black, and where it is not."
    after, before = (np.asarray(p.image).astype(int) for p in studio.gallery.pictures[:2])
    mask = np.asarray(sdnb.images.open(studio.result.request.mask))
    change = np.abs(after - before).max(-1)
    return [int(change[mask == 0].max()), int(change[mask > 0].max())]
"""


class Page:
    """A notebook with a panel, and what a person does with it."""

    def __init__(self, page, lab, name, *cells):
        self.notebook = Notebook(page, lab, lab.write(name, *cells))
        self.notebook.run_all()
        self.page = page

    @property
    def kernel(self):
        return self.notebook.kernel

    @property
    def until(self):
        return self.notebook.becomes

    def box(self, label):
        return self.page.get_by_label(label, exact=True).locator("visible=true").first

    def type(self, label, words):
        self.box(label).fill(str(words))
        self.box(label).press("Tab")

    def named(self, words):
        """The first button of these words in sight."""
        return self.page.locator(f"button:has-text('{words}') >> visible=true").first

    def click(self, words):
        self.named(words).click()

    def can_be_read(self, place):
        """Wait until the first of these in sight has contrast enough, by WCAG 2.1, AA."""
        part = self.page.locator(f"{place} >> visible=true").first

        def stands_out():
            contrast = part.evaluate(CONTRAST)
            assert contrast is not None, f"{place} is taken out of the page again and again"
            assert contrast > 4.5, place
            return contrast

        self.notebook.sees(stands_out)

    def watch(self, widths, pictures):
        """Look at a run until the bar has had so many widths and the preview was so many
        pictures.
        """
        bars, previews = set(), set()

        def seen():
            bars.add(self.page.locator(".progress-bar >> visible=true").first.evaluate(
                "bar => bar.style.width"
            ))  # fmt: skip
            previews.add(self.page.locator("img.sdnb-picture").first.get_attribute("src"))
            assert len(bars) >= widths, bars
            assert len(previews) >= pictures
            return True

        self.notebook.sees(seen)


def test_a_panel_runs_shows_and_stops(page, lab):
    one = Page(page, lab, "panel.ipynb", PANEL, "panel.request")
    one.type("Prompt", "a castle:1 thick fog:0.5 at 12:30")
    chips = page.locator(".sdnb-chip >> visible=true")
    expect(chips).to_have_count(3)
    expect(chips.first).to_contain_text("40%")
    expect(page.locator(".sdnb-warn >> visible=true").first).to_contain_text("stays text")
    one.type("Steps", 100)
    one.type("CFG", 6.5)
    assert not one.kernel("panel.running")  # moving controls starts nothing
    one.click("Generate")
    one.until("bool(panel.progress.previews)")
    one.watch(widths=4, pictures=3)
    assert one.kernel("6 * 7") == 42  # the kernel is free
    one.click("Queue")
    one.until("panel._actions.message.value == 'next: after 2 others'")
    notebook_shot(one, "panel-running.png")
    one.click("Remove all")
    one.until("panel._actions.message.value == 'next: after this picture'")
    one.kernel("globals().update(job=panel._queue.jobs[0], at=[])")
    one.kernel("panel._actions.stop.on_click(lambda _: at.append(job.progress.step))")
    one.click("Stop")
    one.until("at and not panel.running")
    line = page.locator(".sdnb-quiet:has-text('step') >> visible=true").first  # beside the bar
    expect(line).to_have_text(re.compile(r"^\s*stopped at step \d+ of 100"))
    stopped = int(re.search(r"step (\d+)", line.inner_text())[1])
    assert stopped <= one.kernel("at[0]") + 3
    expect(page.locator("img.sdnb-picture >> visible=true")).to_have_count(1)  # the last preview
    one.type("Steps", 4)
    one.click("Generate")
    one.until("panel.result is not None")
    made = one.kernel(
        "[panel.result.request.prompt, panel.result.request.steps, panel.result.request.cfg]"
    )
    assert made == ["a castle:1 thick fog:0.5 at 12:30", 4, 6.5]
    notebook_shot(one, "panel-done.png")
    assert one.notebook.complaints() == []


def test_errors_are_seen_in_the_panel_and_it_goes_on(page, lab):
    one = Page(page, lab, "errors.ipynb", PANEL)
    one.type("Prompt", "a cat:1 a dog:-1")
    one.click("Generate")
    alert = page.locator("[role=alert] >> visible=true")
    expect(alert.first).to_contain_text("sum to zero")
    one.type("Prompt", "a cat")
    one.kernel("panel.form.change(width=64, height=64)")
    one.kernel("exec('def broken(latent): raise OSError(\"no room for a preview\")') or"
               " setattr(panel.progress, 'preview_of', broken)")  # fmt: skip
    one.type("Steps", 4)
    one.click("Generate")
    one.until("panel.progress.problem != ''")
    page.locator("summary:has-text('where in the code')").click()
    expect(alert.first).to_contain_text("no room for a preview")
    expect(page.locator(".sdnb-error pre")).to_contain_text("in broken")
    one.kernel("setattr(panel.progress, 'preview_of', model.preview)")
    one.click("Generate")
    one.until("panel.result is not None")
    expect(alert).to_have_count(0)
    assert one.notebook.complaints() == []


def test_a_run_goes_on_beside_a_busy_cell_and_ends_with_its_cell(page, lab):
    one = Page(page, lab, "panel-busy.ipynb", PANEL)
    one.kernel("panel.form.change(steps=100)")
    one.click("Generate")
    one.until("panel.progress.previews > 0")
    one.kernel("globals().update(old=panel)")
    step = "panel._queue.jobs[0].progress.step"
    before = one.kernel(step)
    busy = f"__import__('time').sleep(0.1) or {step} > {before}"
    assert one.kernel(f"any({busy} for _ in range(600))")  # one cell, which is busy all the time
    one.notebook.run_all()
    one.until("not old.running")
    assert one.kernel("old.progress.line.startswith('stopped') and old is not panel")
    one.kernel("panel.form.change(prompt='a cat', steps=200)")
    one.click("Generate")
    one.until("panel.progress.previews > 0")
    one.notebook.js("await app.commands.execute('notebook:delete-cell')")
    one.until("not panel.running")
    assert one.notebook.complaints() == []


def test_the_studio_from_a_prompt_to_an_inpainted_picture(page, lab):
    one = Page(page, lab, "studio-tabs.ipynb", STUDIO, CHANGES)
    one.type("Prompt", "a red apple on a blue background")
    one.type("Seed", "7")
    one.type("Steps", 4)
    one.kernel("studio.panel.form.change(width=128, height=128)")
    one.click("Generate")
    one.until("studio.result is not None")
    page.locator("button.sdnb-thumb >> visible=true").first.click()
    expect(page.locator("table.sdnb-settings")).to_contain_text("a red apple")
    page.locator("button:has-text('to inpaint') >> visible=true").last.click()
    canvas = page.locator(".jp-OutputArea-output canvas").first
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    one.notebook.settle()
    box = one.notebook.place(canvas)
    at = [(box["x"] + box["width"] * part, box["y"] + box["height"] * part) for part in (0.1, 0.9)]
    page.mouse.click(*at[0])  # a dot of the brush; the canvas has the keys now
    page.keyboard.press("Control+z")
    page.keyboard.press("r")  # a rectangle
    page.mouse.down()
    page.mouse.move(*at[1], steps=5)
    page.mouse.up()
    one.until("studio.request.mask is not None")
    one.type("Prompt", "a lemon on a blue background")
    one.type("Strength", 1)
    one.kernel("studio.panel.form.change(steps=4) or 0")  # its own are more
    one.click("Generate")
    one.until("studio.result.request.mask is not None")
    unpainted, painted = one.kernel("changes()")
    assert unpainted == 0  # bit for bit
    assert painted > 20
    notebook_shot(one, "studio-inpaint.png")
    one.click("Save all")
    one.until("len(list(__import__('pathlib').Path('made').glob('*.png'))) == 2")
    assert one.notebook.complaints() == []

    one.notebook.reload()
    expect(page.locator("button.sdnb-thumb >> visible=true")).to_have_count(2)
    expect(one.box("Prompt")).to_have_value("a lemon on a blue background")
    one.click("Generate")
    one.until("len(studio.gallery.pictures) == 3")
    assert one.notebook.complaints() == []


def test_the_studio_in_the_dark(page, lab):
    one = Page(page, lab, "dark.ipynb", STUDIO.replace("made", "dark"))
    one.notebook.theme("Dark")
    one.type("Prompt", "a castle:1 snow:0.5")
    for place in (".sdnb-chip", ".sdnb .widget-label"):
        one.can_be_read(place)
    notebook_shot(one, "studio-dark.png")
    one.notebook.theme("Light")
    assert one.notebook.complaints() == []


def test_every_control_can_be_reached_and_is_named(page, lab):
    one = Page(page, lab, "keys.ipynb", PANEL)
    one.box("Prompt").focus()
    names = []
    for _ in range(24):
        page.keyboard.press("Tab")
        names.append(page.evaluate("() => document.activeElement.innerText"))
    assert any("Generate" in name for name in names), names
    one.kernel(
        "bool(panel.gallery.add(sdnb.txt2img(model, 'a cat', width=64, steps=1, progress=False)))"
    )
    for fold in reversed(page.locator("button.sdnb-fold").all()):  # one may bring another
        fold.click()
    one.box("Clip skip").wait_for()
    wanted = {"Prompt", "Width", "Steps", "CFG", "Eta", "Exchange", "Seed", "Draw a seed"}

    def all_are_named():
        found = named(page)
        assert wanted <= found
        assert "a cat, seed" in " ".join(found)
        return found

    one.notebook.sees(all_are_named)


def test_a_list_is_chosen_from_by_keyboard(page, lab):
    """Once it is open JupyterLab takes no key from it, not even D D, which deletes a cell."""
    one = Page(page, lab, "list.ipynb", PANEL, "'a cell below'")
    for keys, chosen in (
        (("Space", "d", "d", "Enter"), ""),  # whichever
        (("Space", "h", "Enter"), "heun"),
        (("Alt+ArrowDown", "ArrowUp", "Enter"), "euler_a"),
    ):
        one.box("Sampler").focus()
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_timeout(100)
        one.until(f"{chosen!r} in str(panel.request.sampler)")
        assert one.notebook.js("return panel.content.widgets.length") == 2
    assert one.notebook.complaints() == []


def test_every_control_of_the_studio_is_named(page, lab):
    one = Page(page, lab, "names.ipynb", STUDIO.replace("made", "names"))
    one.kernel("bool(studio.gallery.add(sdnb.txt2img(studio.model, 'a cat', width=64, steps=2)))")
    page.locator("button.sdnb-thumb >> visible=true").click()
    one.kernel("studio.send(studio.gallery.pictures[0], 'inpaint') or 0")
    for tab in ("img2img", "inpaint", "upscale", "grid"):
        one.notebook.open_tab(tab)
        one.notebook.sees(lambda: len(named(page)) > 10)


def named(page):
    """What a screen reader says of each control in sight; nothing is there that has no name."""
    devtools = page.context.new_cdp_session(page)
    names = set()
    for output in page.locator(".jp-OutputArea-output").all():
        output.evaluate("element => { window.output = element }")
        place = devtools.send("Runtime.evaluate", {"expression": "window.output"})["result"]
        place = {"objectId": place["objectId"]}
        for node in devtools.send("Accessibility.queryAXTree", place)["nodes"]:
            about = {
                each["name"]: each["value"].get("value") for each in node.get("properties", [])
            }
            if about.get("focusable"):
                name = re.sub("[\ue000-\uf8ff]", "", node["name"]["value"])  # without icons
                assert name.strip(), node
                names.add(name.strip())
    return names


def notebook_shot(one, name):
    one.notebook.screenshot(SHOTS / name)
    one.page.set_viewport_size({"width": 1200, "height": 900})


# The contrast of an element's text with the first ground behind it that is not transparent.
# Nothing of an element that was taken out of the page meanwhile.
CONTRAST = """element => {
  if (!element.isConnected) return null;
  const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  let ground = element;
  while (ground && (numbers(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0)
    ground = ground.parentElement;
  const pair = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor]
    .map(c => light(numbers(c))).sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
}"""


def test_an_upload_that_is_too_large_is_said_and_the_next_one_arrives(page, lab, tmp_path):
    """One of 129 MiB: the server closes the socket, and its part tells the kernel why."""
    shown = Page(page, lab, "huge.ipynb", "import sdnb\ngallery = sdnb.Gallery()\ngallery")
    huge, small = tmp_path / "huge.png", tmp_path / "small.png"
    with huge.open("wb") as file:
        file.truncate(129 * 2**20)
    Image.new("RGB", (64, 64), (200, 30, 30)).save(small)
    for file, words in ((huge, "did not arrive"), (small, "1 picture")):
        with page.expect_file_chooser() as chooser:
            shown.click("Add a picture")
        chooser.value.set_files(file)
        page.get_by_text(words).first.wait_for()
    assert shown.kernel("[p.image.size for p in gallery.pictures]") == [[64, 64]]
