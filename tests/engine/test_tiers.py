"""One picture on every plan: tiers simulated on the CPU, memory that runs out, numbers that fail.

The CPU stands for a card: weights pass through a ring, maps lie apart, tiles and chunks are small.
In full precision every plan gives the same picture to 1/255 on every pixel.
"""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

import sdnb
from sdnb.engine.networks.config import ModelConfig, UNetConfig
from sdnb.engine.networks.unet import UNet
from sdnb.engine.planning import footprint, planner
from sdnb.engine.planning.facts import Facts, PartFacts
from sdnb.engine.stages import autoencode, predictor
from sdnb.engine.stages.prepare import prepare
from sdnb.request import memory_plan
from sdnb.request.memory_plan import MemoryPlan

pytestmark = pytest.mark.picture

ASKED = sdnb.Request("a castle", width=104, height=128, steps=4, seed=2)


def load(precision="full", **fields):
    return sdnb.load(memory=MemoryPlan(device="cpu", **fields), precision=precision)


def array(result):
    return np.asarray(result.image, dtype=float)


def generate(model, request=ASKED):
    return sdnb.generate(model, request, progress=False)


@pytest.fixture(scope="module")
def truth():
    return array(generate(load()))


PLANS = {
    **{name: memory_plan.read(name).__dict__ for name in (*memory_plan.LADDER, "vae-on-cpu")},
    "streamed, apart, in small parts": {
        "unet": "stream", "keep": 0.01, "together": False, "chunk": 100, "tile": 40,
        "store": "host",
    },
    "sliced attention": {"attention": "sliced", "tile": 24},
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_gives_the_same_picture(name, truth):
    fields = {k: v for k, v in PLANS[name].items() if k != "device"}
    result = generate(load(**fields))
    assert np.abs(array(result) - truth).max() <= 1
    assert result.memory == fields.get("name", "custom")


def test_a_plans_chunk_reaches_every_layer_that_works_in_parts():
    model = load(chunk=100)
    layers = [m for m in model.unet.modules() if hasattr(m, "chunk")]
    kinds = {type(m).__name__ for m in layers}
    assert kinds == {"NormConvTime", "NormConvAdd", "Upsample", "Attention", "FeedForward"}
    first = model.config.unet.channels[0]
    assert all((m.chunk - 1) * m.width < 100 * first <= m.chunk * m.width for m in layers)
    model.weights.apply(model.memory.decided(chunk=0))
    assert not any(m.chunk for m in layers)


def test_a_batch_is_split_as_the_plan_says(truth):
    for batch in (1, 2, 3):
        result = generate(load(batch=batch), ASKED.but(count=3))
        assert np.abs(array(result) - truth).max() <= 1


def psnr(a, b):
    return 10 * np.log10(255**2 / ((a - b) ** 2).mean())


@torch.inference_mode()
def test_weights_in_eight_bits_change_predictions_little():
    """The predicted noise, to 3 % of its norm."""
    exact, coarse = load(), load(unet="stream", weights="int8")
    generator = torch.Generator().manual_seed(0)
    x, context = (torch.randn(*n, generator=generator) for n in ((1, 4, 32, 32), (1, 77, 256)))
    for t in (20.0, 500.0, 980.0):
        truth = exact.unet(x, t, exact.unet.prepare(context))
        with coarse.weights.use("unet"):
            found = coarse.unet(x, t, coarse.unet.prepare(context))
        assert 0 < (found - truth).norm() <= 0.03 * truth.norm()


def fail(monkeypatch, module, name, times, error=torch.OutOfMemoryError):
    """Let `module.name` fail at the calls whose numbers are in `times`; gives the calls made."""
    whole, calls = getattr(module, name), []

    def sometimes(*args, **kwargs):
        calls.append(len(calls))
        if calls[-1] in times:
            raise error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(*args, **kwargs)

    monkeypatch.setattr(module, name, sometimes)
    return calls


def test_the_steps_go_on_from_the_last_one_when_memory_runs_out(truth, monkeypatch):
    model = load()
    calls = fail(monkeypatch, model.unet, "forward", {2})
    result = generate(model)
    assert np.abs(array(result) - truth).max() <= 1
    assert len(calls) == 2 + 1 + 2 * 2  # two steps, the failure, two steps of a pass for each text
    assert any("went on from the last finished step" in note for note in result.notes)
    assert model.memory.together is False


def test_the_next_tier_is_taken_when_less_at_once_is_not_enough(truth, monkeypatch):
    monkeypatch.setattr(memory_plan, "LADDER", ("2gb", "1gb"))
    model = load(name="2gb", unet="stream", text="offload", vae="offload")

    def down(plan):
        return None if plan.name == "1gb" else memory_plan.read("1gb").but(device="cpu")

    monkeypatch.setattr(memory_plan, "below", down)
    fail(monkeypatch, model.unet, "forward", {1, 2})
    result = generate(model)
    assert np.abs(array(result) - truth).max() <= 1
    assert result.memory == "1gb"
    fail(monkeypatch, model.unet, "forward", set(range(9)))
    with pytest.raises(
        predictor.OutOfMemoryError, match=r"'1gb', the leanest plan.*smaller picture"
    ):
        generate(model)
    monkeypatch.undo()
    assert np.abs(array(generate(model)) - truth).max() <= 1


def test_decoding_takes_tiles_when_memory_runs_out(truth, monkeypatch):
    model = load()
    fail(monkeypatch, model.vae, "decode", {0})
    result = generate(model)
    assert np.abs(array(result) - truth).max() <= 1
    assert any("tiles of 512 pixels" in note for note in result.notes)


def test_finished_latents_outlive_a_decoder_that_fails(truth, monkeypatch):
    model = load()
    with monkeypatch.context() as patch:
        fail(patch, model.vae, "decode", {0}, RuntimeError)
        with pytest.raises(autoencode.DecodeError, match=r"sdnb\.decode") as caught:
            generate(model)
    (image,) = sdnb.decode(model, caught.value.latents)
    assert np.abs(np.asarray(image, dtype=float) - truth).max() <= 1


def test_a_result_keeps_its_latents(truth):
    model = load()
    result = generate(model, ASKED.but(count=2))
    assert [tuple(x.shape) for x in result.latents] == [(4, 16, 13)] * 2
    for image, again in zip(result.images, sdnb.decode(model, result.latents), strict=True):
        assert image.tobytes() == again.tobytes()


@pytest.mark.parametrize("part", ["unet", "vae", "constant vae"])
def test_numbers_that_fail_are_made_again_in_full_precision(part, truth, monkeypatch):
    model = load("bf16")
    good = array(generate(model))
    module, name = (model.unet, "forward") if part == "unet" else (model.vae, "decode")
    whole = getattr(module, name)

    def broken(x, *rest):
        out = whole(x, *rest)
        if out.dtype == torch.float32:
            return out
        return torch.zeros_like(out) if "constant" in part else torch.full_like(out, torch.nan)

    monkeypatch.setattr(module, name, broken)
    result = generate(model)
    stage = "The UNet" if part == "unet" else "The VAE"
    assert sum(stage in note and "full precision" in note for note in result.notes) == 1
    assert psnr(array(result), good) > 30
    assert next(model.unet.parameters()).dtype == torch.bfloat16


def test_a_network_that_fails_in_full_precision_too_is_run_once_and_named(monkeypatch):
    model = load()
    whole, calls = model.unet.forward, []

    def broken(x, *rest):
        calls.append(1)
        return whole(x, *rest) * torch.nan

    monkeypatch.setattr(model.unet, "forward", broken)
    notes = generate(model).notes
    assert len(calls) == ASKED.steps
    assert any("The UNet gave no usable numbers" in note for note in notes)


def test_memory_is_given_back():
    """The weights are freed by `unload`; twenty generations in a row leave memory where it was."""
    request = ASKED.but(width=64, height=64, steps=1)
    with load() as model:
        process = psutil.Process()
        for _ in range(3):
            generate(model, request)
        gc.collect()
        before = process.memory_info().rss
        for _ in range(20):
            generate(model, request)
        gc.collect()
        assert process.memory_info().rss - before < 16 * 2**20
        weight = weakref.ref(model.unet.out[2].weight)
    gc.collect()
    assert weight() is None


# -- the planner -------------------------------------------------------------------------------
SIZES = {"text": 0.246e9, "unet": 1.719e9, "encoder": 0.068e9, "decoder": 0.099e9}  # bytes
SD2 = ModelConfig(unet=UNetConfig(head_width=64, context_dim=1024))
SD2_SIZES = {**SIZES, "text": 2 * 340_387_840, "unet": 2 * 865_910_724}


class Card:
    """A model of SD 1.4's size on a card of `room` GB, as far as a planner looks."""

    has_second_stream = False

    def __init__(self, monkeypatch, room, memory="auto", config=None, sizes=SIZES):
        config = config or ModelConfig()
        self.config, self.settings = config, config.settings
        self.device, self.dtype = torch.device("cuda"), torch.float16
        self.asked_plan = memory_plan.plan(memory)
        self.budget = float(memory) if isinstance(memory, float) else 0.0
        self.net = footprint.without_data(UNet, config.unet, self.dtype)
        roles = {"text": "text", "unet": "unet", "encoder": "vae", "decoder": "vae"}
        self.parts = {n: PartFacts(roles[n], int(size), False) for n, size in sizes.items()}
        monkeypatch.setattr(planner.memory, "free", lambda _: room)

    def ring_bytes(self, weights, keep):
        units, once = self.net.execution_order(), self.net.once_a_run()
        return planner.memory.streaming_bytes(units, once, int(keep * 2**30), weights)

    def facts(self):
        return Facts(
            self.config, self.device, self.dtype, self.asked_plan, self.budget, self.parts,
            self.ring_bytes, has_second_stream=self.has_second_stream,
        )  # fmt: skip

    def plan(self, request):
        return planner.forecast(self.facts(), request.resolved(self.settings))

    def forecast(self, size):
        return self.plan(sdnb.Request(width=size, height=size, seed=0))


@pytest.mark.parametrize(
    ("room", "size", "tier"),
    [
        (20.0, 512, "max"),
        (3.0, 512, "max"),
        (1.9, 512, "4gb"),
        (0.45, 512, "2gb"),
        (1.0, 1088, "2gb"),
    ],
)
def test_auto_takes_the_fastest_plan_that_fits(room, size, tier, monkeypatch):
    found = Card(monkeypatch, room).forecast(size)
    assert (found.name, found.refusal) == (tier, "")
    assert 0 < found.gb <= room
    assert found.fits
    assert (found.slowdown > 1) == (found.plan.unet == "stream" and size == 512)
    assert None not in (found.plan.together, found.plan.tile, found.plan.store, found.plan.chunk)
    assert tier in str(found)


@pytest.mark.parametrize(
    ("room", "size", "tier"), [(20.0, 768, "max"), (3.0, 512, "max"), (0.9, 768, "2gb")]
)
def test_the_2_x_family_is_planned_by_its_own_weights(room, size, tier, monkeypatch):
    card = Card(monkeypatch, room, config=SD2, sizes=SD2_SIZES)
    assert sum(p.nbytes for p in card.net.parameters()) == SD2_SIZES["unet"]
    found, other = card.forecast(size), Card(monkeypatch, room).forecast(size)
    assert found.name == tier
    assert found.fits
    if room == 20.0:  # all is on the card, and nothing is in parts: the weights alone differ
        more = sum(SD2_SIZES.values()) - sum(SIZES.values())
        assert found.gb - other.gb == pytest.approx(more / 2**30, abs=0.01)


@pytest.mark.parametrize(
    ("family", "memory", "measured"),
    [("1", "max", 3.268), ("1", "4gb", 1.959), ("2", "max", 3.738), ("2", "4gb", 1.953)],
)
@pytest.mark.slow
def test_a_forecast_is_what_cards_measured(family, memory, measured, monkeypatch):
    """GB of a picture of 768x768 on an H100 (of 1.x, `bench/h100.json`) and an H200."""
    config, sizes = (None, SIZES) if family == "1" else (SD2, SD2_SIZES)
    found = Card(monkeypatch, 79.0, memory, config, sizes).forecast(768)
    assert 0.995 < found.gb / measured < 1.02


CONTROL = sdnb.Control("canny", Image.new("RGB", (8, 8)))


def test_a_control_network_is_planned_for_as_the_unet_is(monkeypatch):
    """361 M weights, where the plan has the UNet's or in a ring of their own, and its maps."""

    def found(room, memory, count):
        asked = sdnb.Request(width=512, height=512, seed=0, controls=[CONTROL] * count)
        return Card(monkeypatch, room, memory).plan(asked)

    gb = 361_279_120 * 2 / 2**30
    # All on the card: the network works in a stream of its own, beside the UNet's way down.
    assert gb < found(20.0, "6gb", 1).gb - found(20.0, "6gb", 0).gb < gb + 0.06 + 0.13
    fresh = [found(20.0, "max", 1).gb, found(20.0, "4gb", 1).gb]
    monkeypatch.setattr(Card, "has_second_stream", True)  # and the process keeps what that took
    again = [found(20.0, "max", 1).gb, found(20.0, "4gb", 1).gb]
    monkeypatch.setattr(Card, "has_second_stream", False)
    assert again == [fresh[0], pytest.approx(fresh[1] + 0.06)]
    assert found(20.0, "4gb", 1).gb - found(20.0, "4gb", 0).gb < gb / 4
    assert found(2.6, "auto", 1).name == "4gb"  # without, it is "max"
    # Streamed through the ring that the UNet has, and the same network with another hint.
    lean = [found(0.4, "1gb", count) for count in range(3)]
    assert lean[1].fits
    assert lean[1].gb - lean[0].gb < 0.03
    assert lean[2].gb - lean[1].gb < 0.03


def test_a_plan_that_fits_without_control_steps_down_with_it_and_says_so(monkeypatch):
    card = Card(monkeypatch, 20.0, "6gb")
    card.memory, applied = memory_plan.plan("6gb"), []
    card.weights = SimpleNamespace(apply=applied.append)
    for controls in ((), (CONTROL,)):
        notes = []
        asked = sdnb.Request(width=3072, height=3072, seed=0, controls=controls)
        prepare(card, asked.resolved(card.settings), notes)
        words = "'6gb' is too small for 3072x3072 with 1 control network: '4gb' was used."
        assert notes == ([f"memory={words}"] if controls else [])
    assert [plan.name for plan in applied] == ["6gb", "4gb"]


def test_what_does_not_fit_is_refused_in_words(monkeypatch):
    """It says what was asked, what there is, which size fits; and that size then does."""
    found = Card(monkeypatch, 0.5).forecast(2048)
    assert not found.fits
    assert str(found) == found.refusal
    assert "2048x2048 needs" in found.refusal
    assert "0.50 GB" in found.refusal
    size = int(found.refusal.split("GB. ")[1].split("x")[0])
    assert 512 <= size < 2048
    assert Card(monkeypatch, 0.5).forecast(size).fits
    assert "No size fits" in Card(monkeypatch, 0.1).forecast(512).refusal


def test_a_named_plan_that_is_too_small_gives_way_to_a_leaner_one(monkeypatch):
    card = Card(monkeypatch, 20.0, "4gb")
    assert card.forecast(1088).name == "4gb"
    assert card.forecast(1088).gb <= memory_plan.read("4gb").gb
    larger = card.forecast(5632)
    assert larger.plan.unet == "stream"
    assert larger.fits


def test_a_run_that_cannot_fit_is_refused_before_any_work(monkeypatch):
    card = Card(monkeypatch, 0.3)
    with pytest.raises(ValueError, match="2048x2048 needs"):
        prepare(card, sdnb.Request(width=2048, height=2048, seed=0), [])


@pytest.mark.parametrize(("memory", "tier"), [("auto", "cpu"), (2.5, "cpu"), ("cpu", "cpu")])
def test_a_model_on_the_cpu_says_what_a_request_takes(memory, tier):
    model = sdnb.load(memory=memory)
    small, large = (model.plan(ASKED.but(width=n, height=n)) for n in (64, 512))
    assert small.name == tier
    assert large.gb > small.gb > 0
