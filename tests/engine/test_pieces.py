"""A run looks between pieces of its layers whether it is to stop, and is the same by pieces.

What a piece may take is tested by counting: the multiplications of every operation between two
looks, at the sizes of Stable Diffusion 1.x, on tensors without data.
"""

import signal
import threading

import numpy as np
import pytest
import torch
from oracles import diffusers_models as oracle
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import sdnb
from sdnb.engine.networks import pieces, winograd
from sdnb.engine.networks.config import UNetConfig, VAEConfig
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE
from sdnb.jobs.executor import Worker
from sdnb.request import stop

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5
APPLE = sdnb.Request("a red apple", width=64, height=64, steps=3, seed=1, cfg=4)


class MultiplicationsBetweenLooks(TorchDispatchMode):
    """Counts the multiplications of products, convolutions and attention; a look begins anew."""

    def __init__(self):
        super().__init__()
        self.now = self.most = self.total = self.looks = 0

    def look(self):
        self.looks += 1
        self.most, self.now = max(self.most, self.now), 0
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        count = self._count(func._schema.name, args, out)
        self.now, self.total = self.now + count, self.total + count
        return out

    @staticmethod
    def _count(name, args, out):
        if name in ("aten::mm", "aten::bmm"):
            return args[0].numel() * args[1].shape[-1]
        if name == "aten::addmm":
            return args[1].numel() * args[2].shape[-1]
        if name in ("aten::convolution", "aten::conv2d"):
            return out.numel() * args[1][0].numel()
        if "scaled_dot_product" in name:
            return 2 * args[0].numel() * args[1].shape[2]
        return 0


def unet_step(model, width, height):
    x = torch.empty(1, 4, height // 8, width // 8).to(memory_format=torch.channels_last)
    model(x, torch.empty(sum(model.widths)), model.prepare(torch.empty(2, 77, 768)))


def decoding(model, width, height):
    model.decode(torch.empty(1, 4, height // 8, width // 8).to(memory_format=torch.channels_last))


def encoding(model, width, height):
    model.encode(torch.empty(1, 3, height, width).to(memory_format=torch.channels_last))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "config", "work", "width", "height", "least"),
    [
        # `least`: multiplications of the whole, from the tables of fvcore for this network, rounded
        # down; it shows that they were counted.
        (UNet, UNetConfig, unet_step, 1536, 1152, 5e12),
        (VAE, VAEConfig, decoding, 256, 192, 0.06e12),
        (VAE, VAEConfig, encoding, 256, 192, 0.03e12),
    ],
)
def test_no_layer_of_a_large_picture_keeps_a_stop_waiting(
    network, config, work, width, height, least
):
    """4e9 multiplications and a few: about 0.2 s of two slow cores (20e9 a second)."""
    count = MultiplicationsBetweenLooks()
    for kept in ("input", "output", "weight"):  # else they would be kept without data
        getattr(winograd, f"_{kept}_transform")()
    with torch.inference_mode(), FakeTensorMode(allow_non_fake_inputs=True):
        model = network(config()).eval()
        with count, stop.heard(count.look):
            work(model, width, height)
    count.look()
    assert count.total > least
    assert count.most <= 1.1 * pieces.MOST * max(torch.get_num_threads() // 2, 1)


@pytest.mark.parametrize("size", [(16, 16), (13, 21)])
@torch.inference_mode()
def test_networks_by_pieces_equal_the_whole(monkeypatch, size):
    """Against the same networks at once, which other tests hold against diffusers'."""
    config = UNetConfig(channels=(32, 64, 96, 64), heads=4, context_dim=48, groups=8)
    unet, vae = UNet(config), VAE(VAEConfig(channels=(32, 32, 64, 64), groups=8))
    for module in (unet, vae):
        module.load_state_dict(oracle.random_weights(module, 3), assign=True)
    draw = torch.Generator().manual_seed(1)
    x, context = torch.randn(1, 4, *size, generator=draw), torch.randn(2, 7, 48, generator=draw)
    picture = torch.randn(1, 3, 8 * size[0], 8 * size[1], generator=draw)

    def outputs():
        text = unet.prepare(context)
        return unet(x, 500.0, text), vae.decode(x), vae.encode(picture)

    whole = outputs()
    looks = []
    monkeypatch.setattr(pieces, "MOST", 200_000)
    with stop.heard(lambda: looks.append(1)):
        in_pieces = outputs()
    assert len(looks) > 500
    for a, b in zip(in_pieces, whole, strict=True):
        assert b.std() > 0.01
        assert (a - b).abs().max() <= TOLERANCE * b.abs().max()


@pytest.mark.parametrize(("side", "count"), [(136, 1), (256, 6)])
@torch.inference_mode()
def test_attention_on_a_card_is_in_pieces_where_it_is_long(side, count):
    """At 1088² it is whole; at 2048² 5.5e12 multiplications are six pieces of 1e12 and less."""
    q, sizes = torch.empty(2, 8, side * side, 40, device="meta"), []

    def kernel(some, k, v):
        sizes.append(some.shape[2])
        return torch.empty_like(some)

    out = pieces.attend(kernel, q, q, q)
    assert out.shape == q.shape
    assert sum(sizes) == side * side
    assert len(sizes) == count
    assert max(sizes) * 2 * 2 * 8 * side * side * 40 <= 1e12
    assert {size % 64 for size in sizes[:-1]} <= {0}


@pytest.fixture(scope="module")
def model():
    return sdnb.load(memory="cpu", precision="full")


@pytest.fixture(scope="module")
def truth(model):
    """The picture of a run that nobody stops."""
    return np.asarray(sdnb.generate(model, APPLE, progress=False).image)


@pytest.fixture(scope="module")
def looks_of_a_run(model, truth):
    looks = []
    with stop.heard(lambda: looks.append(1)):
        sdnb.generate(model, APPLE, progress=False)
    return len(looks)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.98])
def test_a_run_stops_at_the_next_look_and_the_model_serves_on(model, truth, looks_of_a_run, share):
    """In the prompt, in a step, in the decoder: nothing is left of what was stopped."""
    looks = []

    def asked():
        looks.append(1)
        return len(looks) > share * looks_of_a_run

    with pytest.raises(stop.Stopped), stop.heard(asked):
        sdnb.generate(model, APPLE, progress=False)
    assert len(looks) == int(share * looks_of_a_run) + 1
    assert np.array_equal(sdnb.generate(model, APPLE, progress=False).image, truth)


def test_stop_ends_a_job_inside_a_step(model):
    """The job is stopped after the first step has begun, and ends before it is done."""
    begun, go_on = threading.Event(), threading.Event()

    def waiting(*_):
        begun.set()
        assert go_on.wait(30)

    hook = model.unet.middle_block[0].register_forward_pre_hook(waiting)
    worker = Worker(lambda request: sdnb.run(model, request))
    try:
        job = worker.submit(APPLE)
        assert begun.wait(30)
        job.stop()
        go_on.set()
        assert job.wait(30)
    finally:
        hook.remove()
        worker.shutdown()
    assert (job.state, job.progress.step, job.error) == ("stopped", 0, None)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_run_inside_a_step(model, truth):
    """Between two layers; the model serves on."""
    hook = model.unet.middle_block[0].register_forward_pre_hook(
        lambda *_: signal.raise_signal(signal.SIGINT)
    )
    steps = []
    try:
        with pytest.raises(KeyboardInterrupt):
            steps.extend(at.step for at in sdnb.run(model, APPLE))
    finally:
        hook.remove()
    assert steps == [0]
    assert np.array_equal(sdnb.generate(model, APPLE, progress=False).image, truth)


def test_who_listens_inside_another_hears_both():
    """Whoever asks, inside or outside; and inside `unheard` nobody."""
    wanted = set()

    def stops():
        try:
            stop.look()
        except stop.Stopped:
            return True
        return False

    with stop.heard(lambda: "outer" in wanted):
        with stop.heard(lambda: "inner" in wanted):
            assert not stops()
            wanted.add("inner")
            assert stops()
            wanted.add("outer")
            wanted.discard("inner")
            assert stops()
            with stop.unheard():
                assert not stops()
        assert stops()
        wanted.clear()
        assert not stops()
    wanted.add("outer")
    assert not stops()


def test_looking_is_of_the_thread_that_runs(model):
    """Another thread's stop is its own."""
    with stop.heard(lambda: True):
        results = []
        thread = threading.Thread(
            target=lambda: results.append(sdnb.generate(model, APPLE, progress=False))
        )
        thread.start()
        thread.join(60)
        assert len(results) == 1
        with pytest.raises(stop.Stopped):
            stop.look()
    stop.look()
