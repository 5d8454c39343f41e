"""Weights that stay in their file: the same pictures, in whatever order blocks come, and a thread
that ends.

In full precision a plan changes where weights are, and no bit of a picture.
"""

import threading
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import tiny_checkpoints, tiny_controls, tiny_loras
from oracles import tiny_pipeline
from PIL import Image
from torch import nn

import sdnb
from sdnb import images
from sdnb.engine import memory
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.checkpoint.tensors import copied, read_tensors
from sdnb.engine.networks.config import ModelConfig
from sdnb.engine.planning import peaks
from sdnb.engine.planning.facts import Facts, PartFacts
from sdnb.request.memory_plan import MemoryPlan, read

SIZE = 72  # which the latent halves with a remainder
ASKED = sdnb.Request("a castle", width=SIZE, height=SIZE, steps=2, seed=2, cfg=4)
HINT = Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8))
PICTURE = images.picture(HINT)
MASK = Image.fromarray(np.uint8(255 * (np.arange(SIZE * SIZE) % 7 < 3)).reshape(SIZE, SIZE))
STAY = {"text": "file", "unet": "file", "vae": "file"}
NET = replace(tiny_controls.NET, unet=tiny_pipeline.CONFIG.unet)
ADAPTER = replace(tiny_controls.FULL, channels=tiny_pipeline.CONFIG.unet.channels)


def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("sdnb-reads-ahead")]


def load(path, precision="full", **fields):
    return sdnb.load(path, memory=MemoryPlan(device="cpu", **fields), precision=precision)


def generate(model, request=ASKED):
    return sdnb.generate(model, request, progress=False)


def same(one, other):
    return all(a.tobytes() == b.tobytes() for a, b in zip(one.images, other.images, strict=True))


@pytest.fixture(scope="module")
def pipe():
    return tiny_pipeline.build()


@pytest.fixture(scope="module")
def folder(pipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("from-file") / "model"
    pipe.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def resident(folder):
    return load(folder)


@pytest.fixture(scope="module")
def filed(folder):
    return load(folder, **STAY)


# -- pictures ----------------------------------------------------------------------------------
@pytest.mark.picture
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"image": PICTURE, "strength": 0.6},
        {"image": PICTURE, "mask": images.picture(MASK)},
        {"count": 2},
    ],
    ids=["txt2img", "img2img", "inpaint", "two"],
)
def test_pictures_are_the_same_bit_for_bit(fields, resident, filed):
    assert same(generate(filed, ASKED.but(**fields)), generate(resident, ASKED.but(**fields)))
    assert not threads()
    assert all(weight.is_meta for weight in filed.unet.parameters())


@pytest.mark.picture
@pytest.mark.parametrize("keep", [0.0, 0.00002, 1.0])
@pytest.mark.parametrize("more", [{}, {"together": False, "chunk": 30, "tile": 40}])
def test_whatever_stays_and_however_it_is_computed(keep, more, folder):
    model, truth = load(folder, **STAY, keep=keep, **more), load(folder, **more)
    assert same(generate(model), generate(truth))


@pytest.mark.picture
@pytest.mark.parametrize("kind", ["half", "ckpt", "bf16"])
def test_whatever_the_file_and_the_numbers(kind, tmp_path):
    wide = replace(tiny_checkpoints.CONFIG.text, vocab=49408)
    model = replace(tiny_checkpoints.CONFIG, text=wide)
    parts = tiny_checkpoints.weights(model)
    if kind == "ckpt":
        path = tiny_checkpoints.ckpt(tmp_path / "model.ckpt", parts)
    else:
        stored = tiny_checkpoints.compvis(parts)
        path = tiny_checkpoints.safetensors(
            tmp_path / "model.safetensors", {name: t.half() for name, t in stored.items()}
        )
    config = {"config": model, "precision": "bf16" if kind == "bf16" else "full"}
    pictures = [
        _latent(sdnb.load(path, memory=MemoryPlan(device="cpu", **where), **config))
        for where in ({}, STAY)
    ]
    assert torch.equal(*pictures)


def _latent(model):
    with torch.inference_mode(), model.weights.use("unet") as device:
        x = torch.ones(1, 4, 8, 8, dtype=model.dtype, device=device)
        text = model.unet.prepare(torch.ones(1, 77, 64, dtype=model.dtype))
        return model.unet(x.to(memory_format=torch.channels_last), 500.0, text)


@pytest.mark.picture
def test_loras_come_and_go(pipe, resident, filed, tmp_path):
    files = [
        str(tiny_loras.save(tmp_path / f"{n}.safetensors", tiny_loras.kohya(pipe, n)))
        for n in (1, 2)
    ]
    sets = ([sdnb.Lora(files[0])], [sdnb.Lora(files[1], 0.5), sdnb.Lora(files[0], -0.3)], [])
    plain = generate(resident)
    for loras in sets:
        request = ASKED.but(loras=tuple(loras))
        found = generate(filed, request)
        assert same(found, generate(resident, request))
        assert same(found, plain) == (not loras)


@pytest.mark.picture
def test_control_networks_stay_in_their_files_too(resident, filed, tmp_path):
    net = tiny_controls.written("cropped", tmp_path, tiny_controls.weights(NET), {})
    adapter = tiny_controls.t2i("its own", tmp_path, ADAPTER)[0]
    controls = tuple(sdnb.Control(str(path), PICTURE) for path in (net, adapter))
    for some in (controls, controls[:1], ()):
        request = ASKED.but(controls=some)
        assert same(generate(filed, request), generate(resident, request))
    assert not threads()


@pytest.mark.picture
def test_a_plan_may_change_between_runs(folder, resident):
    model, truth = load(folder, **STAY), generate(resident)
    for plan in (MemoryPlan(device="cpu"), MemoryPlan(device="cpu", unet="file"), read("file")):
        model.ask(plan)
        assert np.abs(_numbers(generate(model)) - _numbers(truth)).max() <= 1
        assert model.unet.out[0].weight.is_meta == (plan.unet == "file")


def _numbers(result):
    return np.asarray(result.image, dtype=float)


# -- what breaks off ---------------------------------------------------------------------------
@pytest.mark.picture
def test_a_run_that_is_left_leaves_no_thread_and_a_good_model(resident, filed):
    with closing(sdnb.run(filed, ASKED)) as steps:
        next(at for at in steps if at.step == 1)
        assert threads()
    assert not threads()
    assert all(weight.is_meta for weight in filed.unet.parameters())
    assert same(generate(filed), generate(resident))


@pytest.mark.picture
@pytest.mark.parametrize("harm", ["gone", "changed", "short"])
def test_a_file_that_changes_inside_a_run_is_an_error_in_words(harm, tmp_path, pipe):
    pipe.save_pretrained(tmp_path / "model")
    model = load(tmp_path / "model", **STAY)
    truth, file = generate(model), next((tmp_path / "model" / "unet").glob("*.safetensors"))
    whole, away = file.read_bytes(), file.with_name("away")

    def run():
        with closing(sdnb.run(model, ASKED)) as steps:
            for at in steps:
                if at.step == 1 and not away.exists():
                    file.rename(away)
                    if harm != "gone":
                        file.write_bytes(whole[: len(whole) // 2] if harm == "short" else whole)

    with pytest.raises(CheckpointError, match=rf"{file.name}.*gone or was changed.*put the file"):
        run()
    assert not threads()
    away.replace(file)
    assert same(generate(model), truth)


# -- blocks in turn ----------------------------------------------------------------------------
class Counted:
    """A network of three layers, each of its number, whose reads are noted."""

    def __init__(self, keep=0, count=3):
        self.net = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(count)))
        self.layers = list(self.net)
        self.numbers = {id(layer._parameters): n for n, layer in enumerate(self.layers)}
        self.log = []
        self.ahead = memory.ReadAhead()
        self.placed = memory.FromFile(self.net, self.read, self.ahead, self.layers)
        self.placed.keep = keep

    def read(self, weights):
        for table, _, target in weights:
            n = self.numbers[id(table)]
            self.log.append(n)
            target.copy_(torch.eye(64) * (n + 2))

    def __call__(self):
        return int(self.net(torch.ones(1, 64))[0, 0])


@torch.inference_mode()
def test_the_next_block_is_read_while_one_computes():
    counted, seen = Counted(), []

    def look(*_):
        counted.ahead.begin(lambda: None).result()  # what was begun before has ended
        seen.append([*counted.log])

    for layer in counted.layers:
        layer.register_forward_hook(look)
    with counted.placed.use():
        assert counted() == 2 * 3 * 4
        assert seen == [[0, 1], [0, 1, 2], [0, 1, 2, 0]]
        assert counted() == 2 * 3 * 4
        assert counted.log == [0, 1, 2, 0, 1, 2, 0]
        assert len(counted.placed._ring) == 2 * 64 * 64 * 4
    assert not threads()
    assert all(weight.is_meta for weight in counted.net.parameters())


@torch.inference_mode()
def test_what_stays_is_read_once():
    counted = Counted(keep=2 * 64 * 64 * 4)
    with counted.placed.use():
        for _ in range(3):
            assert counted() == 2 * 3 * 4
        assert counted.log[:3] == [0, 1, 2]
        assert set(counted.log[3:]) <= {2}


@torch.inference_mode()
def test_blocks_may_come_in_another_order_and_in_other_numbers():
    counted = Counted(count=5)
    x = torch.ones(1, 64)
    with counted.placed.use(torch.float64):
        for order in ([0, 1, 3], [4, 2, 2, 0], [1], [0, 1, 2, 3, 4]):
            for n in order:
                assert counted.layers[n](x.double())[0, 0] == n + 2
    with counted.placed.use(), counted.placed.use():
        assert counted() == 2 * 3 * 4 * 5 * 6


@torch.inference_mode()
def test_an_error_in_reading_reaches_who_computes():
    counted = Counted()
    with counted.placed.use():
        counted.numbers.clear()
        with pytest.raises(KeyError):
            counted()
    assert not threads()
    with pytest.raises(RuntimeError, match="only while their networks are in use"):
        counted.ahead.begin(lambda: None)
    with pytest.raises(TypeError, match="never written"):
        counted.placed.written(counted.layers[0], "weight")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_copied_bytes_are_those_of_a_map(layout, tmp_path, monkeypatch):
    monkeypatch.setattr("sdnb.engine.checkpoint.tensors.COPIED", 100)
    wanted = torch.randn(5, 4, 3, 3).half()
    path = tiny_checkpoints.safetensors(tmp_path / "one.safetensors", {"a": wanted})
    found, _ = read_tensors(path, [])
    target = torch.empty(5, 4, 3, 3).to(memory_format=layout)
    with copied():
        found["a"].read_into(target)
        assert torch.equal(target, wanted.float())
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(CheckpointError, match="ends before"):
            found["a"].read_into(target)


# -- what is predicted -------------------------------------------------------------------------
@pytest.fixture(scope="module")
def large():
    """SD 1.4's shapes, none of its weights in memory, in a process of 0.30 GB."""
    model = sdnb.load(memory="cpu")
    config = ModelConfig()
    with torch.device("meta"):
        unet = _unet(config)
    parts = {
        "text": PartFacts("text", 123060480 * 4, False, 194_000_000),
        "unet": PartFacts("unet", 859520964 * 4, False),
        "encoder": PartFacts("vae", 34163664 * 4, False),
        "decoder": PartFacts("vae", 49490199 * 4, False),
    }
    order = unet.execution_order(), unet.once_a_run()

    def ring(storage, keep):
        return memory.streaming_bytes(*order, int(keep * 2**30), storage)

    del model
    return Facts(config, torch.device("cpu"), torch.float32, None, 0.0, parts, ring, False)


def _unet(config):
    from sdnb.engine.networks.unet import UNet

    return UNet(config.unet).to(memory_format=torch.channels_last)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "fields", "steps", "decoding"),  # the peaks were measured, in GB
    [
        (256, {"together": False, "tile": 256}, 0.838, 0.748),
        (256, {"together": True, "tile": 0}, 0.825, 0.843),
        (512, {"together": False, "tile": 256}, 0.876, 0.938),
        (512, {"together": True, "tile": 0}, 1.091, 1.415),
    ],
)
def test_what_sd_takes_is_predicted_to_a_tenth(size, fields, steps, decoding, large, monkeypatch):
    monkeypatch.setattr(peaks, "resident", lambda: 0.297)
    request = sdnb.Request(width=size, height=size, seed=0).resolved(ModelConfig().settings)
    work = peaks.Workload.of(request)
    plan = read("file").but(**fields)
    its, knobs = peaks._Peaks(large, plan, work), {"chunk": 0, "store": "device", **fields}
    assert its.unet(knobs) == pytest.approx(steps, rel=0.1)
    assert its.vae(0.0, knobs) == pytest.approx(decoding, rel=0.1)


@pytest.mark.slow
def test_a_number_of_gb_keeps_as_much_as_fits(large, monkeypatch):
    monkeypatch.setattr(peaks, "resident", lambda: 0.297)
    monkeypatch.setattr(sdnb.engine.planning.planner.memory, "free", lambda _: 9.0)
    request = sdnb.Request(width=512, height=512, seed=0).resolved(ModelConfig().settings)
    found = {
        gb: sdnb.engine.planning.planner.forecast(replace(large, budget=gb), request)
        for gb in (0.6, 1.0, 1.5, 2.5, 7.0)
    }
    assert [f.name for f in found.values()] == ["file"] * 4 + ["cpu"]
    kept = [f.plan.keep for f in found.values()]
    assert kept[0] == 0.0
    assert kept[1] < kept[2] < kept[3]
    assert "memory='file', the leanest plan" in found[0.6].refusal
    assert all(f.gb <= gb for gb, f in found.items() if gb >= 1)
    assert "stay in their file, and all but" in str(found[1.5])
