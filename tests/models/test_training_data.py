"""Emoji packages to sprites, concepts and a cut of CLIP's tokenizer."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import sdnb.engine.networks.tokenizer
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.models.training import concepts, sprites, tokens
from sdnb.models.training.catalog import SIZE, Catalog

CLIP = Path(sdnb.engine.networks.tokenizer.__file__).parent / "clip" / "tokenizer.json"
EMOJI = [  # label, sub-group, code, more
    ("red apple", "food-fruit", "1F34E", {"tags": ["fruit", "red", "x1"]}),
    ("T-Rex", "animal-reptile", "1F996", {}),
    ("flag: Aruba", "country-flag", "1F1E6", {}),
    ("man: beard", "person", "1F9D4", {}),
    ("man running", "person-activity", "1F3C3", {"gender": 1}),
    ("one o’clock", "time", "1F550", {}),
    ("umbrella", "sky-weather", "2602-FE0F", {}),
]


@pytest.fixture
def npm(tmp_path):
    """Two small packages of pictures and emojibase's table."""
    english = tmp_path / "emojibase-data-1.0" / "en"
    english.mkdir(parents=True)
    subgroups = sorted({subgroup for _, subgroup, _, _ in EMOJI})
    messages = {
        "groups": [{"order": 0, "key": "food-drink"}],
        "subgroups": [{"order": i, "key": key} for i, key in enumerate(subgroups)],
    }
    data = [
        {"label": label, "hexcode": code, "group": 0, "subgroup": subgroups.index(sub), **more}
        for label, sub, code, more in EMOJI
    ]
    (english / "messages.json").write_text(json.dumps(messages))
    (english / "data.json").write_text(json.dumps([*data, {"label": "a letter"}]))
    for package, color in (("round-1.0", "red"), ("square-1.0", "blue")):
        assets = tmp_path / package / "assets"
        assets.mkdir(parents=True)
        for code in ("1f34e", "1f996", "2602"):
            picture = Image.new("RGBA", (64, 48))
            ImageDraw.Draw(picture).rectangle((10, 10, 29, 19), fill=color)
            picture.save(assets / f"{code}.png")
    return tmp_path


def test_what_becomes_a_concept(npm):
    things = concepts.chosen(npm / "emojibase-data-1.0")
    assert [c["label"] for c in things] == ["red apple", "t-rex", "man with beard", "umbrella"]
    assert things[0]["aliases"] == ["apple"]
    assert things[0]["tags"] == ["fruit", "red"]  # words only
    assert [c["id"] for c in things] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("flag: Wales", "flag of wales"),
        ("man: bald", "bald man"),
        ("woman: red hair", "woman with red hair"),
        ("man’s shoe", "man's shoe"),
        ("“here”", "here"),
    ],
)
def test_names_as_plain_words(label, words):
    assert concepts.clean(label) == words


def test_about_one_pair_in_twenty_is_held_out_and_always_the_same():
    styles = ["a", "b", "c", "d", "e"]
    held = [concepts.held_out(f"thing {i}", styles) for i in range(2000)]
    assert sum(map(len, held)) == pytest.approx(0.05 * 5 * 2000, rel=0.15)
    assert held == [concepts.held_out(f"thing {i}", styles) for i in range(2000)]
    assert {style for pair in held for style in pair} == set(styles)


def test_a_sprite_is_trimmed_centred_and_keeps_its_colour_at_the_edge():
    picture = Image.new("RGBA", (100, 100))
    ImageDraw.Draw(picture).rectangle((10, 20, 69, 49), fill=(255, 0, 0, 255))
    sprite = sprites.trimmed(picture)
    assert sprite.size == (SIZE, SIZE)
    alpha = np.asarray(sprite)[..., 3]
    rows = np.flatnonzero(alpha.max(1) > 128)
    assert (rows[0], rows[-1]) == (pytest.approx(56, abs=1), pytest.approx(167, abs=1))
    assert (np.asarray(sprite)[alpha > 8][:, 0] > 240).all()  # no dark fringe
    assert sprites.trimmed(Image.new("RGBA", (9, 9))) is None


def test_an_icon_becomes_an_svg_of_its_size():
    svg = sprites._svg({"body": "<path/>", "height": 20}, {"width": 16})
    assert 'viewBox="0 0 16 20"' in svg
    assert svg.endswith("><path/></svg>")


@pytest.mark.slow
def test_packages_become_a_catalog(npm, monkeypatch, capsys):
    two = [
        sprites.SpriteSet("round", "round-", "MIT"),
        sprites.SpriteSet("square", "square-", "MIT", "", True),
    ]
    monkeypatch.setattr(sprites, "SOURCES", two)
    monkeypatch.setattr(tokens, "_CAPTIONS", 3000)
    bpe = npm / "bpe.txt.gz"
    merges = _clip_merges()
    bpe.write_bytes(gzip.compress("\n".join(["title", *merges]).encode()))
    words = ["sprites", "--npm", npm, "--bpe", bpe, "--out", npm / "data"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    sprites.main()
    catalog = Catalog(npm / "data")
    named = {"red", "apple", "apples", "t", "rexes", "dinosaur", "dinosaurs", "fruit"}
    assert named - tokens.words(catalog) == set()
    assert [c.label for c in catalog.concepts] == ["red apple", "t-rex", "umbrella"]
    assert catalog.styles == ["round", "square"]
    pixels = catalog.sprites()
    assert pixels.shape == (6, 4, SIZE, SIZE)
    assert pixels[catalog.number[2, "square"], :, 112, 112].tolist() == [0, 0, 255, 255]
    assert "3 concepts" in capsys.readouterr().out
    ours, clip = Tokenizer(npm / "data" / "tokenizer"), Tokenizer()
    for text in ("two red apples, round style", "an umbrella on a light blue background"):
        assert _words(ours, text) == _words(clip, text)
    assert ours.size < 3000
    assert len(_words(ours, "zyxomma quux")) > 4  # never an unknown word, only smaller pieces


def test_a_missing_package_is_named(npm):
    with pytest.raises(FileNotFoundError, match="no folder missing-"):
        sprites._package(npm, "missing-")


def _clip_merges():
    model = json.loads(CLIP.read_text("utf-8"))["model"]
    return [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]


def _words(tokenizer, text):
    tokens = tokenizer(text)
    return [tokenizer._bpe.id_to_token(i) for i in tokens.ids[: tokens.count + 2]]
