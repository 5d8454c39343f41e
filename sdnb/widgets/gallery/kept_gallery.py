"""Galleries that lose nothing: one begins with the pictures that its cell's last one had, and the
studio's with those of its folder, with the switch as it was left.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sdnb.widgets import remembered
from sdnb.widgets.cell_places import CellPlaces
from sdnb.widgets.gallery.gallery import Gallery

_places: CellPlaces[Gallery] = CellPlaces()


def kept(gallery: Gallery) -> Gallery:
    """Give a new gallery the pictures of the one in whose place it stands: the first of a cell
    those of the first that this cell made before, if both have one folder.
    """
    old = _places.take(gallery)
    if old is not None and old.folder == gallery.folder:
        old.hand_over(gallery)
    return gallery


def saving_gallery(folder: str | Path) -> Gallery:
    """The studio's gallery: it opens its folder, and saves each picture there unless the switch was
    turned off, which is remembered from one session to the next.
    """
    on, problem = remembered.recall("autosave", default=True)
    gallery = kept(Gallery(folder, autosave=on, opened=True))
    gallery.autosave.switched = partial(_switched, gallery)
    if problem:
        gallery.say(problem)
    return gallery


def _switched(gallery: Gallery, on: bool) -> None:
    problem = remembered.remember("autosave", on)
    if problem:
        gallery.say(problem)
