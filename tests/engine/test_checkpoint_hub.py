"""Hub ids, with a hub of our own in place of the network."""

from __future__ import annotations

import errno
from pathlib import Path

import huggingface_hub
import pytest
from helpers import tiny_checkpoints as tiny
from helpers.fake_hub import FakeHub
from huggingface_hub import errors

from sdnb.engine.checkpoint import CheckpointError, hub, read

ID = "somebody/some-model"


class Response:
    """What huggingface_hub's errors want to know of an HTTP answer."""

    status_code = 404
    headers: dict[str, str] = {}  # noqa: RUF012
    request = None

    def __init__(self, status: int) -> None:
        self.status_code = status


@pytest.fixture
def fake(tmp_path, monkeypatch) -> FakeHub:
    fake = FakeHub(tmp_path / "hub", tmp_path / "cache")
    fake.put_in_place(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return fake


def publish(fake: FakeHub, parts: tiny.Parts, **options) -> Path:
    folder = tiny.folder(fake.root / ID, parts, **options)
    (folder / "README.md").write_text("a model", "utf-8")
    (folder / "sd.ckpt").write_bytes(b"large")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"large")
    (folder / "unet" / "diffusion_pytorch_model.non_ema.safetensors").write_bytes(b"large")
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "model.safetensors").write_bytes(b"large")
    return folder


def test_a_repository_of_one_network(fake):
    """Of a control network's repository: its weights and its configuration."""
    folder = fake.root / ID
    (folder / "images").mkdir(parents=True)
    for name in ("config.json", "diffusion_pytorch_model.safetensors", "README.md",
                 "diffusion_pytorch_model.bin", "images/a.png"):  # fmt: skip
        (folder / name).write_bytes(b"some")
    got = hub.download(ID, [], hub.NETWORK)
    found = {f.name for f in got.iterdir()}
    assert found == {"config.json", "diffusion_pytorch_model.safetensors"}


def test_only_what_is_needed_is_downloaded(fake, parts):
    publish(fake, parts)
    checkpoint = read(ID)
    assert (checkpoint.name, checkpoint.config.unet) == (ID, tiny.CONFIG.unet)
    here = fake.snapshot(ID)
    names = {f.relative_to(here).as_posix() for f in here.rglob("*.*")}
    assert names == {
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/vocab.json",
    }


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_and_variants(fake, parts, variant):
    tiny.folder(fake.root / ID, parts, max_shard_size="300KB", variant=variant)
    assert read(ID).config.unet == tiny.CONFIG.unet


def test_a_revision(fake, parts):
    publish(fake, parts)
    read(f"{ID}@main")
    assert fake.asked == [(ID, "main")]
    assert fake.revisions == {"main"}


def test_a_repository_of_one_single_file(fake, parts):
    (fake.root / ID).mkdir(parents=True)
    tiny.ckpt(fake.root / ID / "sd-v1.ckpt", parts)
    assert read(ID).name == ID
    tiny.ckpt(fake.root / ID / "sd-v2.ckpt", parts)
    with pytest.raises(
        CheckpointError, match=r"2 single files.*hf_hub_download\('somebody/some-model', 's"
    ):
        read(ID)


def test_a_repository_of_something_else(fake):
    (fake.root / ID).mkdir(parents=True)
    (fake.root / ID / "pytorch_model.gguf").touch()
    with pytest.raises(CheckpointError, match=r"no Stable Diffusion.*pytorch_model\.gguf"):
        read(ID)


def test_a_folder_of_this_name_goes_first(fake, parts, tmp_path):
    tiny.folder(tmp_path / ID, parts)
    assert read(ID).name == "some-model"
    assert fake.asked == []


def test_without_a_network_the_cache_is_used(fake, parts):
    publish(fake, parts)
    read(ID)
    fake.failure = ConnectionError("no route")
    assert read(ID).notes == [f"{ID}: the hub could not be reached; the copy in the cache is used"]
    (fake.snapshot(ID) / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no connection to the hub"):
        read(ID)


def httpx_error() -> Exception:
    httpx = pytest.importorskip("httpx")
    return httpx.ConnectError("no route")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ConnectionError("no route"), r"no connection to the hub.*sdnb\.load\(\)"),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (httpx_error(), "no connection to the hub"),
        (OSError(errno.ENOSPC, "full"), "the disk is full"),
        (errors.HFValidationError("bad"), "no hub id"),
        (errors.GatedRepoError("gated", response=Response(403)), r"licence.*/somebody/some-model"),
        (errors.RepositoryNotFoundError("no", response=Response(404)), "no model of this id"),
        (errors.RevisionNotFoundError("no", response=Response(404)), "has no revision"),
        (errors.HfHubHTTPError("busy", response=Response(503)), "HTTP status 503"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_can_go_wrong(fake, failure, message):
    fake.failure = failure
    with pytest.raises(CheckpointError, match=message) as error:
        read(ID)
    assert ID in str(error.value)


def test_a_bug_is_not_explained_away(fake):
    fake.failure = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        read(ID)


@pytest.mark.parametrize("text", ["a/b", "CompVis/stable-diffusion-v1-4", "a/b@refs/pr/1"])
def test_ids(text):
    assert hub.is_id(text)


@pytest.mark.parametrize("text", ["a", "a/b/c", "/a/b", "./a", "../b", "C:\\a\\b", "~/a", "a/", ""])
def test_what_is_no_id(text):
    assert not hub.is_id(text)


def test_a_file_that_is_not_there_is_never_looked_up(fake):
    for name in ("models/sd.ckpt", "models/sd.safetensors"):
        with pytest.raises(CheckpointError, match="no file or folder"):
            read(name)
    assert fake.asked == []


def test_the_librarys_own_offline_mode(monkeypatch, tmp_path):
    """No fake: with its offline switch on, huggingface_hub itself must end in our words."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
        read("somebody/no-such-model")
