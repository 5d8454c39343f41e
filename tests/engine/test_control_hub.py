"""Control networks by hub ids: whole runs, with a hub of our own in place of the network."""

from dataclasses import replace

import pytest
from helpers import tiny_controls as tiny
from helpers.fake_hub import FakeHub
from helpers.pictures import colour
from oracles import tiny_pipeline

import sdnb
from sdnb.engine.stages import control_nets

pytestmark = pytest.mark.picture

ID = "lllyasviel/sd-controlnet-canny"
NET = replace(tiny.NET, unet=tiny_pipeline.CONFIG.unet)
HINT = colour(size=(64, 64))
ASKED = {"width": 64, "height": 64, "steps": 2, "seed": 5, "progress": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline.build().save_pretrained(folder)
    return sdnb.load(folder)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    fake = FakeHub(tmp_path / "hub", tmp_path / "cache")
    fake.put_in_place(monkeypatch)
    monkeypatch.chdir(tmp_path)
    control_nets._downloaded.cache_clear()
    return fake


def publish(hub, repo=ID, seed=0):
    """A repository as lllyasviel's: weights in two formats, a configuration, pictures."""
    folder = hub.root / repo
    folder.mkdir(parents=True)
    made = tiny.written("diffusers", folder, tiny.weights(NET, seed), {}, NET)
    for file in made.iterdir():
        file.rename(folder / file.name)
    made.rmdir()
    for name in ("diffusion_pytorch_model.bin", "README.md", "images/bird.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"large")
    return folder


def generated(model, *controls):
    return sdnb.txt2img(model, "a red fox", controls=controls, **ASKED)


def test_a_net_of_the_hub_makes_the_picture_of_its_file_and_makes_it_again(model, hub, tmp_path):
    folder = publish(hub)
    found = generated(model, sdnb.Control(ID, HINT, prepare="canny"))
    assert {file.name for file in hub.snapshot(ID).iterdir()} == {
        "config.json", "diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    by_path = generated(model, sdnb.Control(str(folder), HINT, prepare="canny"))
    assert found.image.tobytes() == by_path.image.tobytes()
    assert found.image.tobytes() != generated(model).image.tobytes()
    (control,) = found.request.controls
    assert (control.net, control.sha256) == (ID, by_path.request.controls[0].sha256)
    again = sdnb.read(found.save(tmp_path)[0])
    assert again == found.request
    made = sdnb.generate(model, again, progress=False)
    assert made.image.tobytes() == found.image.tobytes()
    assert len(hub.asked) == 1  # what was downloaded is not asked for again


def test_what_it_learnt_from_is_told_by_its_id_and_not_by_the_caches_folder(model, hub):
    publish(hub)
    result = generated(model, sdnb.Control(ID, HINT))
    assert any("prepare='canny' makes such lines" in note for note in result.notes)


def test_a_revision_and_a_name_with_a_dot_are_ids_and_a_repository_of_one_file_is_a_net(model, hub):
    named = "somebody/control-v1.1"
    folder = hub.root / named
    folder.mkdir(parents=True)
    tiny.written("1.1", folder, tiny.weights(NET), {}, NET).rename(folder / "control_tile.pth")
    (folder / "control_tile.yaml").write_text("model: {}", "utf-8")
    found = generated(model, sdnb.Control(f"{named}@main", HINT, prepare="tile"))
    assert hub.asked == [(named, "main")]
    assert (hub.snapshot(named) / "control_tile.pth").is_file()
    by_path = generated(model, sdnb.Control(str(folder / "control_tile.pth"), HINT, prepare="tile"))
    assert found.image.tobytes() == by_path.image.tobytes()


def test_without_a_connection_the_cache_is_used_and_said_or_words_say_what_to_do(model, hub):
    hub.failure = ConnectionError("no route")
    with pytest.raises(ValueError, match="no connection to the hub") as error:
        generated(model, sdnb.Control(ID, HINT))
    assert "Give the path of a network's file, or the name of one" in str(error.value)
    assert "sdnb.load()" not in str(error.value)
    hub.failure = None
    publish(hub)
    control = sdnb.Control(ID, HINT, prepare="canny")
    truth = generated(model, control)
    control_nets._downloaded.cache_clear()  # another day
    hub.failure = ConnectionError("no route")
    found = generated(model, control)
    assert found.image.tobytes() == truth.image.tobytes()
    assert f"{ID}: the hub could not be reached; the copy in the cache is used" in found.notes
    for file in hub.snapshot(ID).iterdir():  # the user cleans up
        file.unlink()
    hub.snapshot(ID).rmdir()
    with pytest.raises(ValueError, match="no copy in the cache"):
        generated(model, control)


def test_another_file_of_that_id_is_refused_by_its_digest(model, hub):
    publish(hub)
    control = generated(model, sdnb.Control(ID, HINT, prepare="canny")).request.controls[0]
    other = "somebody/other"
    publish(hub, other, seed=1)
    with pytest.raises(ValueError, match="is another file than the control network 'somebody/oth"):
        generated(model, replace(control, net=other))


@pytest.mark.parametrize("folder", ["", "models"])
def test_of_a_repository_of_many_files_one_is_fetched_by_its_name(model, hub, folder):
    """lllyasviel's ControlNet-v1-1 and TencentARC's T2I-Adapter."""
    inside = hub.root / "lllyasviel/ControlNet-v1-1" / folder
    inside.mkdir(parents=True)
    for name in ("control_canny.pth", "control_tile.pth", "control_tile.yaml"):
        (inside / name).write_bytes(b"some")
    with pytest.raises(ValueError, match="holds 2 single files") as error:
        generated(model, sdnb.Control("lllyasviel/ControlNet-v1-1", HINT))
    name = "/".join(filter(None, (folder, "control_canny.pth")))
    call = f"huggingface_hub.hf_hub_download('lllyasviel/ControlNet-v1-1', '{name}')"
    assert f"Fetch one with {call} and give the path" in str(error.value)


def test_a_repository_of_something_else_says_what_was_expected(model, hub):
    folder = hub.root / "somebody/words"
    folder.mkdir(parents=True)
    (folder / "model.gguf").touch()
    with pytest.raises(ValueError, match=r"no network alone \(config\.json beside.*model\.gguf"):
        generated(model, sdnb.Control("somebody/words", HINT))
