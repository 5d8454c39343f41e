"""Files of control networks: what they say of themselves, and what is refused, by name. That every
layout gives its network `test_control_layouts.py` shows.
"""

from dataclasses import replace

import pytest
import torch
from helpers import hostile_checkpoints as hostile
from helpers import tiny_controls as tiny
from helpers.folder_of_a_user import SHAPED
from oracles import tiny_pipeline

from sdnb.engine.adapters.control_file import matched, open_control
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.checkpoint.tensors import read_weights
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.weights import Weights

MODEL = replace(tiny_pipeline.CONFIG, unet=tiny.UNET)
SD2 = replace(tiny.UNET, head_width=16, context_dim=64)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The denoiser's weights, and the same as they lie in a file."""
    weights = tiny.weights(tiny.UNET, 5)
    path = tiny.written("cropped", tmp_path_factory.mktemp("base"), weights, {})
    return weights, read_weights(path, [])


def loaded(path, base, model=MODEL):
    """The weights of a file's network for a model, as they would compute."""
    found = matched(open_control(path), model, base[1])
    weights = Weights({}, torch.device("cpu"), torch.float32)
    weights.add("net", "unet", found.build(), found.tensors, found.additions)
    return weights.networks["net"].state_dict()


def test_a_network_of_the_2_x_family_reads_other_texts(base, tmp_path):
    config = replace(tiny.NET, unet=SD2)
    path = tiny.written("cropped", tmp_path, tiny.weights(config), {}, config)
    with pytest.raises(CheckpointError, match=r"texts 64 wide, and this model reads texts 48"):
        loaded(path, base)


def test_what_averages_its_maps_says_so_in_a_yaml_a_config_or_its_name(base, tmp_path):
    wanted = tiny.weights()
    path = tiny.written("cropped", tmp_path, wanted, {})
    assert not open_control(path).averaged
    named = path.rename(tmp_path / "control_v11e_sd15_shuffle.safetensors")
    assert open_control(named).averaged
    named.with_suffix(".yaml").write_text("      global_average_pooling: False\n", "utf-8")
    path = named.rename(tmp_path / "other.safetensors")
    path.with_suffix(".yaml").write_text("      global_average_pooling: True\n", "utf-8")
    assert open_control(path).averaged
    folder = tiny.written("diffusers", tmp_path, wanted, {})
    config = folder / "config.json"
    config.write_text(
        config.read_text("utf-8").replace(
            '"global_pool_conditions": false', '"global_pool_conditions": true'
        ),
        "utf-8",
    )
    assert open_control(folder).averaged


REFUSED = {
    name: (shapes, expected.why_not)
    for name, (shapes, expected) in SHAPED.items()
    if (expected.kind == "control" and expected.why_not) or expected.kind in ("lora", "checkpoint")
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_control_network_or_another_kind_of_one_is_named(name, tmp_path):
    shapes, word = REFUSED[name]
    path = hostile.headed(tmp_path / "x.safetensors", *hostile.laid_out(shapes))
    with pytest.raises(CheckpointError, match=word or "is no control network: it is a"):
        open_control(path)


def without(name):
    return lambda tensors: {n: t for n, t in tensors.items() if n != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("zero_convs.3.0.weight"), r"1 missing: zero_convs\.3\.0\.weight"),
        (lambda t: {**t, "zero_convs.12.0.weight": torch.zeros(1)}, "1 unexpected"),
        (lambda t: {**t, "middle_block_out.0.bias": torch.zeros(3)}, "1 misshapen"),
        (lambda t: {**t, "middle_block_out.0.bias": torch.zeros(64, dtype=torch.int32)}, "int32"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message, base, tmp_path):
    path = tiny.written("cropped", tmp_path, change(tiny.weights()), {})
    with pytest.raises(CheckpointError, match=message):
        loaded(path, base)


def test_a_network_for_another_denoiser_says_in_what_they_differ(base, tmp_path):
    config = replace(tiny.NET, unet=UNetConfig(**{**vars(tiny.UNET), "channels": (32, 64, 64, 32)}))
    path = tiny.written("cropped", tmp_path, tiny.weights(config), {})
    with pytest.raises(CheckpointError, match=r"channels are \(32, 64, 64, 32\), the model's"):
        loaded(path, base)
    path = tiny.written(
        "prefixed", tmp_path, tiny.weights(replace(tiny.NET, hint_widths=(8, 8))), {}
    )
    with pytest.raises(CheckpointError, match="halves its hint 1 time,"):
        loaded(path, base)
    path, _ = tiny.t2i("its own", tmp_path, replace(tiny.FULL, factor=4))
    with pytest.raises(CheckpointError, match="expected 64"):
        loaded(path, base)
