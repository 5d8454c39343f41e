"""One picture of a gallery: made here, or brought from a file with whatever that says of itself."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sdnb import images
from sdnb.images import files
from sdnb.images.result import Result
from sdnb.request.request import Request

if TYPE_CHECKING:
    from PIL import Image


@dataclass(eq=False)
class GalleryPicture:
    """One picture of a result."""

    result: Result
    index: int = 0
    kept: bool = False  # not deleted with the others
    saved: Path | None = None
    file: tuple[str, bytes] | None = field(default=None, repr=False)  # name and bytes, if brought
    known: bool = True  # whether its settings are; not of a photograph
    thumb: str = field(default="", repr=False)  # a data URI, made when it is first shown

    @property
    def image(self) -> Image.Image:
        return self.result.images[self.index]

    @property
    def request(self) -> Request:
        """The request whose only picture is this one."""
        request = self.result.request
        seed = None if request.seed is None else request.seed + self.index
        return request.but(seed=seed, count=1)

    @property
    def words(self) -> str:
        """What it is, in a line."""
        r = self.request
        if not self.known:
            return f"{self.file[0] if self.file else 'a picture'}, without settings"
        return f"{r.prompt or 'no prompt'}, seed {r.seed}"

    def save(self, folder: Path) -> Path:
        """Write it with its settings inside; one that was brought, as it came. Raises OSError."""
        if self.file is None:
            alone = replace(self.result, images=(self.image,), request=self.request)
            return alone.save(folder)[0]
        name, data = self.file
        stem, kind = Path(name).stem, Path(name).suffix
        names = itertools.chain([name], (f"{stem}-{n}{kind}" for n in itertools.count(2)))
        folder.mkdir(parents=True, exist_ok=True)
        return files.write_new(folder, names, data)


def from_file(data: bytes, name: str) -> GalleryPicture:
    """The picture in a file's bytes, with the settings that it carries, if it carries any.

    Raises ValueError for bytes that are no picture.
    """
    name = Path(name).name  # a browser's word is no path
    image = images.open(images.picture(data)).convert("RGB")
    try:
        saved = images.inspect(data)
    except (ValueError, OSError):  # most pictures carry nothing
        result = Result((image,), Request(), "", "", 0.0, 0.0)
        return GalleryPicture(result, file=(name, data), known=False)
    seconds = saved.seconds or 0.0
    result = Result(
        (image,), saved.request, saved.model, saved.fingerprint, seconds, 0.0, saved.notes
    )
    return GalleryPicture(result, file=(name, data))
