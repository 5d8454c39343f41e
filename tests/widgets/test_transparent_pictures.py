"""A picture with transparent parts: wherever it is seen, it is seen as a request takes it."""

import io
import re
from base64 import b64decode

import numpy as np
import pytest
from helpers.pictures import encoded
from PIL import Image

from sdnb import images
from sdnb.images import canvas
from sdnb.request import Request, Settings
from sdnb.widgets.details import zoomed
from sdnb.widgets.form.fields import FIELDS
from sdnb.widgets.form.fitted_view import FittedView
from sdnb.widgets.form.picture_box import PictureBox
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.gallery_picture import from_file
from sdnb.widgets.masks.editor import MaskEditor

SIDE = 128


def made():
    """Left: transparent, with black behind it. Middle: half transparent blue. Right: red."""
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[:, 43:86] = 0, 0, 255, 128
    pixels[:, 86:] = 255, 0, 0, 255
    return encoded(Image.fromarray(pixels))


# On white, by the rule of compositing: colour * alpha + white * (1 - alpha).
LEFT, MIDDLE, RIGHT = (255, 255, 255), (127, 127, 255), (255, 0, 0)


def in_page(text):
    """The first picture in HTML or a style sheet."""
    return b64decode(re.search(r"data:image/jpeg;base64,([^\")]*)", text).group(1))


def in_picture_box():
    box = PictureBox(next(f for f in FIELDS if f.name == "image"), lambda: None, None, small=True)
    box.take(made(), "a.png")
    return box._image.value


def in_mask_editor():
    return MaskEditor(made())._state.surface._source.value


def in_mask_editor_without_a_canvas():
    return MaskEditor(made())._fallback._picture.value


def in_fitted_view():
    view = FittedView()
    view.show(Request(image=images.picture(made()), width=192, height=96, fit="stretch"))
    return view._image.value


def in_gallery():
    gallery = Gallery()
    gallery.take(made(), "a.png")
    return in_page(gallery._opened_picture.view.value)


def in_thumbnail():
    gallery = Gallery()
    gallery.take(made(), "a.png")
    return in_page(gallery._thumbs._backgrounds.value)


def as_result():
    return in_page(zoomed(from_file(made(), "a.png")))


def sent_from_the_gallery():
    """As the tab has it that a gallery's picture is sent to."""
    png = images.picture(from_file(made(), "a.png").image)
    found, _ = canvas.fit(Request(image=png).resolved(Settings()))
    return encoded(found.picture)


def in_a_request():
    found, _ = canvas.fit(Request(image=images.picture(made())).resolved(Settings()))
    return encoded(found.picture)


@pytest.mark.parametrize(
    "where",
    [
        in_a_request, sent_from_the_gallery, in_picture_box, in_fitted_view, in_mask_editor,
        in_mask_editor_without_a_canvas, in_gallery, in_thumbnail, as_result,
    ],
)  # fmt: skip
def test_a_transparent_picture_is_on_white_everywhere(where):
    seen = np.asarray(Image.open(io.BytesIO(where())).convert("RGB")).astype(int)
    height, width = seen.shape[:2]
    for share, colour in ((1 / 6, LEFT), (1 / 2, MIDDLE), (5 / 6, RIGHT)):
        pixel = seen[height // 2, int(width * share)]
        assert np.abs(pixel - colour).max() <= 6, (share, pixel)  # a JPEG


def test_its_holes_are_still_there_for_the_mask_when_the_gallery_sends_it():
    editor = MaskEditor(from_file(made(), "a.png").image)
    editor.use_alpha()
    assert np.asarray(editor.mask)[64, [10, 60, 120]].tolist() == [255, 127, 0]
