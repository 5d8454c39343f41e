"""Tokens and the text encoder against transformers; averages against their definition."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import tiny_pipeline
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import sdnb
from sdnb.engine.checkpoint import read
from sdnb.engine.networks import text
from sdnb.engine.networks.config import TextConfig
from sdnb.engine.networks.tokenizer import Tokenizer

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


@pytest.mark.parametrize(("words", "ids"), KNOWN.items())
def test_known_ids(words, ids):
    assert list(Tokenizer()(words).ids[: len(ids)]) == ids


def same(ours, theirs, words):
    truth = theirs(words, padding="max_length", max_length=77, truncation=True).input_ids
    tokens = ours(words)
    assert list(tokens.ids) == truth
    assert tokens.count == len(theirs(words, verbose=False).input_ids) - 2


@given(st.text(max_size=120))
@settings(max_examples=60, deadline=None)
@pytest.mark.slow
def test_any_text_becomes_the_ids_of_transformers(clip, words):
    same(Tokenizer(), clip, words.replace("<|", "< |"))


def test_a_folder_of_vocab_and_merges_is_read(clip, tmp_path):
    ours = Tokenizer()
    ours._bpe.model.save(str(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["merges.txt", "vocab.json"]
    same(Tokenizer(tmp_path), clip, "Zwölf Boxkämpfer, 16:9 — it's 'fine' 🦊")
    assert Tokenizer(tmp_path).size == 49408


def test_what_is_dropped_is_told():
    tokens = Tokenizer()("cat " * 75 + "dog  house")
    assert (tokens.count, tokens.room, tokens.dropped) == (77, 75, "dog  house")
    assert len(tokens.ids) == 77
    exact = Tokenizer()("cat " * 75)
    assert (exact.count, exact.dropped) == (75, "")


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
    tokens = [SimpleNamespace(ids=row) for row in ids]
    weights = torch.randn(n, generator=draw).tolist()
    with torch.inference_mode():
        total = text.weighted(model, tokens, weights, torch.device("cpu"))
        assert max(at_once) <= text.TEXTS_AT_ONCE
        truth = sum(w * model(torch.tensor([row])) for w, row in zip(weights, ids, strict=True))
    assert total.shape == (1, 77, 8)
    assert (total - truth).abs().max() <= 1e-5


def test_the_embedded_model_reads_with_its_own_tokenizer():
    found = read(sdnb.assets.embedded_model())
    tokenizer = Tokenizer(found.tokenizer)
    assert tokenizer.size == found.config.text.vocab
    assert tokenizer("a red apple").count == 3
