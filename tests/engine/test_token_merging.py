"""Merged tokens against plain Python token by token, and a whole UNet against diffusers' with
attention that merges so: largest absolute error, in float64 1e-9, so that no rounding decides which
tokens are alike.
"""

import pytest
import torch
from helpers.copied_graph import recorded
from helpers.guided_request import STEPS, asked
from oracles import diffusers_models, merged_tokens

import sdnb
from sdnb.engine.networks import token_merging
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.token_merging import Merged
from sdnb.engine.networks.unet import UNet
from sdnb.request import stop
from sdnb.request.memory_plan import MemoryPlan

CONFIG = UNetConfig(channels=(32, 64, 64), heads=4, context_dim=48, groups=8)
LEANEST = {"unet": "stream", "tile": 64, "store": "host", "together": False, "chunk": 64}


def draw(*shape, seed=3):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def staying(height, width):
    return token_merging._parted(height, width, torch.device("cpu"))[1].tolist()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 13), (2, 16)])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_means_of_groups_and_what_came_of_them(height, width, share):
    x, values = draw(2, height * width, 12), draw(2, height * width, 5, seed=4)
    merged = Merged.of(x, height, width, share)
    joined = min(int(height * width * share), height * width - (height // 2) * (width // 2))
    means = merged.merge(values)
    assert means.shape == (2, height * width - joined, 5)
    spread = merged.spread(means)
    for row in range(2):
        for part in merged_tokens.groups(x[row], staying(height, width), share):
            truth = values[row, part].mean(dim=0)
            assert (spread[row, part] - truth).abs().max() <= 1e-12


def test_one_of_each_four_stays_and_all_corners_do():
    kept = torch.tensor(staying(32, 48)).sort().values
    rows, columns = kept // 48, kept % 48
    assert len(set(zip((rows // 2).tolist(), (columns // 2).tolist(), strict=True))) == 16 * 24
    shares = torch.bincount(rows % 2 * 2 + columns % 2, minlength=4) / len(kept)
    assert ((shares - 0.25).abs() < 0.1).all()


@torch.inference_mode()
@pytest.mark.parametrize("size", [(8, 8), (9, 14)])
def test_a_unet_equals_diffusers_with_merged_attention(size):
    with torch.device("meta"):
        ours = UNet(CONFIG)
    weights = diffusers_models.random_weights(ours, 0)
    ours.load_state_dict(weights, assign=True)
    ours, theirs = ours.double().eval(), diffusers_models.unet(CONFIG, weights).double()
    x, context = draw(2, 4, *size), draw(2, 7, 48, seed=4)
    plain = theirs(x, 321, encoder_hidden_states=context).sample
    for block in (theirs.down_blocks[0], theirs.up_blocks[-1]):
        for layer in block.attentions:
            for inner in layer.transformer_blocks:
                merged_tokens.MergedAttention(inner, staying(*size), 0.5)
    truth = theirs(x, 321, encoder_hidden_states=context).sample
    mine = ours(x, 321, ours.prepare(context), merge=0.5)
    assert (mine - truth).abs().max() <= 1e-9
    assert (mine - plain).abs().max() > 1e-3
    none = ours(x, 321, ours.prepare(context), merge=0.0)
    assert (none - plain).abs().max() <= 1e-9


def run(model, request):
    return sdnb.generate(model, request, progress=False).latents[0]


@pytest.fixture
def model(model_of_oracle):
    yield model_of_oracle
    model_of_oracle.ask(None)


@pytest.mark.picture
def test_plans_make_the_same_picture(model):
    """Offloaded and streamed, bit for bit; with one text at a time and by bands, to rounding."""
    request = asked(token_merging=0.5, cfg_every=2)
    truth = run(model, request)
    for fields in ({"unet": "stream"}, {"unet": "offload"}, {"unet": "file", "keep": 0.0}):
        model.ask(MemoryPlan(device="cpu", together=True, **fields))
        assert torch.equal(run(model, request), truth)
    for fields in ({"together": False}, LEANEST):
        model.ask(MemoryPlan(device="cpu", **fields))
        assert (run(model, request) - truth).abs().max() <= 1e-4 * truth.abs().max()


@pytest.mark.picture
def test_none_is_off_and_more_is_another_picture(model):
    plain = run(model, asked())
    assert torch.equal(run(model, asked(token_merging=0)), plain)
    assert not torch.equal(run(model, asked(token_merging=0.5)), plain)
    deep = run(model, asked(token_merging=0.5, deep_every=2))
    assert not torch.equal(deep, run(model, asked(deep_every=2)))


@pytest.mark.picture
def test_recorded_steps_merge_as_they_are_asked(model, monkeypatch):
    requests = [asked(token_merging=share) for share in (0, 0.5, 0.75)]
    truth = [run(model, request) for request in requests]
    graphs = recorded(monkeypatch)
    made = [run(model, request) for request in requests]
    assert all(map(torch.equal, made, truth))
    assert len(graphs) == 3


def test_a_recorded_step_is_known_by_its_share(model, monkeypatch):
    keys = []
    monkeypatch.setattr(model.weights, "keep_graphs", lambda kept: keys.append(frozenset(kept)))
    for share in (0, 0.5, 0.75):
        run(model, asked(token_merging=share, steps=1))
    assert len(set(keys)) == 3


def test_a_run_looks_between_pieces_of_the_search(monkeypatch):
    monkeypatch.setattr(token_merging, "_AT_ONCE", 64)
    looks = []
    monkeypatch.setattr(stop, "look", lambda: looks.append(1))
    Merged.of(draw(1, 64, 8), 8, 8, 0.5)
    assert len(looks) == 12  # 48 tokens, four against the 16 that stay at a time


def test_half_the_tokens_are_half_the_rows_of_attention(model, monkeypatch):
    seen = []
    block = model.unet._attending[0]
    kernel = block.attn1.kernel
    monkeypatch.setattr(
        block.attn1, "kernel", lambda q, k, v: (seen.append(q.shape[2]), kernel(q, k, v))[1]
    )
    run(model, asked(token_merging=0.5))
    assert seen == [32] * STEPS
