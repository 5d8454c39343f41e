"""The folder of a grid: each finished cell is a PNG with its request inside, and a row of JSON.

    grid.json     the base and the axes; a run of another grid is refused
    rows.jsonl    one JSON object a line: how a cell was made, and the sha256 of its PNG
    *.png         the cells, named by their values and their key, and found by the key alone,
                  because the label of a value depends on the axis' other values
    inputs/       the pictures that the requests start from

A row is written before its PNG, and a PNG appears whole or not at all. A cell is finished when its
PNG is there, a row has the same sha256, and the request and the model inside are the cell's and the
row's. This holds if a process is killed at any moment, and if several processes fill the same
folder. Links are not followed: a folder from elsewhere could lead anywhere by them.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sdnb import images
from sdnb.assets import user_path
from sdnb.grid.axes import Axis
from sdnb.grid.cells import OPEN_FIELDS, Cell, plain_value
from sdnb.images import files, used_files
from sdnb.images.made import Made
from sdnb.request import Request, checks, documents, lora

_MANIFEST, _ROWS = "grid.json", "rows.jsonl"
_FORMAT = 1
_MADE = ("model", "fingerprint", "steps", "seconds", "peak", "notes")  # in a row, of a `Made`
_Row = dict[str, Any]
# Bytes that are read at most: a row has some 600, and the largest picture 200 million.
_LARGEST_LOG, _LONGEST_ROW, _LARGEST_PNG, _LARGEST_MANIFEST = 2**25, 2**20, 2**28, 2**25
_SHORTEST_ROW = 150  # bytes: its names and the two digests have more
_MOST_FILES = 8  # of a cell: it gets a second name where its axis got more values


class Store:
    """The folder of one grid. Raises ValueError if it holds anything else, or OSError."""

    def __init__(self, folder: str | os.PathLike[str], base: Request, axes: Iterable[Axis]) -> None:
        self.folder = user_path(folder)
        self._rows = _RowLog(self.folder / _ROWS)
        description = _description(base, axes)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except ValueError as error:  # a NUL
            raise ValueError(f"store={checks.shown(str(folder))} is no path: {error}") from None
        except OSError as error:
            why = error.strerror or error
            worded = type(error)(f"store={checks.shown(str(folder))} cannot be made: {why}")
            worded.errno = error.errno
            raise worded from None
        for name in (_MANIFEST, _ROWS):
            _refuse_links(self.folder / name)
        files.remove_leftovers(self.folder)
        if not (self.folder / _MANIFEST).exists():
            self._write_manifest(description)
        self._refuse_other_settings(description)

    @property
    def name(self) -> str:
        """The name of the folder in errors."""
        return f"store={str(self.folder)!r}"

    def finished(self, cells: Iterable[Cell]) -> dict[str, Made]:
        """The finished cells of the folder, by their key."""
        rows = self._rows.read()
        finished = {}
        for cell in cells:
            made = self._first_whole(cell, rows.get(cell.key, []))
            if made is not None:
                finished[cell.key] = made
        return finished

    def keep(self, cell: Cell, made: Made) -> Made:
        """Save a finished cell. If another process was first, its picture is returned instead."""
        try:
            return self._keep(cell, made)
        except OSError as error:
            worded = type(error)(
                f"could not keep {cell.label} in {str(self.folder)!r}: {error.strerror or error}. "
                "Its picture is still in the grid, and the cells before it are in the folder: make "
                "room and run again"
            )
            worded.errno = error.errno
            raise worded from error

    def _keep(self, cell: Cell, made: Made) -> Made:
        path = self.folder / _file_name(cell)
        images.keep_inputs(made.request, self.folder)
        theirs = self.finished([cell])
        if theirs:
            return theirs[cell.key]
        self._append(
            {
                "key": cell.key,
                "file": path.name,
                "sha256": images.sha256(made.png),
                "cell": dict(zip(cell.names, cell.labels, strict=True)),
                **{name: getattr(made, name) for name in _MADE},
                **({"files": [file.plain() for file in made.files]} if made.files else {}),
            }
        )
        try:
            files.write_new(self.folder, [path.name], made.png)
        except StopIteration:  # the name is taken
            theirs = self.finished([cell])
            if theirs:
                return theirs[cell.key]
            files.replace(path, made.png)  # that file is damaged
        return replace(made, path=path)

    def _first_whole(self, cell: Cell, rows: Sequence[_Row]) -> Made | None:
        """The picture of a cell: the first of its files that has the sha256 of a row, and inside
        the cell's request and the row's model.
        """
        for name in list(dict.fromkeys(row["file"] for row in rows))[:_MOST_FILES]:
            path = self.folder / name
            png = _ordinary_bytes(path)
            sha256 = "" if png is None else images.sha256(png)
            row = next((row for row in reversed(rows) if row["sha256"] == sha256), None)
            if png is None or row is None:
                continue
            inside = self._inside(path, cell)
            models = None if inside is None else (inside.model, inside.fingerprint)
            if inside is None or models != (row["model"], row["fingerprint"]):
                continue
            if _answers(cell.request, inside.request):
                facts = {name: row[name] for name in _MADE}
                facts["notes"] = tuple(row["notes"])
                made = Made(pngs=(png,), request=inside.request, path=path, **facts)
                return replace(made, files=used_files.of_json(row["files"]))
        return None

    def _inside(self, path: Path, cell: Cell) -> images.Saved | None:
        """What the PNG carries, or None where that cannot be read."""
        try:
            return images.inspect(path)
        except (
            FileNotFoundError
        ):  # an input picture was lost, and the cell has it; or it is another
            images.keep_inputs(cell.request, self.folder)
            with suppress(ValueError, FileNotFoundError):
                return images.inspect(path)
        except ValueError:
            pass
        return None

    def _append(self, row: Mapping[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with (self.folder / _ROWS).open("a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line  # after half a line
            file.write(line)  # in one append, which no other process splits
            file.flush()
            os.fsync(file.fileno())

    def _write_manifest(self, description: Mapping[str, Any]) -> None:
        others = [p.name for p in self.folder.iterdir() if not p.name.startswith(".")]
        if others and not (self.folder / _MANIFEST).exists():  # nor did another process begin
            raise ValueError(
                f"{self.name} holds other things ({', '.join(sorted(others)[:3])}"
                f"{', ...' if len(others) > 3 else ''}) and no grid: give a new or an empty folder"
            )
        data = json.dumps(description, ensure_ascii=False, indent=2).encode() + b"\n"
        with suppress(StopIteration):  # another process was first; the caller compares its manifest
            files.write_new(self.folder, [_MANIFEST], data)

    def _refuse_other_settings(self, description: Mapping[str, Any]) -> None:
        path = self.folder / _MANIFEST
        try:
            stored = documents.from_json(documents.file_text(path, _LARGEST_MANIFEST))
            format_, base, axes = stored["format"], dict(stored["base"]), stored["axes"]
            in_words = _axes_in_words(axes)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{str(path)!r} is damaged ({type(error).__name__}: {error}); give another folder, "
                "or remove that file to begin again"
            ) from None
        if format_ != _FORMAT:
            raise ValueError(
                f"{self.name} was made by another version of sdnb (format {checks.shown(format_)}, "
                f"this is {_FORMAT}): give another folder"
            )
        if axes != description["axes"]:
            differences = [f"axes {in_words} there, {_axes_in_words(description['axes'])} here"]
        else:
            default = Request().plain()
            there, here = default | base, default | description["base"]
            values = {name: (there.get(name), here.get(name)) for name in there | here}
            differences = [
                f"{checks.bare(name)}={_value_in_words(one)} there, {_value_in_words(other)} here"
                for name, (one, other) in values.items()
                if one != other
            ][: len(default)]
        if differences:
            hint = ""
            if any(difference.startswith("seed=") for difference in differences):
                hint = " A seed that is left out is drawn again each time: give it."
            raise ValueError(
                f"{self.name} was made by other settings: {'; '.join(differences)}.{hint} Give "
                "another folder, or the same settings"
            )


def _description(base: Request, axes: Iterable[Axis]) -> dict[str, Any]:
    """The manifest: what all cells have in common. An axis' values are not in it: more may come."""
    axes = list(axes)
    varied = {axis.name for axis in axes}
    fields, default = base.plain(), Request().plain()
    return {
        "format": _FORMAT,
        "axes": [{"name": axis.name, "of": axis.of} for axis in axes],
        "base": {
            name: value
            for name, value in fields.items()
            if name not in varied and value != default.get(name)
        },
    }


class _RowLog:
    """The lines of `rows.jsonl`. Each call of `read` parses only the new ones."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self._by_key: dict[str, list[_Row]] = {}

    def read(self) -> Mapping[str, list[_Row]]:
        """The rows of each key, in their order. A line that is not complete is left out."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size > _LARGEST_LOG:
            raise ValueError(
                f"{str(self._path)!r} has {size:,} bytes; at most {_LARGEST_LOG:,} are read: give "
                "another folder"
            )
        if size < self._read:  # the file was removed
            self._read = 0
            self._by_key.clear()
        if size > self._read:
            with self._path.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read += len(line)
                    row = _row(line)
                    if row is not None:
                        self._by_key.setdefault(row["key"], []).append(row)
        return self._by_key


_TEXTS, _NUMBERS = ("key", "file", "sha256", "model", "fingerprint"), ("steps", "seconds", "peak")


def _row(line: bytes) -> _Row | None:
    """The row of a line, or None where it is none that a store writes."""
    try:
        usual = _SHORTEST_ROW <= len(line) <= _LONGEST_ROW
        row = documents.from_json(line) if usual else None
    except ValueError:
        return None
    if not isinstance(row, dict) or not isinstance(row.get("notes"), list):
        return None
    texts = [*(row.get(name) for name in _TEXTS), *row["notes"]]
    numbers: list[Any] = [row.get(name) for name in _NUMBERS]
    if not all(isinstance(text, str) for text in texts):
        return None
    if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
        return None
    row["file"] = Path(row["file"]).name  # never a path out of this folder
    usable = row["file"].isprintable() and 0 < len(row["file"]) <= 255
    kept = {name: row[name] for name in (*_TEXTS, *_NUMBERS, "notes")}
    return {**kept, "files": row.get("files", [])} if usable else None


def _answers(wanted: Request, found: Request) -> bool:
    """Whether a picture's request is the one wanted, with a value for what that leaves open."""
    for field in fields(Request):
        value = getattr(wanted, field.name)
        is_open = value is None and field.name in OPEN_FIELDS
        given = getattr(found, field.name)
        if field.name == "digests":  # the row's own files are compared
            continue
        if field.name in ("loras", "controls"):
            if not lora.answers(value, given):
                return False
        elif not is_open and value != given:
            return False
    return True


def _ordinary_bytes(path: Path) -> bytes | None:
    """The bytes of an ordinary file; None where there is none, a link, a pipe, or one too large."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_PNG:
            return None
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _refuse_links(path: Path) -> None:
    """Raise ValueError for what is there and no ordinary file: rows are appended to one of them."""
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError(
            f"{str(path)!r} is a link or no ordinary file, and a store follows none: put the file "
            "itself there, or give another folder"
        )


def _file_name(cell: Cell) -> str:
    words = files.slug(" ".join(f"{n} {v}" for n, v in zip(cell.names, cell.labels, strict=True)))
    return f"{words or 'cell'}-{cell.key}.png"


def _axes_in_words(axes: Iterable[Mapping[str, str]]) -> str:
    names = (checks.bare(a["name"]) + (f" of {a['of']!r}" if a["of"] else "") for a in axes)
    words = " x ".join(names)
    return words if len(words) <= 200 else f"{words[:197]}..."


def _value_in_words(value: Any) -> str:
    return "open" if value is None else checks.shown(plain_value(value))
