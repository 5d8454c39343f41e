"""Control networks against diffusers' on the same weights, in fp32: largest absolute error <= 1e-4.

The weights are random, those of the zero convolutions too: at zero any two networks would agree.
"""

import pytest
import torch
from oracles import diffusers_control as oracle
from oracles import diffusers_models
from oracles.diffusers_models import random_weights

from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.controlnet import ControlNet, ControlNetConfig
from sdnb.engine.networks.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sdnb.engine.networks.unet import UNet

UNET = UNetConfig(channels=(32, 64, 96, 64), heads=4, context_dim=48, groups=8)
TINY = ControlNetConfig(UNET, hint_widths=(8, 8, 16, 24))
TOLERANCE = 1e-4
ADAPTERS = {
    "full": T2IAdapterConfig(channels=(32, 64, 96, 64)),
    "full, of a grey hint": T2IAdapterConfig(channels=(32, 64, 96, 96), hint_channels=1),
    # diffusers' light ones have two last levels of one width.
    "light": T2IAdapterConfig((32, 64, 96, 96), 4, light=True, inner=(8, 16, 24, 24)),
}  # fmt: skip


def net(config=TINY, seed=0):
    with torch.device("meta"):
        ours = ControlNet(config)
    weights = random_weights(ours, seed)
    ours.load_state_dict(weights, assign=True)
    return ours.eval(), weights


def denoiser(config=UNET, seed=5):
    with torch.device("meta"):
        ours = UNet(config)
    weights = random_weights(ours, seed)
    ours.load_state_dict(weights, assign=True)
    return ours.eval(), diffusers_models.unet(config, weights)


def adapter(name):
    config = ADAPTERS[name]
    with torch.device("meta"):
        ours = T2IAdapter(config)
    weights = random_weights(ours, 3)
    ours.load_state_dict(weights, assign=True)
    return ours.eval(), oracle.t2i(config, weights)


def inputs(config, height, width, batch=2, factor=8):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 4, height, width, generator=generator)
    text = torch.randn(batch, 77, config.context_dim, generator=generator)
    return x, text, torch.rand(1, 3, factor * height, factor * width, generator=generator)


def largest(found, truth):
    assert len(found) == len(truth)
    assert all(t.std() > 0.01 for t in truth)  # dead maps would agree with anything
    return max((f - t).abs().max().item() for f, t in zip(found, truth, strict=True))


@pytest.mark.parametrize(
    ("config", "as_linear", "factor"),
    [
        (TINY, False, 8),
        (ControlNetConfig(UNetConfig(
            channels=(32, 48), blocks=1, attention_levels=(1,), head_width=16, context_dim=32,
            groups=8), (4, 12)), True, 2),
    ],
)  # fmt: skip
@torch.inference_mode()
def test_a_controlnets_maps_are_those_of_diffusers(config, as_linear, factor):
    ours, weights = net(config)
    theirs = oracle.controlnet(config, weights, as_linear=as_linear)
    x, text, hint = inputs(config.unet, 16, 24, factor=factor)
    found = ours(x, 321.5, ours.prepare(text), ours.encode_hint(hint))
    hints = hint.expand(2, -1, -1, -1)
    down, middle = theirs(x, 321.5, text, hints, return_dict=False)
    assert largest(found, [*down, middle]) <= TOLERANCE
    assert len(found) == config.residuals


@torch.inference_mode()
def test_the_unet_adds_the_maps_of_several_nets_and_of_an_adapter_where_diffusers_does():
    from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

    nets = [net(seed=seed) for seed in (0, 1)]
    theirs = MultiControlNetModel([oracle.controlnet(TINY, weights) for _, weights in nets])
    unet, their_unet = denoiser()
    ours, their_adapter = adapter("full")
    x, text, hint = inputs(UNET, 13, 18)
    hints = [hint, 1 - hint]
    scales, all_maps = [0.7, 0.4], []
    for (each, _), its, scale in zip(nets, hints, scales, strict=True):
        maps = each(x, 500, each.prepare(text), each.encode_hint(its))
        all_maps.append([m * scale for m in maps])
    summed = [a + b for a, b in zip(*all_maps, strict=True)]
    maps = dict(zip((2, 5, 8, 11), ours(hint), strict=True))
    found = unet(x, 500, unet.prepare(text), summed, maps)
    wide = [h.expand(2, -1, -1, -1) for h in hints]
    down, middle = theirs(x, 500, text, wide, scales, return_dict=False)
    truth = their_unet(
        x, 500, text,
        down_block_additional_residuals=down, mid_block_additional_residual=middle,
        down_intrablock_additional_residuals=[m.clone() for m in their_adapter(hint)],
    ).sample  # fmt: skip
    assert (found - truth).abs().max() <= TOLERANCE
    plain = unet(x, 500, unet.prepare(text))
    assert (plain - truth).abs().max() > 0.1  # the maps do something
    summed = [a + b for a, b in zip(*all_maps, strict=True)]  # the UNet took the others
    later = unet(x, 500, unet.prepare(text), lambda: summed, maps)
    assert torch.equal(later, found)


@torch.inference_mode()
def test_both_texts_share_the_layers_before_the_first_text_attention():
    """k = 2: the first map has the pictures' rows and the others those of both texts."""
    ours, _ = net()
    unet, _ = denoiser()
    x, text, hint = inputs(UNET, 8, 8)
    two = torch.cat([text, text.flip(0)])
    encoded = ours.encode_hint(hint)
    shared = ours(x, 40, ours.prepare(two), encoded)
    assert [len(m) for m in shared] == [2, *[4] * 12]
    apart = ours(torch.cat([x, x]), 40, ours.prepare(two), encoded)
    assert max((s[-2:] - a[-2:]).abs().max() for s, a in zip(shared, apart, strict=True)) <= 1e-5
    found = unet(x, 40, unet.prepare(two), shared)
    truth = unet(torch.cat([x, x]), 40, unet.prepare(two), apart)
    assert (found - truth).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ADAPTERS)
@torch.inference_mode()
def test_an_adapters_maps_are_those_of_diffusers(name):
    ours, theirs = adapter(name)
    _, _, hint = inputs(UNET, 13, 18)
    single = hint.mean(dim=1, keepdim=True) if "grey" in name else hint
    assert largest(ours(hint), theirs(single)) <= TOLERANCE


@pytest.mark.picture
@torch.inference_mode()
def test_a_controlnet_of_stable_diffusions_size_is_that_of_diffusers():
    config = ControlNetConfig()
    ours, weights = net(config)
    assert sum(w.numel() for w in weights.values()) == 361_279_120
    x, text, hint = inputs(config.unet, 8, 8, batch=1)
    found = ours(x, 981, ours.prepare(text), ours.encode_hint(hint))
    down, middle = oracle.controlnet(config, weights)(x, 981, text, hint, return_dict=False)
    assert largest(found, [*down, middle]) <= TOLERANCE
