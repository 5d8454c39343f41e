"""What is drawn follows JupyterLab's theme: seen in pixels, in the light and in the dark."""

import numpy as np
import pytest
from helpers.notebook_page import SHOTS, Notebook
from PIL import Image

pytestmark = pytest.mark.browser

STUDIO = """
import sdnb
from PIL import Image
studio = sdnb.studio()
picture = sdnb.images.picture(Image.new("RGB", (256, 256), (96, 96, 96)))
for name in ("img2img", "inpaint"):
    studio.panels[name].start_from(picture)
for number in range(30):
    studio.gallery.take(picture, f"{number}.png")
made = sdnb.txt2img(studio.model, "a cat", steps=1, count=3, progress=False)
studio.gallery.add(made)
studio.panels["txt2img"].view.show(studio.gallery.pictures[:3], 1)
studio
"""
PLACES = """all => all.map(element => {
  const parent = element.parentElement ?? element;  // none: exchanged at this moment
  const words = element.value || parent.title || parent.innerText;
  const r = element.getBoundingClientRect();
  return [words, r.left, r.top, r.right, r.bottom];
})"""
TABS = ("txt2img", "img2img", "inpaint", "upscale", "sketch", "grid")


def light(pixels):
    """The relative luminance of WCAG 2.1."""
    part = np.asarray(pixels, float)[..., :3] / 255
    linear = np.where(part <= 0.03928, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def contrast(shot, box, right=None):
    """The largest contrast of a pixel with the most frequent one, of the last `right` columns."""
    pixels = np.asarray(shot.crop([round(side) for side in box]))
    pixels = pixels[4:-4, -right - 4 : -4] if right else pixels[2:-2, 2:-2]  # without borders
    kinds, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    ground = light(kinds[counts.argmax()])
    bright, dark = np.maximum(light(kinds), ground), np.minimum(light(kinds), ground)
    return float(((bright + 0.05) / (dark + 0.05)).max())


@pytest.fixture(scope="module")
def notebook(shared_page, lab):
    notebook = Notebook(shared_page, lab, lab.write("icons.ipynb", STUDIO))
    notebook.run_all()
    return notebook


def still(notebook, path):
    """A screenshot of the whole notebook, and where its arrows and its icons are on it."""

    def places():
        found = [".sdnb select >> visible=true", ".sdnb button:enabled i >> visible=true"]
        return [notebook.page.locator(each).evaluate_all(PLACES) for each in found]

    def at_rest():
        before = places()
        notebook.screenshot(path)
        return before if places() == before else None  # else something moved meanwhile

    arrows, icons = notebook.sees(at_rest)
    return Image.open(path).convert("RGB"), arrows, icons


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_arrows_and_icons_are_seen(notebook, theme):
    """At least three times as bright as the ground, or as dark: WCAG 2.1, 1.4.11."""
    notebook.theme(theme)
    seen = 0
    for tab in TABS:
        notebook.open_tab(tab)
        notebook.unfold()
        notebook.settle()
        shot, arrows, icons = still(notebook, SHOTS / f"icons-{tab}-{theme.lower()}.png")
        for words, *box in arrows:
            assert contrast(shot, box, right=20) > 3, (tab, words)
        for words, *box in icons:
            assert contrast(shot, box) > 3, (tab, words)
        seen += len(arrows) + len(icons)
    assert seen > 60
    notebook.theme("Light")
    assert notebook.complaints() == []
