"""What a listing costs and withstands: layouts of tools, a cache, and files of any kind."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from helpers import damaged_checkpoints, tiny_checkpoints
from helpers import hostile_checkpoints as hostile
from safetensors.torch import save_file

from sdnb import Library
from sdnb.library import layouts, looking

LORA = {"lora_unet_x.lora_down.weight": torch.ones(1, 2)}
EMBEDDING = {"emb_params": torch.ones(2, 768)}


def put(path, tensors=LORA):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def names(one):
    return {(file.kind, file.full_name) for file in one.files()}


class TestLayouts:
    def test_comfyui_and_its_other_folders(self, tmp_path):
        comfy, webui = tmp_path / "ComfyUI", tmp_path / "webui"
        put(comfy / "models" / "loras" / "style" / "a.safetensors")
        put(comfy / "models" / "embeddings" / "b.safetensors", EMBEDDING)
        put(comfy / "output" / "models.safetensors")
        put(webui / "models" / "Lora" / "c.safetensors")
        put(webui / "models" / "LyCORIS" / "d.safetensors")
        (comfy / "extra_model_paths.yaml").write_text(
            "a111:\n  base_path: ../webui\n  loras: |\n    models/Lora\n    models/LyCORIS\n"
            "  checkpoints: not/there\ncomfyui:\n  is_default: true\n", "utf-8",
        )  # fmt: skip
        found = names(Library(comfy))
        assert found >= {("lora", "style/a"), ("embedding", "b"), ("lora", "c"), ("lora", "d")}
        (lost,) = found - {("lora", "style/a"), ("embedding", "b"), ("lora", "c"), ("lora", "d")}
        assert lost[0] == "other"

    def test_invokeai_old_and_new(self, tmp_path):
        models = tmp_path / "invokeai" / "models"
        put(models / "sd-1" / "lora" / "a.safetensors")
        put(models / "sd-1" / "embedding" / "cat" / "learned_embeds.safetensors", EMBEDDING)
        put(models / "0b9c2f6e-77" / "b.safetensors")
        wanted = {("lora", "a"), ("embedding", "cat"), ("lora", "b")}
        assert names(Library(tmp_path / "invokeai")) == wanted
        assert names(Library(models)) == wanted

    def test_invokeai_since_it_has_a_folder_for_each_model(self, tmp_path):
        """Its pictures are no part of a library then either."""
        put(tmp_path / "models" / "0b9c2f6e-77aa-4c1e-8a55-0123456789ab" / "a.safetensors")
        put(tmp_path / "outputs" / "images" / "b.safetensors")
        assert names(Library(tmp_path)) == {("lora", "a")}

    def test_any_folder_and_several(self, tmp_path):
        put(tmp_path / "mine" / "x" / "a.safetensors")
        put(tmp_path / "mine" / ".hidden" / "b.safetensors")
        put(tmp_path / "more" / "c.safetensors")
        one = Library(tmp_path / "mine", tmp_path / "more", tmp_path / "mine")
        assert names(one) == {("lora", "x/a"), ("lora", "c")}
        assert repr(one).endswith("more, " + str(tmp_path / "mine") + ": 2 lora)")

    def test_a_diffusers_folder_is_one_checkpoint(self, tmp_path):
        parts = tiny_checkpoints.weights()
        tiny_checkpoints.folder(tmp_path / "models" / "checkpoints" / "mine", parts)
        xl = tmp_path / "models" / "checkpoints" / "xl"
        shutil.copytree(tmp_path / "models" / "checkpoints" / "mine", xl)
        (xl / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
        (xl / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
        mine, other = Library(tmp_path).files()
        assert (mine.kind, mine.name, mine.family, mine.why_not) == (
            "checkpoint",
            "mine",
            "folder",
            "",
        )
        assert other.kind == "other" or "Stable Diffusion XL" in other.why_not

    def test_the_hubs_own_cache(self, tmp_path):
        snapshot = tmp_path / "models--owner--sd-mine" / "snapshots" / "0123abc"
        put(snapshot / "unet" / "diffusion_pytorch_model.safetensors")
        (snapshot / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
        (file,) = Library(tmp_path).files()
        assert (file.name, file.path) == ("sd-mine", snapshot)

    def test_links_in_a_circle_and_two_ways_to_one_folder(self, tmp_path):
        put(tmp_path / "a" / "x.safetensors")
        (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
        (tmp_path / "b").symlink_to(tmp_path / "a")
        assert len(Library(tmp_path).files()) == 1


class TestTheCache:
    @pytest.mark.usefixtures("cache")
    def test_a_header_is_read_once(self, webui, monkeypatch):
        first = Library(webui).files()
        looked, real = [], looking._file
        monkeypatch.setattr(looking, "_file", lambda path: looked.append(path.name) or real(path))
        assert Library(webui).files() == first
        assert looked == ["lost.safetensors"]  # a link to nothing has no time

    @pytest.mark.usefixtures("cache")
    def test_a_changed_file_is_read_again(self, tmp_path):
        path = put(tmp_path / "a.safetensors")
        assert Library(tmp_path).files()[0].kind == "lora"
        put(path, EMBEDDING)
        assert Library(tmp_path).files()[0].kind == "embedding"

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"version": 0}', '{"version": 1, "files": 3}']
    )
    def test_a_damaged_one_is_made_again(self, tmp_path, cache, text):
        put(tmp_path / "x" / "a.safetensors")
        cache.parent.mkdir()
        cache.write_text(text, "utf-8")
        assert [f.kind for f in Library(tmp_path / "x").files()] == ["lora"]
        assert len(json.loads(cache.read_text("utf-8"))["files"]) == 1

    def test_odd_entries_are_read_again(self, tmp_path, cache):
        put(tmp_path / "x" / "a.safetensors")
        (file,) = Library(tmp_path / "x").files()
        whole = json.loads(cache.read_text("utf-8"))
        for seed in range(20):
            cache.write_text(
                json.dumps(damaged_checkpoints.with_odd_values(Random(seed), whole)), "utf-8"
            )
            (again,) = Library(tmp_path / "x").files()
            assert again.path == file.path

    def test_where_it_cannot_be_written_the_library_says_so(self, tmp_path, cache):
        put(tmp_path / "x" / "a.safetensors")
        cache.parent.write_text("in the way", "utf-8")
        one = Library(tmp_path / "x")
        assert len(one.files()) == 1
        assert "could not be kept in" in one.notes[0]

    @pytest.mark.process
    def test_several_processes_at_once(self, webui, tmp_path):
        code = (
            "import sdnb, sys\n"
            "print(len(sdnb.Library(sys.argv[1]).files()), 'torch' in sys.modules)"
        )
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "shared")}
        runs = [
            subprocess.Popen([sys.executable, "-c", code, str(webui)], env=environment,
                             stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]  # fmt: skip
        assert {run.communicate()[0] for run in runs} == {f"{len(Library(webui).files())} False\n"}
        kept = json.loads((tmp_path / "shared" / "sdnb" / "library.json").read_text("utf-8"))
        assert len(kept["files"]) >= len(Library(webui).files()) - 1


class TestWhateverLiesThere:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", [n for n in hostile.FILES if not n.startswith("path")])
    def test_hostile_files_are_listed_in_words(self, tmp_path, name):
        write, _ = hostile.FILES[name]
        write(tmp_path / "a.ckpt")
        files = Library(tmp_path).files()
        assert files
        for file in files:
            assert file.why_not.isprintable()
            assert len(file.why_not) < 500

    @pytest.mark.parametrize("kind", ["pickled", "packed", "stream", "safetensors", "diffusers"])
    def test_damaged_files(self, tmp_path, kind):
        damage = damaged_checkpoints.Damage(tmp_path)
        for seed in range(8):
            written = getattr(damage, kind)(Random(seed))
            seen = looking.look(written)
            assert seen.told.why_not.isprintable()

    def test_no_code_of_a_pickle_runs(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "ran",))

        (tmp_path / "a.pt").write_bytes(pickle.dumps({"string_to_param": {"*": Evil()}}))
        torch.save({"string_to_param": {"*": Evil()}}, tmp_path / "b.pt", pickle_module=pickle)
        for file in Library(tmp_path).files():
            assert file.kind == "other"
        assert not (tmp_path / "ran").exists()

    def test_what_is_no_ordinary_file(self, tmp_path):
        os.mkfifo(tmp_path / "a.safetensors")
        (tmp_path / "b.ckpt").mkdir()
        (tmp_path / "c.pt").symlink_to("c.pt")
        found = {file.name: file.why_not for file in Library(tmp_path).files()}
        assert found["a"] == "it is not an ordinary file"
        assert found.keys() == {"a", "c"}

    def test_a_folder_that_cannot_be_read(self, tmp_path, monkeypatch):
        put(tmp_path / "a.safetensors")
        closed = tmp_path / "closed"
        closed.mkdir()
        real = os.scandir

        def scandir(path):
            if Path(path) == closed:
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)
        reasons = {file.why_not for file in Library(tmp_path).files()}
        assert reasons == {"this folder cannot be read: Permission denied", ""}

    def test_a_whole_disk_is_not_walked(self, tmp_path, monkeypatch):
        monkeypatch.setattr(layouts, "_MOST_FOLDERS", 5)
        for n in range(9):
            put(tmp_path / str(n) / "a.safetensors")
        *files, said = sorted(Library(tmp_path).files(), key=lambda file: file.why_not)
        assert len(files) == 4
        assert "more than 5 folders" in said.why_not

    def test_a_damaged_list_of_comfys_folders(self, tmp_path):
        for text in ("a: [", "a:\n  base_path: 3\n  loras: [1]\n", "- 1", "a: {loras: null}", "\0"):
            (tmp_path / "extra_model_paths.yaml").write_text(text, "utf-8")
            for file in Library(tmp_path).files():
                assert file.why_not

    @pytest.mark.slow
    def test_names_that_no_text_can_hold(self, tmp_path):
        save_file(LORA, tmp_path / "a.safetensors")
        odd = os.fsencode(tmp_path) + b"/\xff\x1b.safetensors"
        shutil.copy(tmp_path / "a.safetensors", odd)
        assert len(Library(tmp_path).files()) == 2
        assert len(Library(tmp_path).files()) == 2


def test_a_listing_is_plain_data(webui):
    file = Library(webui).find("lora", "pixelart")
    assert pickle.loads(pickle.dumps(file)) == file == replace(file)
    assert pickle.loads(pickle.dumps(Library(webui))).files() == Library(webui).files()
