"""Labels in any script: drawn, or said to have no font; never mathematics, never broken SVG."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from helpers import grids
from matplotlib import font_manager
from matplotlib.text import Text
from PIL import Image

import sdnb
from sdnb.grid import layout, lettering
from sdnb.jobs.executor import Inline

LACKING = "一只猫"  # DejaVu Sans has no Chinese


@pytest.fixture(autouse=True)
def only_matplotlibs_own_fonts(monkeypatch):
    """The same letters lack a font on every computer."""
    own = [f for f in font_manager.fontManager.ttflist if "mpl-data" in f.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(lettering, "_path_of", {})


@pytest.fixture
def chinese(tmp_path, monkeypatch):
    """A font of two letters: 一 is one bar, 二 is two."""
    glyphs = {".notdef": [], "one": [(400, 500)], "two": [(200, 300), (600, 700)]}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({ord("一"): "one", ord("二"): "two"})
    drawn = {}
    for name, bars in glyphs.items():
        pen = TTGlyphPen(None)
        for low, high in bars:
            pen.moveTo((100, low))
            for point in ((100, high), (900, high), (900, low)):
                pen.lineTo(point)
            pen.closePath()
        drawn[name] = pen.glyph()
    builder.setupGlyf(drawn)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Two Letters", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    path = tmp_path / "two.ttf"
    builder.save(path)
    font_manager.fontManager.addfont(path)
    lettering._path_of.clear()
    return path


def filled(**varied):
    grid = sdnb.sweep(grids.BASE, **varied)
    return grid.run(grids.model(), executor=Inline(grids.make), progress=False)


@pytest.mark.slow
def test_letters_without_a_font_are_said_once_and_drawn_as_boxes(tmp_path):
    grid = filled(prompt=["cat", LACKING, LACKING[::-1]])
    for draw in (
        grid.show,
        lambda: grid.curve("prompt", "contrast"),
        lambda: grid.save(tmp_path / "grid.png", full=True),
        lambda: grid.save(tmp_path / "grid.svg"),
    ):
        with pytest.warns(UserWarning, match=f"no font .* letters {LACKING}:") as heard:
            draw()
        assert [str(w.filename) == __file__ for w in heard] == [True]


def test_labels_that_would_be_one_are_numbered():
    """Three letters each, all of them boxes."""
    (axis,) = filled(prompt=["cat", LACKING, LACKING[::-1]]).axes
    assert layout.texts(axis) == ["1: cat", f"2: {LACKING}", f"3: {LACKING[::-1]}"]
    assert lettering.shown(LACKING) == "□□□"
    assert layout.texts(filled(prompt=["cat", "猫"]).axes[0]) == ["cat", "猫"]


@pytest.mark.parametrize(
    "text", ["cat", "кошка", "γάτα", "قطة", "schön", "☺", "❤\ufe0f", "a\u200db"]
)
def test_what_dejavu_has_is_not_warned_of(text, tmp_path):
    grid = filled(prompt=[text, "dog"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid.show().savefig(tmp_path / "shown.png")
        grid.save(tmp_path / "full.png", full=True)


def test_a_font_of_the_computer_is_found_and_its_letters_are_drawn(chinese, tmp_path):
    """By the shape of the letters: rows with ink are one block for 一, two blocks for 二."""
    grid = filled(prompt=["一", "二", "一二"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid.save(tmp_path / "full.png", full=True)
        grid.show().savefig(tmp_path / "shown.png", dpi=100)
    for name in ("full.png", "shown.png"):
        page = np.asarray(Image.open(tmp_path / name).convert("L"))
        blocks = []
        for label in np.array_split(page[:24], 3, axis=1)[:2]:
            ink = (label < 128).any(axis=1).astype(int)
            blocks.append(int((np.diff(ink, prepend=0) == 1).sum()))
        assert blocks == [1, 2], name
    faces = [face.getname()[0] for _, face in lettering.runs("a一二b", 20)]
    assert faces == ["DejaVu Sans", "Two Letters", "DejaVu Sans"]
    assert lettering.width("一二", 20) == 40  # by the font: as wide as its size


@pytest.mark.slow
@pytest.mark.parametrize(
    "prompts", [["$5 and $10", "x"], [r"$\frac{$", "a_b^c"], ["_a", r"\$ #%&"]]
)
def test_no_text_is_mathematics(prompts, tmp_path):
    grid = filled(prompt=prompts, steps=[1, 2])
    for figure in (grid.show(), grid.curve("steps", "contrast"), grid.curve("prompt", "contrast")):
        figure.savefig(tmp_path / "figure.svg")
        texts = figure.findobj(Text)
        assert not any(text.get_parse_math() or text.get_usetex() for text in texts)
        drawn = " ".join(text.get_text().replace("\n", " ") for text in texts)
        assert all(prompt in drawn for prompt in prompts)


def test_control_characters_leave_svg_readable(tmp_path):
    grid = filled(prompt=["a\x00\x1b[31m\x07b", "c\ufffe\uffffd --> ]]> <&>", "e\x85\nf\tg"])
    grid.save(tmp_path / "grid.svg")
    grid.curve("prompt", "contrast").savefig(tmp_path / "curve.svg")
    for name in ("grid.svg", "curve.svg"):
        assert ET.parse(tmp_path / name).getroot().tag.endswith("svg")
    assert lettering.shown("a\x00b\nc\ud800") == "a\ufffdb c\ufffd"


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "猫" * 2000, "i" * 2000, "\u0301" * 2000, "a b " * 50_000]
)
def test_a_long_word_is_measured_a_few_times(text, monkeypatch):
    """Halving takes some ten measurements a line; one letter at a time took a square of them."""
    measured = []
    width = lettering.width
    monkeypatch.setattr(lettering, "width", lambda *a: measured.append(len(a[0])) or width(*a))
    lines = layout.wrapped(text, 256, 13)
    assert len(lines) <= 8
    assert lines[-1].endswith("…")
    assert len(measured) < 500
    assert max(measured) < 2000
    assert all(width(line, 13) <= 256 + 13 for line in lines)


def test_letters_of_no_standard_are_said_and_drawn_as_boxes():
    """Private and unassigned ones."""
    assert lettering.shown("a\ue000\U000f0000\u0378") == "a□□□"
    assert lettering.missing(["a\ue000\ufdd0\x1b\ud800"]) == "\ue000"
    with pytest.warns(UserWarning, match="\ue000") as heard:
        filled(prompt=["\ue000", "b"]).show()._repr_png_()
    assert len(heard) == 1


@pytest.mark.parametrize("mark", ["\ufeff", "\u202e", "\u00ad", "\U000e0041", "\ufe01", "\u2066"])
def test_marks_that_are_not_seen_are_not_drawn(mark, tmp_path):
    """matplotlib's PDF fails on the first."""
    assert lettering.shown(f"a{mark}b") == "ab"
    grid = filled(prompt=[f"a{mark}b", mark])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid.save(tmp_path / "grid.pdf")
        grid.curve("prompt", "contrast").savefig(tmp_path / "curve.pdf")
