"""Checks that no other room's tests cover: hints of similar names, and what is a model."""

from types import SimpleNamespace

import pytest

from sdnb.request import checks


@pytest.mark.parametrize(
    ("word", "names", "hint"),
    [
        ("samplr", ["sampler", "steps"], "; did you mean 'sampler'?"),
        ("--promt", ["--prompt", "--steps"], "; did you mean '--prompt'?"),
        ("SD-v14.ckpt", ["sd-v1-4.ckpt", "sd-v1-5.ckpt"], "; did you mean 'sd-v1-4.ckpt'?"),
        ("callback", ["sampler", "steps"], ""),
        ("sampler", [], ""),
    ],
)
def test_the_nearest_name_is_suggested_and_a_far_one_is_not(word, names, hint):
    assert checks.nearest(word, names) == hint


def test_a_model_is_what_load_gives():
    checks.model(SimpleNamespace(settings=None))
    with pytest.raises(TypeError, match=r"model='a cat' is no model.*sdnb\.load\(\) gives"):
        checks.model("a cat")
    with pytest.raises(TypeError, match=r"model=\[0, .*\.\.\. is no model"):
        checks.model(list(range(1000)))
