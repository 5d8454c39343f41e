"""Saving a Result as PNG files, and its input pictures in `inputs/`, named by their sha256.

Each PNG has two text chunks: `sdnb` is JSON with the request of that picture, the model and the
notes; `parameters` is an infotext for other tools.
"""

from __future__ import annotations

import errno
import itertools
import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image, PngImagePlugin

from sdnb.assets import __version__, user_path
from sdnb.images import contact_sheet, files, infotext
from sdnb.request import Request, lora, prompt
from sdnb.request.fingerprint import sha256
from sdnb.request.picture_file import SUFFIXES
from sdnb.request.plain_words import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from sdnb.images.used_files import UsedFile

INPUTS = "inputs"  # the subfolder of input pictures
SHEETS = "sheets"  # and that of several pictures in one
_FULL = errno.ENOSPC, errno.EDQUOT  # what room helps against


class SavableResult(Protocol):
    """The attributes of a Result that `save` needs."""

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
    @property
    def loras(self) -> Sequence[lora.Lora]: ...
    @property
    def files(self) -> Sequence[UsedFile]: ...


def save(
    result: SavableResult, folder: str | os.PathLike[str], name: str | None = None
) -> list[Path]:
    """Write one PNG per picture and return the paths in order.

    Without a name, files are called 00001-<seed>-<words of the prompt>.png; with a name, name.png,
    name-2.png and so on. `save(result, "cat.png")` means the name "cat" in the current folder.
    Writes are atomic and never replace a file, even if other processes save to the same folder.
    Raises OSError if the folder cannot be written, and ValueError for a name that is no file name
    on some system.
    """
    target = user_path(folder)
    if name is None and target.name.lower().endswith(SUFFIXES) and not target.is_dir():
        target, name = target.parent, target.name
    stem = None if name is None else files.checked_stem(name)
    saved: list[Path] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        keep_inputs(result.request, target)
        for index, image in enumerate(result.images):
            request = request_of(result, index)
            data = _png(image, request, result, (index + 1, len(result.images)))
            names = _numbered_names(target, request) if stem is None else _names_from_stem(stem)
            saved.append(files.write_new(target, names, data))
    except OSError as error:
        raise _saving_error(error, target, saved, len(result.images)) from error
    return saved


def save_one(result: SavableResult, index: int, count: int, folder: Path) -> Path:
    """Write one picture of a result as `save` does, as one of `count`. Raises OSError."""
    request = request_of(result, index)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        keep_inputs(request, folder)
        data = encoded(result, index, count)
        return files.write_new(folder, _numbered_names(folder, request), data)
    except OSError as error:
        raise _saving_error(error, folder, [], 1) from error


def save_sheet(result: SavableResult, folder: str | os.PathLike[str]) -> Path:
    """Write all pictures of a result as one PNG to the subfolder `sheets`, and return its path. The
    request inside is that of all of them. Raises OSError if it cannot be written.
    """
    target = user_path(folder) / SHEETS
    data = _png(contact_sheet.sheet(list(result.images)), result.request, result)
    try:
        target.mkdir(parents=True, exist_ok=True)
        keep_inputs(result.request, target)
        return files.write_new(target, _numbered_names(target, result.request), data)
    except OSError as error:
        raise _saving_error(error, target, [], len(result.images)) from error


def keep_inputs(request: Request, folder: Path) -> None:
    """Save a request's input pictures where `read` looks for them, beside the PNGs of `folder`."""
    for digest, data in request.pictures.items():
        path = folder / INPUTS / f"{digest}.png"
        if not path.is_file() or sha256(path.read_bytes()) != digest:  # none, or a damaged one
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, data)  # any other writer of this name writes the same bytes


def encoded(result: SavableResult, index: int = 0, count: int = 0) -> bytes:
    """The PNG bytes that `save` would write for one picture of a result, or of a run of `count`."""
    place = index + 1, max(count, len(result.images))
    return _png(result.images[index], request_of(result, index), result, place)


def _png(
    image: Image.Image, request: Request, result: SavableResult, place: tuple[int, int] = (1, 1)
) -> bytes:
    """PNG bytes in sRGB, with both text chunks; `place` is (3, 8) for the third of eight. Text
    beyond ASCII is stored as iTXt, in UTF-8: of tEXt, which is Latin-1, many readers guess.
    """
    about = {
        "version": __version__,
        "request": json.loads(request.to_json()),
        "model": {"name": result.model, "fingerprint": result.fingerprint},
        "notes": list(result.notes),
        "seconds": result.seconds,
    }
    if place[1] > 1:
        about["place"] = place
    if result.loras:
        about["loras"] = [each.plain() for each in result.loras]
    if result.files:
        about["files"] = [each.plain() for each in result.files]
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"sRGB", b"\0")  # what its colours are, for programs that would ask
    text = infotext.write(request, result.model, result.fingerprint, __version__, result.files)
    for key, content in (("parameters", text), ("sdnb", json.dumps(about, ensure_ascii=False))):
        add = chunks.add_text if content.isascii() else chunks.add_itxt
        add(key, content)
    buffer = BytesIO()
    image.save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def request_of(result: SavableResult, index: int) -> Request:
    """The request for picture `index` of a result alone."""
    own: Sequence[Request] = getattr(result, "requests", ())  # where a template gave other words
    if own:
        return own[index]
    request = result.request
    if request.seed is None:
        raise ValueError(f"{request!r} is not resolved: its seed is open")
    return request.but(seed=request.seed + index, count=1)


def _numbered_names(folder: Path, request: Request) -> Iterator[str]:
    words = files.slug(_unweighted(request))
    tail = f"{request.seed}-{words}" if words else str(request.seed)
    for number in itertools.count(files.next_number(folder)):
        yield f"{number:05d}-{tail}.png"


def _names_from_stem(stem: str) -> Iterator[str]:
    yield f"{stem}.png"
    for number in itertools.count(2):
        yield f"{stem}-{number}.png"


def _unweighted(request: Request) -> str:
    """The prompt without its weights, as a run ends with it."""
    try:
        found = prompt.parts(lora.words(request.prompt), request.syntax)
        words = [part.stages[-1][1] for part in found]
        return " ".join(f.text for text in words for f in prompt.parse(text, request.syntax))
    except prompt.PromptError:
        return request.prompt  # a prompt that cannot run can still name a file


def _saving_error(error: OSError, folder: Path, saved: list[Path], count: int) -> OSError:
    done = ""
    if saved:
        done = f"saved: {len(saved)} of {counted(count, 'picture')} (last: {saved[-1].name}); "
    rest = "the picture is" if count == 1 else f"all {count} are"
    elsewhere = "another folder, as result.save(folder) or sdnb.studio(folder=...)"
    full = error.errno in _FULL
    way_out = f"make room there, or save to {elsewhere}" if full else f"choose {elsewhere}"
    worded = type(error)(
        f"could not save to {str(folder)!r}: {error.strerror or error}; {done}{rest} still in "
        f"memory, in result.images: {way_out}"
    )
    worded.errno = error.errno
    return worded
