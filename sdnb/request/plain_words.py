"""What others wrote, as an error or a note may quote it: bounded, on one line, for any terminal.
And numbers as they are written for people.
"""

from __future__ import annotations

import unicodedata

MOST_LETTERS = 1600  # of a message: some twenty lines of a terminal


def plain(text: str, most: int = MOST_LETTERS) -> str:
    """`text` as one line that no terminal obeys: control characters as escapes, a long one without
    its middle, since the way out stands at the end.
    """
    text = _without_middle(text, most)
    if text.isprintable():
        return text
    return _without_middle("".join(map(_printable, text)), most)


def digits(number: float) -> str:
    """A finite number with all its digits, and no more: 7, 7.3, 1e+20."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        number = int(number)
    return repr(number)


def counted(number: float, what: str) -> str:
    """A number of things: "1 step", "2 steps", "1,000 bytes"."""
    shown = f"{number:,}" if isinstance(number, int) else digits(number)
    return f"{shown} {what}{'' if number == 1 else 's'}"


def _without_middle(text: str, most: int) -> str:
    end = most // 4
    return text if len(text) <= most else f"{text[: most - end - 5]} ... {text[-end:]}"


def _printable(char: str) -> str:
    if char == "\n":
        return " "
    shown = char.isprintable() or unicodedata.category(char) == "Zs"  # a space of any script
    return char if shown else char.encode("unicode_escape").decode("ascii")


def reason(error: Exception) -> str:
    """An error of Python or a library in a few words."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # torch's words
        return "it takes more memory than there is"
    if isinstance(error, OverflowError):
        return f"a number in it is too large ({error})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (LookupError, AttributeError, TypeError, ArithmeticError)):
        return f"a value in it is not what is expected ({type(error).__name__}: {error})"
    return str(error) or type(error).__name__
