"""A tiny VAE beside a model's own: when a plan takes it, what it makes, and previews by it."""

import numpy as np
import pytest
import torch
from helpers import tiny_vaes
from safetensors.torch import save_file

import sdnb
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.networks.config import ModelConfig
from sdnb.engine.planning import measured, peaks, planner
from sdnb.engine.planning.facts import Facts, PartFacts
from sdnb.engine.planning.footprint import Workload
from sdnb.engine.stages.prepare import prepare
from sdnb.images.used_files import UsedFile
from sdnb.library import hashes
from sdnb.request.memory_plan import MemoryPlan, leaner

REQUEST = sdnb.Request("a castle", width=64, height=64, steps=2, seed=1)
ROLES = {"text": "text", "unet": "unet", "encoder": "vae", "decoder": "vae"}
TINY = {"tiny_encoder": "tiny_vae", "tiny_decoder": "tiny_vae"}
BROUGHT = dict(TINY)  # by the model's folder, and not given


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vae") / "taesd.safetensors"
    save_file(tiny_vaes.comfy(tiny_vaes.diffusers(7)), path)
    return path


@pytest.fixture(scope="module")
def model(file):
    return sdnb.load(tiny_vae=file, memory="cpu")


# -- plans -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "free", "parts", "outcome"),
    [
        (7.0, 9.0, TINY, "full"),
        (5.9, 9.0, TINY, "full"),  # its weights stay in their file
        (MemoryPlan(device="cpu", gb=5.9), 9.0, TINY, "tiny"),
        (MemoryPlan(device="cpu", gb=5.9), 9.0, {}, "refused"),
        (MemoryPlan(device="cpu", gb=5.9, tiny_vae=False), 9.0, TINY, "refused"),
        (MemoryPlan(device="cpu", tiny_vae=True), 9.0, TINY, "tiny"),
        ("auto", 0.9, TINY, "full, of what others have"),
        ("auto", 0.25, TINY, "tiny"),
        (MemoryPlan(device="cpu", gb=5.9), 9.0, BROUGHT, "a way out"),
        (MemoryPlan(device="cpu", tiny_vae=True), 9.0, BROUGHT, "tiny"),
        (MemoryPlan(device="cpu", gb=5.1), 9.0, BROUGHT, "refused"),  # no draft fits there either
    ],
)
def test_the_tiny_vae_is_taken_where_its_own_does_not_fit(asked, free, parts, outcome, monkeypatch):
    """A model of SD 1.4's size on a CPU, 5 GB with what the process holds: at 1088² its VAE takes a
    GB more, in whatever tiles, and the tiny one 0.2 GB, as a step does.
    """
    monkeypatch.setattr(peaks, "resident", lambda: 5.0)
    monkeypatch.setattr(peaks, "unet_peak", lambda *_, **__: 2e8)
    monkeypatch.setattr(peaks, "vae_peak", lambda config, *_, **__: 2e8 if config.tiny else 1e9)
    monkeypatch.setattr(planner.memory, "free", lambda _: free)
    facts = Facts(
        ModelConfig(), torch.device("cpu"), torch.float32,
        asked if isinstance(asked, MemoryPlan) else None,
        asked if isinstance(asked, float) else 0.0,
        {name: PartFacts(role, 10**9, True) for name, role in {**ROLES, **parts}.items()},
        lambda *_: (0, 0), tiny_stands_in=parts is not BROUGHT,
    )  # fmt: skip
    request = sdnb.Request(width=1088, height=1088, seed=0).resolved(ModelConfig().settings)
    found = planner.forecast(facts, request)
    assert found.plan.tiny_vae == (outcome == "tiny")
    assert found.fits == (outcome in ("full", "tiny"))
    assert bool(found.refusal) != found.fits
    assert ("plan with tiny_vae=True" in found.refusal) == (outcome == "a way out")


def test_a_preview_beside_a_recorded_step_is_in_the_prediction(monkeypatch):
    """0.25 GB for the preview, in its own tiles, and for the weights; the decoder takes its place
    afterwards.
    """
    monkeypatch.setattr(peaks, "unet_peak", lambda *_, **__: 2**30)
    monkeypatch.setattr(peaks, "vae_peak", lambda *given, **_: 2**28 if given[3] == 128 else 2**27)
    work = Workload(512, 512, 1, 2, pictured=False)
    gb = []
    for parts in (ROLES, {**ROLES, **TINY}):
        facts = Facts(
            ModelConfig(), torch.device("cuda"), torch.float16, None, 0.0,
            {name: PartFacts(role, 2**27, False) for name, role in parts.items()}, lambda *_: 0,
        )  # fmt: skip
        gb += [peaks.decide(facts, MemoryPlan(speed=s), work, 9.0).gb for s in ("eager", "graph")]
    eager, graph, eager_with, graph_with = gb
    assert eager_with - eager == pytest.approx(0.25)
    recorded = measured.RECORDING_STREAM - 0.15  # its holes are rehearsed, and not added
    assert graph - eager == pytest.approx(0.125 * 1.15 + recorded)  # the decoder, for the holes
    assert graph_with - eager_with == pytest.approx(0.25 + recorded)


def test_a_leaner_plan_keeps_the_tiny_vae_and_the_full_one_away():
    plan = MemoryPlan(name="max").with_tiny_vae().decided(together=False, chunk=4096)
    lower = leaner(plan)
    assert (lower.name, lower.tiny_vae, lower.vae, lower.tile) == ("8gb", True, "offload", 0)
    assert plan.placement("tiny_vae") == "resident"


@pytest.mark.slow
def test_what_needs_a_tiny_vae_or_has_no_use_for_one_is_refused(file, model, tmp_path):
    plan = MemoryPlan(device="cpu", tiny_vae=True)
    with pytest.raises(ValueError, match=r"tiny_vae=True.*load\(..., tiny_vae="):
        sdnb.load(memory=plan, tiny_vae=False)
    with pytest.raises(TypeError, match="tiny_vae"):
        MemoryPlan(tiny_vae="taesd.safetensors")
    with pytest.raises(CheckpointError, match="is a tiny one itself; leave it out"):
        sdnb.load(vae=file, tiny_vae=file)
    with pytest.raises(CheckpointError, match=r"is a full VAE.*give it as vae="):
        sdnb.load(tiny_vae=sdnb.assets.embedded_model() / "vae")
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
        sdnb.load(tiny_vae="nothing.pth")
    other = tmp_path / "taef1.safetensors"
    save_file(tiny_vaes.comfy(tiny_vaes.diffusers(0, 16), None), other)
    with pytest.raises(CheckpointError, match=r"decoder.1.weight is \[64, 16, 3, 3\], not"):
        sdnb.load(tiny_vae=other)


# -- runs --------------------------------------------------------------------------------------
@pytest.mark.picture
def test_a_plan_with_it_makes_the_picture_of_a_model_that_has_no_other(file, model):
    """Its latents are the model's own, bit for bit; what decodes them is said, in the PNG too."""
    words = {"strength": 0.5, "steps": 2, "seed": 3, "progress": False}
    own = sdnb.generate(model, REQUEST, progress=False)
    assert own.notes == ()
    model.ask(MemoryPlan(device="cpu", tiny_vae=True))
    try:
        made = sdnb.generate(model, REQUEST, progress=False)
        changed = sdnb.img2img(model, "a", image=made, **words)
    finally:
        model.ask(None)
    assert torch.equal(made.latents[0], own.latents[0])
    assert [note[:40] for note in made.notes] == ["By the tiny VAE, as the memory plan has "]
    used = UsedFile("vae", "taesd.safetensors", hashes.sha256(file))
    assert used in made.files
    assert used not in own.files
    assert made.fingerprint == own.fingerprint == sdnb.load(memory="cpu").fingerprint
    alone = sdnb.load(vae=file, memory="cpu")
    truth = sdnb.generate(alone, REQUEST, progress=False)
    assert np.array_equal(np.asarray(made.image), np.asarray(truth.image))
    assert not np.array_equal(np.asarray(made.image), np.asarray(own.image))
    truth = sdnb.img2img(alone, "a", image=made, **words)
    assert np.array_equal(np.asarray(changed.image), np.asarray(truth.image))


@pytest.mark.slow
def test_what_did_not_fit_is_said(model, monkeypatch):
    """And it is used for that request alone. Here the full one would take a GB for 64x64."""
    request, notes = REQUEST.resolved(model.settings), []
    monkeypatch.setattr(peaks, "resident", lambda: 0.5)
    with monkeypatch.context() as patch:
        patch.setattr(peaks, "vae_peak", lambda config, *_, **__: 10**7 if config.tiny else 10**9)
        model.ask(MemoryPlan(device="cpu", gb=1.2))
        prepare(model, request, notes)
    try:
        assert model.memory.tiny_vae
        said = "By the tiny VAE, since the full one does not fit at 64x64: a draft, in which small"
        assert [note[: len(said)] for note in notes] == [said]
        prepare(model, request, again := [])
        assert (model.memory.tiny_vae, again) == (False, [])
    finally:
        model.ask(None)


# -- previews ----------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_full_preview_is_what_it_decodes(file, model):
    latent = torch.randn(2, 4, 9, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        truth = tiny_vaes.diffusers(7).decode(latent[:1]).sample[0].clamp(-1, 1)
    seen = model.full_preview(latent)
    assert seen.size == (128, 72)
    expected = ((truth + 1) * 127.5).permute(1, 2, 0).numpy()
    assert np.abs(np.asarray(seen) - expected).max() <= 1
    assert np.array_equal(np.asarray(sdnb.load(vae=file).full_preview(latent)), np.asarray(seen))
    assert sdnb.load(tiny_vae=False).full_preview(latent) is None
    assert model.preview(latent).size == (16, 9)
