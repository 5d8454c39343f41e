"""Grids of templates: all combinations as an axis, and the words of the seed in each cell."""

from dataclasses import replace

import pytest
from helpers import grids

import sdnb
from sdnb.grid.checkpoints import CheckpointGroup, checkpoint_groups
from sdnb.grid.typed_axes import parsed
from sdnb.request.prompt import PromptError

TEMPLATE = "a {red|blue} {cat|dog}"
ALL = ["a red cat", "a red dog", "a blue cat", "a blue dog"]


def test_every_combination_is_an_axis_and_the_template_stays_beside():
    grid = sdnb.sweep(grids.BASE, prompt=sdnb.every(TEMPLATE), steps=[1, 2])
    (axis, _) = grid.axes
    assert list(axis.values) == ALL == list(axis.labels)
    assert [cell.request.prompt for cell in grid.cells] == [each for each in ALL for _ in (1, 2)]
    assert {cell.request.template for cell in grid.cells} == {TEMPLATE}
    assert grid.at(prompt="a red dog", steps=2).prompt == "a red dog"
    negative = sdnb.sweep(grids.BASE, negative=sdnb.every("{fog|rain}"))
    assert [cell.request.negative_template for cell in negative.cells] == ["{fog|rain}"] * 2


def test_where_the_words_came_from_makes_no_other_cell():
    plain = sdnb.sweep(grids.BASE, prompt=ALL)
    spread = sdnb.sweep(grids.BASE, prompt=sdnb.every(TEMPLATE))
    more = sdnb.sweep(grids.BASE, prompt=sdnb.every("a {red|blue|green} {cat|dog}"))
    keys = [cell.key for cell in spread.cells]
    assert [cell.key for cell in plain.cells] == keys
    assert [cell.key for cell in more.cells][:4] == keys
    text = sdnb.sweep(grids.BASE, prompt=sdnb.every(r"\{a|b\}"))  # text in braces is not a template
    chosen = sdnb.sweep(grids.BASE, prompt=["{a|b}"])
    assert text.cells[0].request.prompt == chosen.cells[0].request.prompt == "{a|b}"
    assert text.cells[0].key != chosen.cells[0].key


def test_a_template_in_each_cell_has_the_words_of_its_seed(tmp_path):
    library = tmp_path / "wildcards"
    library.mkdir()
    (library / "sea.txt").write_text("fish\nseal\nwhale\n")
    model = grids.model()
    model.library = sdnb.Library(tmp_path)
    grid = sdnb.sweep(grids.BASE.but(prompt="a __sea__"), seed=[1, 2, 3, 4])
    (group,) = checkpoint_groups(grid.cells, model)
    resolved = [group.resolved(cell.request) for cell in group.cells]
    assert [each.prompt for each in resolved] == [
        sdnb.prompt.expand("a __sea__", seed, model.library) for seed in (1, 2, 3, 4)
    ]
    assert {each.template for each in resolved} == {"a __sea__"}
    wrong = sdnb.sweep(grids.BASE, prompt=["a __se__", "a cat"])
    with pytest.raises(ValueError, match=r"1 of 2 cells cannot be made:\n.*did you mean 'sea'"):
        checkpoint_groups(wrong.cells, model)


def test_lists_on_another_machine_are_not_looked_for_in_what_a_model_brings(tmp_path):
    (tmp_path / "lora").mkdir()
    there = {"path": "x", "library": [str(tmp_path / "not-here")]}
    group = CheckpointGroup(there, None, "f", grids.model().settings, (), (tmp_path,))
    assert group.library.given is None
    asked = grids.BASE.but(prompt="a __sea__")
    assert group.resolved(asked).prompt == "a __sea__"
    with pytest.raises(ValueError, match="there is no list 'sea'"):
        replace(group, load_arguments={"path": "x"}).resolved(asked)


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("prompt", TEMPLATE, ALL),
        ("prompt", "a {red|blue} cat, a dog", ["a red cat", "a blue cat", "a dog"]),
        ("prompt", "a {red|blue} cat | a dog, small", ["a red cat", "a blue cat", "a dog, small"]),
        ("prompt", '"a {red, dark|blue} cat, at night"',
         ["a red, dark cat, at night", "a blue cat, at night"]),
        ("prompt", "a {red|{light|dark} blue} cat",
         ["a red cat", "a light blue cat", "a dark blue cat"]),
        ("prompt", "a {2$$red|blue} cat", ["a red, blue cat", "a blue, red cat"]),
        ("prompt", "{a|b", ["{a", "b"]),
        ("prompt", "{a}, b", ["{a}", "b"]),
        ("prompt", r"\{a\}, {c|d}", ["{a}", "c", "d"]),
        ("negative", "{fog|rain}, dark", ["fog", "rain", "dark"]),
        ("prompt_sr", "cat, {dog|fox}, cow", ["cat", "dog", "fox", "cow"]),
        ("prompt", "a __sea__", ["a fish", "a seal"]),
    ],
)  # fmt: skip
def test_a_typed_template_is_all_that_it_can_become(name, text, values):
    lists = {"sea": ["fish", "seal"]}
    assert [each.replace("\\", "") for each in parsed(name, text, lists)] == [
        each.replace("\\", "") for each in values
    ]


def test_a_typed_list_that_is_unknown_is_said():
    with pytest.raises(PromptError, match="no list 'see'"):
        parsed("prompt", "a __see__, b", {"sea": ["fish"]})
    with pytest.raises(ValueError, match="more than 1,000 combinations"):
        parsed("prompt", "{1|2|3|4|5|6|7|8|9|10} " * 4)
