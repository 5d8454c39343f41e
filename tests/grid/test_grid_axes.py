"""Axes and labels: every combination once, found again by its values, and what cannot be, named."""

import itertools

import numpy as np
import pytest
from helpers.pictures import RGB, encoded
from hypothesis import given
from hypothesis import strategies as st

import sdnb
from sdnb import images
from sdnb.grid import layout
from sdnb.request import SAMPLERS, SCHEDULES, Request, Settings

BASE = Request("a red apple:1 thick fog:0.5", negative="an apple core", seed=7)
PICTURE = images.picture(encoded(RGB))

VALUES = {
    "steps": st.integers(1, 50),  # more are not for "lcm"
    "cfg": st.integers(0, 300).map(lambda n: n / 10),
    "sampler": st.sampled_from(SAMPLERS),
    "schedule": st.sampled_from([None, *SCHEDULES]),
    "seed": st.integers(0, 2**32),
    "width": st.integers(8, 1024).map(lambda n: n * 8),
    "height": st.integers(8, 1024).map(lambda n: n * 8),
    "prompt": st.text("ab c$é\n", max_size=30),
    "negative": st.text("ab c", max_size=10),
}


@st.composite
def axes(draw):
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True))
    return {n: draw(st.lists(VALUES[n], min_size=1, max_size=4, unique=True)) for n in names}


@pytest.mark.slow
@given(axes())
def test_a_grid_is_every_combination_in_order(varied):
    grid = sdnb.sweep(Request("a cat", seed=1), **varied)
    wanted = [
        Request("a cat", seed=1).but(**dict(zip(varied, values, strict=True)))
        for values in itertools.product(*varied.values())
    ]
    assert list(grid) == wanted
    assert len(grid) == len(wanted)
    assert grid.shape == tuple(map(len, varied.values()))
    assert [grid[i] for i in range(len(grid))] == wanted
    for index in itertools.product(*map(range, grid.shape)):
        values = {n: v[i] for (n, v), i in zip(varied.items(), index, strict=True)}
        request = Request("a cat", seed=1).but(**values)
        assert grid[index] == request
        assert grid.at(**values) == request
        labels = {a.name: a.labels[i] for a, i in zip(grid.axes, index, strict=True)}
        assert grid.at(**labels) == request
    for axis in grid.axes:
        assert len(set(axis.labels)) == len(axis)
        assert all(axis.labels)
    assert len({cell.key for cell in grid.cells}) == len(grid)


@pytest.mark.slow
@given(axes(), st.data())
def test_a_part_of_a_grid_is_a_grid(varied, data):
    grid = sdnb.sweep(Request("a cat", seed=1), **varied)
    chosen = {
        name: data.draw(st.lists(st.sampled_from(v), min_size=1, unique=True))
        for name, v in varied.items()
    }
    part = grid.select(**chosen)
    assert list(part) == list(sdnb.sweep(Request("a cat", seed=1), **chosen))
    assert {cell.key for cell in part.cells} <= {cell.key for cell in grid.cells}
    (name, values), *_ = chosen.items()
    assert list(grid.select(**{name: values[0]})) == list(grid.select(**{name: [values[0]]}))


@pytest.mark.parametrize("order", [("sampler", "eta"), ("eta", "sampler")])
def test_samplers_of_a_finished_request_bring_their_own_unless_it_varies_too(order):
    finished = BASE.but(sampler="euler_a").resolved(Settings())
    for request in sdnb.sweep(finished, sampler=["euler_a", "dpmpp_2m", "lcm"]):
        alone = BASE.but(sampler=request.sampler).resolved(Settings())
        assert request.resolved(Settings()) == alone
    values = {"sampler": ["ddim", "lcm"], "eta": [0.0, 1.0]}
    for cell in sdnb.sweep(finished, **{name: values[name] for name in order}).cells:
        assert cell.request.eta == cell.value("eta")


def test_slices_and_numbers_select():
    grid = sdnb.sweep(BASE, steps=[5, 10, 20], cfg=[2, 4])
    assert grid[-1] == BASE.but(steps=20, cfg=4)
    assert grid[-1, 0] == BASE.but(steps=20, cfg=2)
    assert list(grid[1:, 0]) == [BASE.but(steps=10, cfg=2), BASE.but(steps=20, cfg=2)]
    assert list(sdnb.sweep(BASE, steps=[5, 10, 20])[:2]) == [BASE.but(steps=5), BASE.but(steps=10)]
    for wrong in (6, (3, 0), (0, 2), (0,), (0, 0, 0), slice(1, 2)):
        with pytest.raises(IndexError):
            grid[wrong]
    with pytest.raises(IndexError, match="no cell"):
        grid[3:, 0]
    with pytest.raises(KeyError, match=r"steps=6 is no cell; 5, 10, 20 are"):
        grid.at(steps=6, cfg=2)
    with pytest.raises(TypeError, match=r"missing: \['cfg'\]"):
        grid.at(steps=5)
    with pytest.raises(TypeError, match="sampler is no axis of this grid; steps, cfg are"):
        grid.select(sampler="ddim")


def test_values_are_normalised_as_a_request_has_them():
    grid = sdnb.sweep(BASE, cfg=np.array([2, 7.5]), steps=range(5, 8))
    assert grid.axes[0].values == (2.0, 7.5)
    assert grid.axes[0].labels == ("2", "7.5")
    assert [type(value) for value in grid.axes[1].values] == [int] * 3
    assert grid.at(cfg=2, steps=6) == BASE.but(cfg=2.0, steps=6)


def test_a_seed_left_open_is_drawn_once_for_all_cells():
    one, other = (sdnb.sweep(Request("a cat"), steps=[1, 2, 3]) for _ in range(2))
    assert len({request.seed for request in one}) == 1
    assert one[0].seed is not None
    assert one[0].seed != other[0].seed
    assert [r.seed for r in sdnb.sweep(Request("a cat"), seed=[4, 2])] == [4, 2]


def test_search_and_replace_in_both_prompts():
    grid = sdnb.sweep(BASE, prompt_sr=("apple", "pear", "lemon"))
    assert [r.prompt for r in grid] == [
        "a red apple:1 thick fog:0.5", "a red pear:1 thick fog:0.5", "a red lemon:1 thick fog:0.5",
    ]  # fmt: skip
    assert [r.negative for r in grid] == ["an apple core", "an pear core", "an lemon core"]
    assert grid.at(prompt_sr="pear") == grid[1]
    assert grid.axes[0].labels == ("apple", "pear", "lemon")


@pytest.mark.parametrize(
    ("words", "block", "weight", "wanted"),
    [
        ("a castle:1 thick fog:0.5", "thick fog", 2, "a castle:1 thick fog:2"),
        ("a castle:1 thick fog:0.5", "castle", 0.25, "a castle:0.25 thick fog:0.5"),
        ("a castle:1 thick fog", "fog", 1e-7, "a castle:1 thick fog:1e-07"),
        ("a castle:1 agent 007", "agent 007", 2, "a castle:1 agent 007 :2"),
        ("a castle:1 at 12\\:30 :2 fog", "at 12:30", 0.5, "a castle:1 at 12\\:30 :0.5 fog"),
    ],
)
def test_the_weight_of_one_block(words, block, weight, wanted):
    """Whatever the characters: parsed again, only that block's weight is another one."""
    (request,) = sdnb.sweep(Request(words, seed=1), weight=(block, [weight]))
    assert request.prompt == wanted
    before, after = sdnb.prompt.parse(words), sdnb.prompt.parse(request.prompt)
    assert [f.text.strip() for f in after] == [f.text.strip() for f in before]
    changed = [(a.text.strip(), a.weight) for a, b in zip(after, before, strict=True)
               if a.weight != b.weight]  # fmt: skip
    assert [(block in text, w) for text, w in changed] == [(True, weight)]


def test_a_block_of_the_negative_prompt_has_a_weight_too():
    base = Request("a castle", negative="blurred:1 dark:1", seed=1)
    assert [r.negative for r in sdnb.sweep(base, weight=("dark", [0, 2]))] == [
        "blurred:1 dark:0", "blurred:1 dark:2",
    ]  # fmt: skip


def test_three_kinds_of_axes_apply_in_one_order():
    """Fields first, then search and replace, then the weight, however the axes are written."""
    grid = sdnb.sweep(
        BASE, weight=("fog", [3]), prompt_sr=("apple", "pear"), prompt=["an apple:1 fog:1"]
    )
    assert [r.prompt for r in grid] == ["an apple:1 fog:3", "an pear:1 fog:3"]


PIXEL = sdnb.Lora("styles/pixelart", 0.8, text=0.2, blocks="OUTALL")


@pytest.mark.parametrize(
    ("base", "strength", "prompt", "loras"),
    [
        ({}, 0.5, "a cat", ("pixelart 0.5",)),
        ({}, 0, "a cat", ()),
        ({"loras": ["fog", "pixelart", "mist"]}, -1, "a cat", ("fog 1", "pixelart -1", "mist 1")),
        ({"loras": ["fog", "a/pixelart.safetensors"]}, 0, "a cat", ("fog 1",)),
        ({"prompt": "a <lora:pixelart:0.3:0.4> cat<lora:fog>"}, 0.5, "a  cat<lora:fog>",
         ("pixelart 0.5",)),
        ({"prompt": "a cat<lora:pixelart>", "loras": ["pixelart", "pixelart.pt"]}, 2, "a cat",
         ("pixelart 2",)),
        ({"loras": ["pixelarts", "a pixelart"]}, 0, "a cat", ("pixelarts 1", "a pixelart 1")),
    ],
)  # fmt: skip
def test_an_axis_of_a_lora_is_its_strength_wherever_it_is_named(base, strength, prompt, loras):
    wanted = tuple(each.rsplit(" ", 1) for each in loras)
    grid = sdnb.sweep(
        Request(**{"prompt": "a cat", "seed": 1} | base), lora=("pixelart", [strength])
    )
    assert grid[0].prompt == prompt
    assert [(each.name, each.unet, each.text) for each in grid[0].loras] == [
        (name, float(number), None) for name, number in wanted
    ]


def test_what_else_is_said_of_a_lora_stays():
    grid = sdnb.sweep(BASE.but(loras=PIXEL), lora=("pixelart", [0, 0.5]))
    assert [each.loras for each in grid] == [
        (), (sdnb.Lora("styles/pixelart", 0.5, blocks="OUTALL"),),
    ]  # fmt: skip


def test_axes_of_several_loras_and_loras_side_by_side():
    grid = sdnb.sweep(
        BASE, lora=("pixelart", [0, 1]), lora2=("a/fog.safetensors", [0, 0.5]), syntax=["a1111"]
    )
    assert grid.at(lora=1, lora2="0.5").loras == sdnb.request.lora.loras(
        ["pixelart", sdnb.Lora("a/fog.safetensors", 0.5)]
    )
    assert [layout.texts(axis) for axis in grid.axes] == [
        ["pixelart 0", "pixelart 1"], ["fog 0", "fog 0.5"], ["syntax a1111"],
    ]  # fmt: skip
    both = ("pixelart", sdnb.Lora("fog", 0.5))
    side = sdnb.sweep(BASE, loras=[(), "pixelart", both], clip_skip=[None, 2])
    assert layout.texts(side.axes[0]) == ["no LoRA", "pixelart 1", "pixelart 1, fog 0.5"]
    assert layout.texts(side.axes[1]) == ["clip skip the model's", "clip skip 2"]
    assert side.at(loras=both, clip_skip=2) == BASE.but(loras=both, clip_skip=2)
    strengths = sdnb.sweep(BASE, lora=("fog", [0.1]), loras=["pixelart", both])
    assert [[e.unet for e in each.loras] for each in strengths] == [[1, 0.1], [1, 0.1]]


def test_pictures_vary_too(tmp_path):
    RGB.save(tmp_path / "one.png")
    base = Request("a cat", seed=1, width=64, height=64)
    grid = sdnb.sweep(base, mask=[None, RGB], image=[tmp_path / "one.png", RGB.resize((9, 4))])
    assert grid.axes[1].labels == ("one.png", "9x4")
    assert grid.axes[0].labels == ("none", "3x2")
    assert grid[0].mask is None
    assert grid[3].mask == images.mask(RGB)
    assert grid[2].image == PICTURE
    grid = sdnb.sweep(base.but(image=PICTURE, mask=images.mask(RGB)), padding=[None, 8])
    assert grid.axes[0].labels == ("the whole picture", "8")
    assert grid.at(padding="the whole picture").padding is None


@pytest.mark.parametrize(
    ("varied", "error", "words"),
    [
        ({}, ValueError, "one to three axes, and 0 were given"),
        ({n: [1] for n in ("steps", "cfg", "seed", "eta")}, ValueError, "4 were given"),
        ({"step": [1]}, TypeError, "no axis 'step'; did you mean 'steps'"),
        ({"count": [1, 2]}, TypeError, "vary the seed"),
        ({"steps": 10}, TypeError, r"steps=10 is one value; an axis is a list .*steps=\[10"),
        ({"prompt": "a cat"}, TypeError, "is one value"),
        ({"steps": []}, ValueError, "steps holds 0 values"),
        ({"steps": [10, 0]}, ValueError, "steps=0 is not a whole number from 1 to 1000"),
        ({"steps": [10, None]}, ValueError, "steps holds None"),
        ({"cfg": [4, 4.0]}, ValueError, "cfg holds 4.0 twice"),
        ({"sampler": ["ddmi"]}, ValueError, "did you mean 'ddim'"),
        ({"weight": "fog"}, TypeError, "no block of the prompt with its weights"),
        ({"weight": ("fog", 0.5)}, TypeError, r"one value; .*: weight=\('fog', \[0.5, ...\]\)"),
        ({"lora2": ("a", 1)}, TypeError, r"lora2=\('a', 1\) is one .*: lora2=\('a', \[1, ...\]\)"),
        ({"weight": ("fog", [float("nan")])}, ValueError, "weight=nan"),
        ({"prompt_sr": ("", "a")}, ValueError, "empty text"),
        ({"model": [3]}, TypeError, "paths and hub ids"),
        ({"lora": ["a", "b"]}, TypeError, r"no LoRA with its strengths.*side by side are loras=\["),
        ({"lora": (" ", [1])}, ValueError, "the name of a LoRA is empty"),
        ({"lora2": ("a", ["x"])}, TypeError, "lora2='x'"),
        ({"lora": ("a", [1]), "lora3": ("b/a.pt", [1])}, ValueError, "lora and lora3 are both of"),
    ],
)
def test_what_is_no_axis_is_refused(varied, error, words):
    with pytest.raises(error, match=words):
        sdnb.sweep(BASE, **varied)


@pytest.mark.parametrize(
    ("base", "varied", "words"),
    [
        (BASE, {"sampler": ["ddim", "euler"], "eta": [0, 0.5]},
         r"1 of 4 cells cannot be made:\n  sampler=euler, eta=0.5: eta=0.5 asks for fresh noise"),
        (BASE, {"steps": [1, 2], "strength": [0.5]}, "strength changes nothing without image="),
        (BASE, {"feather": [1]}, "feather changes nothing without mask="),
        (BASE, {"mask": [RGB]}, "mask changes nothing without image="),
        (BASE, {"weight": ("fog", [0, -1])}, "weight=-1: the weights 1, -1 of characters"),
        (BASE, {"weight": ("snow", [1])}, "no block 'snow'; it has 'a red apple', 'thick fog'"),
        (Request("fog", seed=1), {"weight": ("fog", [1])}, "only block of the prompt"),
        (Request("a fog:1 b fog:1", seed=1), {"weight": ("fog", [1])}, "2 blocks of the prompt"),
        (BASE.but(loras=["a/b", "c/b"]), {"lora": ("b", [1])}, "'b' means a/b and c/b in this"),
        (BASE, {"prompt_sr": ("snow", "rain")}, "searches 'snow', which is neither in the prompt"),
        (BASE, {"prompt": ["a", "b:nan c"]}, r"1 of 2 .*\n  prompt=b:nan c: the weight ':nan'"),
    ],
)  # fmt: skip
def test_impossible_cells_are_refused_each_named(base, varied, words):
    with pytest.raises(ValueError, match=words):
        sdnb.sweep(base, **varied)


def test_what_is_no_base_is_refused():
    with pytest.raises(TypeError, match="'a cat' is no Request"):
        sdnb.sweep("a cat", steps=[1])
    with pytest.raises(ValueError, match=r"count=4.*a cell of a grid is one picture"):
        sdnb.sweep(Request(count=4), steps=[1])


def test_labels_of_models_whatever_their_names(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "a.ckpt").touch()
    names = ["~/a.ckpt", "~nobody-of-this-name/a.ckpt", "x" * 5000, "a\0b", "owner/name"]
    (axis,) = sdnb.sweep(BASE, model=names).axes
    assert axis.labels == ("a.ckpt", *names[1:])
