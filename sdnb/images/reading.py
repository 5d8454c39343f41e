"""Reading the request and other facts from a PNG that sdnb or AUTOMATIC1111's web UI saved."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from sdnb.assets import __version__
from sdnb.images import infotext
from sdnb.images.infotext import Saved
from sdnb.images.saving import INPUTS
from sdnb.request import Request, checks, png_header
from sdnb.request.picture_file import existing, opened
from sdnb.request.picture_input import MAX_PIXELS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


def read(source: str | os.PathLike[str] | bytes) -> Request:
    """The request in a saved picture; of AUTOMATIC1111's infotext, the settings that sdnb has.

    Raises FileNotFoundError if the file or one of its input pictures is missing, and ValueError if
    the picture carries no request or asks for something that sdnb lacks.
    """
    return inspect(source).request


def inspect(source: str | os.PathLike[str] | bytes) -> Saved:
    """The request, model, version, seconds and notes in a saved picture; raises as `read`."""
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
        with _errors_of(name):
            return infotext.read(texts["parameters"])
    raise ValueError(
        f"{name} carries no request: it has neither of the texts 'sdnb' and 'parameters'. "
        "Messengers and picture editors remove them; find the file as it was saved, or make a new "
        "Request"
    )


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Put the name of the file in front of an error's message."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def _texts(file: BinaryIO, name: str) -> dict[str, str]:
    """The text chunks of a PNG, also those after the pixels, where some tools move them."""
    head = file.read(24)
    file.seek(0)
    try:
        width, height = png_header.size(head)
    except ValueError:
        problem = f"begins with {head[:8]!r}: it is not a PNG, and only PNGs carry a request"
        if head.startswith(b"\x89PNG"):
            problem = "begins as a PNG does, but it is damaged or cut short; get the file again"
        raise ValueError(f"{name} {problem}") from None
    if width * height > MAX_PIXELS:
        raise ValueError(f"{name} claims {width}x{height} pixels; at most 8192x8192 are read")
    try:
        with Image.open(file) as image:
            texts: dict[Any, Any] = image.info
            if "sdnb" not in texts and "parameters" not in texts:
                texts = getattr(image, "text", {})  # reads to the end of the file
            return {str(key): str(value) for key, value in texts.items()}
    except UnidentifiedImageError:
        raise ValueError(f"{name} is damaged or cut short; get the file again") from None
    except Exception as error:  # decoders raise errors of any type on damaged files
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
    pictures = {digest: _kept_input(digest, folder, name) for digest in digests}
    with _errors_of(f"{name}, saved by sdnb {saved.version} (this is {__version__})"):
        return replace(saved, request=Request.from_json(json.dumps(request), pictures))


def _kept_input(digest: Any, folder: Path | None, name: str) -> bytes:
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"{name} has a damaged text 'sdnb': {checks.shown(digest)} is no sha256")
    where = f"{INPUTS}/{digest}.png"
    if folder is None:
        raise ValueError(
            f"{name} was made from another picture, {where} beside its file: read it by its path"
        )
    path = folder / INPUTS / f"{digest}.png"
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} was made from another picture, which is missing: {str(path)!r}. Copy {where} "
            "from the folder where it was saved"
        )
    return path.read_bytes()
