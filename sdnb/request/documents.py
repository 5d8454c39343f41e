"""Reads JSON and YAML that anybody may have written: within bounds, and with errors in words.

Nothing is interpolated, and nothing refers to another place of the same text: neither OmegaConf's
`${...}` nor YAML's aliases. A few letters could otherwise read the environment, or become GBs.
"""

from __future__ import annotations

import codecs
import json
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from sdnb.request.plain_words import plain, reason

# Marks at a file's beginning, and the encoding behind them.
_MARKS = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
}  # fmt: skip
YAML_LIMIT = 1 << 16  # bytes; CompVis' own has 2 KB, and PyYAML reads 50 KB in a second
_BRACKETS = 32  # of YAML, one in another
_LONG_JSON = 1 << 24  # bytes; a longer one may be so for its texts, not for its structure
_DIGITS = 40  # of a whole number: none that sdnb takes has more than 20, and any float holds 40


def file_text(path: Path, limit: int) -> str:
    """The text of a file of UTF-8, with or without a byte order mark.

    Raises OSError, or ValueError for what is no ordinary file, has more than `limit` bytes, or is
    not UTF-8.
    """
    data = _file_bytes(path, limit)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (at byte {error.start:,})") from None


def any_text(path: Path, limit: int) -> str:
    """The text of a file that another program wrote: UTF-8, UTF-16 with its mark, or else Windows'
    Western letters, in which any bytes are text. Raises as `file_text`, but for what is not UTF-8.
    """
    return text_and_encoding(path, limit)[0]


def text_and_encoding(path: Path, limit: int) -> tuple[str, str, bytes]:
    """What `any_text` gives, its encoding, and the mark before it: that writes the same bytes."""
    data = _file_bytes(path, limit)
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            with suppress(UnicodeDecodeError):
                return data[len(mark) :].decode(encoding), encoding, mark
    for encoding in ("utf-8", "cp1252"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding), encoding, b""
    return data.decode("latin-1"), "latin-1", b""  # five bytes are no letters in cp1252


def _file_bytes(path: Path, limit: int) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise ValueError("it is not an ordinary file")
    if status.st_size > limit:
        raise ValueError(f"it has {status.st_size:,} bytes; at most {limit:,} are read")
    with path.open("rb") as file:
        return file.read(status.st_size)  # no more: a file of the kernel says 0, and may wait


def from_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError that says why there is none."""
    if isinstance(text, str):
        text = text.removeprefix("\ufeff")
    with _in_words("JSON"):
        if len(text) > _LONG_JSON and isinstance(text, str):
            _check_structure(text)
        return json.loads(text, parse_int=_whole)


def _check_structure(text: str) -> None:
    """Raises ValueError for JSON that is long without its texts: `[],` becomes twenty times as many
    bytes.
    """
    bare = text.replace("\\\\", "").replace('\\"', "")
    if bare.count('"') > 1 << 20 or len(re.sub('"[^"]*"', "", bare)) > _LONG_JSON:
        raise ValueError(f"{len(text):,} letters, most of them not in texts; that is too many")


def from_yaml(text: str) -> Any:
    """The value of a YAML text, texts with `${` as they stand. Raises ValueError that says why
    there is none, also for an alias, a key that comes twice, and tags of Python.
    """
    with _in_words("YAML"):
        return yaml.load(text, _Loader)


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits; at most {_DIGITS} are read")
    return int(digits)


@contextmanager
def _in_words(language: str) -> Iterator[None]:
    """Turn the errors of a parser, which have no common base, into ValueError of a line or two."""
    try:
        yield
    except (RecursionError, MemoryError):
        raise ValueError(f"its {language} is nested too deeply or too large") from None
    except Exception as error:  # noqa: BLE001 - what a parser raises has no common base
        raise ValueError(plain(reason(error), 300)) from None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """YAML's plain values, with the numbers of YAML 1.2: `1e-4` is one."""

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= _BRACKETS:  # PyYAML's time grows with their square
            raise ValueError(f"brackets in more than {_BRACKETS} brackets")
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1
            raise ValueError(f"an alias (*) in line {line}: write out what it stands for")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise ValueError(f"the key {name[:60]!r} comes twice in one mapping")
            seen.add(name)
        return dict(super().construct_mapping(node, deep))

    def whole(self, node: yaml.ScalarNode) -> int:
        if len(str(node.value)) > _DIGITS:
            return _whole(str(node.value))
        return int(self.construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)
