"""Every layout of a control network's file, from the file to its maps, against diffusers' networks
on the same weights, in fp32. All weights are random, those of zero convolutions too.

Tolerance: largest absolute error 1e-4.
"""

from dataclasses import replace

import pytest
import torch
from helpers import tiny_controls as tiny
from oracles import diffusers_control as oracle
from oracles import tiny_pipeline

from sdnb.engine.adapters.control_file import matched, open_control
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.checkpoint.tensors import read_weights
from sdnb.engine.weights import Weights

TOLERANCE = 1e-4
SD1 = replace(tiny_pipeline.CONFIG, unet=tiny.UNET)
SD2 = replace(SD1, unet=replace(tiny.UNET, head_width=16, context_dim=64))
NETS = {"1.x": tiny.NET, "2.x": replace(tiny.NET, unet=SD2.unet)}
MODELS = {"1.x": SD1, "2.x": SD2}
CONTROLNETS = (
    "1.0", "1.1", "prefixed", "cropped", "kohya", "linear", "diffusers", "diffusers, .bin",
    "diffusers, a variant", "diffusers, one file", "difference", "difference, cropped",
)  # fmt: skip
ADAPTERS = {
    "full": tiny.FULL, "light": tiny.LIGHT, "full, grey": replace(tiny.FULL, hint_channels=1),
    "light, grey": replace(tiny.LIGHT, hint_channels=1),
}  # fmt: skip
T2I = (
    "its own", "its own, .pth", "of a parallel run", "prefixed", "in a dictionary", "diffusers",
    "diffusers, .bin", "diffusers, one file",
)  # fmt: skip


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """The denoisers' weights, and the same as they lie in a file."""
    found = {}
    for name, model in MODELS.items():
        weights = tiny.weights(model.unet, 5)
        path = tiny.written("cropped", tmp_path_factory.mktemp(name), weights, {})
        found[name] = weights, read_weights(path, [])
    return found


def opened(path, model, base):
    """The network of a file, as a run computes it."""
    found = matched(open_control(path), model, base)
    weights = Weights({}, torch.device("cpu"), torch.float32)
    weights.add("net", "unet", found.build(), found.tensors, found.additions)
    return weights.networks["net"]


def inputs(context_dim):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 9, 12, generator=generator)
    text = torch.randn(2, 77, context_dim, generator=generator)
    return x, text, torch.rand(1, 3, 72, 96, generator=generator)


def same(found, truth):
    assert len(found) == len(truth)
    assert all(each.std() > 0.01 for each in truth)  # dead maps would agree with anything
    assert max((f - t).abs().max() for f, t in zip(found, truth, strict=True)) <= TOLERANCE


def same_maps(net, config, weights):
    x, text, hint = inputs(config.unet.context_dim)
    with torch.inference_mode():
        found = net(x, 321, net.prepare(text), net.encode_hint(hint))
        theirs = oracle.controlnet(config, weights, as_linear=bool(config.unet.head_width))
        down, middle = theirs(x, 321, text, hint.expand(2, -1, -1, -1), return_dict=False)
    same(found, [*down, middle])


@pytest.mark.parametrize("family", NETS)
@pytest.mark.parametrize("layout", CONTROLNETS)
def test_a_controlnets_maps_are_those_of_diffusers(layout, family, bases, tmp_path):
    weights, lazy = bases[family]
    config, wanted = NETS[family], tiny.weights(NETS[family])
    path = tiny.written(layout, tmp_path, wanted, weights, config)
    same_maps(opened(path, MODELS[family], lazy), config, wanted)


@pytest.mark.parametrize("layout", ["difference", "difference, cropped"])
def test_what_a_difference_file_leaves_out_is_the_models_own(layout, bases, tmp_path):
    """Its script leaves out what does not differ by a millionth; what no model has is there."""
    weights, lazy = bases["1.x"]
    kept = ("time_embed.0.weight", "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
            "input_blocks.4.0.in_layers.2.weight")  # fmt: skip
    wanted = {**tiny.weights(), **{name: weights[name] for name in kept}}
    path = tiny.written(layout, tmp_path, wanted, weights)
    stored = {name.removeprefix("control_model.") for name in read_weights(path, [])}
    assert not stored & set(kept)
    net = opened(path, SD1, lazy)
    same_maps(net, tiny.NET, wanted)
    assert all(torch.equal(net.state_dict()[name], weights[name]) for name in kept)
    less = {name: t for name, t in wanted.items() if name != "zero_convs.3.0.weight"}
    path = tiny.written(layout, tmp_path, less, weights)
    with pytest.raises(CheckpointError, match=r"1 missing: zero_convs\.3\.0\.weight"):
        opened(path, SD1, lazy)


@pytest.mark.parametrize("channels", [4, 9])
def test_a_control_loras_maps_are_those_of_the_network_that_it_means(channels, tmp_path):
    unet = replace(tiny.UNET, in_channels=channels)
    own = tiny.weights(unet, 5)
    lazy = read_weights(tiny.written("cropped", tmp_path, own, {}), [])
    path, meant = tiny.control_lora(tmp_path / "lora.safetensors", own)
    same_maps(opened(path, replace(SD1, unet=unet), lazy), tiny.NET, meant)


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("layout", T2I)
def test_an_adapters_maps_are_those_of_diffusers(layout, kind, bases, tmp_path):
    config = ADAPTERS[kind]
    path, weights = tiny.t2i(layout, tmp_path, config)
    net = opened(path, SD1, bases["1.x"][1])
    assert net.config == config
    _, _, hint = inputs(48)
    grey = config.hint_channels == 1
    with torch.inference_mode():
        found = net(hint)
        truth = oracle.t2i(config, weights)(hint.mean(dim=1, keepdim=True) if grey else hint)
    same(found, truth)


def test_an_adapter_of_another_build_is_refused_by_its_layers(bases, tmp_path):
    """TencentARC's code can build others, which nobody published."""
    _, weights = tiny.t2i("its own", tmp_path, tiny.FULL)
    path = tmp_path / "other.pth"
    for change, words in (
        ({"body.0.skep.weight": torch.zeros(32, 32, 1, 1)}, r"1 unexpected: body\.0\.skep\.weight"),
        ({"body.2.down_opt.op.weight": torch.zeros(32, 32, 3, 3)}, "1 unexpected: body"),
        ({"body.0.block2.weight": torch.zeros(32, 32, 3, 3)}, r"1 misshapen: body\.0\.block2"),
    ):
        torch.save({**weights, **change}, path)
        with pytest.raises(CheckpointError, match=words):
            opened(path, SD1, bases["1.x"][1])
