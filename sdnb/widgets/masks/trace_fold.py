"""A photograph to trace over, behind a button: one chooses it, and how strongly it is seen."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial

from PIL import Image

from sdnb.request.sizes import Size
from sdnb.widgets.buttons import icon_button, text_button
from sdnb.widgets.fold import Fold
from sdnb.widgets.form.decoded import beside, pixels_or_error
from sdnb.widgets.slider import Slider
from sdnb.widgets.style import quiet_line, row
from sdnb.widgets.upload import Upload

STRENGTH = 0.4  # how strongly a photograph is seen at first
_TIP = "Choose a photo to trace over: it is seen below the drawing, and is no part of it"


class TraceFold(Fold):
    """Calls `take` with the photograph a person chose or dropped, or None for none, `seen` with how
    strongly it is to be seen, and `keep` to make it part of the drawing. `show` calls nobody.
    """

    def __init__(
        self,
        take: Callable[[Image.Image | None], object],
        seen: Callable[[float], object],
        keep: Callable[[], object],
    ) -> None:
        self._take, self._seen, self._keep = take, seen, keep
        super().__init__("Trace a photo")
        self._make()

    def show(self, strength: float, *, has: bool) -> None:
        """Show how strongly a photograph is seen, and whether there is one."""
        self._slider.show(strength)
        for part in self._of_photo:
            part.layout.display = "" if has else "none"

    def take_file(self, data: bytes, name: str = "") -> None:
        """Take a picture file; show why if it cannot be read. One sees it, however it came."""
        self.unfolded = True
        beside(partial(pixels_or_error, data), partial(self._got, name))

    def _got(self, name: str, found: Image.Image | Exception) -> None:
        if isinstance(found, Exception):
            self._refuse(f"{name or 'The file'}: {found}")
        else:
            self._said.value = ""
            self._take(found)

    def _refuse(self, words: str) -> None:
        self.unfolded = True
        self._said.value = f'<span class="sdnb-warn" role="alert">{html.escape(words)}</span>'

    def _make(self) -> None:
        self._slider = Slider(
            "Seen", STRENGTH, (0, 1), self._seen, reach=(0, 1), step=0.05,
            tooltip="How strongly the photo is seen: 0 not at all, 1 wholly",
        )  # fmt: skip
        remove = icon_button("times", "Photo: take it away", "Photo: take it away")
        remove.on_click(lambda _: self._take(None))
        tip = "Make the photo part of the drawing, below what is drawn; Undo takes it back"
        draw_in = text_button("Draw it in", "stamp", tip, self._keep)
        self._said = quiet_line()
        self._of_photo = remove, draw_in, self._slider
        upload = Upload("Picture…", _TIP, self.take_file, refuse=self._refuse)
        self.inside.children = [row([upload, remove, draw_in, self._slider]), self._said]
        self.show(STRENGTH, has=False)


def fitted(photo: Image.Image, size: Size) -> Image.Image:
    """The whole photograph in the middle of a white sheet of a size: RGB."""
    sheet = Image.new("RGB", size, "white")
    scale = min(size[0] / photo.width, size[1] / photo.height)
    small = photo.convert("RGB").resize(
        (max(1, round(photo.width * scale)), max(1, round(photo.height * scale))),
        Image.Resampling.LANCZOS, reducing_gap=2.0,
    )  # fmt: skip
    sheet.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2))
    return sheet
