"""Fonts for labels: DejaVu Sans, and fonts of this computer for the letters that it lacks.

matplotlib's list of fonts is searched; a letter that no font has becomes an empty box, and
`warn_of_missing` says which those are. Control characters, which break SVG, become a mark.
"""

from __future__ import annotations

import itertools
import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

_BOX, _MARK = "\u25a1", "\ufffd"  # DejaVu Sans has both
# Symbols for formulas, whose codes are not those of letters, and matplotlib's font of boxes.
_NO_LETTERS = ("Last Resort", "cm", "STIXNonUnicode", "STIXSize")
_SHAPED = "\u0300"  # letters from here on may join their neighbours
_path_of: dict[str, str | None] = {}  # letter to the path of its font


def shown(text: str) -> str:
    """The text as it is drawn: with a box for each letter that no font has, and a mark for each
    control character and lone half of a surrogate pair.
    """
    text = "".join(_drawable(c) for c in text if not _is_invisible(c))
    lacking = set(missing([text]))
    return "".join(_BOX if c in lacking else c for c in text)


def _is_invisible(letter: str) -> bool:
    """Whether a letter only says how its neighbours look: a joiner, a mark of direction."""
    variation = "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"
    return variation or unicodedata.category(letter) == "Cf"


def _drawable(letter: str) -> str:
    if letter.isspace():
        return " "
    return _MARK if _is_no_character(letter) else letter


def _is_no_character(letter: str) -> bool:
    reserved = ord(letter) & 0xFFFE == 0xFFFE or "\ufdd0" <= letter <= "\ufdef"
    return reserved or unicodedata.category(letter) in ("Cc", "Cs")  # XML refuses these too


def missing(texts: Iterable[str]) -> str:
    """The visible letters of some texts that no font of this computer has, each once."""
    given = dict.fromkeys(itertools.chain.from_iterable(texts))
    letters = [c for c in given if not (c.isspace() or _is_invisible(c) or _is_no_character(c))]
    _find(letters)
    return "".join(c for c in letters if _path_of[c] is None)


def warn_of_missing(texts: Iterable[str]) -> None:
    """Warn of `missing` letters, once for all, at the line that called our caller."""
    lacking = missing(texts)
    if lacking:
        more = "" if len(lacking) <= 20 else f" and {len(lacking) - 20} more"
        warnings.warn(
            f"no font of this computer has the letters {lacking[:20]}{more}: labels have boxes in "
            "their place. Install a font that has them, such as Noto Sans CJK for Chinese, "
            "Japanese and Korean, and start Python again",
            stacklevel=3,
        )


def families(texts: Iterable[str]) -> list[str]:
    """The names of the fonts, for matplotlib, that have the letters of some texts between them."""
    letters = dict.fromkeys(itertools.chain.from_iterable(texts))
    _find(letters)
    paths = dict.fromkeys(path for c in letters if (path := _path_of[c]) is not None)
    return list(dict.fromkeys(["DejaVu Sans", *map(_family, paths)]))


@cache
def _family(path: str) -> str:
    from matplotlib.ft2font import FT2Font

    return FT2Font(path).family_name


def runs(text: str, size: int) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """The parts of a text, each with the Pillow font that has its letters, at `size` pixels."""
    _find(text)
    parts = itertools.groupby(text, lambda c: (_path_of[c] or _first(), c >= _SHAPED))
    return [("".join(part), typeface(size, *face)) for face, part in parts]


def width(text: str, size: int) -> int:
    """The width of a line of text in pixels."""
    return sum(round(face.getlength(part)) for part, face in runs(text, size))


def baseline(size: int, height: int) -> int:
    """The pixels from the top of a line of this height down to the foot of its letters, which
    stand in the middle.
    """
    above, below = typeface(size).getmetrics()
    return (height - above - below) // 2 + above


@cache
def typeface(size: int, path: str | None = None, shaped: bool = False) -> ImageFont.FreeTypeFont:
    """A font for Pillow, without a path DejaVu Sans, which comes with matplotlib. Where letters are
    not `shaped` by their neighbours, each is a whole number of pixels wide.
    """
    from PIL import ImageFont

    engine = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    return ImageFont.truetype(path or _first(), size, layout_engine=engine)


def _find(letters: Iterable[str]) -> None:
    """Put the font of each letter into `_path_of`. Fonts are opened once for all new letters."""
    from matplotlib.ft2font import FT2Font

    new = {c for c in letters if c not in _path_of}
    for path in itertools.chain([_first()], _others()) if new else ():
        try:
            font = FT2Font(path)
        except (OSError, RuntimeError):  # removed or damaged since matplotlib listed it
            continue
        if font.scalable:  # a font of pictures cannot be drawn at a size
            found = {c for c in new if font.get_char_index(ord(c))}
            _path_of.update(dict.fromkeys(found, path))
            new -= found
        if not new:
            return
    _path_of.update(dict.fromkeys(new))


def _first() -> str:
    import matplotlib as mpl

    return str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def _others() -> list[str]:
    """The paths of fonts, upright ones of normal weight before others."""
    from matplotlib import font_manager

    entries = [f for f in font_manager.fontManager.ttflist if not f.name.startswith(_NO_LETTERS)]
    entries.sort(
        key=lambda f: (f.style != "normal", str(f.weight) not in ("400", "normal"), f.name)
    )
    return [entry.fname for entry in entries]
