"""A picture of AUTOMATIC1111 says with which files it was made; the library finds them."""

import pytest
from helpers import folder_of_a_user
from hypothesis import given
from hypothesis import strategies as st

from sdnb import Library
from sdnb.images import infotext
from sdnb.images.used_files import UsedFile, of_infotext
from sdnb.library import known

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


@pytest.mark.parametrize("value", ["", ":", ",,", "a", "a:", "[1]", '{"lora:a": 3}', "a: zz"])
def test_odd_values_are_no_error(value):
    files = of_infotext(dict.fromkeys(("Lora hashes", "TI hashes", "Hashes", "Model"), value))
    assert all(file.hash == "" and file.name for file in files)


@given(st.dictionaries(st.sampled_from(["Lora hashes", "Hashes", "VAE", "VAE hash"]), st.text()))
def test_no_text_is_an_error(values):
    for file in of_infotext(values):
        assert file.name.isprintable()
