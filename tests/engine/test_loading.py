"""`load`: what it refuses, what it says, and the model as a context."""

import shutil

import pytest
import torch
from helpers import tiny_checkpoints

import sdnb
from sdnb.engine import loading
from sdnb.engine.checkpoint import CheckpointError, LazyTensor
from sdnb.engine.checkpoint.configs import read_config
from sdnb.engine.networks.config import ModelConfig
from sdnb.library import known
from sdnb.request.memory_plan import MemoryPlan


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"path": "no/such/file.ckpt"}, FileNotFoundError, r"no/such/file\.ckpt|file\.ckpt"),
        ({"memory": "5gb"}, ValueError, "memory='5gb'.*4gb"),
        ({"memory": [4]}, TypeError, "number of GB.*4gb"),
        ({"memory": -1}, ValueError, "memory=-1.*above 0"),
        ({"precision": "fp16"}, ValueError, "precision='fp16'.*half"),
        ({"memory": MemoryPlan(attention="xformers", device="cpu")}, ValueError, "CUDA"),
        ({"vae": "nothing.safetensors"}, FileNotFoundError, "nothing.safetensors"),
        ({"config": "nothing.yaml"}, FileNotFoundError, "nothing.yaml"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_words(arguments, error, said):
    with pytest.raises(error, match=said):
        sdnb.load(**arguments)


def test_the_embedded_model_says_what_it_is():
    model = sdnb.load()
    assert (model.settings.width, model.settings.height) == (256, 256)
    assert "256x256, float32 on cpu" in repr(model)
    assert len(model.fingerprint) >= 12
    weights = [*model.text.parameters(), *model.unet.parameters(), *model.vae.parameters()]
    assert not any(p.requires_grad for p in weights)
    assert {p.device.type for p in weights} == {"cpu"}


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("half", torch.float16)]
)
@pytest.mark.picture
def test_other_precisions_make_nearly_the_same_picture(precision, dtype):
    asked = sdnb.Request("a castle", width=128, height=128, steps=4, seed=2)
    model = sdnb.load(precision=precision)
    assert model.unet.time_embed[0].weight.dtype == dtype
    truth = sdnb.generate(sdnb.load(), asked, progress=False).image
    low = sdnb.generate(model, asked, progress=False).image
    error = torch.tensor(list(truth.tobytes()), dtype=torch.float32) - torch.tensor(
        list(low.tobytes()), dtype=torch.float32
    )
    psnr = 10 * torch.log10(255**2 / error.square().mean())
    assert psnr > (35 if precision == "bf16" else 50)


@pytest.mark.slow
def test_a_model_is_a_context_that_gives_its_memory_back():
    with sdnb.load() as model:
        assert hasattr(model, "unet")
    assert not hasattr(model, "unet")


def test_a_model_without_its_tokenizer_is_refused_in_words(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(sdnb.assets.embedded_model(), folder)
    shutil.rmtree(folder / "tokenizer")
    with pytest.raises(ValueError, match="tokenizer"):
        sdnb.load(folder)


def test_the_files_of_model_families_say_what_the_code_says():
    folder = sdnb.assets.configs() / "models"
    said = {path.stem: read_config(path) for path in folder.glob("*.yaml")}
    assert {s: dict(v) for s, v in said["sd-v1"].items()} == {
        s: dict(v) for s, v in read_config(ModelConfig()).items()
    }
    for section, values in said["sd-v2"].items():
        assert all(hasattr(getattr(ModelConfig(), section), name) for name in values)
    assert said["sd-v1-inpainting"] == {"unet": {"in_channels": 9}}


@pytest.mark.slow
def test_the_share_of_the_weights_that_is_there_is_told():
    told = []
    sdnb.load(memory="cpu", precision="full", progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert 20 < len(told) <= 101
    assert max(b - a for a, b in zip([0, *told], told)) < 0.2  # noqa: B905 - one is longer


class Dimmed(LazyTensor):
    """A weight with something laid over it, as an adapter does."""

    def read_into(self, target):
        super().read_into(target)
        target.mul_(0.9)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"unet": "offload", "text": "offload", "vae": "offload"},
        {"unet": "stream"},
        {"unet": "stream", "weights": "int8"},
    ],
)
@pytest.mark.picture
def test_weights_are_a_function_of_what_is_written(fields):
    """Written anew with something laid over them, and once more from the file alone, in the storage
    that they have: the picture changes, and is the same again bit for bit.
    """
    model = sdnb.load(memory=MemoryPlan(device="cpu", **fields))
    unet = loading.recognise(None).unet
    asked = sdnb.Request("a cat", width=64, height=64, steps=2, seed=1)
    first = sdnb.generate(model, asked, progress=False).image
    places = [weight.data_ptr() for weight in model.unet.parameters()]
    model.weights.write("unet", {name: Dimmed(**vars(tensor)) for name, tensor in unet.items()})
    assert sdnb.generate(model, asked, progress=False).image.tobytes() != first.tobytes()
    model.weights.write("unet", unet)
    assert sdnb.generate(model, asked, progress=False).image.tobytes() == first.tobytes()
    if not fields:
        assert places == [weight.data_ptr() for weight in model.unet.parameters()]


@pytest.mark.slow
def test_what_does_not_fit_is_refused_and_the_weights_stay_as_they_are():
    model = sdnb.load()
    unet = loading.recognise(None).unet
    asked = sdnb.Request("a cat", width=64, height=64, steps=1, seed=1)
    first = sdnb.generate(model, asked, progress=False).image
    with pytest.raises(CheckpointError, match=r"1 missing: out\.2\.bias"):
        model.weights.write("unet", {n: t for n, t in unet.items() if n != "out.2.bias"})
    assert sdnb.generate(model, asked, progress=False).image.tobytes() == first.tobytes()


def test_a_run_whose_model_is_unloaded_before_its_first_step_says_so():
    model = sdnb.load()
    steps = sdnb.run(model, sdnb.Request("a cat", width=64, height=64, steps=2, seed=1))
    next(steps)  # nothing is encoded yet
    model.unload()
    with pytest.raises(ValueError, match="this model was unloaded"):
        next(steps)
    with pytest.raises(ValueError, match="this model was unloaded"):
        model.weights.use("text")


class TestALibrary:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(known, "path", lambda: tmp_path / "cache.json")
        monkeypatch.delenv("SDNB_LIBRARY", raising=False)
        place = tmp_path / "webui" / "models" / "Stable-diffusion" / "sub"
        tiny_checkpoints.folder(place / "mine", tiny_checkpoints.weights())
        shutil.rmtree(place / "mine" / "tokenizer")
        return tmp_path / "webui"

    @pytest.mark.slow
    def test_it_stays_with_the_model_and_finds_its_file(self, folder, monkeypatch):
        monkeypatch.setattr(loading, "tokenizer_of", lambda _: None)  # it has a hundred tokens
        model = sdnb.load("mine", memory="cpu", library=folder)
        assert model.name == "mine"
        assert model.library.folders == (folder,)
        assert model.load_arguments["library"] == [str(folder)]
        again = sdnb.load(**model.load_arguments)
        assert again.fingerprint == model.fingerprint
        assert again.library.folders == (folder,)

    @pytest.mark.slow
    def test_the_environment_names_one(self, folder, monkeypatch):
        assert sdnb.load(memory="cpu").library.given is None
        monkeypatch.setenv("SDNB_LIBRARY", str(folder))
        assert loading.recognise("sub/mine").path.name == "mine"
        model = sdnb.load(memory="cpu")
        assert model.library.folders == (folder,)
        assert model.load_arguments["library"] is None  # of a worker, the environment tells
        with pytest.raises(FileNotFoundError, match="no file or folder 'mien'"):
            loading.recognise("mien")
