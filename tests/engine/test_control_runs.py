"""Whole pictures with control against diffusers' pipelines: same weights, same noise, fp32.

Tolerance: 1/255 on 99.9 % of the pixels. All weights are random, those of zero convolutions too.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
)
from helpers import tiny_controls as tiny
from helpers import tiny_loras
from helpers.copied_graph import CopiedGraph, recorded
from oracles import diffusers_control, tiny_pipeline
from PIL import Image

import sdnb
from sdnb.engine import memory, pipeline, pixels
from sdnb.engine.diffusion.noise import Noise
from sdnb.engine.networks.controlnet import ControlNet
from sdnb.engine.networks.t2i_adapter import T2IAdapter
from sdnb.engine.planning import footprint
from sdnb.engine.stages import control_nets
from sdnb.engine.stages.steering import Steering
from sdnb.engine.stages.unet_passes import UNetPasses
from sdnb.images.canvas import fit
from sdnb.request.choices import PASSES, SAMPLERS
from sdnb.request.memory_plan import MemoryPlan

pytestmark = pytest.mark.picture

SIZE = 72  # which the latent halves with a remainder
STEPS = 4
UNET = tiny_pipeline.CONFIG.unet
NET = replace(tiny.NET, unet=UNET)
ADAPTER = replace(tiny.FULL, channels=UNET.channels)
QUIET = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
HINTS = [
    Image.fromarray(np.random.default_rng(n).integers(0, 256, (9, 9, 3), np.uint8)).resize(
        (SIZE, SIZE), Image.Resampling.BICUBIC
    )
    for n in (1, 2)
]
SOFT = [0.825 ** (12 - i) for i in range(13)]


@pytest.fixture(scope="module")
def oracle():
    return tiny_pipeline.build()


@pytest.fixture(scope="module")
def model(oracle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    oracle.save_pretrained(folder)
    return sdnb.load(folder)


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two files of control networks, and one of an adapter."""
    folder = tmp_path_factory.mktemp("nets")
    paths = {}
    for seed in (0, 1):
        path = tiny.written("cropped", folder, tiny.weights(NET, seed), {})
        paths[f"net {seed}"] = str(path.rename(folder / f"net {seed}.safetensors"))
    paths["adapter"] = str(tiny.t2i("its own", folder, ADAPTER)[0])
    return paths


def request(*controls, **fields):
    given = {"width": SIZE, "height": SIZE, "steps": STEPS, "cfg": 4.0, "seed": 5, **fields}
    return sdnb.Request("a red fox", controls=controls, **given)


def generate(model, *controls, **fields):
    return sdnb.generate(model, request(*controls, **fields), progress=False)


def asked(**fields):
    noise = Noise(range(5, 6), (4, SIZE // 8, SIZE // 8))()
    return {"num_inference_steps": STEPS, "guidance_scale": 4.0, "output_type": "np",
            "latents": noise, "height": SIZE, "width": SIZE, **fields}  # fmt: skip


def controlnet(seed=0, scales=(), **options):
    """diffusers' network; `scales` are further scales of its maps."""
    net = diffusers_control.controlnet(NET, tiny.weights(NET, seed), **options)

    def scaled(_, __, maps):
        down, middle = maps
        *its, last = scales
        return [d * s for d, s in zip(down, its, strict=True)], middle * last

    if scales:
        net.register_forward_hook(scaled)
    return net


def diffusers(oracle, nets, images, **fields):
    pipe = StableDiffusionControlNetPipeline(**oracle.components | QUIET, controlnet=nets)
    pipe.set_progress_bar_config(disable=True)
    return pipe("a red fox", image=images, **asked(**fields)).images[0]


def same(ours, truth):
    truth = np.round(truth * 255)
    assert truth.std() > 5
    difference = np.abs(np.asarray(ours, dtype=float) - truth).max(axis=-1)
    assert (difference <= 1).mean() >= 0.999, f"largest difference {difference.max()}"


def control(nets, name="net 0", image=HINTS[0], **fields):
    return sdnb.Control(nets[name], image, **fields)


def test_one_network_equals_diffusers(model, oracle, nets):
    truth = diffusers(oracle, controlnet(), HINTS[0], controlnet_conditioning_scale=0.8)
    result = generate(model, control(nets, scale=0.8))
    same(result.image, truth)
    plain = generate(model)
    assert np.abs(np.asarray(result.image, int) - np.asarray(plain.image, int)).mean() > 2
    (file,) = [file for file in result.files if file.kind == "control"]
    assert result.request.controls[0].sha256 == file.hash
    same(generate(model, *result.request.controls).image, truth)  # by its digest
    assert [name for name in model.weights.networks if "control" in name]
    generate(model)
    assert [name for name in model.weights.networks if "control" in name] == []


def test_several_networks_each_with_its_own_steps_equal_diffusers(model, oracle, nets):
    """A net works at step i of n where start <= i / n <= end; diffusers' end is (i + 1) / n."""
    truth = diffusers(
        oracle, [controlnet(0), controlnet(1)], HINTS,
        controlnet_conditioning_scale=[0.7, 0.5],
        control_guidance_start=[0.0, 0.25], control_guidance_end=[0.5, 0.75],
    )  # fmt: skip
    first = control(nets, scale=0.7, end=0.4)  # steps 0, 1
    second = control(nets, "net 1", HINTS[1], scale=0.5, start=0.1, end=0.5)  # steps 1, 2
    same(generate(model, first, second).image, truth)


@pytest.mark.parametrize(
    ("mode", "together"),
    [("prompt", True), ("control", True), ("control", False), ("averaged", True)],
)
def test_modes_equal_diffusers(model, oracle, nets, mode, together, monkeypatch, tmp_path):
    """diffusers' guess mode is for the prompt alone, but with other weights of the maps."""
    name = nets["net 0"]
    averaged = {}
    if mode == "averaged":
        name = tmp_path / "a shuffle net.safetensors"
        name.symlink_to(nets["net 0"])
        averaged = {"global_pool_conditions": True}
    elif mode == "control":
        monkeypatch.setattr(torch, "logspace", lambda *_, **__: torch.ones(13))
    net = controlnet(scales=SOFT if mode == "prompt" else (), **averaged)
    truth = diffusers(oracle, net, HINTS[0], guess_mode=mode == "control")
    model.ask(MemoryPlan(device="cpu", together=together))
    mode = "balanced" if averaged else mode
    same(generate(model, sdnb.Control(str(name), HINTS[0], mode=mode)).image, truth)
    model.ask(None)


def test_an_adapter_equals_diffusers(model, oracle, nets):
    adapter = diffusers_control.t2i(ADAPTER, tiny.weights(ADAPTER, 2))
    parts = {n: part for n, part in oracle.components.items() if n != "image_encoder"}
    pipe = StableDiffusionAdapterPipeline(**parts | QUIET, adapter=adapter)
    pipe.set_progress_bar_config(disable=True)
    truth = pipe("a red fox", image=HINTS[0], adapter_conditioning_scale=0.6, **asked()).images[0]
    same(generate(model, control(nets, "adapter", scale=0.6)).image, truth)


def test_a_lora_and_a_network_at_once_equal_diffusers(model, oracle, nets, tmp_path):
    tiny_loras.save(tmp_path / "lora.safetensors", tiny_loras.kohya(oracle, 1))
    oracle.load_lora_weights(str(tmp_path), weight_name="lora.safetensors", adapter_name="one")
    oracle.set_adapters(["one"], [0.7])
    truth = diffusers(oracle, controlnet(), HINTS[0])
    oracle.unload_lora_weights()
    lora = sdnb.Lora(str(tmp_path / "lora.safetensors"), 0.7)
    found = generate(model, control(nets), loras=lora)
    same(found.image, truth)
    without = np.asarray(generate(model, control(nets)).image, int)
    assert np.abs(np.asarray(found.image, int) - without).mean() > 2


def test_img2img_with_a_network_equals_diffusers(model, oracle, nets):
    """The hint has the size that is made, whatever the picture's; diffusers is given the latent."""
    small = HINTS[1].resize((48, 40))
    pipe = StableDiffusionControlNetImg2ImgPipeline(
        **oracle.components | QUIET, controlnet=controlnet()
    )
    pipe.set_progress_bar_config(disable=True)
    with torch.inference_mode():
        laid = small.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        latent = model.vae.encode(pixels.tensor(laid))
    given = {name: value for name, value in asked().items() if name != "latents"}
    truth = pipe(
        "a red fox", image=latent, control_image=HINTS[0], strength=0.5,
        controlnet_conditioning_scale=0.8, generator=torch.Generator().manual_seed(5), **given,
    ).images[0]  # fmt: skip
    start = {"image": sdnb.images.picture(small), "strength": 0.5}
    same(generate(model, control(nets, scale=0.8), **start).image, truth)


def test_a_nine_channel_model_gives_the_network_its_first_four(tmp_path, nets, monkeypatch):
    """On cells of 8 pixels, where both make the same latent mask."""
    config = tiny_pipeline.CONFIG
    pipe = tiny_pipeline.build(replace(config, unet=replace(UNET, in_channels=9)))
    pipe.save_pretrained(tmp_path)
    model = sdnb.load(tmp_path)
    mask = Image.new("L", (SIZE, SIZE))
    mask.paste(255, (16, 24, 64, 64))
    given = {"image": sdnb.images.picture(HINTS[1]), "mask": sdnb.images.mask(mask)}
    whole = request(control(nets), **given, strength=1.0)
    canvas, _ = fit(whole)
    with torch.inference_mode():
        hole = model.vae.encode(pixels.tensor(canvas.masked_picture()))
    inpaint = StableDiffusionControlNetInpaintPipeline(
        **pipe.components | QUIET, controlnet=controlnet()
    )
    inpaint.set_progress_bar_config(disable=True)
    small = torch.nn.functional.interpolate(pixels.mask_tensor(mask), (SIZE // 8, SIZE // 8))
    masked = torch.cat([small] * 2), torch.cat([hole] * 2)  # its own is drawn at random
    monkeypatch.setattr(inpaint, "prepare_mask_latents", lambda *_: masked)
    truth = inpaint(
        "a red fox", image=HINTS[1], mask_image=mask, control_image=HINTS[0], strength=1.0,
        controlnet_conditioning_scale=1.0, **asked(),
    ).images[0]  # fmt: skip
    ours = sdnb.generate(model, whole, progress=False)
    (decoded,) = sdnb.decode(model, ours.latents)  # kept pixels are not put back
    same(decoded, truth)
    model.ask(MemoryPlan(device="cpu", **PLANS["partly"]))
    (again,) = sdnb.generate(model, whole, progress=False).latents
    assert (again - ours.latents[0]).abs().max() <= 1e-3


PLANS = {
    "partly": {"unet": "stream", "keep": 0.012, "chunk": 32, "together": False, "text": "cpu"},
    "streamed": {"unet": "stream", "text": "offload", "together": True},
    "networks streamed": {"unet": "offload", "control": "stream", "text": "offload"},
}


@pytest.fixture(scope="module")
def everything(nets):
    """Networks of all kinds that come and go, prompts that change, and calls of several texts."""
    return request(
        control(nets, scale=0.7, end=0.5),
        control(nets, "net 1", HINTS[1], start=0.3, scale=0.5, mode="control"),
        control(nets, "net 1", HINTS[0], scale=0.2, mode="prompt"),
        control(nets, "adapter", scale=0.5, mode="control"),
        control(nets, "adapter", HINTS[1], scale=0.3, mode="prompt", start=0.6),
        sampler="heun", syntax="a1111", negative="dark, " * 80, count=2,
    ).but(prompt="a [fox:cat:0.5] AND fog:0.3")  # fmt: skip


@pytest.fixture(scope="module")
def truth(model, everything):
    return sdnb.generate(model, everything, progress=False).latents


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_gives_the_same_picture(model, everything, truth, plan):
    model.ask(MemoryPlan(device="cpu", **PLANS[plan]))
    found = sdnb.generate(model, everything, progress=False).latents
    if plan == "partly":  # what stays is the UNet's first
        parts = {n: p for n, p in model.weights.parts.items() if p.role in ("unet", "control")}
        stays = [p.placed.keep / p.size for p in parts.values()]
        assert stays[0] > 1 > stays[1] > 0 == stays[2]
    model.ask(None)
    assert max((a - b).abs().max() for a, b in zip(found, truth, strict=True)) <= 1e-3


def test_a_larger_picture_is_the_same_by_every_plan(model, nets):
    """By the tile network's way: the picture is its own hint."""
    small = generate(model, control(nets))
    found = []
    for fields in ({}, *PLANS.values()):
        model.ask(MemoryPlan(device="cpu", **fields))
        tile = sdnb.Control(nets["net 1"], small, prepare="tile", scale=0.7)
        larger = sdnb.upscale(model, small, width=104, height=96, controls=tile, progress=False)
        assert larger.request.controls[0].net == nets["net 1"]
        found.append(larger.latents[0])
    model.ask(None)
    assert found[0].shape == (4, 12, 13)
    assert max((found[0] - each).abs().max() for each in found[1:]) <= 1e-3
    plain = sdnb.upscale(model, small, width=104, height=96, controls=(), progress=False)
    assert (plain.latents[0] - found[0]).abs().mean() > 0.01


def test_recorded_steps_hold_the_networks_that_work(model, everything, truth, monkeypatch):
    graphs, begun = recorded(monkeypatch), []

    class Counted(memory.Beside):
        def __init__(self, work, like):
            begun.append(like.shape)
            super().__init__(work, like)

    monkeypatch.setattr(memory, "Beside", Counted)
    found = sdnb.generate(model, everything, progress=False).latents
    assert all(torch.equal(a, b) for a, b in zip(found, truth, strict=True))
    assert len(graphs) == 2 * 3  # of each picture, one for each combination
    assert begun  # a small picture: the networks work beside the UNet
    with monkeypatch.context() as larger:
        larger.setattr(footprint, "BESIDE_MOST", begun[0].numel() // 4 - 1)
        count = len(begun)
        again = sdnb.generate(model, everything, progress=False).latents
    assert all(torch.equal(a, b) for a, b in zip(again, truth, strict=True))
    assert len(begun) == count


def test_steps_recorded_with_other_networks_are_forgotten(model, nets, monkeypatch):
    """Before a plan for the networks that come is chosen, and where networks go."""
    forgotten, at_plan = [], []

    class Counted(CopiedGraph):
        def forget(self):
            forgotten.append(self)
            super().forget()

    def planned(*args):
        at_plan.append(len(model.weights._graphs))
        return prepare(*args)

    prepare = pipeline.prepare
    monkeypatch.setattr(pipeline, "prepare", planned)
    monkeypatch.setattr("sdnb.engine.weights.Graphed", Counted)

    def graph(passes, kind):
        return passes.model.weights.graph(passes._key(kind), lambda: passes._function(kind))

    monkeypatch.setattr(UNetPasses, "_graph", graph)
    model.weights.forget_graph()
    one, two = control(nets, end=0.4), control(nets, "net 1")
    kept = []
    for asked in ((one,), (one,), (one, two), (two,), ()):
        generate(model, *asked)
        kept.append(len(model.weights._graphs))
    assert kept == [2, 2, 2, 1, 1]  # the first one works at some steps alone
    assert at_plan == [0, 2, 0, 0, 0]
    assert len(set(forgotten)) == 2 + 2 + 1
    assert all(not graph.recorded for graph in forgotten)
    model.weights.forget_graph()


def test_what_does_not_change_is_computed_once_and_what_does_not_work_does_not_run(
    model, nets, monkeypatch
):
    calls = []

    def counted(kind, name):
        whole = getattr(kind, name)

        def counting(self, *args):
            calls.append(f"{kind.__name__}.{name}")
            return whole(self, *args)

        monkeypatch.setattr(kind, name, counting)

    for name in ("forward", "encode_hint", "prepare"):
        counted(ControlNet, name)
    counted(T2IAdapter, "forward")
    generate(model, control(nets, start=0.3, end=0.5), control(nets, "adapter"), count=2)
    counts = {name: calls.count(name) for name in set(calls)}
    assert counts == {
        "ControlNet.forward": 2,  # one step of four, two pictures
        "ControlNet.encode_hint": 1,
        "ControlNet.prepare": 2,
        "T2IAdapter.forward": 1,
    }


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_with_every_sampler_a_network_works_at_its_steps_alone(sampler, model, nets, monkeypatch):
    """At each pass of these; plms has one more in its first step. Those to zero may have fewer."""
    at, whole = [], UNetPasses.__call__

    def noted(passes, kind, *others):
        at.append(kind.active)
        return whole(passes, kind, *others)

    monkeypatch.setattr(UNetPasses, "__call__", noted)
    fields = {"sampler": sampler, "schedule": "lcm" if sampler in ("lcm", "tcd") else None}
    found = generate(model, control(nets, end=0.3), **fields)  # steps 0 and 1 of 4
    passes = PASSES.get(sampler, 1)
    working = 2 * passes + (sampler == "plms")
    assert at[:working] == [(0,)] * working
    assert set(at[working:]) == {()}
    assert len(at) >= 4 * passes - 1
    plain = generate(model, **fields)
    assert found.latents[0].isfinite().all()
    assert np.abs(np.asarray(found.image, int) - np.asarray(plain.image, int)).mean() > 0.5


def test_the_steps_go_on_when_memory_runs_out_in_a_network(model, nets, monkeypatch):
    asked = control(nets, end=0.5), control(nets, "net 1", start=0.99)
    truth = generate(model, *asked)
    assert any("worked at no step" in note and "0.99 and 1" in note for note in truth.notes)
    whole, calls = ControlNet.forward, []

    def sometimes(*args):
        calls.append(1)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(*args)

    monkeypatch.setattr(ControlNet, "forward", sometimes)
    result = generate(model, *asked)
    assert any("went on from the last finished step" in note for note in result.notes)
    assert (result.latents[0] - truth.latents[0]).abs().max() <= 1e-3


@torch.inference_mode()
def test_a_hint_is_cut_as_the_picture_is_and_a_mask_is_minus_one(model, nets):
    """Where only a part is repainted, its part of the hint is read."""
    mask = Image.new("L", (SIZE, SIZE))
    mask.paste(255, (8, 16, 40, 48))
    given = {"image": sdnb.images.picture(HINTS[1]), "mask": sdnb.images.mask(mask)}
    steered = control(nets, prepare="inpaint", mask=mask)
    asked = request(steered, **given, padding=8).resolved(model.settings)
    canvas, _ = fit(asked)
    assert canvas.part == (0, 8 / 72, 48 / 72, 56 / 72)
    chosen = control_nets.choose(model, asked, canvas)
    found = Steering(model, chosen, asked, STEPS)._hint(0)
    assert found.shape == (1, 3, SIZE, SIZE)
    inside, outside = found[..., 20:50, 20:50], found[..., 62:, 62:]
    assert (inside == -1).all()
    assert 0 <= outside.min() <= outside.max() <= 1
    truth = HINTS[0].crop((0, 8, 48, 56)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    assert (outside - pixels.hint_tensor(truth)[..., 62:, 62:]).abs().max() <= 0.05


def test_a_control_without_a_picture_follows_the_one_that_is_upscaled(model, nets, tmp_path):
    """As if it were given; it is recorded as it was asked, and made again from the file."""
    small = HINTS[1].resize((48, 40))
    asked = {"width": 96, "height": 80, "strength": 0.5, "steps": 2, "seed": 5, "progress": False}
    tile = sdnb.Control(nets["net 0"], prepare="tile")
    found = sdnb.upscale(model, small, prompt="a red fox", controls=tile, **asked)
    by_hand = sdnb.img2img(
        model, "a red fox", image=small, controls=replace(tile, image=small), **asked
    )
    assert found.image.tobytes() == by_hand.image.tobytes()
    plain = sdnb.upscale(model, small, prompt="a red fox", **asked)
    assert found.image.tobytes() != plain.image.tobytes()
    assert [(each.net, each.image) for each in found.request.controls] == [(tile.net, None)]
    again = sdnb.read(found.save(tmp_path)[0])
    assert again == found.request
    assert sdnb.generate(model, again, progress=False).image.tobytes() == found.image.tobytes()
    larger = sdnb.upscale(model, found, width=104, strength=0.2, progress=False)  # takes it along
    assert larger.request.controls == found.request.controls


def test_an_inpainting_net_takes_picture_and_mask_of_its_request(model, nets):
    mask = Image.new("L", (SIZE, SIZE))
    mask.paste(255, (8, 16, 40, 48))
    fill = sdnb.Control(nets["net 0"], prepare="inpaint")
    asked = {"image": HINTS[1], "steps": 2, "seed": 5, "progress": False, "padding": 8}
    found, by_hand = (
        sdnb.inpaint(model, "a fox", mask=mask, width=64, height=64, controls=each, **asked)
        for each in (fill, replace(fill, image=HINTS[1], mask=mask))
    )
    assert found.image.tobytes() == by_hand.image.tobytes()
    alone = {name: value for name, value in asked.items() if name != "padding"}
    no_hole, tile = (
        sdnb.img2img(model, "a fox", controls=replace(fill, prepare=name), **alone)
        for name in ("inpaint", "tile")
    )
    said = [any("has no hole to fill" in note for note in each.notes)
            for each in (found, by_hand, tile, no_hole)]  # fmt: skip
    assert said == [False, False, False, True]


def test_a_net_of_lines_that_is_given_none_says_which_preparation_makes_them(model, nets, tmp_path):
    path = tmp_path / "control_canny.safetensors"
    path.symlink_to(nets["net 0"])
    lines = Image.new("RGB", (SIZE, SIZE))
    lines.paste((255, 255, 255), (10, 10, 60, 12))
    notes = {
        name: generate(model, sdnb.Control(str(path), image, prepare=prepare), steps=1).notes
        for name, image, prepare in (
            ("a picture", HINTS[0], None), ("lines", lines, None), ("made", HINTS[0], "canny"),
        )
    }  # fmt: skip
    said = {name for name, each in notes.items() if "white lines on black" in "".join(each)}
    assert said == {"a picture"}
    assert "prepare='canny' makes such lines" in "".join(notes["a picture"])


def test_what_cannot_be_used_is_refused_before_any_work(model, nets):
    missing = sdnb.Control("no such net", HINTS[0])
    with pytest.raises(ValueError, match="there is no control network 'no such net'"):
        generate(model, missing)
    with pytest.raises(ValueError, match="is another file than the control network"):
        generate(model, control(nets, sha256="0" * 64))
