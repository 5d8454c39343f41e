"""A photograph of 4000x3000 in the studio: the size that is proposed, and how it is fitted."""

import io

import numpy as np
import pytest
from helpers.notebook_page import SHOTS, Notebook
from PIL import Image

pytestmark = pytest.mark.browser

STUDIO = "import sdnb\nstudio = sdnb.studio(folder='photos')\nstudio"
PHOTO = (4000, 3000)


@pytest.fixture
def photo():
    """Left half red, right half blue: 4:3, as a phone takes it."""
    columns = np.zeros((PHOTO[1], PHOTO[0], 3), np.uint8)
    columns[:, :2000, 0] = columns[:, 2000:, 2] = 200
    buffer = io.BytesIO()
    Image.fromarray(columns).save(buffer, "JPEG")
    return {"name": "IMG_1234.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}


class Studio:
    """The studio in a page, and what a person does there with a photograph."""

    def __init__(self, page, lab, name):
        self.notebook = Notebook(page, lab, lab.write(name, STUDIO))
        self.notebook.run_all()
        self.page, self.kernel = page, self.notebook.kernel
        self.until, self.tab = self.notebook.becomes, self.notebook.open_tab

    def upload(self, photo):
        # Only the tab in sight: each has an input of its own.
        button = self.page.locator("button.sdnb-upload-picture >> visible=true")
        with self.page.expect_file_chooser() as chooser:
            button.click()
        chooser.value.set_files(photo)

    def button(self, words):
        return self.page.locator(f"button:has-text('{words}') >> visible=true")

    def said(self, words):
        line = self.page.locator(f".sdnb-quiet:has-text('{words}'), .sdnb-warn:has-text('{words}')")
        line.locator("visible=true").first.wait_for()

    def sees(self, width, height):
        """Waits for a picture of this size in sight: words about it may come a moment before."""
        self.page.wait_for_function(
            "([w, h]) => [...document.querySelectorAll('.sdnb img')].some(i =>"
            " i.checkVisibility() && i.naturalWidth === w && i.naturalHeight === h)",
            arg=[width, height],
        )

    def has_size(self, width, height):
        self.until("[studio.request.width, studio.request.height]", [width, height])

    def shot(self, name):
        for width, height in ((1400, 900), (1000, 700)):
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.wait_for_timeout(500)
            self.page.screenshot(path=SHOTS / f"{name}-{width}.png")


@pytest.mark.parametrize("tab", ["img2img", "inpaint"])
def test_a_large_photo_is_proposed_a_size_and_one_click_takes_its_own(page, lab, photo, tab):
    SHOTS.mkdir(parents=True, exist_ok=True)
    one = Studio(page, lab, f"photo-{tab}.ipynb")
    one.tab(tab)
    one.upload(photo)
    one.said("It is made at 288 × 216")  # 4:3, and 0.95 times the pixels of the model's 256x256
    one.has_size(288, 216)
    one.said("4000 × 3000, 183 times")
    one.shot(f"photo-{tab}-proposed")
    one.button("Take its own size").click()
    one.until("studio.request.width is None")
    assert one.kernel("studio.request.resolved(studio.model.settings).width") == 4000
    one.shot(f"photo-{tab}-own")
    one.button("Take 288 × 216").click()
    one.until("studio.request.width == 288")
    assert one.notebook.complaints() == []


def test_a_large_photo_is_upscaled_from_a_size_near_the_models_own(page, lab, photo):
    one = Studio(page, lab, "photo-upscale.ipynb")
    one.tab("upscale")
    one.upload(photo)
    one.said("it is enlarged from 288 × 216")
    one.has_size(576, 432)
    one.shot("photo-upscale-proposed")
    one.button("Enlarge from its own size").click()
    one.until("studio.request.width == 8000")
    one.said("it takes that much longer or more")
    one.shot("photo-upscale-own")
    assert one.notebook.complaints() == []


def test_what_is_fitted_is_seen_before_and_made_so(page, lab, photo):
    one = Studio(page, lab, "photo-fitted.ipynb")
    one.tab("img2img")
    one.upload(photo)
    one.said("It is made at")
    for label, side in (("Width", 128), ("Height", 128)):
        box = page.get_by_label(label, exact=True).locator("visible=true").first
        box.fill(str(side))
        box.press("Tab")
    one.said("1.3 times as high")
    fitted = page.get_by_label("Fitted by", exact=True).locator("visible=true")
    for way, width, words in (
        ("crop", 192, "3000 × 3000 of 4000 × 3000"), ("fit", 192, "has 128 × 96"),
        ("fill", 192, "at 128 × 96; what is around it is painted"),
    ):  # fmt: skip
        fitted.select_option(way)
        one.said(words)
        one.sees(width, 144 if way == "fit" else 192)  # 192 * 96 / 128 = 144
    one.shot("photo-fitted")
    for label, value in (("Steps", 4), ("Strength", 0.5)):
        box = page.get_by_label(label, exact=True).locator("visible=true").first
        box.fill(str(value))
        box.press("Tab")
    one.button("Generate").first.click()
    one.until("studio.result is not None")
    made = one.kernel(
        "[studio.result.request.fit, *studio.result.image.size,"
        " studio.result.image.getpixel((16, 4)), studio.result.image.getpixel((112, 124))]"
    )
    assert made[:3] == ["fill", 128, 128]
    one.said("by the last runs")  # the time of the next one
    assert one.notebook.complaints() == []
