"""The folder of a grid: each finished cell is a PNG with its request inside, and a row of JSON.

    grid.json     the base and the axes; a run of another grid is refused
    rows.jsonl    one JSON object a line: how a cell was made, and the sha256 of its PNG
    *.png         the cells, named by their values and their key, and found by the key alone,
                  because the label of a value depends on the axis' other values
    inputs/       the pictures that the requests start from

A row is written before its PNG, and a PNG appears whole or not at all. A cell is finished when its
PNG is there and a row has the same sha256. This holds if a process is killed at any moment, and if
several processes fill the same folder.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdnb import images
from sdnb.grid.axes import Axis
from sdnb.grid.cells import Cell, plain_value
from sdnb.images import files
from sdnb.images.made import Made
from sdnb.request import Request, checks

_MANIFEST, _ROWS = "grid.json", "rows.jsonl"
_FORMAT = 1
_MADE = ("model", "fingerprint", "steps", "seconds", "peak", "notes")  # in a row, of a `Made`
_STALE_SECONDS = 600  # an older temporary file is left over from a killed process
_Row = dict[str, Any]


class Store:
    """The folder of one grid. Raises ValueError if it holds anything else, or OSError."""

    def __init__(self, folder: str | os.PathLike[str], base: Request, axes: Iterable[Axis]) -> None:
        self.folder = Path(folder).expanduser()
        self._rows = _RowLog(self.folder / _ROWS)
        description = _description(base, axes)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_stale()
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
            made = self._first_whole(rows.get(cell.key, []))
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

    def _first_whole(self, rows: Sequence[_Row]) -> Made | None:
        """The picture of a cell: the first of its files that has the sha256 of a row."""
        for name in dict.fromkeys(row["file"] for row in rows):
            path = self.folder / name
            try:
                png = path.read_bytes()
            except FileNotFoundError:
                continue
            sha256 = images.sha256(png)
            row = next((row for row in reversed(rows) if row["sha256"] == sha256), None)
            if row is not None:
                facts = {name: row[name] for name in _MADE}
                facts["notes"] = tuple(row["notes"])
                return Made(pngs=(png,), request=images.read(path), path=path, **facts)
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

    def _remove_stale(self) -> None:
        """Remove temporary files of killed processes, but not those that are being written."""
        for path in self.folder.glob(".sdnb-*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()

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
            stored = json.loads(path.read_bytes())
            format_, base, axes = stored["format"], dict(stored["base"]), stored["axes"]
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(
                f"{str(path)!r} is damaged ({error}); give another folder, or remove that file to "
                "begin anew"
            ) from None
        if format_ != _FORMAT:
            raise ValueError(
                f"{self.name} was made by another version of sdnb (format {format_}, this is "
                f"{_FORMAT}): give another folder"
            )
        if axes != description["axes"]:
            names = [_axes_in_words(several) for several in (axes, description["axes"])]
            differences = ["axes {} there, {} here".format(*names)]
        else:
            default = Request().plain()
            there, here = default | base, default | description["base"]
            values = {name: (there.get(name), here.get(name)) for name in there | here}
            differences = [
                f"{name}={_value_in_words(one)} there, {_value_in_words(other)} here"
                for name, (one, other) in values.items()
                if one != other
            ]
        if differences:
            hint = ""
            if any(difference.startswith("seed=") for difference in differences):
                hint = " A seed that is left out is drawn anew each time: give it."
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
        if size < self._read:  # the file was removed
            self._read = 0
            self._by_key.clear()
        if size > self._read:
            with self._path.open("rb") as file:
                file.seek(self._read)
                added, end, _ = file.read().rpartition(b"\n")
            self._read += len(added + end)
            for line in added.splitlines():
                with suppress(ValueError, LookupError, TypeError, AttributeError):
                    row = json.loads(line)
                    row["file"] = Path(row["file"]).name  # never a path out of this folder
                    key, _ = row["key"], row["sha256"]
                    self._by_key.setdefault(key, []).append(row)
        return self._by_key


def _file_name(cell: Cell) -> str:
    words = files.slug(" ".join(f"{n} {v}" for n, v in zip(cell.names, cell.labels, strict=True)))
    return f"{words or 'cell'}-{cell.key}.png"


def _axes_in_words(axes: Iterable[Mapping[str, str]]) -> str:
    return " x ".join(a["name"] + (f" of {a['of']!r}" if a["of"] else "") for a in axes)


def _value_in_words(value: Any) -> str:
    return "open" if value is None else checks.shown(plain_value(value))
