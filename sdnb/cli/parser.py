"""An argparse parser whose errors are one line, with the nearest match."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from sdnb.request import checks

TEXT = "TEXT"  # the metavar of flags whose value may begin with a hyphen


class InputError(Exception):
    """An error of the command line or of an input file: exit code 2."""


class Parser(argparse.ArgumentParser):
    """A parser without abbreviations that raises `InputError` and does not exit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse `argv`. Raises InputError for unknown flags and for stray words."""
        namespace, extras = self.parse_known_args(self._with_texts(argv))
        if not extras:
            return namespace
        first = extras[0].split("=")[0]
        if first.startswith("-"):
            words = f"unknown flag {first}{checks.nearest(first, self._option_string_actions)}"
        else:
            words = f"{extras[0]!r} belongs to no flag; several words need quotes round them"
        return self.error(words)

    def _with_texts(self, argv: Sequence[str]) -> list[str]:
        """`argv` with texts joined to their flags: argparse would take a "-cat" for a flag."""
        joined: list[str] = []
        for word in argv:
            flag = self._option_string_actions.get(joined[-1]) if joined else None
            wants_text = flag is not None and flag.metavar == TEXT
            if wants_text and word.split("=")[0] not in self._option_string_actions:
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return joined

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """The value of a flag. argparse would drop the text "--"."""
        if action.metavar == TEXT:
            return arg_strings[0]
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """Raise InputError that names the command."""
        raise InputError(f"{self.prog.removeprefix('sdnb ')}: {message}; see {self.prog} --help")


@contextmanager
def input_stage() -> Iterator[None]:
    """A context manager that turns errors of values and files into InputError."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        raise InputError(str(error)) from error
