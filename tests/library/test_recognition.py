"""What a file is: told by its tensors, whatever its name and folder."""

import pytest
from helpers.folder_of_a_user import EXPECTED, METADATA

from sdnb import Library


@pytest.fixture(scope="module")
def listed(built):
    return {str(f.path.relative_to(built)): f for f in Library(built).files()}


def test_every_file_of_weights_is_listed_and_nothing_else(listed):
    assert listed.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_what_it_is(listed, name):
    file, expected = listed[name], EXPECTED[name]
    if expected.family in ("oft", "boft", "ia3", "glora", "cloneofsimo"):  # told by name alone
        assert (file.kind, file.family) == expected[:2]
    else:
        found = (file.kind, file.family, file.base, file.width, file.rank)
        assert found == expected[:5]
    assert expected.why_not in file.why_not
    assert bool(file.why_not) == bool(expected.why_not)


def test_neither_name_nor_folder_tells(tmp_path, built):
    for name, ending in (("models/Lora/pixelart.safetensors", ".ckpt"),
                         ("embeddings/a1111.pt", ".safetensors"),
                         ("models/VAE/kl.safetensors", ".bin")):  # fmt: skip
        (tmp_path / "any").mkdir(exist_ok=True)
        (tmp_path / "any" / f"{name.split('/')[-1]}{ending}").write_bytes(
            (built / name).read_bytes()
        )
    assert {f.kind for f in Library(tmp_path / "any").files()} == {"lora", "embedding", "vae"}


def test_what_the_metadata_add(listed):
    file = listed["models/Lora/pixelart.safetensors"]
    assert file.alias == METADATA["ss_output_name"]
    assert file.words == ("in pixels", "retro", "pixelart", "fog", "castle")
    assert str(file) == (
        "lora pixelart (lora; Stable Diffusion 1.x; rank 4; words: in pixels, retro, pixelart, fog)"
    )
