"""Names of popular embeddings in prompts."""

import pytest

from sdnb.request.prompt.popular_embeddings import NAMES, bare, missing


@pytest.mark.parametrize("name", NAMES)
def test_each_is_found_as_prompts_have_it_and_alone(name):
    for text in (name, f"ugly, {name.lower()},dog", f"({name.upper()}:1.2)", f"a\n{name}."):
        assert missing([text], []).startswith(f"{name} is a popular embedding that is not here: ")
        assert missing([text], ["dog", name.lower()]) == ""


@pytest.mark.parametrize(
    "text", ["a bad dream", "baddreams", "mybaddream", "bad-artist-animefan", "easy negative", ""]
)
def test_words_that_are_none_are_left_alone(text):
    assert missing([text], []) == ""


def test_each_is_said_once_in_its_order():
    said = missing(["baddream, UnrealisticDream", "BadDream"], [])
    assert said.startswith("BadDream, UnrealisticDream are popular embeddings that are not here: ")


def test_comfyuis_syntax_wants_more_than_the_name():
    known = ["easynegative", "BadDream", "mine"]
    texts = ["embedding:EasyNegative, (embedding:sub/BadDream.pt:1.2)", "mine, FastNegativeV2"]
    assert bare(texts, known) == ""
    said = bare([*texts, "(easynegative:1.2), BADDREAM"], known)
    assert said.startswith(
        "EasyNegative, BadDream are embeddings, and they are read as plain words"
    )
    assert said.endswith("wants embedding:EasyNegative, embedding:BadDream.")
