"""Encodings of prompts against transformers' CLIP with the same random weights, by hand.

Largest absolute error: 1e-5, of sums in float32.
"""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers.fakes import tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from sdnb.engine.networks import text
from sdnb.engine.networks.config import TextConfig
from sdnb.engine.planning.footprint import Workload
from sdnb.engine.prompt_cache import PromptCache
from sdnb.engine.stages import prompts
from sdnb.engine.stages.contexts import of_pass, same_length
from sdnb.request import Request, Settings, prompt

START, END = 49406, 49407
CPU = torch.device("cpu")
LAYERS, WIDTH = 4, 32


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 4}
    marks = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": END}
    model = CLIPTextModel(CLIPTextConfig(num_hidden_layers=LAYERS, **sizes, **marks)).eval()
    norm = getattr(model, "text_model", model).final_layer_norm
    norm.weight.data.normal_(1)
    norm.bias.data.normal_(0.3)  # a trained one's mean is not zero either
    return model


@pytest.fixture(scope="module")
def model(clip):
    """What `encode` needs of a model."""
    config = TextConfig(width=WIDTH, layers=LAYERS, heads=4, hidden=64)
    ours = text.build(config)
    ours.load_state_dict(getattr(clip, "text_model", clip).state_dict(), assign=True)

    @contextmanager
    def use(_):
        model.used += 1
        yield CPU

    model = SimpleNamespace(
        name="tiny", text=ours, tokenizer=tokenizer(), config=SimpleNamespace(text=config),
        prompts=PromptCache(), weights=SimpleNamespace(use=use), device=CPU, dtype=torch.float32,
        used=0,
    )  # fmt: skip
    return model


def ids(words):
    return tokenizer()._encoded(words)[0]


def by_hand(clip, *chunks, skip=1):
    """The encodings `[n, 77, d]` of ids without marks, by transformers."""
    rows = [[START, *row, *[END] * (76 - len(row))] for row in chunks]
    with torch.inference_mode():
        out = clip(input_ids=torch.tensor(rows), output_hidden_states=True)
        core = getattr(clip, "text_model", clip)
        return core.final_layer_norm(out.hidden_states[-skip])


def weights(*runs):
    """`[1, 77]` of (count, weight) after the start."""
    row = [1.0, *(w for count, w in runs for _ in range(count))]
    return torch.tensor([row + [1.0] * (77 - len(row))])


@torch.inference_mode()
def encoded(model, words, embeddings=prompts.NO_EMBEDDINGS, **fields):
    asked = Request(words, **{"steps": 10, "cfg": 1, "seed": 0, **fields}).resolved(Settings())
    model.prompts.clear()
    return prompts.encode(model, asked, embeddings)


def alone(model, words, embeddings=prompts.NO_EMBEDDINGS, **fields):
    return encoded(model, words, embeddings, **fields).texts[0].at(0)


def near(ours, truth):
    assert ours.shape == truth.shape
    assert truth.std() > 0.1
    assert (ours - truth).abs().max() <= 1e-5


@pytest.mark.parametrize("syntax", ["blocks", "a1111", "comfy"])
@pytest.mark.parametrize("skip", [1, 2, 4])
def test_a_plain_prompt_and_clip_skip(clip, model, syntax, skip):
    ours = alone(model, "a red fox", syntax=syntax, clip_skip=skip)
    near(ours, by_hand(clip, ids("a red fox"), skip=skip))
    assert torch.equal(alone(model, "a fox"), alone(model, "a fox", syntax=syntax, clip_skip=1))


def test_a_clip_skip_that_the_web_ui_ignores_is_said(model, monkeypatch):
    asked = {"syntax": "a1111", "clip_skip": 2}
    assert encoded(model, "a fox", **asked).notes == []
    monkeypatch.setattr(model.config, "text", replace(model.config.text, padding=0))  # OpenCLIP's
    assert encoded(model, "a fox", **{**asked, "syntax": "comfy"}).notes == []
    (note,) = encoded(model, "a fox", **asked).notes
    assert note.startswith("AUTOMATIC1111 ignores the clip skip with models of SD 2.x")


def test_layers_behind_the_one_that_is_read_are_not_computed(model):
    called = []
    hooks = [
        layer.register_forward_hook(lambda *_, i=i: called.append(i))
        for i, layer in enumerate(model.text.encoder.layers)
    ]
    alone(model, "a fox", clip_skip=3)
    for hook in hooks:
        hook.remove()
    assert called == [0, 1]
    with pytest.raises(ValueError, match=r"clip_skip=5 is beyond .* tiny, which has 4"):
        alone(model, "a fox", clip_skip=5)


@pytest.mark.parametrize("syntax", ["blocks", "a1111", "comfy"])
def test_a_long_prompt_is_chunks_side_by_side(clip, model, syntax):
    words = ids("cat " * 100)
    truth = by_hand(clip, words[:75], words[75:]).flatten(0, 1)[None]
    near(alone(model, "cat " * 100, syntax=syntax), truth)


def test_a1111_multiplies_and_restores_the_mean(clip, model):
    z = by_hand(clip, ids("a") + ids("red fox") + ids("in") + ids("fog"))
    w = weights((1, 1), (2, 1.5), (1, 1), (1, 1 / 1.1))[..., None]
    words = "a (red fox:1.5) in [fog]"
    truth = z * w * (z.mean() / (z * w).mean())
    near(alone(model, words, syntax="a1111"), truth)
    near(alone(model, words, syntax="a1111_no_norm"), z * w)


def test_a1111_restores_the_mean_of_each_chunk_by_itself(clip, model):
    z = by_hand(clip, ids("a fox"), ids("fog"))
    w = torch.cat([weights((2, 2.0)), weights((1, 0.5))])[..., None]
    means = (1, 2)
    factor = z.mean(means, keepdim=True) / (z * w).mean(means, keepdim=True)
    ours = alone(model, "(a fox:2) BREAK (fog:0.5)", syntax="a1111")
    near(ours, (z * w * factor).flatten(0, 1)[None])


def test_a1111_restores_the_mean_of_all_texts_of_a_schedule_at_once(clip, model):
    """Of `[a|b]` over 3 calls, a is there twice."""
    a, b = (by_hand(clip, ids("fox") + ids(w)) for w in ("red", "green"))
    w = weights((1, 1), (1, 1.5))[..., None]
    v = weights((1, 1), (1, 0.2))[..., None]
    before, after = (2 * a + b).mean(), (2 * a * w + b * v).mean()
    ours = encoded(model, "fox [(red:1.5)|(green:0.2)]", syntax="a1111", steps=3).texts[0]
    near(ours.at(0), a * w * (before / after))
    near(ours.at(2), b * v * (before / after))


def test_comfy_goes_away_from_the_empty_prompt(clip, model):
    z, empty = by_hand(clip, ids("a") + ids("red fox"), [])[:, None]
    w = weights((1, 1), (2, 1.5))[..., None]
    near(alone(model, "a (red fox:1.5)", syntax="comfy"), empty + (z - empty) * w)


@pytest.mark.slow
def test_comfys_weights_are_compels(clip, model):
    """compel has the same formula for weights above 1, in another syntax."""
    import compel

    folder = tokenizer()._folder / "tokenizer.json"
    words = CLIPTokenizer(tokenizer_file=str(folder), model_max_length=77)
    theirs = compel.Compel(tokenizer=words, text_encoder=clip)
    with torch.inference_mode():
        truth = theirs("a (red fox)1.5")
    near(alone(model, "a (red fox:1.5)", syntax="comfy"), truth)


def test_blocks_of_unequal_length_are_averaged_after_repetition(clip, model):
    cats = ids("cat " * 100)
    long = by_hand(clip, cats[:75], cats[75:]).flatten(0, 1)
    short = by_hand(clip, ids("fog"))[0].repeat(2, 1)
    truth = (3 * long + short) / 4
    near(alone(model, "cat " * 100 + ":3 fog:1"), truth[None])


@pytest.mark.parametrize(("syntax", "name"), [("a1111", "(MYCAT:1.5)"),
                                              ("comfy", "(embedding:mycat:1.5)")])  # fmt: skip
def test_an_embedding_stands_where_its_name_stood(clip, model, syntax, name):
    """transformers' own way: tokens that are added to the table."""
    vectors = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(1))
    table = getattr(clip, "text_model", clip).embeddings.token_embedding
    before = table.weight.data
    table.weight.data = torch.cat([before, vectors])
    try:
        z, empty = by_hand(clip, [*ids("a"), 49408, 49409, *ids("in fog")], [])[:, None]
    finally:
        table.weight.data = before
    w = weights((1, 1), (2, 1.5))[..., None]
    truth = z * w * (z.mean() / (z * w).mean()) if syntax == "a1111" else empty + (z - empty) * w
    embedding = SimpleNamespace(name="mycat", vectors=vectors, sha256="ab", inside="")
    words = f"a {name} in fog"
    near(alone(model, words, {"mycat": embedding}, syntax=syntax), truth)
    assert next(iter(model.prompts)).embeddings == ("ab",)
    wide = SimpleNamespace(name="mycat", vectors=torch.ones(1, 99), sha256="cd", inside="")
    with pytest.raises(ValueError, match=r"'mycat' is 99 wide, and the text encoder of tiny 32"):
        alone(model, words, {"mycat": wide}, syntax=syntax)


def test_a_popular_embedding_that_is_not_here_is_said_once(model):
    words = "a cat, [easynegative:(EasyNegative:1.2):0.5]"
    fields = {"syntax": "a1111", "cfg": 7, "negative": "bad-hands-5, EasyNegative, ugly"}
    (note,) = encoded(model, words, **fields).notes
    assert note.startswith("bad-hands-5, EasyNegative are popular embeddings that are not here: ")
    assert "library=" in note
    here = SimpleNamespace(name="x", vectors=torch.ones(1, 32), sha256="ab", inside="")
    known = {"easynegative": here, "bad-hands-5": here}
    notes = encoded(model, words, known, **fields).notes
    assert notes == ["Embeddings in the prompt: x."]
    (note,) = encoded(model, "a easynegative", known, syntax="comfy", cfg=7).notes
    assert note.endswith("ComfyUI's syntax wants embedding:EasyNegative.")


def test_each_distinct_text_is_encoded_once(model):
    seen = []
    hook = model.text.register_forward_pre_hook(lambda _, given: seen.extend(given[0].tolist()))
    words = "[a fox|a cat] AND a cat AND [a fox:a dog:0.5]"
    its = encoded(model, words, syntax="a1111", cfg=7, negative="a cat")
    hook.remove()
    assert len(seen) == 3
    assert [len(text.stages) for text in its.texts] == [1, 10, 1, 2]


def test_a_run_of_pictures_with_schedules_of_their_own(model):
    one = encoded(model, "[a fox:a cat:3]", syntax="a1111", negative="fog " * 90, cfg=7)
    two = encoded(model, "[a dog:a cat:5]", syntax="a1111", negative="", cfg=7)
    contexts = of_pass([one.texts, two.texts])
    assert [until for until, _ in contexts.stages] == [3, 5, 10]
    assert [context.shape for context in contexts.sets[0]] == [(2, 154, WIDTH), (2, 77, WIDTH)]
    for call in range(10):
        negative, positive = contexts.sets[contexts.at(call)]
        assert torch.equal(negative[1], two.texts[0].at(0)[0].repeat(2, 1))
        for i, its in enumerate((one, two)):
            assert torch.equal(positive[i], its.texts[1].at(call)[0])


def test_lengths_without_a_bearable_multiple_are_refused():
    with pytest.raises(ValueError, match=r"prompts of 7, 11 chunks .* shorten one"):
        same_length([torch.zeros(1, 77 * n, 8) for n in (7, 11)])


@pytest.mark.parametrize(
    ("words", "cfg", "scales"),
    [
        ("a AND b:0.5", 8, [8, 4]),
        ("a:0.5", 8, [4]),
        ("a AND b:0", 8, [8]),
        ("a", 1, []),
        ("a:0.25", 4, []),
        ("a AND b", 0, []),
    ],
)
def test_how_far_each_text_guides(model, words, cfg, scales):
    its = encoded(model, words, syntax="a1111", cfg=cfg, negative="c")
    assert its.scales == scales
    assert len(its.texts) == len(scales) + 1


@pytest.mark.parametrize(
    ("words", "negative", "planned"),
    [
        ("a cat", "", (2, 1, 1)),
        ("a cat, " * 150, "fog " * 100, (2, 4, 1)),  # 4 chunks and 2
        ("[a|b] AND [c:d:0.5]", "", (3, 1, 4)),
        ("[a:b:0.5]", "[c:d:0.5]", (2, 1, 2)),  # both change at once
    ],
)
def test_what_a_forecast_knows_of_prompts(words, negative, planned):
    asked = Request(words, negative, syntax="a1111", seed=1).resolved(Settings())
    work = Workload.of(asked)
    assert (work.texts, work.chunks, work.sets) == planned


def test_what_is_said_of_a_prompt(model):
    notes = encoded(model, "a:1 cat:1.2)", syntax="a1111", negative="fog", cfg=1).notes
    assert prompt.traps("a:1 cat:1.2)", "a1111") == []
    (note,) = notes
    assert note.startswith("'fog' has no effect at cfg 1: 1 follows the prompt alone")
