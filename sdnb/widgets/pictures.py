"""One picture of a gallery: made here, or brought from a file with whatever that says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sdnb import images
from sdnb.request import Request
from sdnb.result import Result

if TYPE_CHECKING:
    from PIL import Image


@dataclass(eq=False)
class Picture:
    """One picture of a result."""

    result: Result
    index: int = 0
    kept: bool = False  # not deleted with the others
    saved: Path | None = None
    known: bool = True  # whether its settings are; not of a photograph
    thumb: str = field(default="", repr=False)  # a data URI, made when it is first shown

    @property
    def image(self) -> Image.Image:
        return self.result.images[self.index]

    @property
    def request(self) -> Request:
        """The request whose only picture is this one."""
        made = self.result.request
        return made.but(seed=None if made.seed is None else made.seed + self.index, count=1)

    @property
    def words(self) -> str:
        """What it is, in a line."""
        r = self.request
        if not self.known:
            return f"{self.saved}, a picture without settings"
        return f"{r.prompt or 'no prompt'}, seed {r.seed}"

    def alone(self) -> Result:
        """A result of this picture only, so that its file says what made it."""
        return replace(self.result, images=(self.image,), request=self.request)


def from_file(data: bytes, name: str) -> Picture:
    """The picture in a file's bytes, with the settings that it carries, if it carries any.

    Raises ValueError for bytes that are no picture.
    """
    image = images.open(images.picture(data)).convert("RGB")
    try:
        said = images.inspect(data)
    except (ValueError, OSError):  # most pictures carry nothing
        result = Result((image,), Request(), "", "", 0.0, 0.0)
        return Picture(result, saved=Path(name), known=False)
    result = Result(
        (image,), said.request, said.model, said.fingerprint, said.seconds or 0.0, 0.0, said.notes
    )
    return Picture(result, saved=Path(name))
