"""What a run used stands in its result and its PNG, and comes back with a library."""

import hashlib
import os
import shutil
from copy import copy

import pytest
import torch
from safetensors.torch import save_file

import sdnb
from sdnb import images
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.checkpoint.embeddings import LibraryEmbeddings
from sdnb.images.used_files import UsedFile
from sdnb.library import hashes, with_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """LoRAs for the first layer of the text encoder, and embeddings."""
    where, width = tmp_path_factory.mktemp("files"), model.config.text.width
    stem = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    for n, name in enumerate(("fog", "styles/retro")):
        path = where / "models" / "Lora" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        down, up = torch.full((2, width), 0.1 + n), torch.full((width, 2), 0.1)
        parts = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        known = {} if n else {"sshs_model_hash": "ab" * 32}
        save_file(parts, path, metadata={"ss_base_model_version": "sd_v1", **known})
    (where / "embeddings").mkdir()
    for n, name in enumerate(("easynegative", "badhands", "unused")):
        vectors = torch.full((2, width), 0.1 * n)
        save_file({"emb_params": vectors}, where / "embeddings" / f"{name}.safetensors")
    return where


@pytest.fixture(scope="module")
def its(folder):
    return sdnb.load(memory="cpu", precision="full", library=folder)


def digest(path, start=0):
    return hashlib.sha256(path.read_bytes()[start:]).hexdigest()


def test_a_model_takes_another_library(folder, model, its):
    other = copy(model)
    other.use_library(sdnb.Library(folder))
    assert {*other.embeddings} == {*its.embeddings}
    assert {*other.embeddings} - {*model.embeddings} == {"badhands", "easynegative", "unused"}
    assert other.load_arguments["library"] == its.load_arguments["library"]
    other.use_library(None)
    assert {*other.embeddings} == {*model.embeddings}


@pytest.mark.picture
def test_there_and_back(folder, its):
    retro = folder / "models" / "Lora" / "styles" / "retro.safetensors"
    asked = sdnb.Request(
        "a castle, (BadHands:0.5) <lora:fog:0.5>", "easynegative", syntax="a1111", clip_skip=2,
        loras=[sdnb.Lora(str(retro), 0.25)], steps=1, width=64, height=64, seed=1,
    )  # fmt: skip
    result = sdnb.generate(its, asked, progress=False)
    header = 8 + int.from_bytes(retro.read_bytes()[:8], "little")
    embeddings = folder / "embeddings"
    expected = {
        UsedFile("lora", str(retro), digest(retro), short=digest(retro, header)[:12]),
        UsedFile("lora", "fog", digest(retro.parents[1] / "fog.safetensors"), short="ab" * 6),
        UsedFile("embedding", "badhands", digest(embeddings / "badhands.safetensors")),
        UsedFile("embedding", "easynegative", digest(embeddings / "easynegative.safetensors")),
    }
    assert {file for file in result.files if file.kind != "checkpoint"} == expected
    png = images.encoded(result)
    saved = images.inspect(png)
    assert saved.files == result.files
    assert with_files(saved, its.library) == (result.request, [])
    told = images.infotext.read(png_texts(png)["parameters"])  # as AUTOMATIC1111 reads it
    assert told.request.prompt == "a castle, (BadHands:0.5) <lora:fog:0.5> <lora:retro:0.25>"
    assert {(file.kind, file.name, file.hash) for file in told.files if file.hash} >= {
        ("lora", "fog", "ab" * 6),
        ("lora", "retro", digest(retro, header)[:12]),
        ("embedding", "badhands", digest(embeddings / "badhands.safetensors")[:12]),
        ("embedding", "easynegative", digest(embeddings / "easynegative.safetensors")[:12]),
    }
    request, notes = with_files(told, its.library)
    assert (request.prompt, notes) == (told.request.prompt, [])


def png_texts(png):
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(png)) as image:
        return image.text


@pytest.mark.slow
def test_a_checkpoints_hash_is_taken_where_it_is_known(its, model, monkeypatch):
    known = {its._sources["checkpoint"][1]: "c0" * 32}
    assert its.files == () or its.files[0].kind == "checkpoint"
    monkeypatch.setattr(hashes, "known_sha256", lambda path: known.get(path, ""))
    assert its.files == (UsedFile("checkpoint", its.name, "c0" * 32),)


@pytest.mark.picture
def test_another_file_of_a_name_is_refused_when_a_picture_is_made_again(folder, its, tmp_path):
    asked = sdnb.Request(
        "a castle, badhands <lora:fog:0.5>", syntax="a1111", steps=1, width=64, height=64, seed=1
    )
    result = sdnb.generate(its, asked, progress=False)
    fog = folder / "models" / "Lora" / "fog.safetensors"
    bad = folder / "embeddings" / "badhands.safetensors"
    assert result.request.digests == (
        ("embedding:badhands", digest(bad)), ("lora:fog", digest(fog)),
    )  # fmt: skip
    again = sdnb.read(result.save(tmp_path / "castle.png")[0])
    assert again == result.request
    assert sdnb.generate(its, again, progress=False).images[0] == result.images[0]

    other = shutil.copytree(folder, tmp_path / "other")
    loras = other / "models" / "Lora"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(its, "library", sdnb.Library(other))
        patch.setattr(its, "embeddings", LibraryEmbeddings(its.library))
        (loras / "fog.safetensors").rename(loras / "mist.safetensors")
        (loras / "styles" / "retro.safetensors").rename(loras / "fog.safetensors")
        its.library.refresh()
        assert all(file.sha256 for file in its.library.files("lora"))  # known from now on
        # The file of that digest has another name here: it is the one that is taken.
        assert sdnb.generate(its, again, progress=False).images[0] == result.images[0]
        (loras / "mist.safetensors").unlink()
        its.library.refresh()
        with pytest.raises(
            CheckpointError, match=r"another file than the LoRA 'fog'.*digests=\(\)"
        ):
            sdnb.generate(its, again, progress=False)
        badhands = other / "embeddings" / "badhands.safetensors"
        (other / "embeddings" / "unused.safetensors").replace(badhands)
        os.utime(badhands, (1, 1))  # they may have been written in one moment
        its.library.refresh()
        words = again.but(prompt="a castle, badhands")
        with pytest.raises(CheckpointError, match=r"the embedding 'badhands'.* is the one here"):
            sdnb.generate(its, words, progress=False)
        badhands.unlink()
        its.library.refresh()
        with pytest.raises(CheckpointError, match=r"the embedding 'badhands'.* none is here"):
            sdnb.generate(its, words, progress=False)
        # Without the word, or without the digest, nothing is missed.
        sdnb.generate(its, again.but(prompt="a castle"), progress=False)
        sdnb.generate(its, words.but(digests=()), progress=False)
