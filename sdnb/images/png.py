"""Pictures in and out: anything to PNG bytes, a Result to files, a file to its Request.

A saved PNG carries two texts: `sdnb`, JSON with the whole request of that one picture, the model
and what was said; and `parameters`, for other tools. Pictures that a request was made from lie
beside it in `inputs/`, named by their content.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from sdnb.assets import __version__
from sdnb.images import files
from sdnb.images import infotext as parameters
from sdnb.request import checks, png_header, prompt
from sdnb.request.picture_input import (
    MAX_PIXELS,
    Source,
    existing,
    mask,
    open,  # noqa: A004
    opened,
    picture,
    sha256,
)
from sdnb.request.request import Request

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

__all__ = [
    "MAX_PIXELS", "Saved", "Source", "encoded", "inspect", "keep_inputs", "mask", "open", "picture",
    "read", "save", "sha256", "sheet",
]  # fmt: skip

_INPUTS = "inputs"
_GAP = 4  # pixels between the pictures of a sheet


class SavableResult(Protocol):
    """What `save` needs of a Result."""

    @property
    def images(self) -> Sequence[Image.Image]: ...
    @property
    def request(self) -> Request: ...
    @property
    def seconds(self) -> float: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def model(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class Saved:
    """What a saved picture says of itself."""

    request: Request
    model: str  # its name
    fingerprint: str
    version: str  # of sdnb, or of the program whose text it is
    seconds: float | None = None
    notes: tuple[str, ...] = ()


def save(
    result: SavableResult, folder: str | os.PathLike[str], name: str | None = None
) -> list[Path]:
    """Write one PNG for each picture of a result; the paths, in their order.

    Without a name they are called 00001-<seed>-<words of the prompt>.png; with one, name.png, and
    where that exists name-2.png and so on. `save(result, "cat.png")` is name "cat" in this folder.
    A file appears whole or not at all, and none is ever replaced, whoever else saves there. Raises
    OSError where the folder cannot be written and ValueError for a name that is none everywhere;
    the pictures then still are in `result.images`.
    """
    target = Path(folder).expanduser()
    if name is None and files.is_picture_name(target.name) and not target.is_dir():
        target, name = target.parent, target.name
    stem = None if name is None else files.checked_stem(name)
    saved: list[Path] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        keep_inputs(result.request, target)
        for index, image in enumerate(result.images):
            request = _of_one(result.request, index)
            data = _encoded(image, request, result)
            names = _numbered(target, request) if stem is None else _named(stem)
            saved.append(files.write_new(target, names, data))
    except OSError as error:
        raise _unsaved(error, target, saved, len(result.images)) from error
    return saved


def keep_inputs(request: Request, folder: Path) -> None:
    """Put a request's own pictures where `read` finds them for the PNGs of `folder`."""
    for data in request.pictures.values():
        files.keep(folder / _INPUTS, data, ".png")


def encoded(result: SavableResult, index: int = 0) -> bytes:
    """The PNG bytes that `save` would write for one picture of a result, its request inside."""
    return _encoded(result.images[index], _of_one(result.request, index), result)


def read(source: str | os.PathLike[str] | bytes) -> Request:
    """The request that a saved picture carries; of AUTOMATIC1111's pictures, what there is of it.

    Running it on the same model gives the picture again. Raises FileNotFoundError for a file, or a
    picture it was made from, that is missing; ValueError for a picture that carries no request, or
    one that asks for what sdnb has not.
    """
    return inspect(source).request


def inspect(source: str | os.PathLike[str] | bytes) -> Saved:
    """All that a saved picture says: the request, and the model, version, seconds and notes."""
    if isinstance(source, bytes):
        folder, name = None, f"picture ({len(source)} bytes)"
        texts = _texts(BytesIO(source), name)
    else:
        path = existing(source, "picture")
        folder, name = path.parent, f"picture {str(path)!r}"
        with opened(path, "picture") as file:
            texts = _texts(file, name)
    if "sdnb" in texts:
        return _from_sdnb(texts["sdnb"], folder, name)
    if "parameters" in texts:
        with _naming(name):
            found = parameters.read(texts["parameters"])
        return Saved(
            found.request, found.model, found.fingerprint, found.version, notes=found.notes
        )
    raise ValueError(
        f"{name} carries no request: it has neither of the texts 'sdnb' and 'parameters'. "
        "Messengers and picture editors remove them; find the file as it was saved, or make a new "
        "Request"
    )


def sheet(images: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """The pictures side by side on white, pixel for pixel; as many columns as rows if not given."""
    if not images:
        raise ValueError("a sheet of no pictures: give at least one")
    count = len(images)
    if columns is None:
        columns = math.ceil(math.sqrt(count))
    columns = min(checks.whole("columns", columns, 1, 1000), count)
    rows = -(-count // columns)
    width, height = (max(image.size[axis] for image in images) for axis in (0, 1))
    size = (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP)
    page = Image.new("RGB", size, "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left = column * (width + _GAP) + (width - image.width) // 2
        top = row * (height + _GAP) + (height - image.height) // 2
        transparent = "A" in image.getbands()
        page.paste(image.convert("RGBA") if transparent else image, (left, top),
                   image.getchannel("A") if transparent else None)  # fmt: skip
    return page


def _encoded(image: Image.Image, request: Request, result: SavableResult) -> bytes:
    """PNG bytes with both texts; Pillow stores a text beyond Latin-1 as iTXt, in UTF-8."""
    about = {
        "version": __version__,
        "request": json.loads(request.to_json()),
        "model": {"name": result.model, "fingerprint": result.fingerprint},
        "notes": list(result.notes),
        "seconds": result.seconds,
    }
    chunks = PngImagePlugin.PngInfo()
    text = parameters.write(request, result.model, result.fingerprint, __version__)
    chunks.add_text("parameters", text)
    chunks.add_text("sdnb", json.dumps(about, ensure_ascii=False))
    buffer = BytesIO()
    image.save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def _of_one(request: Request, index: int) -> Request:
    """The request whose only picture is this one."""
    if request.seed is None:
        raise ValueError(f"{request!r} is not resolved: its seed is open")
    return request.but(seed=request.seed + index, count=1)


def _numbered(folder: Path, request: Request) -> Iterator[str]:
    words = files.slug(_words(request.prompt))
    tail = f"{request.seed}-{words}" if words else str(request.seed)
    for number in itertools.count(files.next_number(folder)):
        yield f"{number:05d}-{tail}.png"


def _named(stem: str) -> Iterator[str]:
    yield f"{stem}.png"
    for number in itertools.count(2):
        yield f"{stem}-{number}.png"


def _words(text: str) -> str:
    """The prompt without its weights."""
    try:
        return " ".join(fragment.text for fragment in prompt.parse(text))
    except prompt.PromptError:
        return text  # what cannot run can still be filed


def _unsaved(error: OSError, folder: Path, saved: list[Path], count: int) -> OSError:
    done = (
        f"{len(saved)} of {count} pictures were saved (last: {saved[-1].name}); " if saved else ""
    )
    there = "the picture is" if count == 1 else f"all {count} are"
    worded = type(error)(
        f"could not save to {str(folder)!r}: {error.strerror or error}. {done}{there} still in "
        "memory, in result.images: make room, or save to another folder"
    )
    worded.errno = error.errno
    return worded


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say of which file an error speaks."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def _texts(file: BinaryIO, name: str) -> dict[str, str]:
    """The texts of a PNG; those after the pixels as well, where some tools move them."""
    head = file.read(24)
    file.seek(0)
    try:
        width, height = png_header.size(head)
    except ValueError:
        found = f"begins with {head[:8]!r}: it is not a PNG, and only PNGs carry a request"
        if head.startswith(b"\x89PNG"):
            found = "begins as a PNG does, but it is damaged or cut short; get the file again"
        raise ValueError(f"{name} {found}") from None
    if width * height > MAX_PIXELS:
        raise ValueError(f"{name} claims {width}x{height} pixels; at most 8192x8192 are read")
    try:
        with Image.open(file) as image:
            texts: dict[Any, Any] = image.info
            if "sdnb" not in texts and "parameters" not in texts:
                texts = getattr(image, "text", {})  # reads on to the end
            return {str(key): str(value) for key, value in texts.items()}
    except UnidentifiedImageError:
        raise ValueError(f"{name} is damaged or cut short; get the file again") from None
    except Exception as error:  # a decoder, given a damaged file, raises any type there is
        raise ValueError(f"{name} is damaged or cut short ({error}); get the file again") from error


def _from_sdnb(text: str, folder: Path | None, name: str) -> Saved:
    try:
        about = json.loads(text)
        model, notes, request = about["model"], about["notes"], about["request"]
        saved = Saved(
            Request(),
            str(model["name"]),
            str(model["fingerprint"]),
            str(about["version"]),
            float(about["seconds"]),
            tuple(map(str, notes)),
        )
        digests = [request[key] for key in ("image", "mask") if request.get(key) is not None]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{name} has a damaged text 'sdnb' ({type(error).__name__}: {error}); find the file as "
            "it was saved, or make a new Request"
        ) from None
    pictures = {digest: _input(digest, folder, name) for digest in digests}
    with _naming(f"{name}, saved by sdnb {saved.version} (this is {__version__})"):
        return replace(saved, request=Request.from_json(json.dumps(request), pictures))


def _input(digest: Any, folder: Path | None, name: str) -> bytes:
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"{name} has a damaged text 'sdnb': {checks.shown(digest)} is no sha256")
    where = f"{_INPUTS}/{digest}.png"
    if folder is None:
        raise ValueError(
            f"{name} was made from another picture, {where} beside its file: read it by its path"
        )
    path = folder / _INPUTS / f"{digest}.png"
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} was made from another picture, which is missing: {str(path)!r}. Copy {where} "
            "from the folder where it was saved"
        )
    return path.read_bytes()
