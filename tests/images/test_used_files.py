"""A picture of AUTOMATIC1111 says with which files it was made; the library finds them."""

import json
from dataclasses import replace

import pytest
from helpers import folder_of_a_user, pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnb import Library, Lora, images
from sdnb.images import foreign_texts, infotext
from sdnb.images.used_files import UsedFile, of_graph, of_infotext, of_json
from sdnb.library import known
from sdnb.request.plain_words import plain

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
LINE = (
    "a castle <lora:pixelart:0.8>, easynegative\n"
    "Steps: 20, Sampler: Euler a, Seed: 1, Size: 512x512, Model hash: 6CE0161689, Model: v1-5, "
    'VAE hash: 735e4c3a44, VAE: kl.safetensors, Lora hashes: "pixelart: {lora}, styles/fog: '
    '0123456789ab", TI hashes: "easynegative: {ti}, easynegative: {ti}", '
    'Hashes: {{"vae": "735e4c3a44", "LORA:other": "ffffffffff", "embed:x": "eeeeeeeeee"}}'
)


def test_the_files_of_an_infotext():
    files = infotext.read(LINE.format(lora="ab" * 6, ti="cd" * 6)).files
    assert files == (
        UsedFile("checkpoint", "v1-5", "6ce0161689"),
        UsedFile("vae", "kl.safetensors", "735e4c3a44"),
        UsedFile("lora", "pixelart", "ab" * 6),
        UsedFile("lora", "styles/fog", "0123456789ab"),
        UsedFile("embedding", "easynegative", "cd" * 6),
        UsedFile("lora", "other", "ffffffffff"),
        UsedFile("embedding", "x", "eeeeeeeeee"),
    )


def test_a_library_finds_them_or_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "path", lambda: tmp_path / "library.json")
    library = Library(folder_of_a_user.build(tmp_path / "webui"))
    lora = library.find("lora", "pixelart")
    embedding = library.find("embedding", "easynegative")
    text = LINE.format(lora=lora.short_hash, ti=embedding.short_hash)
    found = {f.name: library.recover(f.kind, f.name, f.hash) for f in infotext.read(text).files}
    assert found["pixelart"] == (lora, "")
    assert found["easynegative"] == (embedding, "")
    assert found["kl.safetensors"][0].name == "kl"
    assert "another file than the one" in found["kl.safetensors"][1]
    assert found["styles/fog"][0] is None
    assert "no lora 'styles/fog'" in found["styles/fog"][1]


def lora(name, link, **more):
    return {"class_type": "LoraLoader", "inputs": {"lora_name": name, "model": link, **more}}


def test_the_files_of_a_graph_of_comfyui():
    nodes = {
        "1": {"inputs": {"ckpt_name": "sd/v1-5.safetensors"}},
        "2": lora("style\\fog.safetensors", ["1", 0], strength_model=0.5, strength_clip=-1),
        "3": lora("pixelart.safetensors", ["2", 0], strength_model=0.8),  # LoraLoaderModelOnly
        "4": lora("None", ["3", 0], strength_model=1),
        "5": {"inputs": {"text": "a cat, (embedding:easy-neg.pt:1.2)", "clip": ["4", 1]}},
        "6": {"inputs": {"model": ["4", 0], "lora_1": {"on": True, "lora": "x", "strength": 2},
                         "lora_2": {"on": False, "lora": "y", "strength": 2}}},
        "7": {"inputs": {"sampler_name": "euler", "steps": 9, "seed": 1, "model": ["6", 0],
                         "positive": ["5", 0], "negative": ["5", 0], "cfg": 4}},
        "8": lora("of another sampler", ["1", 0]),
        "9": {"inputs": {"vae_name": "kl.safetensors", "samples": ["7", 0]}},
    }  # fmt: skip
    files = foreign_texts.read({"prompt": json.dumps(nodes)}).files
    assert set(files) == {
        UsedFile("checkpoint", "sd/v1-5.safetensors"),
        UsedFile("lora", "style\\fog.safetensors", "", (0.5, -1.0)),
        UsedFile("lora", "pixelart.safetensors", "", (0.8, 0.0)),
        UsedFile("lora", "x", "", (2.0, 2.0)),
        UsedFile("embedding", "easy-neg.pt"),
    }
    saved = foreign_texts.read({"prompt": json.dumps(nodes)})
    assert saved.request.syntax == "comfy"
    assert saved.request.loras == (
        Lora("style\\fog.safetensors", 0.5, -1), Lora("pixelart.safetensors", 0.8, 0), Lora("x", 2),
    )  # fmt: skip
    assert saved.notes == ()


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=3), st.dictionaries(st.text(max_size=9), JSON)))
@pytest.mark.slow
def test_no_graph_is_an_error(nodes):
    for name in nodes:
        of_graph(nodes, name)


@pytest.mark.parametrize("value", ["", ":", ",,", "a", "a:", "[1]", '{"lora:a": 3}', "a: zz"])
def test_odd_values_are_no_error(value):
    files = of_infotext(dict.fromkeys(("Lora hashes", "TI hashes", "Hashes", "Model"), value))
    assert all(file.hash == "" and file.name for file in files)


@given(st.dictionaries(st.sampled_from(["Lora hashes", "Hashes", "VAE", "VAE hash"]), st.text()))
def test_no_text_is_an_error(values):
    for file in of_infotext(values):
        assert plain(file.name) == file.name  # no terminal obeys it


FILES = (
    UsedFile("lora", "styles/fog", "f0" * 32, short="0123456789ab"),
    UsedFile("embedding", "easynegative", "e0" * 32),
)


def test_they_travel_in_the_record_of_a_picture():
    result = replace(pictures.result(), files=FILES)
    saved = images.inspect(images.encoded(result))
    assert saved.files == FILES
    assert images.inspect(images.encoded(pictures.result())).files == ()


@pytest.mark.parametrize(
    ("files", "loras", "expected"),
    [
        (None, [{"name": "fog", "unet": 0.5, "sha256": "f0" * 32}], [("lora", "fog", "f0" * 32)]),
        ([{"kind": "lora", "name": "fog", "sha256": [1], "short": "no hash"}], None,
         [("lora", "fog", "")]),
        ([{"kind": "lora"}, {"kind": ["lora"], "name": "x"}, 3, None], None, []),
        ("files", 3, []),
    ],
)  # fmt: skip
def test_older_and_damaged_records(files, loras, expected):
    found = of_json(files, loras)
    assert [(file.kind, file.name, file.hash) for file in found] == expected
    assert all(file.short == "" for file in found)
