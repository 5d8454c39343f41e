"""What a person does with a finished picture of a panel, for the next ones: buttons below it."""

from __future__ import annotations

from functools import partial
from typing import Any

from sdnb import images
from sdnb.widgets.gallery.gallery_picture import GalleryPicture

SEED = (
    "Use its seed",
    "lock",
    "Keep its seed for the next ones; one of several is the only one then",
)
_EXTEND = (
    "Extend",
    "expand-arrows-alt",
    "Begin the next one from it, on a canvas that is extended as the last one was",
)
HOLDS = "Have a control network hold the next ones to it"


def offer(panel: Any) -> None:
    """Put the buttons below the result of a panel, and into its own gallery."""
    for place in (panel.view, panel.gallery) if panel.has_gallery else (panel.view,):
        place.action(*SEED, partial(keep_seed, panel, place))
        if panel.kind != "txt2img":
            tip = "Begin the next one from it; a mask stays"
            place.action("Use as picture", "image", tip, partial(_use_as_picture, panel, place))
        if panel.kind in ("all", "inpaint"):
            place.action(*_EXTEND, partial(_extend, panel, place))
    panel.view.send("Control", partial(_hold_to, panel), HOLDS, last=True)
    if panel.has_gallery:
        panel.gallery.send("Control", partial(_hold_to, panel), HOLDS)
        tip = "Put its settings into the panel"
        panel.gallery.send("the panel", partial(_use, panel), tip)


def _use(panel: Any, picture: GalleryPicture) -> None:
    panel.use(picture)
    what = "Its settings are" if picture.known else "It is"
    panel.gallery.say(f"{what} in the panel now, above.")


def keep_seed(panel: Any, place: Any, picture: GalleryPicture) -> None:
    """Set its seed, and say so in the view or gallery where that was asked; for one of several also
    the count, since the others have seeds of their own. Raises ValueError for a photograph.
    """
    seed = picture.request.seed
    if seed is None:
        raise ValueError("It brings no settings, and no seed among them.")
    words = f"The seed is {seed} now"
    panel.form.change(seed=seed)
    if picture.which and panel.form.request.count > 1:
        panel.form.change(count=1)
        words += ", and Pictures is 1"
    place.say(f"{words}.", holds=lambda: panel.form.seed.value == seed)


def _use_as_picture(panel: Any, place: Any, picture: GalleryPicture) -> None:
    """Begin from this picture, with the mask that is there if it has the same size."""
    mask = panel.form.request.mask
    stays = mask is not None and images.open(mask).size == picture.image.size
    png = images.picture(picture.image)
    panel.start_from(png, mask if stays else None)
    if stays:
        panel.came.mask.tell()
    image = panel.form.controls["image"]
    place.say("The next one begins from it.", holds=lambda: image.value == png)


def _extend(panel: Any, place: Any, picture: GalleryPicture) -> None:
    """Begin from this picture on a larger canvas; where none was made before, show the numbers."""
    png = images.picture(picture.image)
    panel.start_from(png)
    box = panel.form.controls["mask"]
    if box.extend_again():
        words = "Its canvas is extended as the last one was: the next one fills it."
        place.say(words, holds=lambda: bool(box.editor.extensions))
    else:
        words = "Say in “Extend the canvas” by how much: the next one fills it."
        place.say(words, holds=lambda: panel.form.controls["image"].value == png)


def _hold_to(panel: Any, picture: GalleryPicture) -> None:
    panel.hold_to(picture)
    for place in (panel.view, panel.gallery):
        place.say("It is the picture of a control now.")
