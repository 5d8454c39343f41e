"""Going on from a model with more words: a tokenizer that grows, new rows, words nobody knows."""

import gzip
import json
import re
import shutil
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

import sdnb
import sdnb.engine.networks.tokenizer
from sdnb import assets
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.models.training import questions, recipe, tokens, train_unet, unknown
from sdnb.models.training.catalog import Catalog
from sdnb.models.training.scenes import Composer

CLIP = Path(sdnb.engine.networks.tokenizer.__file__).parent / "clip" / "tokenizer.json"
INIT = assets.embedded_model()
OLD = ("a red apple, 3d style, on a blue background", "two owls at night", "zyxomma !?", "")
ENTRIES = [
    {"label": "red apple", "styles": ["flat", "comic"], "asked": ["flat"]},
    {"label": "lighthouse", "styles": ["glyph", "glyph2"], "asked": []},
    {"label": "ball", "styles": ["flat"], "asked": [], "unknown": True},
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """An emoji, a thing that only icons show and the ball; the built-in tokenizer, grown."""
    folder = tmp_path_factory.mktemp("data")
    entries = [{"id": i, "aliases": [], "tags": [], **entry} for i, entry in enumerate(ENTRIES)]
    (folder / "concepts.json").write_text(json.dumps(entries))
    buffer = BytesIO()
    Image.new("RGBA", (224, 224), "red").save(buffer, "WEBP", lossless=True)
    for style in {style for entry in entries for style in entry["styles"]}:
        with zipfile.ZipFile(folder / f"sprites_{style}.zip", "w") as pack:
            for entry in entries:
                if style in entry["styles"]:
                    pack.writestr(f"{entry['id']}.webp", buffer.getvalue())
    merges = json.loads(CLIP.read_text("utf-8"))["model"]["merges"]
    lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    bpe = folder / "bpe.txt.gz"
    bpe.write_bytes(gzip.compress("\n".join(["title", *lines]).encode()))
    tokens.grow(folder, bpe, INIT / "tokenizer", folder / "tokenizer")
    return folder


# -- the tokenizer -----------------------------------------------------------------------------


def test_old_captions_keep_their_ids_and_a_new_word_is_a_token(data):
    old, new = Tokenizer(INIT / "tokenizer"), Tokenizer(data / "tokenizer")
    assert [new(text) for text in OLD] == [old(text) for text in OLD]
    assert (new.start, new.end, new.padding) == (old.start, old.end, old.padding)
    assert old("lighthouse").count > 1
    ids = new("a lighthouse").ids
    assert new("a lighthouse").count == 2
    assert old.size <= ids[2] < new.size


def test_grown_tokens_split_the_words_of_captions_as_clip_does(data):
    grown, clip = Tokenizer(data / "tokenizer"), Tokenizer()
    texts = ["a lighthouse, glyph style", "a pictogram of three lighthouses", *OLD[:2]]
    for text in texts:
        ours, theirs = (
            [t._bpe.id_to_token(i) for i in t(text).ids[: t(text).count + 1]] for t in (grown, clip)
        )
        assert ours == theirs


def test_transformers_reads_the_grown_tokenizer_alike(data):
    from transformers import CLIPTokenizer

    theirs, ours = (
        CLIPTokenizer.from_pretrained(str(data / "tokenizer")),
        Tokenizer(data / "tokenizer"),
    )
    for text in ("two lighthouses on the beach", *OLD):
        words = theirs(text, padding="max_length", max_length=77).input_ids
        assert words == list(ours(text).ids)
    assert theirs.eos_token_id == ours.end


def test_made_up_words_are_no_tokens(data):
    composer = Composer(Catalog(data), 0)
    vocabulary = json.loads((data / "tokenizer" / "vocab.json").read_text("utf-8"))
    old = json.loads((INIT / "tokenizer" / "vocab.json").read_text("utf-8"))
    random = composer.random
    words = {unknown.made_up(random) + "</w>" for _ in range(2000)}
    assert not words & (set(vocabulary) - set(old))


def test_a_tokenizer_that_is_no_cut_of_clips_is_refused(data, tmp_path):
    shutil.copytree(INIT / "tokenizer", tmp_path / "own")
    with (tmp_path / "own" / "merges.txt").open("a") as file:
        file.write("zq zq\n")
    with pytest.raises(ValueError, match="1 merges that CLIP lacks"):
        tokens.grow(data, data / "bpe.txt.gz", tmp_path / "own", tmp_path / "grown")


def test_a_tokenizer_that_does_not_go_on_from_the_models_is_refused(data, tmp_path):
    tokens.write(data, data / "bpe.txt.gz", tmp_path / "other")
    with pytest.raises(ValueError, match="does not go on from"):
        tokens.pieces(INIT / "tokenizer", tmp_path / "other")


# -- the text encoder --------------------------------------------------------------------------


def _encoder(tokenizer, grown=None):
    config = recipe.of(tokenizer)
    text = recipe.new_text(config.text)
    recipe.load_part(text, config, "text", INIT, grown)
    return text


def test_the_grown_encoder_is_the_old_one_for_old_captions(data):
    before = _encoder(INIT / "tokenizer")
    after = _encoder(data / "tokenizer", data / "tokenizer")
    tokenizer = Tokenizer(data / "tokenizer")
    ids = torch.tensor([tokenizer(text).ids for text in OLD])
    with torch.inference_mode():
        assert torch.equal(after(ids), before(ids))


def test_a_new_row_is_about_the_mean_of_the_words_pieces(data):
    old, new = Tokenizer(INIT / "tokenizer"), Tokenizer(data / "tokenizer")
    after = _encoder(data / "tokenizer", data / "tokenizer")
    table = next(p for name, p in after.named_parameters() if "token_embedding" in name)
    pieces = list(old("lighthouse").ids[1 : old("lighthouse").count + 1])
    row = table[new("lighthouse").ids[1]]
    assert tokens.pieces(INIT / "tokenizer", data / "tokenizer")[new("lighthouse").ids[1]] == pieces
    away = row - table[pieces].mean(0)
    assert 0 < away.std().item() < 0.004
    with torch.inference_mode():
        assert after(torch.tensor([new("a lighthouse").ids])).isfinite().all()


def test_rows_of_other_ids_are_refused():
    with pytest.raises(ValueError, match="ids from 4 on"):
        recipe.grown(torch.zeros(4, 2), {5: [0]})


@pytest.mark.slow
def test_training_goes_on_with_new_words(data, tmp_path, monkeypatch):
    words = ["--data", data, "--init", INIT, "--new-words", "--out", tmp_path, "--size", 64]
    words += ["--batch", 1, "--fresh", 2, "--fill", 2, "--workers", 0, "--seconds", 0]
    monkeypatch.setattr(sys, "argv", ["train", *map(str, words)])
    train_unet.main()
    model, tokenizer = sdnb.load(tmp_path, memory="cpu"), Tokenizer(data / "tokenizer")
    assert model.tokenizer("a lighthouse") == tokenizer("a lighthouse")
    config = json.loads((tmp_path / "text_encoder" / "config.json").read_text())
    assert config["vocab_size"] == tokenizer.size
    assert config["eos_token_id"] == config["pad_token_id"] == tokenizer.end
    with torch.inference_mode():
        ids = torch.tensor([tokenizer(OLD[0]).ids])
        assert torch.equal(model.text(ids), sdnb.load(memory="cpu").text(ids))


@pytest.mark.slow
def test_transformers_encodes_a_new_word_alike(data, tmp_path, monkeypatch):
    from transformers import CLIPTextModel

    words = ["--data", data, "--init", INIT, "--new-words", "--out", tmp_path, "--size", 64]
    words += ["--batch", 1, "--fresh", 2, "--fill", 2, "--workers", 0, "--seconds", 0]
    monkeypatch.setattr(sys, "argv", ["train", *map(str, words)])
    train_unet.main()
    ids = torch.tensor([Tokenizer(data / "tokenizer")("a lighthouse").ids])
    theirs = CLIPTextModel.from_pretrained(tmp_path / "text_encoder", dtype=torch.float32)
    ours = sdnb.load(tmp_path, memory="cpu", precision="full").text
    with torch.inference_mode():
        assert (theirs(ids)[0] - ours(ids)).abs().max() < 1e-4


def test_new_words_without_a_model_are_refused(data, tmp_path, monkeypatch):
    words = ["--data", data, "--new-words", "--out", tmp_path]
    monkeypatch.setattr(sys, "argv", ["train", *map(str, words)])
    with pytest.raises(SystemExit, match="name it with --init"):
        train_unet.main()


# -- scenes ------------------------------------------------------------------------------------


def test_a_word_that_nobody_knows_is_drawn_as_a_ball(data):
    catalog = Catalog(data)
    composer = Composer(catalog, 1)
    composer.rows = {s: [r for r in rows if r != 2] for s, rows in composer.rows.items()}
    composer.shares = {style: [1.0] for style in composer.shares}  # nothing else is the ball
    ball, known = catalog.number[2, "flat"], re.compile("apple|lighthouse")
    drawn = [composer.draw() for _ in range(4000)]
    balls = [caption for scene, caption in drawn if scene.sprite[0] == ball]
    assert 0.007 < len(balls) / len(drawn) < 0.018
    assert not [caption for caption in balls if known.search(caption)]
    assert len(set(balls)) > 0.9 * len(balls)


def test_a_thing_of_icons_only_is_often_drawn_without_a_word_of_its_style(data):
    composer = Composer(Catalog(data), 2)
    composer.loose = 0.0  # words around a name leave the style open, of all things
    said = {"lighthouse": [], "red apple": []}
    for _ in range(6000):
        _, caption = composer.draw()
        style = re.search("glyph|pictogram|one-color|comic|outline|flat|vector", caption)
        for label, named in said.items():
            if caption.count(label) == 1 and f"{label}s" not in caption:
                named.append(style is not None)
    shares = {label: sum(values) / len(values) for label, values in said.items()}
    assert shares["lighthouse"] < 0.7
    assert shares["red apple"] > 0.8


def test_many_of_a_thing_need_not_be_counted(data):
    composer = Composer(Catalog(data), 3)
    captions = [composer.draw()[1] for _ in range(6000)]
    counted = [c for c in captions if re.search("(three|four) (red apples|lighthouses)", c)]
    uncounted = [c for c in captions if re.search("(some|several|a few) .*(apples|lighth)", c)]
    assert len(counted) > len(uncounted) > 10


def test_the_evaluation_asks_for_what_it_asked_for_before_things_were_added(data):
    catalog = Catalog(data)
    rows = questions.rows_asked(catalog, 200)
    asked = questions.retrieval_questions(catalog, rows)
    assert [(question.row, question.style) for question in asked] == [(0, "flat")]
    assert [concept.judged for concept in catalog.concepts[:2]] == [("flat",), ("glyph", "glyph2")]
