"""Judging a model: what is asked, sheets for people, verdicts and choices, and the card's rows."""

import json
import zipfile
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from sdnb import assets
from sdnb.engine.checkpoint import export
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE
from sdnb.models import card_rows, evaluate, hundred, pairs
from sdnb.models.training import classifier, questions, recipe
from sdnb.models.training.catalog import Catalog
from sdnb.models.training.questions import AnsweredQuestion, Share

SHAPES = {"ball": "ellipse", "box": "rectangle", "moon": "chord", "pie": "pieslice"}
COLORS = {"flat": (220, 40, 40, 255), "noto": (40, 90, 220, 255), "icon": (0, 0, 0, 255)}


def write_catalog(folder, styles, new=(), held_out=None, asked=None):
    """Things `label -> styles`, drawn as in SHAPES; `new` are those of the list."""
    folder.mkdir(exist_ok=True)
    asked = (asked or {}) | {label: [] for label in new}
    concepts = [
        {"id": i, "label": label, "styles": has, "held_out": (held_out or {}).get(label, [])}
        | ({"asked": asked[label]} if label in asked else {})
        for i, (label, has) in enumerate(styles.items())
    ]
    (folder / "concepts.json").write_text(json.dumps(concepts))
    for style in {style for has in styles.values() for style in has}:
        with zipfile.ZipFile(folder / f"sprites_{style}.zip", "w") as pack:
            for concept in concepts:
                if style in concept["styles"]:
                    pack.writestr(f"{concept['id']}.webp", _sprite(concept["label"], style))
    if new:
        (folder / questions.NEW).write_text("\n".join([*new, ""]))
    return folder


def _sprite(label, style):
    picture = Image.new("RGBA", (224, 224))
    shape, more = SHAPES.get(label, "rectangle"), ()
    if shape in ("chord", "pieslice"):
        more = (30, 250)
    getattr(ImageDraw.Draw(picture), shape)((0, 0, 223, 223), *more, fill=COLORS[style])
    buffer = BytesIO()
    picture.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


# -- what is asked -----------------------------------------------------------------------------


def test_what_the_first_model_knew_is_asked_in_its_styles_however_the_data_grows(tmp_path):
    first = {f"thing {i}": ["flat", "noto"] for i in range(40)}
    held = {f"thing {i}": ["noto"] for i in range(0, 40, 4)}
    icons = {f"icon {i}": ["icon"] for i in range(30)}
    grown = {label: ["flat", "icon", "noto"] for label in first} | icons
    before = Catalog(write_catalog(tmp_path / "a", first, held_out=held))
    after = Catalog(write_catalog(tmp_path / "b", grown, icons, held, asked=first))
    asked = [
        [(q.kind, q.prompt) for q in questions.retrieval_questions(c, questions.rows_asked(c, 20))]
        for c in (before, after)
    ]
    assert asked[0] == asked[1]
    assert [kind for kind, _ in asked[0]].count("seen") == 20
    assert [kind for kind, _ in asked[0]].count("held_out") == 6
    rows = questions.rows_asked(after, 20)
    assert {style for _, style in classifier.judged_pairs(after, rows)} == {"flat", "noto"}
    new = questions.new_rows(after)
    assert classifier.judged_pairs(after, new) == [(row, "icon") for row in range(40, 70)]


def test_new_things_are_asked_in_a_style_that_was_shown(tmp_path):
    styles = {"ball": ["flat", "noto"], "box": ["icon"], "moon": ["icon", "flat"], "pie": ["icon"]}
    held = {"moon": ["flat"], "pie": ["icon"]}
    catalog = Catalog(write_catalog(tmp_path, styles, ["pie", "moon", "box"], held))
    assert questions.rows_asked(catalog, 200) == [0]
    rows = questions.new_rows(catalog)
    assert rows == [1, 2, 3]
    asked = questions.new_questions(catalog, rows)
    assert {(q.row, q.style, q.kind) for q in asked} == {(1, "icon", "new"), (2, "icon", "new")}
    assert {q.prompt.split(",")[0] for q in asked} == {"a box", "a moon"}


def test_a_new_label_that_is_no_concept_is_named(tmp_path):
    catalog = Catalog(write_catalog(tmp_path, {"ball": ["icon"]}, ["ball", "sphere"]))
    with pytest.raises(ValueError, match=r"new200.txt names 'sphere' and 0 more labels"):
        questions.new_rows(catalog)


def test_a_hundred_prompts_and_sixty_pairs_all_different():
    hundred_asked, pairs_asked = questions.hundred_questions(), questions.pair_questions()
    assert (len(hundred_asked), len(pairs_asked)) == (100, 60)
    assert all(q.thing for q in hundred_asked)
    assert len({q.prompt for q in (*hundred_asked, *pairs_asked)}) == 160


def test_parts_share_the_questions_without_one_left_or_twice():
    parts = [Share.read(f"{n}/3") for n in (1, 2, 3)]
    assert [[part.has(i) for part in parts].count(True) for i in range(10)] == [1] * 10
    assert {sum(part.has(i) for i in range(10)) for part in parts} == {3, 4}


@pytest.mark.parametrize("words", ["0/4", "5/4", "4", "a/b", "1/0"])
def test_what_is_no_part_is_refused(words, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--data", "none", "--part", words])
    assert f"{words!r} is no part: write 1/4" in capsys.readouterr().err


# -- the judge ---------------------------------------------------------------------------------


def test_a_thing_with_few_drawings_gets_as_many_views(tmp_path):
    styles = {"ball": ["flat", "noto", "icon"], "box": ["icon"]}
    catalog = Catalog(write_catalog(tmp_path, styles))
    pixels, classes = classifier.examples(catalog, [0, 1], 2, seed=0, least=9)
    assert classes.bincount().tolist() == [9, 9]
    assert classifier.examples(catalog, [0, 1], 2, seed=0)[1].bincount().tolist() == [6, 2]
    middle = pixels[classes == 1][:, :, 20:28, 20:28]
    assert float(middle.float().mean()) < 30  # all nine are the black box


# -- people ------------------------------------------------------------------------------------


def answered(color, count=3):
    asked = questions.pair_questions()[:count]
    return [AnsweredQuestion(q, Image.new("RGB", (64, 64), color)) for q in asked]


def test_a_hundred_is_laid_out_judged_and_counted(tmp_path, capsys):
    made = answered("green")
    assert hundred.lay_out(made, tmp_path) == {"pictures": 3}
    sheet = Image.open(tmp_path / "hundred.jpg")
    assert sheet.width == 3 * 64 + 2 * 4
    verdicts = tmp_path / "hundred-verdicts.txt"
    assert hundred.main([str(verdicts)]) == 1
    assert "has no words on 1, 2, 3" in capsys.readouterr().out

    verdicts.write_text("# mine\n1 | a boat |\n2 | a cat | yes\n3 | fog | No\n")
    assert hundred.main([str(verdicts)]) == 1
    printed = capsys.readouterr().out
    asked = questions.hundred_questions()
    assert f"1 | a boat | asked: {asked[0].prompt}; must show: {asked[0].thing}" in printed
    assert asked[1].prompt not in printed
    assert "recognised" not in printed

    verdicts.write_text("1 | a boat | yes\n2 | a cat | yes\n3 | fog | no\n")
    assert hundred.main([str(verdicts)]) == 0
    printed = capsys.readouterr().out
    assert "recognised: 2 of 3" in printed
    assert f"3 | fog | asked: {asked[2].prompt}" in printed
    assert hundred.lay_out(made, tmp_path) == {"pictures": 3, "recognised": 2}
    assert "| 2 of 3 |" in card_rows.table({"hundred": hundred.lay_out(made, tmp_path)})[2]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1 | a boat | maybe", "'1 . a boat . maybe' is no verdict"),
        ("one | a boat | yes", "is no verdict"),
        ("1 | a | boat | yes", "is no verdict"),
        ("1 | a boat | yes\n3 | a cat | no", r"numbers its lines \[1, 3\]"),
    ],
)
def test_a_line_that_is_no_verdict_is_named(tmp_path, lines, message):
    (tmp_path / "v.txt").write_text(lines)
    with pytest.raises(ValueError, match=message):
        hundred.read(tmp_path / "v.txt")


def test_the_sheets_show_each_model_on_the_side_that_the_key_says():
    key = pairs.secret_order(["old", "new"], 40, secret=7)
    assert sorted(key["left"]) == [0] * 20 + [1] * 20
    assert key["left"] != pairs.secret_order(["old", "new"], 40, secret=8)["left"]
    red, blue = ((255, 0, 0), (0, 0, 255))
    pages = pairs.sheets(answered(red, 40), answered(blue, 40), key["left"])
    assert len(pages) == 2
    wide, high = 2 * 64 + 4 + 4, 64 + 20 + 4
    for i, left in enumerate(key["left"]):
        page, at = pages[i // 30], i % 30
        x, y = at % 3 * wide, at // 3 * high + 20
        assert page.getpixel((x + 32, y + 32)) == (red, blue)[left]
        assert page.getpixel((x + 32 + 68, y + 32)) == (red, blue)[1 - left]


def test_choices_are_counted_by_the_key(tmp_path, capsys):
    (tmp_path / "key.json").write_text(json.dumps({"models": ["v1", "v2"], "left": [0, 1, 1, 0]}))
    (tmp_path / "choices.txt").write_text("# mine\n1 | left\n2 | left\n3 | equal\n4 | Right\n")
    files = ["--score", str(tmp_path / "choices.txt"), "--key", str(tmp_path / "key.json")]
    assert pairs.main(files) == 0
    assert capsys.readouterr().out == "v2 preferred 2, v1 preferred 1, equal 1\n"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ("1 | left", "one for each of 1 to 2"),
        ("1 | left\n1 | right", "one for each of 1 to 2"),
        ("1 | left\n2 | both", "'2 . both' is no choice"),
        ("1 | left\n2 |", "is no choice"),
    ],
)
def test_choices_that_are_not_the_keys_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        pairs.scored({"models": ["v1", "v2"], "left": [0, 1]}, choices)


# -- the card ----------------------------------------------------------------------------------


def test_the_rows_are_those_of_the_card():
    """Of the figures of the embedded model, word for word but for its seconds."""
    top = partial(dict, nearest_is_asked_style=1.0)
    figures = {
        "vae": {"psnr": 36.18, "least": 24.95, "scenes": 64},
        "retrieval": {
            "concepts": 200,
            "classifier_on_sprites": {"top1": 0.99, "top5": 1.0, "of": 980},
            "seen": top(top1=0.94, top5=0.98, of=143, nearest=0.141, least_near=0.042),
            "held_out": top(top1=0.97, top5=1.0, of=38, nearest=0.119, least_near=0.056),
        },
        "colors": {"right": 1.0, "pictures": 36, "wrong": []},
        "counts": {"two": "12 of 12", "three": "10 of 12", "pictures": 24},
    }
    card = (assets.embedded_model() / "CARD.md").read_text("utf-8").splitlines()
    lines = card_rows.table(figures)
    assert len(lines) == 9
    assert [line for line in lines if line not in card] == []
    del figures["retrieval"]["held_out"]  # of a few questions none may be on a held-out pair
    fewer = card_rows.table(figures)
    assert [line for line in lines if line not in fewer] == [lines[4], lines[6]]
    assert "held-out pairs (38" in lines[4]
    assert "seen / held out" in lines[6]


# -- the whole ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a model of random weights, at 64x64."""
    return random_model(tmp_path_factory.mktemp("random") / "model", 64)


def random_model(folder, size):
    tokenizer = assets.embedded_model() / "tokenizer"
    config = recipe.of(tokenizer, size)
    torch.manual_seed(size)
    parts = {
        "unet": UNet(config.unet),
        "vae": VAE(config.vae),
        "text": recipe.new_text(config.text),
    }
    for part, module in parts.items():
        export.write_part(module, config, part, folder)
    recipe.save_rest(config, tokenizer, folder)
    return folder


@pytest.mark.slow
def test_parts_make_all_pictures_and_one_process_judges(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(classifier, "train", partial(classifier.train, epochs=1))
    styles = {"ball": ["flat", "noto"], "box": ["flat", "noto"], "moon": ["icon"], "pie": ["icon"]}
    data = write_catalog(tmp_path / "data", styles, ["moon", "pie"])
    words = ["--data", str(data), "--model", str(model), "--out", str(tmp_path / "out")]
    words += [
        "--most",
        "2",
        "--steps",
        "3",
        "--threads",
        str(torch.get_num_threads()),
        "--only",
        "new",
        "hundred",
    ]
    for part in ("1/2", "2/2"):
        assert evaluate.main([*words, "--part", part]) == 0
        assert capsys.readouterr().out == "2 pictures\n"  # one of each test
    files = sorted(p.name for p in (tmp_path / "out").rglob("*.png"))
    assert files == ["hundred-000.png", "hundred-001.png", "new-000.png", "new-001.png"]
    written = [p.stat().st_mtime_ns for p in sorted((tmp_path / "out").rglob("*.png"))]
    evaluate.main([*words, "--json", str(tmp_path / "figures.json")])
    assert [p.stat().st_mtime_ns for p in sorted((tmp_path / "out").rglob("*.png"))] == written
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["new"]["of"], figures["new"]["concepts"]) == (2, 2)
    assert figures["new"]["classifier_on_sprites"]["of"] == 2
    assert figures["new"]["top5"] == 1.0  # of two
    assert figures["hundred"] == {"pictures": 2}
    assert "| asked concept among 2 that the first model did not know (2 pictures) |" in (
        capsys.readouterr().out
    )


@pytest.mark.slow
def test_without_a_list_of_new_concepts_that_test_says_so(model, tmp_path):
    data = write_catalog(tmp_path / "data", {"ball": ["flat", "noto"]})
    words = ["--data", str(data), "--model", str(model), "--only", "new"]
    with pytest.raises(FileNotFoundError, match=r"no .*new200.txt: write the labels"):
        evaluate.main(words)


@pytest.mark.slow
def test_two_models_make_their_pairs(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(questions.ALIKE, "steps", 3)
    other = random_model(tmp_path / "other", 96)
    words = ["--models", str(model), str(other), "--out", str(tmp_path), "--most", "1"]
    assert pairs.main([*words, "--part", "2/2"]) == 0
    assert capsys.readouterr().out == "0 pictures\n"
    assert pairs.main(words) == 0
    key = json.loads((tmp_path / "key.json").read_text())
    made = {name: Image.open(tmp_path / name / "pair-000.png") for name in ("first", "second")}
    assert {name: picture.width for name, picture in made.items()} == {"first": 64, "second": 96}
    sheet = Image.open(tmp_path / "pairs-1.jpg").convert("RGB")
    shown = np.asarray(sheet, float)[20:116, :96]
    wide = key["left"] == [1]  # then the larger picture is at the left, from edge to edge
    left = np.asarray(made["second"].convert("RGB"), float)
    assert (np.abs(shown - left).mean() < 8) == wide
    assert (tmp_path / "choices.txt").read_text().splitlines()[1:] == ["1 |"]
