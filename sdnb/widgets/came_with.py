"""What came into a panel with a picture, and what stayed: each is said, with a way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from sdnb.images import Saved
from sdnb.library import with_files
from sdnb.request import Request
from sdnb.widgets.caption import Caption
from sdnb.widgets.details import made_by
from sdnb.widgets.form.form import Form
from sdnb.widgets.gallery.gallery_picture import untold
from sdnb.widgets.way_back import MaskStays, SeedCame, TemplateCame


class CameWith:
    """Speaks of the seed and the template that came with a picture, in `line`; of a mask that
    stayed under another one; and on `caption` of all else.
    """

    def __init__(self, form: Form, caption: Caption) -> None:
        self._form, self._caption = form, caption
        self.seed = SeedCame(lambda: form.change(seed=None))
        self.template = TemplateCame(form.change)
        self.line = widgets.VBox([self.seed, self.template])
        self.mask = MaskStays(lambda: form.change(mask=None))

    def tell(self, request: Request, seed_before: int | None, notes: Sequence[str]) -> None:
        """Speak of a request that came, and of these notes; the seed was another one before."""
        self.seed.tell(request.seed, seed_before)
        self.template.tell(request)
        if notes:
            self._caption.say(*notes, of=self._form.controls["image"].value)

    def without(self, request: Request) -> Request:
        """A request of the controls for another picture: a seed that came with this one goes with
        it.
        """
        goes = request.seed is not None and request.seed == self.seed.told
        return request.but(seed=None) if goes else request

    def look(self) -> None:
        """Speak no more of what is not so any more."""
        self.seed.look(self._form.seed.value)
        self.template.look(lambda: self._form.request)
        self.mask.look(lambda: self._form.controls["mask"].value)


def of_upload(saved: Saved, own: Request, model: Any) -> tuple[Request, list[str]]:
    """The request that an uploaded picture carries, as this model has its files, and notes; `own`
    is what the picture says nothing of.
    """
    kept = [*untold(saved.request, saved.strength_told)]
    kept += [] if saved.request.image else ["image"]
    request, notes = with_files(saved, model.library)
    lines = [*saved.notes, *notes, f"Settings of a picture made by {made_by(saved)}."]
    return request.but(**{name: getattr(own, name) for name in kept}), lines
