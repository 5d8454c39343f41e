"""Tokens and the text encoder against transformers; averages against their definition."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import diffusers_models, tiny_pipeline
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

import sdnb
from sdnb.engine import loading
from sdnb.engine.checkpoint import read
from sdnb.engine.networks import text
from sdnb.engine.networks.config import TextConfig
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.engine.prompt_cache import EncodedPrompt, PromptCache, PromptKey

pytestmark = pytest.mark.slow

# From CLIP's own repository and papers built on it: ids that do not come from any file here.
KNOWN = {
    "a photo of a cat": [49406, 320, 1125, 539, 320, 2368, 49407],
    "a diagram": [49406, 320, 22697, 49407],
    "a dog": [49406, 320, 1929, 49407],
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """transformers' own pipeline of CLIP's text, given the merges alone."""
    folder = tmp_path_factory.mktemp("clip")
    Tokenizer()._bpe.model.save(str(folder))
    return CLIPTokenizer.from_pretrained(str(folder))


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer()


@pytest.mark.parametrize(("words", "ids"), KNOWN.items())
def test_known_ids(tokenizer, words, ids):
    assert list(tokenizer(words).ids[: len(ids)]) == ids


def same(ours, theirs, words):
    truth = theirs(words, padding="max_length", max_length=77, truncation=True).input_ids
    tokens = ours(words)
    assert list(tokens.ids) == truth
    assert tokens.count == min(len(theirs(words, verbose=False).input_ids) - 2, 75)


@given(st.text(max_size=120))
@settings(max_examples=60)
@pytest.mark.slow
def test_any_text_becomes_the_ids_of_transformers(tokenizer, clip, words):
    same(tokenizer, clip, words.replace("<|", "< |"))


def test_a_folder_of_vocab_and_merges_is_read(clip, tmp_path):
    ours = Tokenizer()
    ours._bpe.model.save(str(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["merges.txt", "vocab.json"]
    same(Tokenizer(tmp_path), clip, "Zwölf Boxkämpfer, 16:9 — it's 'fine' 🦊")
    assert Tokenizer(tmp_path).size == 49408


def test_files_of_a_windows_editor_and_a_line_that_merges_nothing(tmp_path):
    vocab = {"a</w>": 0, "c": 1, "at</w>": 2, "cat</w>": 3, "t</w>": 4, "a": 5,
             "<|startoftext|>": 6, "<|endoftext|>": 7}  # fmt: skip
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), "utf-8-sig")
    (tmp_path / "merges.txt").write_bytes(b"\xef\xbb\xbf#version: 0.2\r\na t</w>\r\nc at</w>\r\n")
    assert Tokenizer(tmp_path)("Cat a").ids[:4] == (6, 3, 0, 7)
    (tmp_path / "merges.txt").write_text("a t</w>\nc\n")
    with pytest.raises(ValueError, match=r"a line of merges\.txt is not two parts"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_a_tokenizer_that_cannot_be_read_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=f"{tmp_path.name}.*cannot be read.*tokenizer.json"):
        Tokenizer(tmp_path)


def test_a_tokenizer_of_another_kind_is_refused(tmp_path):
    import tokenizers

    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="is not CLIP's"):
        Tokenizer(tmp_path)


def test_text_encoder_equals_transformers(tmp_path):
    """Loaded by sdnb's own reader and strict fill; the tolerance of fp32 sums, 1e-5."""
    pipe = tiny_pipeline.build()
    pipe.save_pretrained(tmp_path)
    model = sdnb.load(tmp_path)
    prompts = ["a cat", "", "a very long prompt " * 30]
    with torch.inference_mode():
        ours = text.encode(model.text, [model.tokenizer(p) for p in prompts], model.device)
        truth = pipe.encode_prompt(prompts, "cpu", 1, False)[0]
    assert truth.std() > 0.1
    assert (ours - truth).abs().max() <= 1e-5


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.picture
def test_clip_vit_l_text_encoder_equals_transformers(activation):
    """SD 1.x's own text encoder at full width, random weights."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
    marks = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    config = CLIPTextConfig(num_hidden_layers=3, hidden_act=activation, **sizes, **marks)
    theirs = CLIPTextModel(config).eval()
    ours = text.build(TextConfig(layers=3, activation=activation))
    core = getattr(theirs, "text_model", theirs)
    ours.load_state_dict(core.state_dict(), assign=True)
    tokens = [Tokenizer()("a red fox in the snow")]
    with torch.inference_mode():
        truth = theirs(input_ids=torch.tensor([tokens[0].ids])).last_hidden_state
        assert (text.encode(ours, tokens, torch.device("cpu")) - truth).abs().max() <= 1e-5


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match=r"'relu' is unknown.*one of quick_gelu, gelu"):
        text.build(TextConfig(activation="relu"))


@pytest.mark.parametrize("n", [1, 3, 40])
def test_many_texts_are_summed_by_weight_a_few_at_once(n):
    config = TextConfig(vocab=99, width=8, layers=1, heads=2, hidden=16)
    model = text.build(config).to_empty(device="cpu")
    draw = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(generator=draw)
    at_once = []
    model.register_forward_pre_hook(lambda _, given: at_once.append(len(given[0])))
    ids = torch.randint(99, (n, 77), generator=draw).tolist()
    blocks = [[SimpleNamespace(ids=row, embeddings=())] for row in ids]
    weights = torch.randn(n, generator=draw).tolist()
    with torch.inference_mode():
        total = text.averaged(model, blocks, weights, torch.device("cpu"))
        assert max(at_once) <= text.CHUNKS_AT_ONCE
        truth = sum(w * model(torch.tensor([row])) for w, row in zip(weights, ids, strict=True))
    assert total.shape == (1, 77, 8)
    assert (total - truth).abs().max() <= 1e-5


def test_the_embedded_model_reads_with_its_own_tokenizer():
    found = read(sdnb.assets.embedded_model())
    tokenizer = Tokenizer(found.tokenizer)
    assert tokenizer.size == found.config.text.vocab
    assert tokenizer("a red apple").count == 3


def clips(change, tokens=9):
    """CLIP's own tokenizer.json with fewer tokens, changed."""
    import sdnb.engine.networks.tokenizer as module

    tree = json.loads((module._CLIP / "tokenizer.json").read_text("utf-8"))
    model = tree["model"]
    if tokens is not None:
        kept = [*list(model["vocab"])[:tokens], *(t["content"] for t in tree["added_tokens"])]
        model.update(vocab={token: model["vocab"][token] for token in kept}, merges=[])
    change(tree)
    return json.dumps(tree)


def test_files_that_hold_the_same_are_read_once_and_changed_ones_anew(tmp_path):
    def one_id_changed(tree):
        tree["model"]["vocab"]["!"] = 60_000

    whole = clips(lambda _: None, 12)
    for name, said in (("a", whole), ("b", whole), ("c", clips(one_id_changed, 12))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_text(said, "utf-8")
    a, b, c = (Tokenizer(tmp_path / name) for name in "abc")
    assert a._bpe is b._bpe
    assert (a.size, c.size) == (49408, 60_001)
    (tmp_path / "a" / "tokenizer.json").write_text(clips(one_id_changed, 12), "utf-8")
    assert Tokenizer(tmp_path / "a").size == 60_001
    assert a.size == 49408


@pytest.mark.slow
def test_a_tokenizer_json_of_clip_is_read_as_older_tools_wrote_it(tmp_path, clip):
    def as_of_2022(tree):
        split, of_bytes = tree["pre_tokenizer"]["pretokenizers"]
        split["pattern"]["Regex"] = split["pattern"]["Regex"].split("endoftext\\|>|")[1]
        del of_bytes["use_regex"], tree["model"]["byte_fallback"], tree["model"]["ignore_merges"]
        tree["model"]["merges"] = [" ".join(pair) for pair in tree["model"]["merges"]]

    (tmp_path / "tokenizer.json").write_text(clips(as_of_2022, None), "utf-8")
    same(Tokenizer(tmp_path), clip, "Zwölf Boxkämpfer, 16:9 — it's 'fine' 🦊")


BOMB = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["normalizer"]["normalizers"].extend([BOMB] * 40), "its normalizer is"),
        (lambda t: t["normalizer"]["normalizers"][1].update(content="a" * 10**6), "its normalizer"),
        (lambda t: t.update(normalizer=None), "its normalizer is None"),
        (lambda t: t.update(pre_tokenizer=BOMB), "its pre_tokenizer is"),
        (lambda t: t["model"].update(end_of_word_suffix="a" * 10**6), "its end_of_word_suffix is"),
        (lambda t: t["model"].update(continuing_subword_prefix="a"), "continuing_subword_prefix"),
        (lambda t: t["model"].update(dropout=0.5), "its dropout is 0.5"),
        (lambda t: t["model"].update(type="Unigram"), "its type is 'Unigram'"),
        (lambda t: t["model"].update(vocab={"a": -1}), "cannot be read: "),
        (lambda t: t.update(model=[]), "describes no tokenizer"),
        (lambda t: t["added_tokens"][0].update(content="a" * 10**7), "its added tokens take 10,0"),
    ],
)
def test_rules_that_are_not_clips_are_not_followed(tmp_path, change, words):
    (tmp_path / "tokenizer.json").write_text(clips(change), "utf-8")
    with pytest.raises(ValueError, match=words) as caught:
        Tokenizer(tmp_path)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json"])
def test_a_pipe_among_the_files_is_not_waited_for(tmp_path, name):
    (tmp_path / "merges.txt").write_text("")
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=r"cannot be read: it is not an ordinary file"):
        Tokenizer(tmp_path)


def test_a_panic_of_the_library_is_an_error_in_words(monkeypatch, tmp_path):
    class Panic(BaseException):
        """pyo3's own is no Exception either."""

    def panic(*_, **__):
        raise Panic("index out of\x1b bounds\nat line 3")

    monkeypatch.setattr("tokenizers.Tokenizer.from_str", panic)
    (tmp_path / "tokenizer.json").write_text(clips(lambda _: None), "utf-8")
    with pytest.raises(ValueError, match=r"cannot be read: index out of\\x1b bounds at line 3\."):
        Tokenizer(tmp_path)
    tokenizer = Tokenizer()
    tokenizer._bpe = SimpleNamespace(encode=panic)
    with pytest.raises(ValueError, match=r"the tokenizer in .* cannot read 'a cat': index"):
        tokenizer("a cat")


@pytest.mark.slow
def test_an_id_beyond_the_table_counts_and_not_how_many_there_are(tmp_path):
    ours = Tokenizer()
    ours._bpe.model.save(str(tmp_path))
    vocabulary = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    vocabulary["!"] = 60_000
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    assert Tokenizer(tmp_path).size == 60_001
    found = SimpleNamespace(
        name="a", tokenizer=tmp_path, config=SimpleNamespace(text=TextConfig(vocab=49408))
    )
    with pytest.raises(ValueError, match="knows 49408 tokens, but the tokenizer has 60001"):
        loading.tokenizer_of(found)


def test_a_very_long_prompt_is_not_kept_after_its_run():
    cache, context = PromptCache(), torch.zeros(1, 77, 8)
    for words, notes in (("a cat", ("a note",)), ("x" * 100_001, ()), ("y", ("a note",) * 20_000)):
        cache.keep({PromptKey(words): EncodedPrompt(context, notes)})
    assert list(cache) == [PromptKey("a cat")]


def test_two_encoders_are_joined_as_in_sdxl():
    """Against diffusers' pipeline with random weights: the layer before the last of each without
    the norm, each with its padding, and the second's text as a whole; to 1e-4 (fp32).
    """
    first = TextConfig(width=32, layers=3, heads=2, hidden=64, layer=2, normed=False)
    second = replace(first, width=48, heads=3, activation="gelu", padding=0, pooled=20)
    file, parts, ours, ids = str(Path(text.__file__).parent / "clip" / "tokenizer.json"), {}, [], []
    for config, kind, number, fill in (
        (first, CLIPTextModel, "", "<|endoftext|>"),
        (second, CLIPTextModelWithProjection, "_2", "!"),
    ):
        ours.append(text.build(config))
        weights = diffusers_models.random_weights(ours[-1], len(ours))
        ours[-1].load_state_dict(weights, assign=True)
        encoder = kind(
            CLIPTextConfig(
                vocab_size=config.vocab, hidden_size=config.width, num_hidden_layers=config.layers,
                num_attention_heads=config.heads, intermediate_size=config.hidden,
                hidden_act=config.activation, projection_dim=20, bos_token_id=49406,
                eos_token_id=49407,
            )
        )  # fmt: skip
        prefix = "text_model." if hasattr(encoder, "text_model") else ""
        its = {n if "projection" in n else prefix + n: w for n, w in weights.items()}
        encoder.load_state_dict(its)
        parts[f"text_encoder{number}"] = encoder.eval()
        parts[f"tokenizer{number}"] = CLIPTokenizer(
            tokenizer_file=file, model_max_length=77, pad_token=fill
        )
        ids.append(torch.tensor([Tokenizer(padding=config.padding)("a red fox").ids]))
    pipe = StableDiffusionXLPipeline(vae=None, unet=None, scheduler=None, **parts)
    with torch.inference_mode():
        context, pooled = text.joined(ours, ids)
        truth, _, whole, _ = pipe.encode_prompt("a red fox", do_classifier_free_guidance=False)
    assert min(truth.std(), whole.std()) > 0.1
    assert (context - truth).abs().max() <= 1e-4
    assert (pooled - whole).abs().max() <= 1e-4
    assert text.joined(ours[:1], ids[:1])[1] is None
