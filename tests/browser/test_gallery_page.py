"""Where work lives, in JupyterLab: a gallery over a folder of many pictures, and pictures that are
dropped, dragged from it and pasted.
"""

import base64
from collections import Counter

import pytest
from helpers.notebook_page import SHOTS, Notebook
from helpers.pictures import colour, encoded
from playwright.sync_api import expect

from sdnb.widgets.gallery.thumbnails import PAGE

pytestmark = pytest.mark.browser

MADE = """
import os, sdnb
from PIL import Image
from sdnb.images.result import Result
from sdnb.request import Request, Settings
def save(prompt, seed, model="tiny"):
    picture = Image.new("RGB", (64, 64), (4 * seed % 256, 90, 250 - 3 * seed % 200))
    request = Request(prompt, seed=seed).resolved(Settings(64, 64, 1))
    path, = sdnb.images.save(Result((picture,), request, model, "ab", 1.0, 0.0), "shelf")
    os.utime(path, (1.7e9 + 90_000 * seed,) * 2)
    return path
for seed in range(60):
    save("a fox in snow" if seed % 4 == 0 else "a castle", seed, ("tiny", "other")[seed % 2])
whole = save("half", 60)
whole.write_bytes(whole.read_bytes()[:-40])
"""
STUDIO = "studio = sdnb.studio(folder='shelf')\nstudio"
EDITOR = """
editor = sdnb.MaskEditor(Image.new("RGB", (128, 128), (90, 90, 90)), width=256)
editor.draw(sdnb.widgets.masks.strokes.Rectangle((8, 8), (64, 64)))
editor
"""
# Events as a browser makes them for a file of the desktop, or of the clipboard.
EVENTS = """(part, [types, files, words]) => {
  const data = new DataTransfer();
  for (const [name, type, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  if (words) data.setData("text/plain", words);
  const how = { bubbles: true, cancelable: true, composed: true };
  return types.map(type => part.dispatchEvent(type === "paste"
    ? new ClipboardEvent(type, { ...how, clipboardData: data })
    : new DragEvent(type, { ...how, dataTransfer: data })));
}"""
# What is seen over the part that would take it, and by how much it differs from its size: at once,
# since it goes when the browser says no more of the mouse.
HINT = f"""(part, events) => {{
  ({EVENTS})(part, events);
  const here = document.querySelector(".sdnb-here"), size = here.getBoundingClientRect();
  const seen = getComputedStyle(here, "::after");
  return [seen.content, parseFloat(seen.width) - size.width, parseFloat(seen.height) - size.height];
}}"""
OWN = """(part, name) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.setData("application/x-sdnb-picture-" + name, "");
  const how = { bubbles: true, cancelable: true, dataTransfer };
  return part.dispatchEvent(new DragEvent("dragover", how));
}"""
RIGHT = "part => part.getBoundingClientRect().right"


def file(name="photo.png", kind="image/png", data=None):
    data = encoded(colour(3, (48, 80))) if data is None else data
    return [name, kind, base64.b64encode(data).decode()]


@pytest.fixture(scope="module")
def opened(shared_page, lab):
    notebook = Notebook(shared_page, lab, lab.write("gallery.ipynb", MADE, STUDIO, EDITOR))
    shared_page.set_viewport_size({"width": 1400, "height": 900})
    notebook.run_all()
    yield notebook
    assert notebook.complaints() == []


@pytest.fixture
def page(opened):
    yield opened.page
    opened.kernel("studio.gallery.find() and None")
    opened.kernel("studio.gallery.choose(None)")


def thumbs(page):
    return page.locator("button.sdnb-thumb >> visible=true")


def send(part, types, *files, words=""):
    return part.evaluate(EVENTS, [types.split(), list(files), words])


def drop(opened, part, *files):
    """Drop files, once the page takes them: it does a moment after the part is in sight."""
    opened.sees(lambda: send(part, "dragenter dragover", *files), [False, False])
    send(part, "drop", *files)


def tab(opened, name):
    opened.open_tab(name)
    opened.becomes(f"{name!r} in [each for each in studio.panels if studio.panel is "
                   "studio.panels[each]]")  # fmt: skip
    return opened.page.locator(".sdnb-takes >> visible=true").first


def rows_are_full(page):
    """Whether the thumbnails stand in three rows or more, each of as many."""
    rows = Counter(thumbs(page).evaluate_all("all => all.map(each => each.offsetTop)"))
    return len(rows) >= 3 and len(set(rows.values())) == 1


def size(name):
    """The size of a tab's start picture, in the kernel."""
    image = f"studio.panels[{name!r}].form.controls['image'].value"
    return f"{image} and list(sdnb.images.open({image}).size)"


def test_one_of_many_is_found_by_typing(opened, page):
    page.locator("text=61 pictures").first.wait_for()
    expect(thumbs(page)).to_have_count(PAGE)
    for width in (1900, 1400, 1000, 700):  # a full page has no row that is part empty
        page.set_viewport_size({"width": width, "height": 900})
        opened.sees(lambda: rows_are_full(page))
    page.set_viewport_size({"width": 1400, "height": 900})
    page.screenshot(path=SHOTS / "gallery-rows.png")
    page.locator("button.sdnb-damaged").wait_for()
    box = page.get_by_label("Find", exact=True)
    box.fill("fox")
    page.locator("text=15 of 61 pictures").wait_for()
    page.get_by_label("Model", exact=True).last.select_option(index=1)
    box.press_sequentially(' -"8"')
    opened.becomes("len(studio.gallery.found) == 12")  # without seeds 8, 28, 48
    thumbs(page).first.click()
    expect(page.locator(".sdnb-settings >> visible=true")).to_contain_text("a fox in snow")
    opened.kernel("save('a new fox', 700) and None")
    page.locator("button[title^='Look at']").click()
    page.get_by_text("1 new picture.").wait_for()


def test_a_file_of_the_desktop_is_dropped_where_it_is_wanted(opened, page):
    for name, place in (("img2img", ".sdnb-takes"), ("upscale", ".sdnb-takes"),
                        ("inpaint", ".sdnb-top")):  # fmt: skip
        tab(opened, name)
        part = page.locator(f"{place} >> visible=true").first
        opened.sees(lambda part=part: send(part, "dragenter dragover", file()), [False, False])
        words, *less = part.evaluate(HINT, [["dragover"], [file()], ""])
        assert words == '"Drop the picture here"'
        assert all(abs(each) <= 8 for each in less)  # it covers the part, its own border apart
        drop(opened, part, file())
        opened.becomes(f"{size(name)} == [80, 48]")
        expect(page.locator(".sdnb-here")).to_have_count(0)
    canvas = page.locator(".sdnb .sdnb-stage canvas >> visible=true").first
    canvas.wait_for()
    drop(opened, canvas, file(data=encoded(colour(4, (64, 96)))))
    opened.becomes(f"{size('inpaint')} == [96, 64]")


def test_a_sketch_and_a_mask_editor_alone_take_it_themselves(opened, page):
    tab(opened, "sketch")
    sketch, photo = "studio.panels['sketch']", file(data=encoded(colour(4, (64, 96))))
    drop(opened, page.locator(".sdnb-top >> visible=true").first, photo)
    opened.becomes(f"{sketch}.canvas.trace is not None")
    assert opened.kernel(f"[{sketch}.canvas.trace.size, {sketch}.canvas.is_empty]") == [
        [96, 64], True,
    ]  # fmt: skip
    page.get_by_text("Draw it in").locator("visible=true").wait_for()
    canvas = page.locator(".jp-OutputArea-output > .sdnb-mask .sdnb-stage canvas >> visible=true")
    canvas.scroll_into_view_if_needed()
    drop(opened, canvas, photo)
    opened.becomes("editor.image.size == (96, 64)")
    back = page.get_by_role("button", name="Take that back")
    back.click()
    opened.becomes("editor.image.size == (128, 128)")
    assert opened.kernel("editor.mask.getbbox()") == [8, 8, 64, 64]
    canvas.focus()
    send(canvas, "paste", photo)
    opened.becomes("editor.image.size == (96, 64)")
    opened.open_tab("txt2img")


def test_a_file_that_is_no_picture_says_so(opened, page):
    box = tab(opened, "img2img")
    before = opened.kernel(size("img2img"))
    for kind, data, words in (
        ("text/plain", b"hello", "notes.txt is no picture: PNG"),
        ("", b"hello", "is not a picture that can be read"),
        ("image/png", b"\\x89PNG", "is not a picture that can be read"),
    ):
        drop(opened, box, file("notes.txt", kind, data))
        box.get_by_text(words).wait_for()
    assert opened.kernel(size("img2img")) == before
    assert send(box, "dragover", words="only words") == [True]  # left to the page
    gallery = page.locator(".sdnb-takes:has(.sdnb-thumb)")
    drop(opened, gallery, file("notes.txt", "text/plain", b"hello"))
    gallery.get_by_text("notes.txt is no picture").wait_for()


def test_a_picture_with_settings_brings_them_and_many_come_at_once(opened, page):
    gallery = page.locator(".sdnb-takes:has(.sdnb-thumb)")
    path = opened.kernel("str(save('a dropped fox', 800).resolve())")
    with open(path, "rb") as saved:  # noqa: PTH123 - the server is on this machine
        data = saved.read()
    drop(opened, gallery, file("one.png", data=data), file("two.png"))
    opened.becomes("[p.file and p.file[0] for p in studio.gallery.pictures][:2] == "
                   "['two.png', 'one.png']")  # fmt: skip
    assert opened.kernel("studio.gallery.pictures[1].request.prompt") == "a dropped fox"
    tab(opened, "txt2img")  # without a box for a picture: then it is the gallery's
    drop(opened, page.locator(".sdnb-top >> visible=true").first, file("three.png"))
    opened.becomes("studio.gallery.pictures[0].file[0] == 'three.png'")


def test_a_picture_of_the_gallery_is_dragged_to_a_box(opened, page):
    box = tab(opened, "img2img")
    page.set_viewport_size({"width": 1400, "height": 1800})
    wanted = opened.kernel("studio.gallery.found.index(next(p for p in studio.gallery.found if "
                           "p.name.endswith('-52-a-fox-in-snow.png')))")  # fmt: skip
    thumb = thumbs(page).nth(wanted)
    thumb.scroll_into_view_if_needed()
    thumb.drag_to(box)
    opened.becomes("(image := studio.panels['img2img'].form.controls['image'].value) and "
                   "sdnb.images.open(image).getpixel((0, 0)) == (208, 90, 94)")  # fmt: skip
    box.get_by_text("it carries its settings").wait_for()
    before = opened.kernel("len(studio.gallery.pictures)")
    thumb.drag_to(thumbs(page).nth(3))  # onto its own gallery: nothing
    opened.settle()
    assert opened.kernel("len(studio.gallery.pictures)") == before
    # A panel's own picture: only onto a box of it.
    name = opened.kernel("next(part._hand.name for part in studio.panels['img2img'].children if "
                         "hasattr(part, '_hand'))")  # fmt: skip
    for part, left in ((box, False), (page.locator(".sdnb-outcome >> visible=true").first, True)):
        opened.sees(lambda part=part: part.evaluate(OWN, name), left)
    page.locator("button.sdnb-fold:has-text('Control') >> visible=true").click()
    net = page.locator(".sdnb-held .sdnb-takes >> visible=true").first
    net.wait_for()
    thumb.drag_to(net)
    net.get_by_text("64 × 64").wait_for()
    page.set_viewport_size({"width": 1400, "height": 900})


def test_a_picture_is_pasted(opened, page):
    box = tab(opened, "img2img")
    box.locator("button >> visible=true").first.focus()
    photo = file(data=encoded(colour(5, (40, 56))))
    opened.sees(lambda: send(box.locator("button").first, "paste", photo), [False])
    opened.becomes(f"{size('img2img')} == [56, 40]")
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true").first
    prompt.focus()
    assert send(prompt, "paste", file(), words="words beside it") == [True]  # left to the box
    prompt.blur()
    # And by the keys, from the real clipboard.
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    png = base64.b64encode(encoded(colour(6, (72, 88)))).decode()
    page.evaluate(
        "async text => { const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));"
        "await navigator.clipboard.write([new ClipboardItem({ 'image/png':"
        "new Blob([bytes], { type: 'image/png' }) })]) }", png,
    )  # fmt: skip
    page.locator(".sdnb-outcome .sdnb-empty >> visible=true").first.click()  # no focus is there
    page.keyboard.press("Control+v")
    opened.becomes(f"{size('img2img')} == [88, 72]")
    drop(opened, tab(opened, "inpaint"), file())
    opened.becomes(f"{size('inpaint')} == [80, 48]")
    canvas = page.locator(".sdnb .sdnb-stage canvas >> visible=true").first
    canvas.click()
    page.keyboard.press("Control+v")
    opened.becomes(f"{size('inpaint')} == [88, 72]")
    assert opened.js("return panel.content.widgets.length") == 3  # no cell was pasted


def test_in_a_small_window_nothing_is_cut_off(opened, page):
    page.set_viewport_size({"width": 1000, "height": 700})
    box = tab(opened, "img2img")
    send(box, "dragover", file())
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / "drop.png")
    page.locator(".sdnb-search").scroll_into_view_if_needed()
    page.screenshot(path=SHOTS / "gallery.png")
    parts = page.locator(".sdnb-search > * >> visible=true")
    expect(parts).to_have_count(3)  # words, model, day: there are no subfolders but "deleted"

    def is_within():
        right = page.locator(".sdnb-takes:has(.sdnb-thumb)").evaluate(RIGHT)
        return max(part.evaluate(RIGHT) for part in parts.all()) <= right

    opened.sees(is_within)
    page.set_viewport_size({"width": 1400, "height": 900})
