"""argparse with the errors that the rest of sdnb has: one line, and the nearest match."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from sdnb.request import checks


class InputError(Exception):
    """What the user asked for cannot be done as asked: exit code 2."""


class Parser(argparse.ArgumentParser):
    """No abbreviations, and `InputError` instead of an exit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The flags of `argv`; raises InputError for anything that is not one of them."""
        namespace, extras = self.parse_known_args(argv)
        if not extras:
            return namespace
        first = extras[0].split("=")[0]
        if first.startswith("-"):
            words = f"unknown flag {first}{checks.nearest(first, self._option_string_actions)}"
        else:
            words = f"{extras[0]!r} belongs to no flag; several words need quotes round them"
        return self.error(words)

    def error(self, message: str) -> NoReturn:
        """Raise InputError with the command's name."""
        raise InputError(f"{self.prog.removeprefix('sdnb ')}: {message}; see {self.prog} --help")


@contextmanager
def input_stage() -> Iterator[None]:
    """Inside, an error of a value or a file is the input's fault, not the run's."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        raise InputError(str(error)) from error
