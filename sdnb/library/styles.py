"""Prompt styles in AUTOMATIC1111's `styles.csv`: words that are put around or behind a prompt.

    name,prompt,negative_prompt
    oil,"oil painting of {prompt}, thick paint",photo

Where a style's prompt has `{prompt}`, one's own words take that place; else they stand before it,
with a comma between. What the file has beside that stays when it is written again, letter for
letter: other columns and their order, comments, empty lines, the kind of commas and line ends.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sdnb.assets import user_path
from sdnb.images import files
from sdnb.request import Request, checks, documents
from sdnb.request.plain_words import reason

_MOST = 16 << 20  # bytes of a file
_COLUMNS = ("name", "prompt", "negative_prompt")
_OLD_PROMPT = "text"  # the column of the prompt, before there were negative ones
_PLACE = "{prompt}"


@dataclass(frozen=True)
class PromptStyle:
    """Words for a prompt and a negative prompt, by a name."""

    name: str
    prompt: str = ""
    negative: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "prompt", "negative"):
            object.__setattr__(self, name, checks.text(name, getattr(self, name)))
        if not self.name.strip() or self.name.startswith("#"):
            raise ValueError(
                f"name={checks.shown(self.name)} names no style: it is empty, or a comment in "
                "styles.csv, which begins with #; give another one"
            )

    def apply(self, request: Request) -> Request:
        """The request with this style's words in its prompts."""
        prompt, negative = request.prompt, request.negative
        return request.but(prompt=put(self.prompt, prompt), negative=put(self.negative, negative))


def put(style: str, words: str) -> str:
    """One's own words with those of a style."""
    if _PLACE in style:
        return style.replace(_PLACE, words)
    return ", ".join(part for part in (words.strip(), style.strip()) if part) if style else words


class Styles(Mapping[str, PromptStyle]):
    """The styles of a file, in its order, by their names; none where there is no file yet.

    `keep` and `remove` write the file, after they read it again. Raises ValueError for a file that
    is no table of styles, and OSError for one that cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = user_path(path)
        self._table = _Table.read(self.path)

    def __getitem__(self, name: str) -> PromptStyle:
        try:
            return self._table.styles[name]
        except KeyError:
            known = (
                checks.known(str(name), self._table.styles) if self._table.styles else "no style is"
            )
            raise KeyError(f"{self.path} has no style {checks.shown(name)}; {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.styles)

    def __len__(self) -> int:
        return len(self._table.styles)

    def __repr__(self) -> str:
        return f"Styles({str(self.path)!r}: {', '.join(self) or 'none'})"

    def apply(self, request: Request, *names: str) -> Request:
        """The request with the words of these styles, one after the other. Raises KeyError that
        lists the names that there are.
        """
        for name in names:
            request = self[name].apply(request)
        return request

    def keep(self, style: PromptStyle) -> None:
        """Put a style into the file, in place of the one of that name, or at its end. Raises
        OSError.
        """
        self._write(_Table.read(self.path).with_style(style))

    def remove(self, name: str) -> None:
        """Take a style out of the file. Raises KeyError as for `styles[name]`, and OSError."""
        self._table = _Table.read(self.path)
        style = self[name]
        self._write(self._table.without(style.name))

    def _write(self, table: _Table) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(self.path, table.data())
        self._table = table


@dataclass(frozen=True)
class _StyleRow:
    """A row as it stands in the file, and its style; None for the head, comments, empty lines."""

    text: str
    style: PromptStyle | None = None


@dataclass(frozen=True)
class _Table:
    rows: tuple[_StyleRow, ...] = ()
    columns: tuple[str, ...] = _COLUMNS
    comma: str = ","
    encoding: str = "utf-8"
    mark: bytes = codecs.BOM_UTF8  # AUTOMATIC1111 writes it too
    line_end: str = "\r\n"

    @property
    def styles(self) -> dict[str, PromptStyle]:
        """By name; of several of one name the last counts, as there."""
        return {row.style.name: row.style for row in self.rows if row.style}

    @classmethod
    def read(cls, path: Path) -> _Table:
        """Raises as `Styles`; an empty table for no file."""
        try:
            text, encoding, mark = documents.text_and_encoding(path, _MOST)
        except FileNotFoundError:
            return cls()
        except ValueError as error:
            raise ValueError(f"the styles in {path} cannot be read: {reason(error)}") from None
        if not text.strip():
            return cls()
        try:
            table = _parsed(list(io.StringIO(text, newline="")))
        except (csv.Error, ValueError) as error:
            raise ValueError(f"{path} is no table of styles: {reason(error)}") from None
        return replace(table, encoding=encoding, mark=mark)

    def with_style(self, style: PromptStyle) -> _Table:
        row = _StyleRow(self._written(style), style)
        at = [i for i, each in enumerate(self.rows) if each.style and each.style.name == style.name]
        if at:
            old = self.rows[at[-1]]
            row = old if old.style == style else row
            return replace(self, rows=(*self.rows[: at[-1]], row, *self.rows[at[-1] + 1 :]))
        rows = self.rows or (_StyleRow(self._line(self.columns)),)
        last = rows[-1].text
        if not last.endswith(("\n", "\r")):
            rows = (*rows[:-1], replace(rows[-1], text=last + self.line_end))
        return replace(self, rows=(*rows, row))

    def without(self, name: str) -> _Table:
        kept = (row for row in self.rows if not (row.style and row.style.name == name))
        return replace(self, rows=tuple(kept))

    def data(self) -> bytes:
        """The bytes of the file; in UTF-8 where its encoding lacks a letter."""
        text = "".join(row.text for row in self.rows)
        try:
            return self.mark + text.encode(self.encoding)
        except UnicodeEncodeError:
            return codecs.BOM_UTF8 + text.encode()

    def _written(self, style: PromptStyle) -> str:
        own = {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative}
        own[_OLD_PROMPT] = style.prompt
        return self._line([own.get(column.strip().lower(), "") for column in self.columns])

    def _line(self, values: Sequence[str]) -> str:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=self.comma, lineterminator=self.line_end).writerow(values)
        return buffer.getvalue()


def _parsed(lines: list[str]) -> _Table:
    head = lines[0]
    comma = max(",;\t", key=head.count)
    columns = tuple(next(csv.reader([head], delimiter=comma)))
    names = [column.strip().lower() for column in columns]
    if "name" not in names or not {"prompt", _OLD_PROMPT} & set(names):
        raise ValueError(
            f"its first line is {checks.shown(head.strip())}, and name,prompt,negative_prompt are "
            "expected there"
        )
    rows = [_StyleRow(head)]
    reader, begin = csv.reader(lines[1:], delimiter=comma), 1
    for values in reader:
        end = reader.line_num + 1
        text = "".join(lines[begin:end])
        rows.append(_StyleRow(text, _style(dict(zip(names, values, strict=False)))))
        begin = end
    _refuse_open_quote(rows[-1].text, comma, begin)
    line_end = head[len(head.rstrip("\r\n")) :] or "\r\n"
    return _Table(tuple(rows), columns, comma, line_end=line_end)


def _style(values: Mapping[str, str]) -> PromptStyle | None:
    """The style of a row; None for a comment and an empty line."""
    name = values.get("name", "")
    if not name.strip() or name.startswith("#"):
        return None
    prompt = values.get("prompt", values.get(_OLD_PROMPT, ""))
    return PromptStyle(name, prompt, values.get("negative_prompt", ""))


def _refuse_open_quote(text: str, comma: str, line: int) -> None:
    """Raise ValueError where the last row never ends: it holds all rows behind its quote."""
    try:
        list(csv.reader(io.StringIO(text, newline=""), delimiter=comma, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            begin = line - text.count("\n")
            raise ValueError(
                f"a quote in or behind line {max(begin, 1) + 1} is not closed"
            ) from None


def paths_in(folders: Sequence[Path]) -> list[Path]:
    """Where the styles of AUTOMATIC1111 would be: in its folder, which a library's is, or has its
    models.
    """
    beside = [folder.parent for folder in folders if folder.name.lower() == "models"]
    return [folder / "styles.csv" for folder in (*folders, *beside)]


def offered(paths: Sequence[Path]) -> tuple[dict[str, PromptStyle], list[str]]:
    """The styles of several files by name, the first of each; and why a file could not be read."""
    found: dict[str, PromptStyle] = {}
    notes: list[str] = []
    for path in paths:
        try:
            for name, style in Styles(path).items():
                found.setdefault(name, style)
        except (OSError, ValueError) as error:  # noqa: PERF203 - one bad file hides no other
            notes.append(str(error))
    return found, notes
