"""Emoji packages to sprites, concepts and a cut of CLIP's tokenizer."""

import gzip
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import sdnb.engine.networks.tokenizer
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.models.training import (
    captions,
    concepts,
    icons,
    loose_words,
    phrases,
    sources,
    sprites,
    things,
    tokens,
    unknown,
)
from sdnb.models.training.catalog import SIZE, Catalog
from sdnb.models.training.scenes import Composer
from sdnb.models.training.sources import Source

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
    tower = {"body": '<path fill="currentColor" d="M4 0h8v16H4z"/>'}
    for name in icons.FAMILIES:
        (tmp_path / f"iconify-json-{name}-1.0").mkdir()
        table = {"icons": {"tower": tower}, "width": 16}
        (tmp_path / f"iconify-json-{name}-1.0" / "icons.json").write_text(json.dumps(table))
    later = tmp_path / "later-1.0"
    later.mkdir()
    (later / "icons.json").write_text(json.dumps({"icons": {"red-apple": tower}, "width": 16}))
    (later / "chars.json").write_text(json.dumps({"1f34e": "red-apple"}))
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


# -- lists of words ------------------------------------------------------------------------------


def test_every_thing_of_the_list_has_a_colour_drawings_and_a_name_of_its_own():
    listed = things.things()
    labels = [thing.label for thing in listed]
    assert len(labels) == len(set(labels)) > 600
    assert all(word == word.strip().lower() for t in listed for word in (t.label, *t.aliases))
    assert all(len(thing.styles) == len(thing.icons) > 0 for thing in listed)
    assert {s for t in listed for s in t.styles} <= set(phrases.STYLE_SHARE)


def test_a_second_drawing_of_a_set_is_a_style_of_its_own():
    one = things.Thing("a", (), "red", ("game-icons/x", "icon-park/y", "healthicons/z"))
    assert one.styles == {
        "glyph": "game-icons/x",
        "twotone": "icon-park/y",
        "glyph2": "healthicons/z",
    }
    assert phrases.style_words("glyph2") == phrases.style_words("glyph")
    assert phrases.style_words("mine3") == ["mine3 style"]


@pytest.mark.parametrize(
    "line", ["a mug", "mug (mauve): game-icons/mug", "mug (red): my-icons/mug", "mug (red): "]
)
def test_a_line_that_says_no_thing_is_named(tmp_path, line):
    (tmp_path / "list.txt").write_text(f"# things\n{line}\n")
    with pytest.raises(ValueError, match=r"list\.txt:2: .* should be"):
        things.things(tmp_path / "list.txt")


def test_everyday_words_are_words_and_say_nothing_twice():
    words = things.everyday()
    assert "mug of coffee" in words["hot beverage"]
    for label, said in words.items():
        assert len(set(said)) == len(said)
        assert label not in said


def test_all_sources_may_be_used_without_sharing_alike():
    allowed = {"MIT", "Apache-2.0", "CC-BY-4.0", "CC-BY-3.0"}
    assert {source.licence for source in sources.SOURCES} == allowed
    assert all(source.author and source.url for source in sources.SOURCES)
    named = {source.package.rpartition("/")[2] for source in sources.SOURCES}
    assert set(icons.FAMILIES) <= named


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("red apple", "red apples"), ("jar of honey", "jars of honey"), ("bus", "buses"),
        ("maple leaf", "maple leaves"), ("strawberry", "strawberries"), ("fish", "fish"),
    ],
)  # fmt: skip
def test_plurals(one, many):
    assert phrases.plural(one) == many


def test_made_up_words_are_words_and_seldom_the_same():
    random = np.random.default_rng(0)
    words = [unknown.made_up(random) for _ in range(500)]
    assert all(word.isalpha() and word.islower() and len(word) < 24 for word in words)
    assert len(set(words)) > 450


# -- loose words ---------------------------------------------------------------------------------


def test_words_that_say_nothing_stand_around_the_name_and_keep_it(tmp_path):
    entries = [
        {"id": 0, "label": "red apple", "aliases": ["apple"], "styles": ["3d", "glyph"]},
        {"id": 1, "label": "lighthouse", "styles": ["glyph"], "asked": []},
    ]
    (tmp_path / "concepts.json").write_text(json.dumps(entries))
    composer = Composer(Catalog(tmp_path), seed=4)

    def captions_of(share):
        composer.loose = share
        return [composer.draw()[1] for _ in range(400)]

    def words(text):
        return set(text.replace(",", "").split())

    usual = set().union(*map(words, captions_of(0.0)))
    empty = loose_words.vocabulary() - usual
    assert {"sleeping", "someone's", "watercolor", "favourite"} <= empty
    loose = [text for text in captions_of(1.0) if empty & words(text)]
    assert len(loose) > 100
    names = [name for c in composer.catalog.concepts for name in (c.label, *c.aliases)]
    assert all(any(name in text for name in names) for text in loose)


def test_a_loose_name_leaves_the_style_open():
    random = np.random.default_rng(0)
    w = captions.Wording("glyph", "my cute cat", loose=True)
    words = {*phrases.style_nouns("glyph"), *phrases.style_words("glyph")}
    for _ in range(50):
        assert not any(word in captions.caption(random, w) for word in words)


def test_a_rare_style_hardly_goes_unsaid_where_a_thing_has_others():
    assert phrases.unsaid("glyph", only=False) < 0.05
    assert phrases.unsaid("glyph2", only=True) > 0.4
    assert phrases.unsaid("3d", only=False) == phrases.STYLE_UNSAID["3d"]


# -- icons ---------------------------------------------------------------------------------------


def test_a_glyph_is_painted_and_its_lines_filled_but_not_a_wide_hole():
    glyph = Image.new("RGBA", (240, 240))
    draw = ImageDraw.Draw(glyph)
    draw.rectangle((20, 20, 219, 219), fill="black")
    draw.rectangle((60, 30, 65, 200), fill=(0, 0, 0, 0))  # a line inside
    draw.rectangle((100, 60, 190, 180), fill=(0, 0, 0, 0))  # a window
    painted = np.asarray(icons.painted(glyph, "red")).astype(int)
    body, inner = icons.shades("red")
    assert abs(painted[120, 40, :3] - body).max() < 25
    assert painted[120, 62, 3] > 240
    assert abs(painted[120, 62, :3] - inner).max() < 40
    assert painted[120, 145, 3] == 0
    assert painted[5, 5, 3] == 0


def test_inner_lines_are_seen_on_dark_and_on_bright_things():
    for name in ("white", "yellow", "red", "black", "dark blue"):
        body, inner = (np.array(shade) @ (0.3, 0.59, 0.11) for shade in icons.shades(name))
        assert abs(body - inner) > 60


def test_an_icon_in_two_tones_takes_the_colour_and_keeps_its_lines():
    svg = icons.two_tone('<path fill="#2F88FF" stroke="#000"/><path fill="#43CCF8"/>', "red")
    assert 'fill="#dc2828" stroke="#000"' in svg
    assert "#43CCF8" not in svg


# -- packages ------------------------------------------------------------------------------------


def test_an_icon_is_found_by_its_code_points_name_in_any_spelling():
    sets = {
        "icons": {"red-apple": {"body": "a"}, "owl-1": {"body": "b"}, "polarbear": {"body": "c"}}
    }
    found = [sprites._named(sets, name) for name in ("red-apple", "owl", "polar-bear", "fox", "")]
    assert [icon and icon["body"] for icon in found] == ["a", "b", "c", None, None]


def test_the_folder_of_a_package_is_not_that_of_another_which_begins_alike(tmp_path):
    for name in ("iconify-json-noto-1.2.9", "iconify-json-noto-v1-1.2.5"):
        (tmp_path / name).mkdir()
    assert sprites._package(tmp_path, "iconify-json-noto-").name == "iconify-json-noto-1.2.9"


@pytest.mark.slow
def test_packages_become_a_catalog(npm, monkeypatch, capsys):
    kind = partial(Source, version="1.0", licence="MIT", author="me", url="")
    three = [
        kind("round", style="round", first=True),
        kind("square", style="square", first=True),
        kind("later", style="later"),
    ]
    monkeypatch.setattr(sprites, "SOURCES", three)
    listed = [
        things.Thing("lighthouse", ("beacon",), "red", ("game-icons/tower",)),
        things.Thing("umbrella", ("brolly",), "blue", ("game-icons/tower", "icon-park/tower")),
    ]
    monkeypatch.setattr(things, "things", lambda: listed)
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
    labels = [c.label for c in catalog.concepts]
    assert labels == ["red apple", "t-rex", "umbrella", "lighthouse", "ball"]
    assert catalog.concepts[0].styles == ("round", "square", "later")
    assert catalog.concepts[2].styles == ("round", "square", "glyph", "twotone")
    assert [c.asked for c in catalog.concepts] == [("round", "square")] * 3 + [(), ()]
    assert [c.unknown for c in catalog.concepts] == [False] * 4 + [True]
    assert (npm / "data" / "new200.txt").read_text() == "lighthouse\n"
    blue = catalog.sprites([catalog.number[2, "square"]])[0, :, 112, 112].tolist()
    assert blue == pytest.approx([0, 0, 255, 255], abs=8)
    red = catalog.sprites([catalog.number[3, "glyph"]])[0, :, 112, 112].tolist()
    assert red == pytest.approx([*icons.shades("red")[0], 255], abs=20)
    assert "5 concepts" in capsys.readouterr().out
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
