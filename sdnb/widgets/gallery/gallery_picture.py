"""One picture of a gallery: of a result, or of a file with the settings that it carries."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from sdnb import images
from sdnb.images import files, glance, saving
from sdnb.images.glance import Glance
from sdnb.images.result import Result
from sdnb.library import Library, with_files
from sdnb.request import Request


@dataclass(eq=False)
class GalleryPicture:
    """One picture of a result."""

    result: Result
    index: int = 0
    kept: bool = False  # "delete all" spares it
    saved: Path | None = None
    file: tuple[str, bytes] | None = field(default=None, repr=False)  # name, bytes of an upload
    known: bool = True  # whether its settings are known; a photograph has none
    strength_told: bool = False  # as `Saved` has it
    of: int = 0  # how many its run was to make; some may be missing, or not made yet
    told: tuple[int, int] | None = None  # its place in its run as its file tells it: (3, 8)
    thumb: str = field(default="", repr=False)  # a data URI, made when first shown
    when: float = field(default_factory=time.time)  # it came here, or its file was changed
    _glance: Glance | None = field(default=None, repr=False)

    @property
    def held(self) -> Result | None:
        """The result, if it is in memory; to ask reads no file."""
        return self.result

    @property
    def image(self) -> Image.Image:
        return self.result.images[self.index]

    @property
    def request(self) -> Request:
        """The request whose only picture is this one."""
        if self.result.requests:
            return self.result.requests[self.index]
        request = self.result.request
        seed = None if request.seed is None else request.seed + self.index
        return request.but(seed=seed, count=1)

    def in_library(self, library: Library | None) -> tuple[Request, list[str]]:
        """Its request with the names of its LoRAs, embeddings and nets in a library, and notes."""
        return with_files(replace(self.result, request=self.request), library)

    @property
    def place(self) -> tuple[int, int]:
        """Which it is of how many: (3, 8) for the third of eight; to ask reads no file."""
        made = len(self.held.images) if self.held is not None else 1
        return self.told or (self.index + 1, max(self.of, made))

    @property
    def which(self) -> str:
        """ "picture 3 of 8", as its run counts them; "" where it was alone, or nobody knows."""
        number, count = self.place
        return f"picture {number} of {count}" if count > 1 else ""

    @property
    def words(self) -> str:
        """Its prompt and seed, or its file's name."""
        r = self.request
        if not self.known:
            return f"{self.file[0] if self.file else 'a picture'}, without settings"
        return f"{r.prompt or 'no prompt'}, seed {r.seed}"

    @property
    def problem(self) -> str:
        """Why its file is no whole picture; "" where it is one."""
        return ""

    @property
    def tip(self) -> str:
        """What is said of its thumbnail."""
        return self.words

    @property
    def glance(self) -> Glance | None:
        """What it is found by; None for a file that was not read yet."""
        if self._glance is None:
            told = glance.of_request(self.request, self.result.model)
            self._glance = told if self.known else Glance()
        return self._glance

    @property
    def name(self) -> str:
        """The name of its file; "" where it has none."""
        return self.saved.name if self.saved is not None else self.file[0] if self.file else ""

    def packed(self) -> tuple[str, bytes]:
        """The name and the bytes of its file: of the one that there is, else of the one that `save`
        would write. Raises OSError for a file that cannot be read.
        """
        if self.saved is not None and self.saved.exists():
            return self.saved.name, self.saved.read_bytes()
        if self.file is not None:
            return self.file
        data = saving.encoded(self.result, self.index, self.of)
        return f"sdnb-{self.request.seed}.png", data

    def save(self, folder: Path) -> Path:
        """Save it with its settings inside; an upload, byte for byte. Raises OSError."""
        if self.file is None:
            return saving.save_one(self.result, self.index, self.of, folder)
        name, data = self.file
        stem, kind = Path(name).stem, Path(name).suffix
        names = itertools.chain([name], (f"{stem}-{n}{kind}" for n in itertools.count(2)))
        folder.mkdir(parents=True, exist_ok=True)
        return files.write_new(folder, names, data)


def save_sheet(pictures: Sequence[GalleryPicture], folder: Path) -> Path:
    """Save pictures of one result as one picture. Raises OSError."""
    made = tuple(picture.image for picture in pictures)
    return saving.save_sheet(replace(pictures[0].result, images=made), folder)


def from_file(data: bytes, name: str) -> GalleryPicture:
    """The picture in a file, with the settings there, if any. Raises ValueError for no picture."""
    # The browser's name must not lead to another folder.
    return replace(_told(data), file=(Path(name).name, data))


def from_path(path: Path) -> GalleryPicture:
    """The same of a file on the disk. Raises OSError too."""
    return _told(path)


def _told(source: bytes | Path) -> GalleryPicture:
    image = images.pixels(source)
    try:
        saved = images.inspect(source, partly=True)
    except (ValueError, OSError):  # most pictures carry nothing
        return GalleryPicture(Result((image,), Request(), "", "", 0.0, 0.0), known=False)
    seconds = saved.seconds or 0.0
    result = Result(
        (image,), saved.request, saved.model, saved.fingerprint, seconds, 0.0, saved.notes,
        files=saved.files,
    )  # fmt: skip
    return GalleryPicture(result, strength_told=saved.strength_told, told=saved.place)


def untold(request: Request, strength_told: bool = False) -> tuple[str, ...]:
    """The fields about a picture or a mask whose values in a sent request say nothing, since it has
    no such input: where it is sent, the values there stay.
    """
    told = {
        "strength": strength_told or request.image is not None,
        **dict.fromkeys(("feather", "content", "padding"), request.mask is not None),
    }
    return tuple(
        name for name, is_told in told.items()
        if not is_told and getattr(request, name) == getattr(Request, name)
    )  # fmt: skip


def beside(pictures: Sequence[GalleryPicture], picture: GalleryPicture) -> GalleryPicture | None:
    """The picture after this one, or the one before the last; None where it is alone."""
    place = pictures.index(picture)
    near = [*pictures[place + 1 : place + 2], *pictures[:place][-1:]]
    return near[0] if near else None
