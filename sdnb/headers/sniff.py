"""Recognises a file by its first bytes, because names and endings may be wrong."""

from __future__ import annotations

import re
from pathlib import Path

from sdnb.headers.errors import CheckpointError
from sdnb.request.plain_words import counted

# Files that are sometimes renamed to .ckpt or .safetensors: first bytes, what they are, what to do.
_MAGICS = (
    (b"GGUF", "a GGUF file (quantised weights)",
     "Use the original weights, as .safetensors or .ckpt."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive", "Unpack it first."),
    (b"\x89PNG", "a PNG picture",
     "Give the model's file; sdnb.read(picture) gives a picture's request."),
    (b"\xff\xd8\xff", "a JPEG picture", "Give the model's file."),
    (b"\x89HDF", "a Keras (HDF5) file", "Use the weights for PyTorch, as .safetensors or .ckpt."),
    (b"%PDF", "a PDF", "Give the model's file."),
)  # fmt: skip


def container(path: Path) -> str:
    """The format, "safetensors" or "torch"; CheckpointError for a file of another kind."""
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(
            f"{path} is empty (0 bytes): its download or copy failed. Download it again."
        )
    with path.open("rb") as file:
        start = file.read(1024)
    for magic, what, advice in _MAGICS:
        if start.startswith(magic):
            raise CheckpointError(f"{path} is {what}, not a checkpoint. {advice}")
    if start[257:262] == b"ustar":
        raise CheckpointError(
            f"{path} is a tar archive. If it was packed, unpack it; if torch wrote it before 2017, "
            "save it again with today's torch.save."
        )
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "torch"
    if _is_text(start):
        raise CheckpointError(f"{path} is {_text_kind(start, size)}")
    if not start.strip(b"\0"):
        raise CheckpointError(
            f"{path} begins with zeros: its download or copy failed. Download it again."
        )
    if start[8:9] == b"{" or path.suffix == ".safetensors":
        return "safetensors"
    if start[:1] == b"\x80":
        return "torch"
    raise CheckpointError(
        f"{path} is neither a .ckpt (torch.save) nor a .safetensors file: it begins with "
        f"{start[:8]!r}. If it was downloaded, download it again."
    )


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8", errors="strict" if len(start) < 1024 else "ignore")
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\r\n\t\f\ufeff" for char in text)


def _text_kind(start: bytes, size: int) -> str:
    text = start.decode("utf-8", errors="ignore").lstrip("\ufeff \r\n\t")
    if text.startswith("version https://git-lfs"):
        pointed = re.search(r"^size (\d+)", text, re.MULTILINE)
        announced = f" of a file of {int(pointed[1]):,} bytes" if pointed else ""
        return (
            f"a git-lfs pointer{announced}, {size} bytes of text in place of the weights. "
            "Run `git lfs install` and `git lfs pull` in its folder, or download the file itself."
        )
    lower = text.lower()
    if lower.startswith(("<!doctype", "<html", "<?xml")) or "<head" in lower:
        return (
            "a web page, not a checkpoint: the download gave a page (a login, a licence to accept, "
            "or the file's description). Accept the licence in a browser and use the link of the "
            "file itself."
        )
    what = "a JSON text" if lower.startswith(("{", "[")) else "a text file"
    return (
        f"{what} of {counted(size, 'byte')}, not a checkpoint; it begins with {text[:60]!r}. "
        "Give the file of the weights."
    )
