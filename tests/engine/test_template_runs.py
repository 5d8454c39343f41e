"""Runs of templates: each picture is that of its words alone, and its file says which."""

import pytest
from oracles import tiny_pipeline

import sdnb
from sdnb.images.made import Made
from sdnb.request.memory_plan import MemoryPlan
from sdnb.request.prompt import PromptError, expand

pytestmark = pytest.mark.picture

TEMPLATE = "a {red|blue|green} __animals__"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline.build().save_pretrained(folder)
    library = tmp_path_factory.mktemp("library")
    (library / "wildcards").mkdir()
    (library / "wildcards" / "animals.txt").write_text("cat\ndog\nfox\n")
    return sdnb.load(folder, library=library, memory=MemoryPlan(device="cpu"))


def request(prompt=TEMPLATE, **fields):
    given = {"width": 64, "height": 64, "steps": 2, "cfg": 4, "seed": 3}
    return sdnb.Request(prompt, **{**given, **fields})


def pictures(model, request):
    return [image.tobytes() for image in sdnb.generate(model, request, progress=False).images]


def test_a_run_makes_the_words_of_its_seed_and_says_from_what(model, tmp_path):
    result = sdnb.generate(model, request(negative="{fog|rain}"), progress=False)
    words = expand(TEMPLATE, 3, model)
    assert (result.request.prompt, result.request.template) == (words, TEMPLATE)
    assert result.request.negative_template == "{fog|rain}"
    plain = request(words, negative=result.request.negative)
    assert pictures(model, plain) == [result.image.tobytes()]
    (path,) = result.save(tmp_path)
    assert sdnb.read(path) == result.request
    assert pictures(model, sdnb.read(path)) == [result.image.tobytes()]


def test_picture_i_is_that_of_its_own_seed_and_words(model, tmp_path):
    asked = request(count=4)
    result = sdnb.generate(model, asked, progress=False)
    alone = [request(seed=3 + i) for i in range(4)]
    assert [image.tobytes() for image in result.images] == [pictures(model, a)[0] for a in alone]
    assert [each.prompt for each in result.requests] == [
        expand(TEMPLATE, 3 + i, model) for i in range(4)
    ]
    assert len({each.prompt for each in result.requests}) > 1
    assert (result.request.prompt, result.request.count) == (TEMPLATE, 4)
    assert pictures(model, result.request) == [image.tobytes() for image in result.images]
    assert len(result.latents) == 4
    paths = result.save(tmp_path)
    assert [sdnb.read(path) for path in paths] == list(result.requests)
    back = Made.of(result, 8).result()  # as a worker sends it
    assert back.requests == result.requests
    larger = sdnb.upscale(model, result, index=2, width=96, height=96, steps=1, progress=False)
    assert larger.request.prompt == result.requests[2].prompt


def test_the_progress_is_that_of_one_run(model):
    seen = list(sdnb.run(model, request(count=3)))
    assert [(at.step, at.total) for at in seen if not at.so_far] == [
        (0, 6), (1, 6), (2, 6), (2, 6), (3, 6), (4, 6), (4, 6), (5, 6), (6, 6), (6, 6),
    ]  # fmt: skip
    finished = [at.so_far for at in seen if at.so_far]
    assert [len(each.images) for each in finished] == [1, 2]
    assert finished[1].request == request(count=2).resolved(model.settings)
    assert [at.result is None for at in seen] == [True] * (len(seen) - 1) + [False]


def test_words_that_can_go_into_one_pass_do(model):
    asked = request(count=4)
    alone = sdnb.generate(model, asked, progress=False)
    model.ask(model.memory.but(batch=3))
    try:
        seen = list(sdnb.run(model, asked))
    finally:
        model.ask(MemoryPlan(device="cpu"))
    assert seen[-1].total == 4  # two passes of two steps
    together = seen[-1].result
    assert together.requests == alone.requests
    for one, other in zip(together.images, alone.images, strict=True):
        most = max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True))
        assert most <= 1  # of 255: rounding


@pytest.mark.parametrize(
    ("template", "said"),
    [("a {cat|dog <lora:gone:1>}", "gone"), ("a {cat|(dog:1.2.3)}", "not a finite number")],
)
def test_what_one_picture_cannot_have_is_said_before_any_is_made(model, template, said):
    asked = request(template, count=8, syntax="a1111")
    assert "dog" not in expand(template, 3)  # the first one could be made
    assert any("dog" in expand(template, 3 + i) for i in range(8))
    with pytest.raises((ValueError, LookupError), match=said):
        next(sdnb.run(model, asked))


def test_an_unknown_list_is_said_before_any_work(model):
    with pytest.raises(PromptError, match="did you mean 'animals'"):
        sdnb.txt2img(model, "__animal__", progress=False)
    with pytest.raises(PromptError, match="did you mean 'animals'"):
        model.plan(request("__animal__"))
    assert model.plan(request(count=2)).plan == model.plan(request("a cat", count=2)).plan
