"""A page of the gallery's thumbnails, newest first, and the buttons that turn it. Those of a batch
have the numbers by which its result is paged.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence

import ipywidgets as widgets

from sdnb.widgets.buttons import text_button
from sdnb.widgets.gallery.file_readers import ThumbReader
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.jpegs import data_uri
from sdnb.widgets.style import box, shared

PAGE = 36  # thumbnails at once: `style.css` puts 12, 9, 6 or 4 into a row, so that each is full
_SIDE = 128  # pixels
_FEW = 5  # pages that one turns one by one


class Thumbnails(widgets.VBox):
    """Shows the page in sight of a gallery's pictures; a click calls `choose` with one of them.

    `turners` are the buttons for other pages, and `pager` is the number of the one in sight, shown
    where there are many: the owner of the thumbnails lays them out. `again` is
    called, in a thread of its own, when thumbnails of files have been read: `show` shows them;
    `seen` with the pictures that are in sight from now on.
    """

    def __init__(
        self, choose: Callable[[GalleryPicture], object], again: Callable[[], object],
        seen: Callable[[Sequence[GalleryPicture]], object],
    ) -> None:  # fmt: skip
        self._choose, self._seen = choose, seen
        self._pictures: Sequence[GalleryPicture] = ()
        self._chosen: GalleryPicture | None = None
        self._picked: Collection[GalleryPicture] = ()
        self._page = 0
        # A CSS class of its own: galleries of other kernels may be on the same page.
        self._mark = f"sdnb-gallery-{secrets.token_hex(4)}"
        self._backgrounds = widgets.HTML(layout=widgets.Layout(display="none"))
        self.slots = [self._slot(i) for i in range(PAGE)]
        newer = text_button("newer", "", "Newer pictures", lambda: self.turn(-1))
        older = text_button("older", "", "Older pictures", lambda: self.turn(1))
        self.turners = newer, older
        self.pager = widgets.BoundedIntText(
            1, min=1, max=1, tooltip="The page in sight", layout=widgets.Layout(width="64px"),
        )  # fmt: skip
        self.pager.observe(lambda change: self._paged(change["new"] - 1), "value")
        self._reader = ThumbReader(_SIDE, again)
        super().__init__([self._backgrounds, box("sdnb-thumbs", self.slots)])

    @property
    def where(self) -> str:
        """ "page 2 of 5"; "" where there is one."""
        return f"page {self._page + 1} of {self._pages}" if self._pages > 1 else ""

    def show(
        self, pictures: Sequence[GalleryPicture], chosen: GalleryPicture | None,
        picked: Collection[GalleryPicture] = (),
    ) -> None:  # fmt: skip
        """Show the page in sight of these pictures, and mark the chosen one and those picked."""
        self._pictures, self._chosen, self._picked = pictures, chosen, picked
        self._refresh()

    def grow(self, count: int) -> None:
        """Keep the first thumbnail in sight where it is, while `count` pictures come before it. On
        the first page the new ones are seen.
        """
        if self._page:
            self._page = (self._page * PAGE + count) // PAGE

    def first(self) -> None:
        """Turn to the first page, which the next `show` shows."""
        self._page = 0

    def turn(self, by: int) -> None:
        """Turn so many pages."""
        self._page += by
        self._refresh()

    def _paged(self, page: int) -> None:
        if page != self._page:
            self.turn(page - self._page)

    def at(self, place: int) -> GalleryPicture | None:
        """The picture at this place of the page in sight, which may lie beyond the page."""
        place += self._page * PAGE
        return self._pictures[place] if 0 <= place < len(self._pictures) else None

    def of(self, picture: GalleryPicture) -> widgets.Button:
        """The picture's thumbnail; its page comes into sight."""
        page, place = divmod(list(self._pictures).index(picture), PAGE)
        if page != self._page:
            self.turn(page - self._page)
        return self.slots[place]

    @property
    def _pages(self) -> int:
        return max(1, -(-len(self._pictures) // PAGE))

    def _slot(self, i: int) -> widgets.Button:
        slot = widgets.Button(style=shared(widgets.ButtonStyle))
        slot.add_class("sdnb-thumb")
        slot.add_class(f"{self._mark}-{i}")
        slot.on_click(lambda _: self._clicked(i))
        return slot

    def _clicked(self, i: int) -> None:
        if (picture := self.at(i)) is not None:
            self._choose(picture)

    def _refresh(self) -> None:
        self._page = min(max(self._page, 0), self._pages - 1)
        shown = self._pictures[self._page * PAGE : (self._page + 1) * PAGE]
        self._reader.ask(shown)
        rules, entry = [], self._chosen if self._chosen in shown else next(iter(shown), None)
        for i, slot in enumerate(self.slots):
            if i >= len(shown):
                slot.layout.display = "none"
                continue
            picture = shown[i]
            if picture.held is not None:
                picture.thumb = picture.thumb or data_uri(picture.image, _SIDE)
            if picture.thumb:
                rules.append(f".{self._mark}-{i} {{ background-image: url({picture.thumb}); }}")
            if picture.which:
                number = f'content: "{picture.place[0]}"'
                rules.append(f".{self._mark}-{i}::before {{ {number}; }}")
            slot.description = ", ".join(filter(None, (picture.tip, picture.which)))
            slot.tooltip = slot.description
            states = {
                "kept": picture.kept, "chosen": picture is self._chosen,
                "damaged": bool(picture.problem), "picked": picture in self._picked,
            }  # fmt: skip
            for name, on in states.items():
                (slot.add_class if on else slot.remove_class)(f"sdnb-{name}")
            # Tab comes to one of them, and arrows go on from there.
            slot.tabbable = picture is entry
            slot.layout.display = ""
        self._backgrounds.value = f"<style>{' '.join(rules)}</style>"
        self._seen(shown)
        self.pager.max = max(self._pages, 1)
        self.pager.value = self._page + 1
        self.pager.layout.display = "" if self._pages > _FEW else "none"
        for button, end in zip(self.turners, (0, self._pages - 1), strict=True):
            button.layout.display = "" if self._pages > 1 else "none"
            button.disabled = self._page == end
