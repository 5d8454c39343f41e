"""The names in every kind of file lead to the weights that diffusers has under them."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from helpers import tiny_loras
from oracles import tiny_pipeline

from sdnb.engine import adapters
from sdnb.engine.adapters import block_weights
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.networks.unet import UNet
from sdnb.request.lora import ATTENDING, BLOCKS, Lora

CONFIG = tiny_pipeline.CONFIG


@pytest.fixture(scope="module")
def layers():
    """(network, diffusers' path) -> its weight, of all layers that are ever trained."""
    return tiny_loras.modules(tiny_pipeline.build())


@pytest.fixture(scope="module")
def compvis():
    """diffusers' path -> CompVis', by diffusers' own converter."""
    with torch.device("meta"):
        names = list(UNet(CONFIG.unet).state_dict())
    tagged = {f"model.diffusion_model.{name}": torch.tensor(i) for i, name in enumerate(names)}
    pipe = tiny_pipeline.build()
    theirs = convert_ldm_unet_checkpoint(tagged, pipe.unet.config)
    return {
        name.removesuffix(".weight"): names[int(t.flatten()[0])].removesuffix(".weight")
        for name, t in theirs.items()
    }


def flat(name):
    return name.replace(".", "_")


def text(name):
    return f"text_model.{name.removeprefix('text_model.')}"


def old(name, part):
    """diffusers' first names, of attentions alone."""
    layer = name.rpartition(".to_")[2].removesuffix(".0")
    return f"{name.partition('.to_')[0]}.processor.to_{layer}_lora.{part}.weight"


PEFT = {"down": "lora_A", "up": "lora_B"}


def of_unet(form, path):
    """The key of a part, for a form in which the text encoder's layers have no names."""
    return lambda network, theirs, own, part: (
        form.format(path(theirs, own), part) if network == "unet" else None
    )


def of_both(unet, encoder, path=None, flatten=False):
    """The key of a part, in two forms with places for the layer's path and the part."""

    def key(network, theirs, own, part):
        name = theirs if network == "unet" else text(theirs)
        if network == "unet" and path is not None:
            name = path(theirs, own)
        form = unet if network == "unet" else encoder
        return form.format(flat(name) if flatten else name, part, PEFT[part])

    return key


def old_attention(prefix):
    return lambda network, theirs, _, part: (
        f"{prefix}{old(theirs, part)}" if network == "unet" and ".to_" in theirs else None
    )


def old_text(network, theirs, own, part):
    """diffusers' first names of the text encoder's attentions."""
    for ours, first in (("q_proj", "to_q_lora"), ("out_proj", "to_out_lora")):
        if theirs.endswith(ours):
            return f"text_encoder.{text(theirs).replace(ours, first)}.{part}.weight"
    return None


def by_compvis(theirs, own):
    return own


# A form of names: (network, diffusers' path, our own, part) -> key; None: it has none for this.
KOHYA = ".lora_{1}.weight"
FORMS = {
    "kohya": of_both(f"lora_unet_{{0}}{KOHYA}", f"lora_te_{{0}}{KOHYA}", flatten=True),
    "kohya, CompVis": of_both(
        f"lora_unet_{{0}}{KOHYA}", f"lora_te1_{{0}}{KOHYA}", by_compvis, flatten=True
    ),
    "PEFT": of_both("unet.{0}.{2}.weight", "text_encoder.{0}.{2}.weight"),
    "PEFT, bare": of_both(
        "base_model.model.{0}.{2}.weight", "base_model.model.{0}.{2}.default.weight"
    ),
    "ComfyUI": of_unet(f"diffusion_model.{{}}{KOHYA.replace('1', '')}", by_compvis),
    "LyCORIS": of_both(f"lycoris_{{0}}{KOHYA}", f"lycoris_{{0}}{KOHYA}", flatten=True),
    "diffusers": of_both(
        "unet.{0}.lora.{1}.weight", "text_encoder.{0}.lora_linear_layer.{1}.weight"
    ),
    "diffusers, old": old_attention("unet."),
    "diffusers, oldest": old_attention(""),
    "diffusers, old text": old_text,
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_names_leads_to_the_weights(form, layers, compvis, tmp_path):
    stored, truth = {}, {}
    for i, ((network, path), weight) in enumerate(layers.items()):
        own = compvis[path] if network == "unet" else path.removeprefix("text_model.")
        keys = [FORMS[form](network, path, own, part) for part in ("down", "up")]
        if None not in keys:
            stored[keys[0]], stored[keys[1]] = (torch.full((1, n), 1.0) for n in (1, 1))
            stored[keys[0]] = torch.full((1, *weight.shape[1:]), float(i))
            stored[keys[1]] = torch.ones(len(weight), 1)
            truth[network.replace("te", "text"), f"{own}.weight"] = i
    assert len(truth) >= 4
    file = adapters.open_file(tiny_loras.save(tmp_path / "a.safetensors", stored))
    found = adapters.overlay(CONFIG, [(Lora("a"), file)])
    made = {
        (network, name): int(delta.make(torch.empty(0)).flatten()[0])
        for network, additions in found.additions.items()
        for name, [(delta, _)] in additions.items()
    }
    assert made == truth
    assert found.notes == ()


def test_pefts_alphas_are_in_the_metadata(layers, tmp_path):
    path = next(p for n, p in layers if n == "unet" and p.endswith("attn1.to_q"))
    told = {
        "unet.r": 2, "unet.lora_alpha": 4, "unet.use_rslora": False,
        "unet.alpha_pattern": {path.removeprefix("down_blocks."): 8},
    }  # fmt: skip
    other = path.replace("to_q", "to_v")
    width = layers["unet", path].shape[1]
    stored = {}
    for name in (path, other):
        stored[f"unet.{name}.lora_A.weight"] = torch.ones(2, width)
        stored[f"unet.{name}.lora_B.weight"] = torch.ones(width, 2)
    values = []
    for rslora in (False, True):
        told["unet.use_rslora"] = rslora
        where = tmp_path / f"{rslora}.safetensors"
        file = tiny_loras.save(where, stored, lora_adapter_metadata=json.dumps(told))
        found = adapters.overlay(CONFIG, [(Lora("a"), adapters.open_file(file))]).additions["unet"]
        values += [float(d.make(torch.empty(0))[0, 0]) for [(d, _)] in found.values()]
    assert values == pytest.approx([2 * 8 / 2, 2 * 4 / 2, 2 * 8 / 2**0.5, 2 * 4 / 2**0.5])


def test_blocks_are_numbered_as_compvis_numbers_them():
    names = {
        "input_blocks.0.0.weight": "IN00", "input_blocks.11.0.in_layers.2.weight": "IN11",
        "middle_block.1.proj_in.weight": "M00", "output_blocks.3.1.proj_in.weight": "OUT03",
        "out.2.weight": "OUT11", "time_embed.0.weight": "",
    }  # fmt: skip
    assert {name: block_weights.block(name) for name in names} == names
    by_26 = [float(i) for i in range(26)]
    for name, at in names.items():
        assert block_weights.strength(name, by_26) == (BLOCKS.index(at) if at else 1)
        assert block_weights.strength(name, None) == 1
        by_17 = [2.0] * 17
        assert block_weights.strength(name, by_17) == (2 if at in ATTENDING else 0 if at else 1)


def opened(tmp_path, stored, **metadata):
    return adapters.open_file(tiny_loras.save(tmp_path / "a.safetensors", stored, **metadata))


def pair(stem, width, out=32, rank=1):
    return {
        f"{stem}.lora_down.weight": torch.ones(rank, width),
        f"{stem}.lora_up.weight": torch.ones(out, rank),
    }


TO_K = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
TO_Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_q"


@pytest.mark.parametrize(
    ("stored", "metadata", "words"),
    [
        (pair(TO_K, 768), {}, "made for Stable Diffusion 1.x, whose texts are 768 wide; those of"),
        (pair(TO_K, 1024), {}, "made for Stable Diffusion 2.x, whose texts are 1024 wide"),
        (pair(TO_K, 2048), {}, "made for SDXL, whose texts are 2048 wide"),
        (pair(TO_K, 64), {}, "another model, whose texts are 64 wide"),
        (pair(TO_K, 64), {"ss_base_model_version": "sd_v2_v"}, "for Stable Diffusion 2.x, whose"),
        (pair(TO_Q, 64), {"ss_base_model_version": "sdxl_base_v1-0"}, "It was made for SDXL."),
        (pair("lora_te2_text_model_encoder_layers_0_mlp_fc1", 9), {}, "none of its 1 module is"),
        (pair("lora_te2_text_model_encoder_layers_0_mlp_fc1", 9), {}, "It was made for SDXL."),
        (pair("lora_unet_double_blocks_0_img_attn_qkv", 9), {}, "made for Flux or Stable"),
        (pair("lora_unet_x", 9), {"modelspec.architecture": "stable-diffusion-v1/lora"}, "1.x."),
        ({"unet:0:up": torch.ones(1)}, {}, "cloneofsimo's first tool"),
        ({"a.b": torch.ones(1)}, {}, "is no LoRA, nor of its family. Its tensors are named a.b"),
    ],
)  # fmt: skip
def test_a_file_for_another_model_says_for_which(stored, metadata, words, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        adapters.overlay(CONFIG, [(Lora("a"), opened(tmp_path, stored, **metadata))])
    assert words in str(caught.value)


def test_a_file_that_fits_in_part_says_what_does_not(tmp_path):
    stored = {**pair(TO_Q, 32), **pair("lora_unet_x", 9), **pair("lora_te2_x", 9)}
    stored[f"{TO_Q}.diff_b"] = torch.ones(32)  # of a layer without a bias
    stored["bundle_emb.word.clip_l"] = torch.ones(1, 48)  # embeddings are no part of it
    found = adapters.overlay(CONFIG, [(Lora("a"), opened(tmp_path, stored))])
    (note,) = found.notes
    assert note.startswith("a.safetensors: of 3 modules 3 are in no part of this model")
    assert all(name in note for name in ("lora_te2_x", "lora_unet_x", f"{TO_Q}.diff_b"))


def test_a_set_has_no_order_and_adds_up_what_is_named_twice(tmp_path):
    one = opened(tmp_path, pair(TO_Q, 32))
    (tmp_path / "b").mkdir()
    two = opened(tmp_path / "b", pair(TO_Q, 32, rank=2))
    a, b = (Lora("a", 0.5), one), (Lora("b", 0.25, text=1), two)
    assert adapters.overlay(CONFIG, [a, b]) == adapters.overlay(CONFIG, [b, a])
    assert adapters.overlay(CONFIG, [a]) != adapters.overlay(CONFIG, [b])
    twice = adapters.overlay(CONFIG, [a, a])
    assert twice.notes == ("a.safetensors is named 2 times: its strengths add up.",)
    ((additions,),) = [x.values() for x in twice.additions.values()]
    assert [strength for _, strength in additions] == [0.5, 0.5]
    assert adapters.overlay(CONFIG, [(Lora("a", 0.0), one)]).additions == {}
    assert adapters.overlay(CONFIG, []) == adapters.NOTHING


def test_seventeen_weights_say_which_blocks_they_leave_out(tmp_path):
    conv = {
        "lora_unet_conv_in.lora_down.weight": torch.ones(1, 4, 3, 3),
        "lora_unet_conv_in.lora_up.weight": torch.ones(32, 1, 1, 1),
    }
    file = opened(tmp_path, {**pair(TO_Q, 32), **conv})
    found = adapters.overlay(CONFIG, [(Lora("a", blocks="ALL"), file)])
    assert found.notes == (
        "a.safetensors also changes IN00, which 17 block weights leave out: give 26.",
    )
    assert list(found.additions["unet"]) == [
        "input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight"
    ]
