"""Settings of programs that write no infotext, in texts as those programs lay them out."""

from __future__ import annotations

import json

import pytest
from helpers.pictures import png_with
from hypothesis import given
from hypothesis import strategies as st

from sdnb import Lora, images
from sdnb.images import foreign_texts
from sdnb.request import Request

CAT = Request("a cat", "dog", width=512, height=768, steps=20, cfg=7, seed=5)


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


GRAPH = {
    "3": node(
        "KSampler", seed=5, steps=20, cfg=7, sampler_name="dpmpp_2m", scheduler="karras",
        denoise=1.0, model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="v1-5.safetensors"),
    "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "6": node("CLIPTextEncode", text="a cat", clip=["4", 1]),
    "7": node("CLIPTextEncode", text="dog", clip=["4", 1]),
}  # fmt: skip
INVOKE = {
    "positive_prompt": "a cat", "negative_prompt": "dog", "width": 512, "height": 768, "steps": 20,
    "cfg_scale": 7.0, "seed": 5, "scheduler": "dpmpp_2m_k",
    "model": {"name": "v1-5.safetensors", "key": "x"},
}  # fmt: skip
OLD_INVOKE = {
    "model": "v1-5.safetensors",
    "image": {
        "prompt": [{"prompt": "a cat", "weight": 1}], "negative_prompt": "dog", "steps": 20,
        "cfg_scale": 7, "seed": 5, "width": 512, "height": 768, "sampler": "k_dpmpp_2",
    },
}  # fmt: skip
NOVEL = {
    "prompt": "a cat", "uc": "dog", "steps": 20, "scale": 7.0, "seed": 5, "width": 512,
    "height": 768, "sampler": "k_dpmpp_2m", "noise_schedule": "karras", "n_samples": 1,
}  # fmt: skip
FOOOCUS = {
    "prompt": "a cat", "negative_prompt": "dog", "steps": 20, "guidance_scale": 7.0, "seed": "5",
    "resolution": "(512, 768)", "sampler": "dpmpp_2m", "scheduler": "karras",
    "base_model": "v1-5.safetensors", "full_prompt": ["a cat, sharp"], "performance": "Speed",
}  # fmt: skip
SWARM = {
    "sui_image_params": {
        "prompt": "a cat", "negativeprompt": "dog", "steps": 20, "cfgscale": 7.0, "seed": 5,
        "width": 512, "height": 768, "sampler": "dpmpp_2m", "scheduler": "karras",
        "model": "v1-5.safetensors",
    }
}  # fmt: skip
EASY = {
    "prompt": "a cat", "negative_prompt": "dog", "num_inference_steps": "20",
    "guidance_scale": "7.0", "seed": "5", "width": "512", "height": "768",
    "sampler_name": "dpmpp_2m", "use_stable_diffusion_model": "v1-5.safetensors",
}  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "program", "schedule"),
    [
        ({"prompt": json.dumps(GRAPH), "workflow": "{}"}, "ComfyUI", "karras"),
        ({"invokeai_metadata": json.dumps(INVOKE)}, "InvokeAI", "karras"),
        ({"sd-metadata": json.dumps(OLD_INVOKE), "Dream": "x"}, "InvokeAI", "uniform"),
        ({"Software": "NovelAI", "Comment": json.dumps(NOVEL)}, "NovelAI", "karras"),
        ({"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"}, "Fooocus", "karras"),
        ({"parameters": json.dumps(SWARM)}, "SwarmUI", "karras"),
        (EASY, "Easy Diffusion", "uniform"),
    ],
)
def test_what_can_be_known_is_read(texts, program, schedule, tmp_path):
    saved = images.inspect(png_with(texts, tmp_path))
    syntax = "comfy" if program == "ComfyUI" else "blocks"
    assert saved.request == CAT.but(sampler="dpmpp_2m", schedule=schedule, syntax=syntax)
    assert saved.model == ("" if program == "NovelAI" else "v1-5.safetensors")
    assert (saved.version, saved.notes) == (program, ())


@pytest.mark.parametrize("space", ["", " "])
def test_the_command_of_invokeais_first_years(space, tmp_path):
    options = {"s": 20, "S": 5, "W": 512, "H": 768, "C": 7.0, "A": "k_lms"}
    line = '"a "red" cat"' + "".join(f" -{key}{space}{value}" for key, value in options.items())
    saved = images.inspect(png_with({"Dream": line}, tmp_path))
    expected = CAT.but(prompt='a "red" cat', negative="", sampler="lms", schedule="uniform")
    assert (saved.request, saved.version) == (expected, "InvokeAI")


@pytest.mark.parametrize(
    ("key", "values", "clip_skip"),
    [
        ("invokeai_metadata", {**INVOKE, "clip_skip": 0}, None),
        ("invokeai_metadata", {**INVOKE, "clip_skip": 1}, 2),
        ("parameters", {**FOOOCUS, "clip_skip": 2}, 2),
        ("parameters", {"sui_image_params": {**SWARM["sui_image_params"], "clipstopatlayer": -2}},
         2),
        ("parameters", {**EASY, "clip_skip": "True"}, 2),
        ("parameters", {"c": "a cat", "steps": 20, "seed": 5, "v2": {"clipSkip": 2}}, 2),
        ("parameters", {"c": "a cat", "steps": 20, "seed": 5, "v2": {"clipSkip": 1}}, None),
    ],
)  # fmt: skip
def test_clip_skips_are_told_in_the_web_uis_count(key, values, clip_skip, tmp_path):
    saved = images.inspect(png_with({key: json.dumps(values)}, tmp_path))
    assert (saved.request.seed, saved.request.clip_skip) == (5, clip_skip)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("invokeai_metadata", json.dumps({**INVOKE, "cfg_rescale_multiplier": 0.7})),
        ("Comment", json.dumps({**NOVEL, "cfg_rescale": 0.7})),
        ("parameters", "a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, CFG rescale: 0.7"),
    ],
)
def test_what_others_rescaled_guidance_by_is_read(key, text, tmp_path):
    saved = images.inspect(png_with({key: text}, tmp_path))
    assert saved.request.cfg_rescale == 0.7
    assert not any("rescale" in note.lower() for note in saved.notes)


def test_a_prompt_of_novelai_that_stands_in_the_description(tmp_path):
    texts = {"Description": "a cat", "Comment": json.dumps(dict(NOVEL, prompt=None))}
    assert images.read(png_with(texts, tmp_path)).prompt == "a cat"


def test_a_graph_with_links_for_values_and_two_passes():
    """The second pass, which keeps half of the first, is listed first."""
    first = dict(GRAPH["3"]["inputs"], seed=["8", 0], positive=["9", 0])
    second = dict(first, denoise=0.5, steps=11, latent_image=["2", 0])
    graph = {
        "1": node("KSampler", **second),
        "2": node("LatentUpscale", samples=["3", 0], width=1024, height=1536),
        **GRAPH,
        "3": node("KSampler", **first),
        "6": node("CLIPTextEncode", text=["10", 0], clip=["4", 1]),
        "8": node("PrimitiveInt", value=5),
        "9": node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0], strength=1.0),
        "10": node("PrimitiveString", value="a cat"),
    }
    saved = foreign_texts.read({"prompt": json.dumps(graph)})
    assert saved.request == CAT.but(sampler="dpmpp_2m", schedule="karras", syntax="comfy")
    assert any("several passes" in note for note in saved.notes)


CUSTOM = {
    "9": node("BasicScheduler", model=["4", 0], scheduler="karras", steps=20, denoise=1.0),
    "10": node("KSamplerSelect", sampler_name="dpmpp_2m"),
}


@pytest.mark.parametrize(
    "nodes",
    [
        {**CUSTOM, "3": node(
            "SamplerCustom", add_noise=True, noise_seed=5, cfg=7, model=["4", 0],
            positive=["6", 0], negative=["7", 0], sampler=["10", 0], sigmas=["9", 0],
            latent_image=["5", 0],
        )},
        {**CUSTOM, "3": node(
            "SamplerCustomAdvanced", noise=["11", 0], guider=["12", 0], sampler=["10", 0],
            sigmas=["9", 0], latent_image=["5", 0],
        ), "11": node("RandomNoise", noise_seed=5),
            "12": node("CFGGuider", cfg=7, model=["4", 0], positive=["6", 0], negative=["7", 0])},
        {"4": node(
            "Efficient Loader", ckpt_name="v1-5.safetensors", positive="a cat", negative="dog",
            empty_latent_width=512, empty_latent_height=768,
        ), "3": node("KSampler (Efficient)", **{
            **GRAPH["3"]["inputs"], "positive": ["4", 1], "negative": ["4", 2],
            "latent_image": ["4", 3],
        })},
        {"6": node("CLIPTextEncode", text=["13", 0], clip=["4", 1]),
         "13": node("StringConcatenate", string_a="a", string_b=["14", 0], delimiter=" "),
         "14": node("Text Multiline", text="cat")},
        {"6": node("CLIPTextEncode", text=["13", 0], clip=["4", 1]),
         "13": node("Wildcards", wildcard_text="{a|b}", populated_text="a cat", seed=1)},
        {"6": node("CLIPTextEncodeSDXL", text_g="a cat", text_l="a cat", width=64, height=64)},
        {"3": node("KSampler", **{**GRAPH["3"]["inputs"], "positive": ["15", 0]}),
         "15": node("Reroute", **{"": ["6", 0]})},
    ],
)  # fmt: skip
def test_graphs_whose_settings_stand_in_other_nodes(nodes):
    saved = foreign_texts.read({"prompt": json.dumps({**GRAPH, **nodes})})
    assert saved.request == CAT.but(sampler="dpmpp_2m", schedule="karras", syntax="comfy")
    assert (saved.model, saved.notes) == ("v1-5.safetensors", ())


@pytest.mark.parametrize(("layer", "clip_skip"), [(-2, 2), (-1, None), (["9", 0], None)])
def test_the_last_layer_of_a_graph_is_a_clip_skip(layer, clip_skip):
    nodes = {"16": node("CLIPSetLastLayer", stop_at_clip_layer=layer, clip=["4", 1]),
             "6": node("CLIPTextEncode", text="a cat", clip=["16", 0])}  # fmt: skip
    saved = foreign_texts.read({"prompt": json.dumps({**GRAPH, **nodes})})
    assert saved.request.clip_skip == clip_skip


def test_prompts_of_a_graph_that_are_two_or_none():
    both = node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["9", 0])
    inputs = {**GRAPH["3"]["inputs"], "positive": ["8", 0], "negative": ["10", 0]}
    nodes = {
        "3": node("KSampler", **inputs), "8": both, "9": node("CLIPTextEncode", text="in fog"),
        "10": node("ConditioningZeroOut", conditioning=["6", 0]),
    }  # fmt: skip
    saved = foreign_texts.read({"prompt": json.dumps({**GRAPH, **nodes})})
    assert (saved.request.prompt, saved.request.negative) == ("a cat\nin fog", "")
    assert any("several texts" in note for note in saved.notes)


@pytest.mark.slow
def test_texts_that_join_one_another_end():
    """Each joins the next twice, with a delimiter as long as all of them."""
    joins = {
        str(n): node("Join", text_a=[str(n + 1), 0], text_b=[str(n + 1), 0], delimiter="x" * 9999)
        for n in range(100, 2000)
    }
    graph = {**GRAPH, **joins, "6": node("CLIPTextEncode", text=["100", 0])}
    assert foreign_texts.read({"prompt": json.dumps(graph)}).request.prompt == ""


def test_half_of_a_surrogate_pair_costs_a_letter_and_not_the_prompt():
    text = json.dumps(dict(NOVEL, prompt="a cat")).replace("a cat", "a cat \\ud83d")
    assert foreign_texts.read({"Comment": text}).request.prompt == "a cat \ufffd"


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("invokeai_metadata", {**INVOKE, "loras": [{"model": {"name": "x"}, "weight": 0.7}]}),
        ("invokeai_metadata", {**INVOKE, "loras": [{"lora": {"model_name": "x"}, "weight": 0.7}]}),
        ("parameters", {**FOOOCUS, "loras": [["None", 1.0], ["x", 0.7, "4852686128"]]}),
        ("parameters", {**FOOOCUS, "lora_combined_1": "x : 0.7"}),
        ("parameters", {"sui_image_params": {
            **SWARM["sui_image_params"], "loras": ["x"], "loraweights": ["0.7"]}}),
        ("parameters", {**EASY, "use_lora_model": "x", "lora_alpha": 0.7}),
    ],
)  # fmt: skip
def test_loras_of_a_list_come_with_their_weights(key, values, tmp_path):
    saved = images.inspect(png_with({key: json.dumps(values)}, tmp_path))
    assert saved.request.loras == (Lora("x", 0.7),)
    assert not saved.notes


def test_a_control_network_of_comfyui_is_named_and_said_to_be_left_out():
    sampler = next(at for at, each in GRAPH.items() if "sampler_name" in each["inputs"])
    inputs = GRAPH[sampler]["inputs"]
    apply = node("ControlNetApply", conditioning=inputs["positive"], control_net=["31", 0])
    loader = node("ControlNetLoader", control_net_name="control_v11p_sd15_canny.pth")
    changed = {**GRAPH[sampler], "inputs": {**inputs, "positive": ["30", 0]}}
    graph = {**GRAPH, sampler: changed, "30": apply, "31": loader}
    saved = foreign_texts.read({"prompt": json.dumps(graph)})
    assert ("control", "control_v11p_sd15_canny.pth") in [(f.kind, f.name) for f in saved.files]
    (note,) = [note for note in saved.notes if note.startswith("Left out: the control network")]
    assert "sdnb.Control('control_v11p_sd15_canny.pth', picture)" in note
    assert saved.request.prompt == foreign_texts.read({"prompt": json.dumps(GRAPH)}).request.prompt


def test_a_lora_without_a_name_is_said_and_one_that_is_not_used_is_none(tmp_path):
    nameless = json.dumps({**INVOKE, "loras": [{"weight": 0.7}]})
    saved = images.inspect(png_with({"invokeai_metadata": nameless}, tmp_path))
    assert "LoRAs that have no name in it" in saved.notes[0]
    idle = json.dumps({**GRAPH, "20": node("LoraLoader", lora_name="x", model=["4", 0])})
    saved = images.inspect(png_with({"prompt": idle}, tmp_path))
    assert (saved.request.loras, saved.notes) == ((), ())


def test_json_with_a_byte_order_mark():
    saved = foreign_texts.read({"prompt": "\ufeff" + json.dumps(GRAPH)})
    assert saved.request.seed == 5


def test_words_in_brackets_were_the_negative_prompt_of_invokeai(tmp_path):
    line = '"a cat [dog] sitting [fog]" -s 20 -S 5 -W 512 -H 768 -C 7.0 -A k_lms'
    request = images.read(png_with({"Dream": line}, tmp_path))
    assert (request.prompt, request.negative) == ("a cat sitting", "dog fog")
    inner = dict(OLD_INVOKE["image"], negative_prompt="", prompt=[{"prompt": "a cat [dog]"}])
    old = {"model": "stable diffusion", "model_weights": "v1-5", "image": inner}
    saved = foreign_texts.read({"sd-metadata": json.dumps(old)})
    assert (saved.request.prompt, saved.request.negative) == ("a cat", "dog")
    assert (saved.model, saved.notes) == ("v1-5", ())


def test_a_picture_to_start_from_is_said_to_be_missing():
    graph = {**GRAPH, "3": node("KSampler", **dict(GRAPH["3"]["inputs"], denoise=0.6))}
    saved = foreign_texts.read({"prompt": json.dumps(graph)})
    assert saved.request.strength == 0.6
    assert any("not stored" in note for note in saved.notes)


def test_an_unknown_sampler_and_weighed_words_are_said():
    values = json.dumps(dict(NOVEL, sampler="ddim_v3", prompt="a (cat:1.2)", width="wide"))
    saved = foreign_texts.read({"Comment": values})
    assert (saved.request.prompt, saved.request.seed) == ("a (cat:1.2)", 5)
    assert (saved.request.sampler, saved.request.width) == (None, None)
    notes = " ".join(saved.notes)
    assert all(words in notes for words in ("'ddim_v3'", "kept as it was written", "wide"))


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"workflow": "{}"}, "ComfyUI saved it with the layout of its editor alone"),
        ({"prompt": json.dumps({"1": node("Flux", steps=3)})}, "ComfyUI saved it"),
        ({"Software": "GIMP", "Comment": "made with love"}, "'Software', 'Comment'"),
        ({"parameters": '{"a": 1}'}, "'parameters'"),
    ],
)
def test_hints_say_what_is_there(texts, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        images.read(png_with(texts, tmp_path))


def test_links_in_a_circle_end():
    sampler = node("KSampler", sampler_name=["1", 0], steps=["2", 0], seed=["2", 0], cfg=["1", 0])
    graph = {"1": sampler, "2": node("X", a=["2", 0], b=["1", 0])}
    assert foreign_texts.read({"prompt": json.dumps(graph)}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*GRAPH, *INVOKE, *NOVEL, *FOOOCUS, "inputs", "image"]),
                          inner, max_size=4)
    ),
)  # fmt: skip


@given(
    st.sampled_from(["prompt", "invokeai_metadata", "sd-metadata", "Comment", "parameters"]), JSON
)
@pytest.mark.slow
def test_any_json_is_read_or_is_none(key, value):
    saved = foreign_texts.read({key: json.dumps(value)})
    assert saved is None or isinstance(saved.request, Request)


@given(st.sampled_from(list(GRAPH["3"]["inputs"])), JSON)
@pytest.mark.slow
def test_any_input_of_a_sampler_is_read_or_left_out(name, value):
    graph = {**GRAPH, "3": node("KSampler", **{**GRAPH["3"]["inputs"], name: value})}
    saved = foreign_texts.read({"prompt": json.dumps(graph)})
    assert isinstance(saved.request, Request)


def test_a_schedule_that_lies_elsewhere_in_comfyui_is_said():
    graph = {**GRAPH, "3": node("KSampler", **{**GRAPH["3"]["inputs"], "scheduler": "beta"})}
    saved = foreign_texts.read({"prompt": json.dumps(graph)})
    assert saved.request.schedule == "beta"
    assert any("the picture will differ" in note for note in saved.notes)
    plain = foreign_texts.read({"prompt": json.dumps(GRAPH)})
    assert not any("schedule" in note for note in plain.notes)
