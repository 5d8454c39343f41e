"""Names and hashes lead to files; a name of two files is an error that lists both."""

import hashlib
import os
import shutil

import pytest
import torch
from helpers.folder_of_a_user import METADATA
from safetensors.torch import save_file

import sdnb
from sdnb import Library
from sdnb.library import opened


@pytest.fixture
def loras(webui):
    return webui / "models" / "Lora"


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("lora", "pixelart", "models/Lora/pixelart.safetensors"),
        ("lora", "pixelart.safetensors", "models/Lora/pixelart.safetensors"),
        ("lora", "pixelart-final", "models/Lora/pixelart.safetensors"),
        ("lora", "sd2", "models/Lora/styles/sd2.safetensors"),
        ("lora", "styles/sd2", "models/Lora/styles/sd2.safetensors"),
        ("lora", "styles\\sd2.safetensors", "models/Lora/styles/sd2.safetensors"),
        ("checkpoint", "xl/pony.safetensors [0123456789]", "models/Stable-diffusion/xl/pony"),
        ("embedding", "EasyNegative", "embeddings/easynegative.safetensors"),
        ("embedding", "<cat-toy>", "embeddings/learned_embeds.bin"),
        ("embedding", "inner", "embeddings/a1111.pt"),
        ("vae", "kl.vae", "models/VAE/kl.vae.pt"),
        ("vae", "taesd", "models/VAE-approx/taesd.safetensors"),
        ("vae", "tae_of_a_pair", "models/VAE-approx/tae_of_a_pair_decoder.safetensors"),
        ("control", "diffusers", "models/ControlNet/diffusers/diffusion_pytorch_model"),
    ],
)
def test_names_as_the_tools_say_them(webui, kind, name, path):
    assert str(Library(webui).find(kind, name).path).startswith(str(webui / path))


def test_a_name_of_two_files_is_an_error_that_lists_both(webui, loras):
    save_file(
        {"lora_unet_x.lora_down.weight": torch.ones(1, 2)}, loras / "styles" / "xl.safetensors"
    )
    one = Library(webui)
    with pytest.raises(LookupError, match=r"'xl' means 2 files: .*styles/xl\.\S+, .*Lora/xl\."):
        one.find("lora", "xl")
    assert one.find("lora", "styles/xl").path == loras / "styles" / "xl.safetensors"


def test_copies_of_one_file_are_one(webui, loras):
    shutil.copy(loras / "pixelart.safetensors", loras / "styles" / "pixelart.safetensors")
    assert Library(webui).find("lora", "pixelart").alias == METADATA["ss_output_name"]


def test_a_name_goes_before_an_alias(webui, loras):
    save_file({"lora_unet_x.lora_down.weight": torch.ones(1)}, loras / "pixelart-final.safetensors")
    assert Library(webui).find("lora", "pixelart-final").path.stem == "pixelart-final"


def test_an_unknown_name_lists_what_is_near(webui):
    with pytest.raises(LookupError, match=r"no lora 'pixelar' .*; did you mean 'pixelart'\?"):
        Library(webui).find("lora", "pixelar")
    with pytest.raises(LookupError, match=r"; \S+/easynegative\.\S+, of this name, is an embed"):
        Library(webui).find("lora", "easynegative")


def test_a_damaged_file_of_the_name_says_why_it_is_not_used(webui, loras, tmp_path):
    whole = (loras / "pixelart.safetensors").read_bytes()
    (tmp_path / "any").mkdir()
    for folder in (loras, tmp_path / "any"):
        (folder / "cut.safetensors").write_bytes(whole[:-8])
    assert "trunc" in Library(webui).find("lora", "cut").why_not  # by its folder it is a LoRA
    with pytest.raises(LookupError, match=r"/cut\.safetensors, of this name, is not used: .*trunc"):
        Library(tmp_path / "any").find("lora", "cut")


def test_a_file_that_went_is_looked_for_again(webui, loras):
    one = Library(webui)
    assert one.find("lora", "pixelart")
    (loras / "pixelart.safetensors").unlink()
    with pytest.raises(LookupError, match="there is no lora 'pixelart'"):
        one.find("lora", "pixelart")


def test_files_of_one_name_at_two_roots_have_no_name_alone(webui, tmp_path):
    other = tmp_path / "other" / "loras"
    other.mkdir(parents=True)
    save_file({"lora_unet_x.lora_down.weight": torch.ones(1, 2)}, other / "pixelart.safetensors")
    with pytest.raises(LookupError, match="No name means one of them alone: give its path"):
        Library(webui, tmp_path / "other").find("lora", "pixelart")


def test_a_file_that_came_later_is_found(webui, loras):
    one = Library(webui)
    assert one.files("lora")
    shutil.copy(loras / "pixelart.safetensors", loras / "new.safetensors")
    assert one.find("lora", "new").path == loras / "new.safetensors"


def test_a_kind_is_checked(webui):
    with pytest.raises(ValueError, match="kind='loras' is unknown; did you mean 'lora'"):
        Library(webui).files("loras")


class TestHashes:
    def test_they_are_sha256(self, webui):
        file = Library(webui).find("lora", "pixelart")
        data = file.path.read_bytes()
        behind = data[8 + int.from_bytes(data[:8], "little") :]
        assert file.sha256 == hashlib.sha256(data).hexdigest()
        assert file.weights_sha256 == hashlib.sha256(behind).hexdigest()
        assert file.short_hash == file.weights_sha256[:12]

    @pytest.mark.usefixtures("cache")
    def test_what_is_known_finds_a_file_and_the_rest_on_demand(self, webui):
        one = Library(webui)
        file = one.find("lora", "pixelart")
        data = file.path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        assert one.by_sha256(digest) is None
        assert one.by_sha256(digest, hash_missing=True) == file
        assert Library(webui).by_sha256(digest.upper()) == file  # another run remembers
        behind = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
        assert one.by_short_hash(behind[:12], "lora", hash_missing=True) == file
        assert one.by_short_hash(behind[:12], "lora") == file
        assert one.by_short_hash(digest[:10]) == file
        assert one.by_short_hash(digest[:7]) is None
        assert one.by_sha256("0" * 64) is None

    @pytest.mark.usefixtures("cache")
    def test_a_pictures_files_come_back_by_hash_then_by_name(self, webui):
        one = Library(webui)
        file = one.find("lora", "pixelart")
        assert one.recover("lora", "pixelart") == (file, "")
        assert one.recover("lora", "pixelart", file.short_hash) == (file, "")
        assert one.recover("lora", "renamed", file.sha256[:12]) == (file, "")
        again, words = one.recover("lora", "pixelart", "0123456789ab")
        assert again == file
        assert f"its hash is {file.short_hash}, not 0123456789ab" in words
        missing, words = one.recover("lora", "pixelwork", "0123456789ab")
        assert missing is None
        assert "no lora 'pixelwork'" in words
        assert words.endswith(
            "with hash_missing=True it is looked for in all files, which are read whole."
        )
        words = one.recover("lora", "pixelart", "0" * 64)[1]
        assert f"its sha256 begins with {file.sha256[:12]}, not {'0' * 12}." in words

    def test_a_trainers_own_hash_is_taken(self, webui, loras):
        weights = {"lora_unet_x.lora_down.weight": torch.ones(1, 2)}
        known = "ab" * 32
        save_file(weights, loras / "a.safetensors", metadata={"sshs_model_hash": known})
        one = Library(webui)
        assert one.by_short_hash(known[:12]).path == loras / "a.safetensors"
        assert one.find("lora", "a").short_hash == known[:12]

    def test_a_checkpoints_hash_of_before_2023(self, webui):
        path = webui / "models" / "Stable-diffusion" / "small.safetensors"
        part = path.read_bytes()[0x100000:][:0x10000]
        start = hashlib.sha256(part).hexdigest()[:8]
        found = [f for f in Library(webui).files("checkpoint") if f.path == path]
        assert Library(webui).by_short_hash(start, "checkpoint").kind == found[0].kind

    def test_a_control_network_has_that_hash_still(self, webui):
        net = Library(webui).find("control", "t2i")  # of 3 MB
        start = hashlib.sha256(net.path.read_bytes()[0x100000:][:0x10000]).hexdigest()[:8]
        assert net.short_hash == start
        assert Library(webui).by_short_hash(start, "control").path == net.path
        assert Library(webui).by_short_hash(start, "lora") is None
        named = f"{net.name} [{start}]"  # as it stands in a picture of AUTOMATIC1111
        assert Library(webui).recover("control", named, start) == (net, "")

    def test_a_changed_file_has_another_hash(self, webui, loras):
        path = loras / "pixelart.safetensors"
        file = Library(webui).find("lora", "pixelart")
        before = file.sha256
        path.write_bytes(path.read_bytes() + b"more")
        os.utime(path, ns=(1, 1))
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != before


class TestWhatLoadTakes:
    def test_a_folder_several_or_a_library(self, webui, loras):
        one = Library(webui)
        assert opened(one) is one
        assert opened(str(webui)).folders == (webui,)
        assert opened([webui, loras]).folders == (webui, loras)
        assert opened(None) is None

    def test_the_environment(self, webui, loras, monkeypatch):
        monkeypatch.setenv("SDNB_LIBRARY", os.pathsep.join((str(webui), "", str(loras))))
        assert opened(None).folders == (webui, loras)
        monkeypatch.setenv("SDNB_LIBRARY", "/not/there")
        with pytest.raises(FileNotFoundError, match=r"SDNB_LIBRARY .*'/not/there' is no folder"):
            opened(None)

    def test_names_are_paths_for_load(self, webui):
        one = Library(webui)
        small = webui / "models" / "Stable-diffusion" / "small.safetensors"
        assert one.path("checkpoint", "small") == small
        assert one.path("checkpoint", str(small)) == str(small)
        assert one.path("checkpoint", "owner/of-the-hub") == "owner/of-the-hub"

    def test_a_name_that_neither_the_disk_nor_the_library_has(self, webui):
        with pytest.raises(
            FileNotFoundError, match=r"owner/name'. In the .*mean 'small'\? Built in: tiny"
        ):
            sdnb.load("smal", library=webui)
        with pytest.raises(FileNotFoundError, match=r"/pixelart\.\S+, of this name, is a LoRA\."):
            sdnb.load("pixelart", library=webui)

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="is no folder; give the folder of AUTO"):
            Library(tmp_path / "no")
