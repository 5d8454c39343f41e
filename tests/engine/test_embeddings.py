"""Embeddings of every format give the vectors that diffusers gives, and hostile ones words."""

import hashlib
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from diffusers.loaders.textual_inversion import (
    TextualInversionLoaderMixin,
    load_textual_inversion_state_dicts,
)
from helpers import folder_of_a_user
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from sdnb import Library
from sdnb.engine.checkpoint import CheckpointError, embeddings
from sdnb.engine.checkpoint.embeddings import LibraryEmbeddings, read_bundled, read_embedding
from sdnb.headers import picture_embedding
from sdnb.library import known, looking

VECTORS = torch.randn(5, 768, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _no_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "path", lambda: tmp_path / "cache" / "library.json")


class NoWords:
    """A tokenizer in which no name is taken."""

    @staticmethod
    def get_vocab():
        return {}


def by_diffusers(path: Path) -> torch.Tensor:
    states = load_textual_inversion_state_dicts([str(path)])
    _, (vectors,) = TextualInversionLoaderMixin._retrieve_tokens_and_embeddings(
        ["x"], states, NoWords
    )
    return vectors.detach().float().reshape(-1, vectors.shape[-1])


def a1111(vectors) -> dict:
    return {
        "string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "inner",
        "step": 500, "sd_checkpoint": "7460a6fa", "sd_checkpoint_name": "v1-5",
    }  # fmt: skip


SAVED = {
    "tensor": a1111(VECTORS),
    "half": a1111(VECTORS.half()),
    "parameter": a1111(nn.Parameter(VECTORS)),
    "one of diffusers": {"<cat>": VECTORS[0]},
    "several of diffusers": {"<cat>": VECTORS},
    "a bare tensor": VECTORS,
    "ordered": a1111(VECTORS) | {"string_to_param": OrderedDict({"*": VECTORS})},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "stream"])
@pytest.mark.parametrize("name", SAVED)
def test_pickles_as_diffusers_reads_them(tmp_path, name, legacy):
    path = tmp_path / "easy.pt"
    torch.save(SAVED[name], path, _use_new_zipfile_serialization=not legacy)
    found = read_embedding(path)
    assert torch.equal(found.vectors, by_diffusers(path))
    assert found.vectors.dtype == torch.float32
    assert found.name == "easy"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("key", ["emb_params", "<cat>", "clip_l"])
def test_safetensors_as_diffusers_reads_them(tmp_path, key):
    save_file({key: VECTORS}, tmp_path / "a.safetensors")
    found = read_embedding(tmp_path / "a.safetensors", "b")
    assert torch.equal(found.vectors, by_diffusers(tmp_path / "a.safetensors"))
    assert found.name == "b"


def test_what_diffusers_does_not_read(tmp_path):
    """ParameterDict (torch.load would need its class), SDXL's pair, several words, lists."""
    parameters = nn.ParameterDict({"*": nn.Parameter(VECTORS)})
    torch.save(a1111(None) | {"string_to_param": parameters}, tmp_path / "a.pt")
    save_file({"clip_l": VECTORS, "clip_g": torch.ones(5, 1280)}, tmp_path / "b.safetensors")
    save_file({"c": VECTORS[0], "c_1": VECTORS[1]}, tmp_path / "c.safetensors")
    torch.save([{"d": VECTORS[:2]}, {"d": VECTORS[2:]}], tmp_path / "d.bin")
    for name in ("a.pt", "b.safetensors", "d.bin"):
        assert torch.equal(read_embedding(tmp_path / name).vectors, VECTORS), name
    assert torch.equal(read_embedding(tmp_path / "c.safetensors").vectors, VECTORS[:2])


def test_old_modules_parameters(tmp_path):
    """A ParameterDict of torch before 1.12, whose parameters lie in `_parameters`."""

    class Named:
        """Pickled as torch's own class is."""

        def __init__(self, parameters):
            self._parameters = OrderedDict(parameters)

    Named.__module__, Named.__qualname__ = "torch.nn.modules.container", "ParameterDict"
    real, nn.modules.container.ParameterDict = nn.modules.container.ParameterDict, Named
    try:
        torch.save(a1111(None) | {"string_to_param": Named({"*": VECTORS})}, tmp_path / "a.pt")
    finally:
        nn.modules.container.ParameterDict = real
    assert torch.equal(read_embedding(tmp_path / "a.pt").vectors, VECTORS)


def test_the_sequence_that_pixels_are_mixed_with_is_the_web_uis():
    """By the numbers with which its image_embedding.py checks itself: the first, and a sum."""
    numbers = picture_embedding._numbers(100_100)
    first = [253, 242, 127, 44, 157, 27, 239, 133, 38, 79, 167, 4, 177, 95, 130, 79, 78, 14, 52]
    assert numbers[: len(first)].tolist() == first
    assert numbers[100:].sum(dtype=int) == 12_731_374


@pytest.mark.parametrize("write", [folder_of_a_user.picture, folder_of_a_user.pixels])
def test_pictures(tmp_path, write):
    found = read_embedding(write(tmp_path / "a.png", VECTORS))
    assert (found.vectors - VECTORS).abs().max() < 1e-7


def test_pixels_with_a_border(tmp_path):
    path = folder_of_a_user.pixels(tmp_path / "a.webp", VECTORS[:1], border=3)
    assert (read_embedding(path).vectors - VECTORS[:1]).abs().max() < 1e-7


def test_those_inside_a_lora(tmp_path):
    weights = {
        "lora_unet_x.lora_down.weight": torch.ones(1, 768),
        "bundle_emb.one.string_to_param.*": VECTORS,
        "bundle_emb.two.clip_l": VECTORS[:2].clone(),
        "bundle_emb.two.clip_g": torch.ones(2, 1280),
    }
    save_file(weights, tmp_path / "a.safetensors")
    one, two = read_bundled(tmp_path / "a.safetensors")
    assert (one.name, two.name) == ("one", "two")
    assert torch.equal(one.vectors, VECTORS)
    assert torch.equal(two.vectors, VECTORS[:2])
    assert one.sha256 != two.sha256
    assert looking.look(tmp_path / "a.safetensors").told.kind == "lora"
    save_file({"emb_params": VECTORS}, tmp_path / "b.safetensors")
    assert read_bundled(tmp_path / "b.safetensors") == ()


BUNDLES = {
    "nan": ({"a.clip_l": torch.full((1, 768), torch.nan)}, "nan or infinity"),
    "too many vectors": ({"a.clip_l": torch.ones(76, 768)}, "an embedding of 76 vectors"),
    "three dimensions": ({"a.clip_l": torch.ones(1, 2, 3)}, r"of shape \[1, 2, 3\]"),
    "no name": ({".clip_l": torch.ones(1, 768)}, "an embedding without a name"),
    "a long name": ({f"{'a' * 300}.clip_l": torch.ones(1, 768)}, "name of 300 letters"),
    "101": ({f"a{n}.clip_l": torch.ones(1, 1) for n in range(101)}, "brings 101 embeddings"),
    "10 GB of one number": ({"a.clip_l": torch.ones(1, 1).expand(75, 2**25)}, "33,554,432 wide"),
}


@pytest.mark.parametrize("kind", BUNDLES)
def test_hostile_ones_inside_a_lora_end_in_words(kind, tmp_path):
    bundle, words = BUNDLES[kind]
    torch.save({f"bundle_emb.{name}": t for name, t in bundle.items()}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=words) as caught:
        read_bundled(tmp_path / "a.pt")
    assert "a.pt" in str(caught.value)


def test_those_of_a_library_are_read_when_they_are_asked_for(tmp_path, monkeypatch):
    library = Library(folder_of_a_user.build(tmp_path / "webui"))
    read = []
    monkeypatch.setattr(
        embeddings, "read_embedding", lambda *given: read.append(given) or read_embedding(*given)
    )
    found = LibraryEmbeddings(library)
    assert {"easynegative", "a1111", "<cat-toy>", "learned_embeds", "picture"} <= set(found)
    assert "inner" not in found  # what a trainer once called it may be any word
    assert read == []
    a1111 = tmp_path / "webui" / "embeddings" / "a1111.pt"
    assert found["a1111"] is found["a1111"]
    assert (found["a1111"].name, len(found["a1111"].vectors)) == ("a1111", 3)
    assert read == [(a1111, "a1111")]
    torch.save({"x": VECTORS}, a1111)
    assert torch.equal(found["a1111"].vectors, VECTORS)
    assert found["<cat-toy>"].name == "learned_embeds"
    assert found["FogMachine"].name == "picture"  # a picture's word is what it says inside
    (a1111.parent / "sub").mkdir()
    torch.save({"x": VECTORS}, a1111.parent / "sub" / "easynegative.pt")
    library.refresh()
    assert len(found["sub/easynegative"].vectors) == 5
    with pytest.raises(LookupError, match="'easynegative' means 2 files"):
        found["easynegative"]


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


BROKEN = {
    "code": (a1111(Evil()), r"would come out of a call to "),
    "nan": (a1111(torch.full((1, 768), float("nan"))), "nan or infinity"),
    "no vectors": (a1111(torch.ones(0, 768)), "an embedding of 0 vectors"),
    "too many": (a1111(torch.ones(76, 768)), "an embedding of 76 vectors.* 1 to 75"),
    "10 GB of one number": (a1111(torch.ones(1, 1).expand(75, 2**25)), "each 33,554,432 wide"),
    "three dimensions": (a1111(torch.ones(1, 2, 768)), "has no embedding in it"),
    "no tensor": (a1111("text"), "has no embedding in it"),
    "two widths": ({"a": torch.ones(768), "b": torch.ones(1024)}, "several widths, 768, 1024"),
    "a model": ({"a.weight": torch.ones(2, 2, 3, 3)}, r"named a\.weight"),
    "an object": (nn.Linear(2, 2), "a whole object"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_none_ends_in_words(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    value, words = BROKEN[name]
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=words):
        read_embedding(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


def test_files_of_other_kinds(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no embedding \S+/none\.pt"):
        read_embedding(tmp_path / "none.pt")
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match="none that torch"):
        read_embedding(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(CheckpointError, match="none that torch"):
        read_embedding(tmp_path / "b.pt")
    whole = folder_of_a_user.picture(tmp_path / "c.png", VECTORS).read_bytes()
    (tmp_path / "d.png").write_bytes(whole.replace(b"sd-ti-embedding\0", b"sd-ti-embedding\0!!"))
    with pytest.raises(CheckpointError, match=r"d\.png"):
        read_embedding(tmp_path / "d.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "e.png")
    with pytest.raises(CheckpointError, match="a picture without an embedding"):
        read_embedding(tmp_path / "e.png")
