"""The control of the mask: the mask editor on the input picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as widgets
from PIL import Image, ImageOps

from sdnb import images
from sdnb.images import outpaint
from sdnb.request import Request, png_header
from sdnb.request.sizes import Size
from sdnb.widgets.drops import TAKES
from sdnb.widgets.form.controls import Changed, FieldControl
from sdnb.widgets.form.decoded import beside, decoded, encoded
from sdnb.widgets.form.fields import Field
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.masks.strokes import Extension
from sdnb.widgets.style import quiet_line

_SIDE = 440  # pixels of the page: the canvas and its tools are seen at once with the prompt


class MaskBox(FieldControl):
    """PNG bytes, returned as assigned until someone paints; None if nothing is painted.

    The editor shows a mask that came inverted as what it repaints, so that each of its tools means
    what it says. `told` is called with the feather, once someone has painted with `invert`, which
    is False then, and with `image` where someone has extended its canvas.
    """

    def __init__(
        self,
        field: Field,
        changed: Changed,
        told: Callable[[str, Any], None],
        *,
        guest: bool = False,
    ) -> None:
        super().__init__(field, changed)
        self._told = told
        self._inverted = False  # whether black of the value is repainted
        self._guest = guest  # seen only while there is a mask: no editor is made before
        self.editor: MaskEditor | None = None
        self._picture: bytes | None = None
        self._given: bytes | None = None  # the same without extensions of its canvas
        self._extensions: tuple[Extension, ...] = ()  # that the picture has
        self._coming: tuple[Extension, ...] = ()  # that it has once it is written
        self._last: Extension | None = None
        self._size: Size | None = None  # of the last picture
        self._hint = quiet_line()  # a part of it, also where an editor is in its place
        self._hint.value = (
            "Give a picture: it comes here, and you paint over what is to be repainted."
        )
        self.widget = widgets.VBox([self._hint])
        self.widget.add_class(TAKES)

    def turn(self, inverted: bool, *, shown: bool) -> None:
        """Say whether the value is inverted; with `shown` it is shown so, else the next one is."""
        if inverted != self._inverted:
            self._inverted = inverted
            if shown:
                self._show()

    def on_picture(self, picture: bytes | None) -> None:
        """Show this picture in the editor; a mask of another size is cleared."""
        if picture == self._picture and self._coming == self._extensions:
            return
        self._picture = self._given = picture
        self._extensions = self._coming = ()
        if picture is None:
            return
        if self._size not in (None, png_header.size(picture)):
            self._value = None
        self._size = png_header.size(picture)
        if self.editor is not None:
            self._set(self.editor, image=decoded(picture))
        self._show()

    def _make(self, picture: bytes) -> MaskEditor:
        editor = MaskEditor(decoded(picture), _SIDE, drops=False)
        editor.on_change(self._painted)
        editor.observe(self._feather_moved, "feather")
        self.widget.children = (editor,)
        return editor

    @property
    def wrong(self) -> str:
        if self.editor is None:
            return ""
        if self._coming != self._extensions:
            return "The larger canvas is being written: wait a moment."
        return self.editor.wrong

    @property
    def is_extended(self) -> bool:
        """Whether the picture's canvas was extended here."""
        return bool(self._extensions)

    @property
    def brought_feather(self) -> float:
        """The feather that the last extension of the canvas has brought; 0 for none."""
        return 0.0 if self.editor is None else self.editor.brought_feather

    def frame(self, own: Size) -> Size | None:
        """The size to generate the masked part of a larger canvas at, on a model whose own size is
        `own`; None where the canvas is the picture's, or nothing is masked.
        """
        if self.editor is None or not self.is_extended or self._value is None:
            return None
        return outpaint.frame(self.editor.mask, own)[1]

    def extend_again(self) -> bool:
        """Extend the canvas as it was extended last; False, and the numbers are shown, where it
        never was.
        """
        if self.editor is None:
            return False
        if self._last is None:
            self.editor.extending.focus()
            return False
        sides = self._last.sides
        self.editor.extend(
            sides.left, sides.right, sides.top, sides.bottom, overlap=self._last.overlap
        )
        return True

    def adjust(self, request: Request) -> None:
        """Show the mask as this request uses it: feathered, at its size."""
        if self.editor is not None:
            sized = {name: getattr(request, name) for name in ("width", "height", "padding", "fit")}
            target = {name: value for name, value in sized.items() if value is not None}
            self._set(self.editor, feather=request.feather, target=target)

    def _feather_moved(self, change: dict[str, Any]) -> None:
        if not self._setting:
            self._told("feather", float(change["new"]))

    def _painted(self, editor: MaskEditor) -> None:
        if not self._setting:
            painted = editor.mask.getbbox() is not None
            self._value = images.mask(editor.mask) if painted else None
            if editor.extensions != self._coming:
                self._extended(editor)
            elif self._coming != self._extensions:
                pass  # it is asked for when it is written
            elif self._inverted:  # the editor has what is repainted, whatever came
                self._inverted = False
                self._told("invert", False)
            else:
                self._changed()

    def _extended(self, editor: MaskEditor) -> None:
        """Write the larger canvas beside the kernel, since a photograph takes seconds."""
        self._coming = extensions = editor.extensions
        if not extensions:
            self._take_canvas((), self._given)
            return
        self._last = extensions[-1]
        beside(partial(encoded, editor.image), partial(self._take_canvas, extensions))

    def _take_canvas(self, extensions: tuple[Extension, ...], picture: bytes | None) -> None:
        if extensions != self._coming or picture is None:
            return  # another one is on its way, or came
        self._extensions, self._picture = extensions, picture
        self._size = png_header.size(picture)
        if self._inverted:
            self._inverted = False
            self._told("invert", False)
        self._told("image", picture)

    def _show(self) -> None:
        wanted = self._value is not None or not self._guest
        if self.editor is None and self._picture is not None and wanted:
            self.editor = self._make(self._picture)
        if self.editor is not None:
            self._set(self.editor, mask=self._repainted())
            self.editor.forget_wrong()

    def _repainted(self) -> Image.Image | None:
        """The value as a picture in which white is repainted."""
        if self._value is None:
            return None
        mask = images.open(self._value).convert("L")
        return ImageOps.invert(mask) if self._inverted else mask
