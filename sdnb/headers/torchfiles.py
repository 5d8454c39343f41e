"""Reads files of `torch.save`: today's zip, and the stream that torch wrote before 1.6.

Both hold a pickle that describes the tensors and, apart from it, the raw bytes of their storages.
The zip does not compress them, so that both can be read in place.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from sdnb.headers.errors import CheckpointError, in_words
from sdnb.headers.pickles import PICKLE_LIMIT, Unknown
from sdnb.headers.torchpickle import Storage, TorchPickle, placed, storage_key

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
LEGACY_PROTOCOL = 1001
DIRECTORY_LIMIT = 8 << 20  # bytes of a zip's list of entries: a storage takes about a hundred
_AGAIN = "Download it again."


def read_torch(path: Path) -> Any:
    """The file's value: plain containers, tensors as `Stored`, everything else `Unknown`.

    Raises CheckpointError for a damaged, truncated or unreadable file.
    """
    with in_words(path):
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        return placed(_read_zip(path) if zipped else _read_legacy(path), path)


# -- the zip -----------------------------------------------------------------------------------
# The errors that zipfile raises for truncated or damaged files.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError,
           RuntimeError)  # fmt: skip


def _read_zip(path: Path) -> Any:
    try:
        return _from_zip(path)
    except CheckpointError:
        raise
    except _BROKEN as error:
        raise CheckpointError(_broken_zip(path, error)) from None


def _from_zip(path: Path) -> Any:
    described = TorchPickle()
    with _Directory(path) as whole, zipfile.ZipFile(whole) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        root = _root(path, archive, entries)
        data = _bytes(path, archive, f"{root}data.pkl", PICKLE_LIMIT)
        try:
            value, _ = described.read(data)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}. {_AGAIN}") from None
    with path.open("rb") as file:
        for key, storage in described.storages.items():
            _place(storage, entries.get(f"{root}data/{key}"), file, path)
    return value


class _Directory(io.FileIO):
    """A zip of which no more than 8 MB are read at once, as `zipfile` reads the list of entries: it
    makes an object of each.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > DIRECTORY_LIMIT:
            raise CheckpointError(
                f"{self.name} is a zip whose list of entries has {size:,} bytes; "
                f"{DIRECTORY_LIMIT:,} are read. torch.save writes less."
            )
        return super().read(size)


def _bytes(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """One entry of the zip, which may say how long it is and how it is packed as it likes."""
    info = archive.getinfo(name)
    if info.file_size > limit:
        raise CheckpointError(
            f"{path}: {name} in it has {info.file_size:,} bytes; {limit:,} are read."
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointError(
            f"{path} is packed in a way that torch.save never uses, and that can expand without a "
            "bound. Save it again with torch.save."
        )
    with archive.open(info) as entry:  # in pieces, since `zipfile` allocates what is asked for
        return b"".join(iter(lambda: entry.read(1 << 20), b""))


def _root(path: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> str:
    """The folder inside the zip, after checking that torch can have written it."""
    name = next((name for name in entries if name.split("/")[-1] == "data.pkl"), None)
    if name is None:
        raise CheckpointError(
            f"{path} is a zip archive, but none that torch.save wrote (it has no data.pkl). "
            "If a checkpoint was packed into it, unpack it first."
        )
    root = name.removesuffix("data.pkl")
    if f"{root}constants.pkl" in entries:
        raise CheckpointError(
            f"{path} is a TorchScript program, not weights. Give the checkpoint that it was made "
            "of."
        )
    order = entries.get(f"{root}byteorder")
    if order is not None and _bytes(path, archive, order.filename, 64) != b"little":
        raise CheckpointError(f"{path} was saved on a big-endian machine. Save it again elsewhere.")
    return root


def _place(storage: Storage, info: zipfile.ZipInfo | None, file: IO[bytes], path: Path) -> None:
    """Find where the storage's bytes begin: after the entry's header, which states its length."""
    if info is None:
        raise CheckpointError(f"{path} is damaged: storage {storage.key} is missing. {_AGAIN}")
    if info.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(
            f"{path} was packed again with compression, so its weights cannot be read in place. "
            "Save it again with torch.save, or pack it without compression (zip -0)."
        )
    if info.file_size < storage.nbytes:
        raise CheckpointError(
            f"{path} is damaged: storage {storage.key} has {info.file_size:,} bytes, "
            f"{storage.nbytes:,} are announced. {_AGAIN}"
        )
    file.seek(info.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04":
        raise CheckpointError(f"{path} is damaged at byte {info.header_offset:,}. {_AGAIN}")
    storage.offset = info.header_offset + 30 + _names_length(header)
    if storage.offset + storage.nbytes > file.seek(0, io.SEEK_END):
        raise CheckpointError(f"{path} ends before its storage {storage.key} does. {_AGAIN}")


def _names_length(header: bytes) -> int:
    """Bytes of the name and the extra field that follow a local header of 30 bytes."""
    return int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def _broken_zip(path: Path, reason: Exception) -> str:
    """The message for a zip without its directory; its first entry, the pickle, has the sizes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(30)
        file.seek(30 + _names_length(header))
        data = file.read(PICKLE_LIMIT)
    described = TorchPickle()
    try:
        described.read(data)
    except CheckpointError:
        return f"{path} is truncated or damaged: it has {size:,} bytes ({reason}). {_AGAIN}"
    announced = sum(storage.nbytes for storage in described.storages.values())
    return (
        f"{path} is truncated or damaged: it has {size:,} bytes and its pickle announces "
        f"{announced:,} bytes of weights ({reason}). {_AGAIN}"
    )


# -- the stream --------------------------------------------------------------------------------
def _read_legacy(path: Path) -> Any:
    """Five pickles: magic, protocol, system, the value, the storages' keys. Then the storages."""
    with path.open("rb") as file:
        data = io.BytesIO(file.read(PICKLE_LIMIT))
    described = TorchPickle()
    values: list[Any] = []
    try:
        while len(values) < 5 and (not values or values[0] == LEGACY_MAGIC):
            value, end = described.read(data)
            values.append(value)
    except CheckpointError as error:
        if values:
            raise CheckpointError(f"{path} is truncated or damaged ({error}). {_AGAIN}") from None
        raise CheckpointError(f"{path} is no checkpoint that torch.save wrote ({error}).") from None
    if values[:2] != [LEGACY_MAGIC, LEGACY_PROTOCOL] or not isinstance(values[-1], list):
        held = f" It is a {values[0].name}." if isinstance(values[0], Unknown) else ""
        raise CheckpointError(
            f"{path} is a pickle, but none that torch.save wrote.{held} A checkpoint is saved by "
            "torch.save(state_dict, path) or safetensors.torch.save_file."
        )
    if not (isinstance(values[2], dict) and values[2].get("little_endian", True)):
        raise CheckpointError(f"{path} was saved on a big-endian machine. Save it again elsewhere.")
    try:
        keys = [storage_key(key) for key in values[4]]
    except ValueError:
        raise CheckpointError(f"{path} is damaged: its storages have no names. {_AGAIN}") from None
    _place_stream(path, described.storages, keys, end)
    return values[3]


def _place_stream(path: Path, storages: dict[str, Storage], keys: list[str], at: int) -> None:
    """One storage after the other, each behind its count of elements (8 bytes)."""
    size = path.stat().st_size
    if unknown := sorted(storages.keys() ^ set(keys)):
        raise CheckpointError(f"{path} is damaged: storage {unknown[0]} is listed once. {_AGAIN}")
    with path.open("rb") as file:
        for key in keys:
            file.seek(at)
            count = int.from_bytes(file.read(8), "little")
            if at + 8 <= size and count != storages[key].count:
                raise CheckpointError(
                    f"{path} is damaged: storage {key} has {count:,} elements, "
                    f"{storages[key].count:,} are announced. {_AGAIN}"
                )
            storages[key].offset = at + 8
            at += 8 + storages[key].nbytes
    if at > size:
        raise CheckpointError(
            f"{path} is truncated: it has {size:,} bytes and announces {at:,}. {_AGAIN}"
        )
