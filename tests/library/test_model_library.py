"""What a model's folder brings along, beside a user's library."""

import pytest
import torch
from helpers import tiny_controls as tiny
from helpers.any_request import png
from safetensors.torch import save_file

from sdnb.engine.networks.t2i_adapter import T2IAdapter
from sdnb.images.used_files import UsedFile
from sdnb.library import Library, opened, with_files
from sdnb.library.library import NamingError
from sdnb.library.model_library import brought_by, joined
from sdnb.library.styles import paths_in
from sdnb.request import Request
from sdnb.request.control import Control
from sdnb.request.lora import Lora


def weights(path, value=0.0):
    """A file of the kind that its folder is for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if "control" in path.parts:
        save_file(T2IAdapter(tiny.FULL).state_dict(), path)
    elif "embeddings" in path.parts:
        save_file({"emb_params": torch.full((1, 768), value)}, path)
    else:
        save_file({"lora_unet_x.lora_down.weight": torch.full((2, 768), value)}, path)
    return path


@pytest.fixture
def model(tmp_path, cache):
    folder = tmp_path / "model"
    weights(folder / "control/sketch/diffusion_pytorch_model.safetensors")
    weights(folder / "lora/crayon.safetensors")
    weights(folder / "embeddings/soft.safetensors")
    weights(folder / "unet/diffusion_pytorch_model.safetensors")  # no add-on
    return folder


@pytest.fixture
def user(tmp_path, cache):
    """A library in which two names are the model's too."""
    folder = tmp_path / "user"
    for value, name in enumerate(("crayon", "ink", "sub/ink"), 1):
        weights(folder / "loras" / f"{name}.safetensors", value)
    weights(folder / "embeddings/Soft.safetensors", 9.0)
    weights(folder / "controlnet/control/line.safetensors")
    (folder / "wildcards").mkdir()
    (folder / "wildcards" / "sea.txt").write_text("wave\n")
    return Library(folder)


def test_its_own_files_are_listed_before_the_users_and_mean_their_names(model, user):
    library = joined(brought_by([model]), user)
    assert not library.listed  # nothing was looked at yet
    assert [(f.name, f.path.is_relative_to(model)) for f in library.files("lora")] == [
        ("crayon", True), ("crayon", False), ("ink", False), ("ink", False),
    ]  # fmt: skip
    assert library.listed is user.listed is True
    assert [file.name for file in library.files("control")] == ["sketch", "line"]
    assert {file.kind for file in library.files()} == {"lora", "embedding", "control"}
    own = library.find("lora", "crayon.safetensors")
    theirs = user.find("lora", "crayon")
    assert (own.path, theirs.path) == tuple(
        where / "crayon.safetensors" for where in (model / "lora", user.folders[0] / "loras")
    )
    assert library.name_of(own) == "crayon"
    assert library.name_of(theirs) == str(theirs.path)
    assert user.name_of(theirs) == "crayon"
    assert library.find("embedding", "SOFT").path.parent == model / "embeddings"
    assert [library.brings("lora", name) for name in ("crayon", "sub/ink", "no")] == [
        True, False, False,
    ]  # fmt: skip
    assert library.find("lora", "sub/ink").path.parent.name == "sub"
    with pytest.raises(NamingError, match="'ink' means 2 files"):
        library.find("lora", "ink")


def test_an_alias_of_its_own_is_no_name_of_a_users_file(model, user):
    """What the trainer called a file comes behind what a user calls one."""
    path = model / "lora" / "wax.safetensors"
    tensors = {"lora_unet_x.lora_down.weight": torch.zeros(2, 768)}
    save_file(tensors, path, metadata={"ss_output_name": "crayon"})
    save_file(tensors, path.with_name("b.safetensors"), metadata={"ss_output_name": "line"})
    weights(user.folders[0] / "loras/line.safetensors", 5.0)
    library = joined(brought_by([model]), user)
    assert library.find("lora", "crayon").name == "crayon"
    assert library.find("lora", "line").name == "line"


def test_hashes_lead_to_both(model, user):
    library = joined(brought_by([model]), user)
    own, theirs = library.find("lora", "crayon"), user.find("lora", "crayon")
    assert own.sha256 != theirs.sha256
    for file in (own, theirs):
        assert library.by_sha256(file.sha256) == file
        assert library.by_short_hash(file.short_hash, "lora") == file
        assert library.recover("lora", "other", file.short_hash) == (file, "")
    file, said = library.recover("lora", "crayon", "0" * 64)
    assert (file, "is another file than the one" in said) == (own, True)


def test_folders_lists_and_notes_are_the_users(model, user):
    library = joined(brought_by([model]), user)
    assert library.folders == user.folders
    assert library.wildcards.names == ["sea"]
    assert paths_in(library.folders) == paths_in(user.folders)
    assert (library.given, user.given, user.brought) == (user, user, None)
    assert library.brought.folders == tuple(model / n for n in ("lora", "embeddings", "control"))
    shares = []
    library.refresh(shares.append)
    assert len(shares) == 5  # the user's files, one by one
    assert library.notes == user.notes == ()
    assert opened(library) is user
    alone = joined(brought_by([model]), None)
    assert (alone.folders, alone.wildcards.names, alone.listed) == ((), [], True)
    assert opened(alone) is None


def test_a_file_that_comes_later_is_found(model, user):
    library = joined(brought_by([model]), user)
    library.files()
    weights(model / "lora/new.safetensors", 3.0)
    assert library.find("lora", "new").path.parent == model / "lora"
    weights(user.folders[0] / "loras/newer.safetensors", 4.0)
    assert library.find("lora", "newer").name == "newer"


def test_without_add_ons_the_users_library_is_all(tmp_path, user):
    (tmp_path / "plain" / "unet").mkdir(parents=True)
    brought = brought_by([tmp_path / "plain", tmp_path / "file.safetensors"])
    assert brought is None
    assert joined(brought, user) is user
    assert joined(brought, None) is None


def test_a_name_that_nobody_has_says_the_way_out(model, user):
    alone = joined(brought_by([model]), None)
    with pytest.raises(NamingError) as error:
        alone.find("lora", "crayn")
    assert str(error.value) == (
        "there is no lora 'crayn' among 1 file of this kind in the model's own folder; did you "
        "mean 'crayon'? The model was loaded without a library of files: give the path of a "
        ".safetensors file, or the folder that has it, in code by sdnb.load(library=...), in the "
        "studio by “or path”"
    )
    assert "folder. The model was" in alone.unknown("lora", "zzz")
    assert "files: give the folder that has it" in alone.unknown("embedding", "zzz")
    both = joined(brought_by([model]), user)
    words = both.unknown("lora", "crayn")
    assert f"among 4 files of this kind in the model's own folder and {user.folders[0]};" in words
    assert words.endswith("did you mean 'crayon'?")


@pytest.mark.parametrize("with_users", [True, False])
def test_a_pictures_files_are_found_again(model, user, with_users):
    library = joined(brought_by([model]), user if with_users else None)
    files = {kind: library.files(kind)[0] for kind in ("lora", "embedding", "control")}
    asked = Request(
        "soft <lora:crayon:0.5>", loras=[Lora("crayon", sha256=files["lora"].sha256)],
        controls=[Control("sketch", png())],
    )  # fmt: skip
    used = [UsedFile(kind, file.name, file.sha256) for kind, file in files.items()]
    request, notes = with_files(Made(asked, used), library)
    assert notes == []
    control = Control("sketch", png(), sha256=files["control"].sha256)
    assert request == asked.but(controls=[control])


def test_what_is_missing_without_a_users_library_is_one_note(model):
    library = joined(brought_by([model]), None)
    asked = Request("<lora:crayon:1> <lora:fog:1>", loras=["mist", "fog"])
    files = [UsedFile("embedding", "bad", "0" * 64)]
    request, (note,) = with_files(Made(asked, files), library)
    assert request.loras == asked.loras
    assert note.startswith("It was made with the LoRA mist, the LoRA fog, the embedding bad. A lib")


class Made:
    def __init__(self, request, files):
        self.request, self.files = request, files
