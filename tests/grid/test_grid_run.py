"""Filling a grid with real pictures: the same as one by one, together, interrupted, failing."""

import contextlib
import itertools
import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import sdnb
from sdnb import images
from sdnb.engine import checkpoint
from sdnb.engine.stages import autoencode
from sdnb.grid import run
from sdnb.grid.checkpoints import checkpoint_groups
from sdnb.jobs.executor import Worker
from sdnb.request import stop
from sdnb.request.memory_plan import MemoryPlan

BASE = sdnb.Request("a red apple", seed=3, width=64, height=64, steps=2, cfg=4)
CPU = MemoryPlan(device="cpu")


@pytest.fixture(scope="module")
def model():
    return sdnb.load(memory=CPU, precision="full")


@pytest.fixture
def threes(model):
    """The model with a plan of three pictures in one pass."""
    model.ask(model.memory.but(batch=3))
    yield model
    model.ask(CPU)


def pixels(image):
    return np.asarray(image).astype(int)


def assert_same_pictures(grid, model, most=0):
    """Each cell against `generate`: the largest difference, on 99.9 % of the pixels."""
    for cell in grid.cells:
        alone = pixels(sdnb.generate(model, cell.request, progress=False).image)
        difference = np.abs(pixels(grid.pictures.made[cell.key].image) - alone).max(axis=-1)
        assert alone.std() > 5
        assert (difference <= most).mean() >= (0.999 if most else 1), (cell.label, difference.max())


def count(monkeypatch, module):
    """How often a network is called from now on, with the size of its batch."""
    calls, real = [], type(module).forward

    def forward(self, *args, **kwargs):
        if self is module:
            calls.append(len(args[0]))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(type(module), "forward", forward)
    return calls


@pytest.mark.picture
def test_a_cell_is_what_generate_makes_of_its_request(model):
    grid = sdnb.sweep(BASE, sampler=["ddim", "heun"], cfg=[1, 4]).run(model, progress=False)
    assert grid.done == 4
    assert_same_pictures(grid, model)
    made = grid.made(sampler="heun", cfg=4)
    assert images.read(made.png) == made.request == grid.at(sampler="heun", cfg=4).but(
        schedule="karras", eta=0.0
    )  # fmt: skip
    assert (made.model, made.fingerprint) == (model.name, model.fingerprint)
    assert made.steps == 2
    assert made.seconds > 0
    assert made.peak > 0.1


@pytest.mark.picture
def test_prompts_are_encoded_once(model, monkeypatch):
    model.prompts.clear()
    calls = count(monkeypatch, model.text)
    base = BASE.but(prompt="a boat:1 a sunset:2", negative="blurred", steps=1)
    sdnb.sweep(base, seed=[1, 2, 3], cfg=[2, 4]).run(model, progress=False)
    assert sorted(calls) == [1, 2]  # the negative prompt, and both blocks of the prompt together


@pytest.mark.picture
def test_the_encoded_prompts_that_are_kept_are_few(model, monkeypatch):
    """The ones used last; also when all that are kept are older than both that are wanted."""
    monkeypatch.setattr("sdnb.engine.prompt_cache.MOST_PROMPTS", 3)
    for words in ("one", "two", "", "three", "one"):
        sdnb.generate(model, BASE.but(prompt=words, steps=1), progress=False)
    assert [key.words for key in model.prompts] == ["three", "", "one"]


@pytest.mark.picture
def test_alike_cells_go_in_one_pass(threes, monkeypatch):
    """Words, seed and cfg may differ in a pass; steps and cfg 1 may not. 1/255 on 99.9 %."""
    calls = count(monkeypatch, threes.unet)
    grid = sdnb.sweep(
        BASE, cfg=[1, 3, 6], prompt=["a red apple", "a sailboat at sunset"], steps=[2, 3]
    ).run(threes, progress=False)
    # Of each number of steps: two cells of cfg 1, which ask for one half; then three and one.
    assert calls == [2] * 2 + [2] * 3 + [3] * 2 + [1] * 2 + [3] * 3 + [1] * 3
    monkeypatch.undo()
    assert_same_pictures(grid, threes, most=1)
    assert "in one pass with 2 others" in grid.made(cfg=3, prompt="a red apple", steps=2).notes[-1]
    assert grid.made(cfg=6, prompt="a sailboat at sunset", steps=2).notes == ()


@pytest.mark.picture
def test_alike_cells_of_a_picture_keep_what_is_black(threes):
    """A mask, a strength and 3 seeds in one pass; strength 0 is never part of one."""
    given = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    base = BASE.but(image=images.picture(given), mask=images.mask(mask), steps=4)
    grid = sdnb.sweep(base, strength=[0, 0.5], seed=[1, 2, 3]).run(threes, progress=False)
    assert_same_pictures(grid, threes, most=1)
    for cell in grid.cells:
        assert np.array_equal(
            pixels(grid.pictures.made[cell.key].image)[:, 32:], pixels(given)[:, 32:]
        )
    assert grid.made(strength=0.5, seed=1).steps == 2
    assert np.array_equal(pixels(grid.image(strength=0, seed=2)), pixels(given))


def test_progress_goes_by_work_from_none_to_all(model):
    grid = sdnb.sweep(BASE, steps=[1, 3])
    seen = list(grid.steps(model))
    shares = [at.share for at in seen]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert [at.done for at in seen if at.made] == [1, 2]
    assert [at.cell.label for at in seen if at.made] == ["steps=1", "steps=3"]
    (second, *_) = (at.share for at in seen if at.cell and at.cell.label == "steps=3")
    assert 0.2 < second < 0.45  # one step and a decoding, of four and two
    assert [at.share for at in grid.steps(model)] == [1.0]


def test_the_bar_says_cells_and_time(model, capsys):
    sdnb.sweep(BASE, steps=[1, 2]).run(model)
    said = capsys.readouterr().err
    assert "0 of 2 cells   0%" in said
    assert "steps=2" in said
    assert "00:0" in said
    assert said.split("\r")[-2].strip() == ""  # the finished bar is gone


@pytest.mark.picture
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("ended", [KeyboardInterrupt, stop.Stopped])
def test_an_interrupt_or_a_stop_inside_a_step_keeps_what_is_finished(
    model, monkeypatch, tmp_path, ended
):
    real, calls = type(model.unet).forward, []

    def forward(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 5 and ended is KeyboardInterrupt:  # the second step of the second cell
            signal.raise_signal(signal.SIGINT)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(type(model.unet), "forward", forward)
    grid = sdnb.sweep(BASE, steps=[3, 4, 5])
    with pytest.raises(ended), stop.heard(lambda: len(calls) == 5):
        grid.run(model, store=tmp_path, progress=False)
    assert len(calls) == 5
    assert grid.done == 1
    grid.run(model, store=tmp_path, progress=False)
    assert len(calls) == 5 + 4 + 5
    assert_same_pictures(grid, model)


@pytest.mark.picture
def test_a_failing_cell_is_named_and_the_others_are_made(model, monkeypatch):
    real = autoencode.decode

    def decode(model, latent, notes):
        if latent.shape[-1] == 16:
            raise MemoryError("CUDA out of memory")
        return real(model, latent, notes)

    monkeypatch.setattr(autoencode, "decode", decode)
    grid = sdnb.sweep(BASE, width=[64, 128, 96])
    words = (
        r"1 of 3 cells failed; made and kept: 2.*\n  width=128: DecodeError: .*CUDA out of memory"
    )
    with pytest.raises(RuntimeError, match=words):
        grid.run(model, progress=False)
    assert grid.done == 2
    with pytest.raises(LookupError, match=r"width=128 failed: .*CUDA out of memory"):
        grid.image(width=128)
    monkeypatch.undo()
    assert grid.run(model, progress=False).image(width=128).size == (128, 64)


@pytest.mark.slow
def test_a_full_disk_is_no_failure_of_a_cell(model, monkeypatch, tmp_path, fill_disk):
    fill_disk(2)
    grid = sdnb.sweep(BASE, steps=[1, 2, 3])
    with pytest.raises(OSError, match=r"could not keep steps=2 .*No space left"):
        grid.run(model, store=tmp_path, progress=False)
    assert grid.done == 2
    assert grid.pictures.errors == {}
    monkeypatch.undo()
    assert grid.run(model, store=tmp_path, progress=False).done == 3
    assert len(list(tmp_path.glob("*.png"))) == 3


@pytest.mark.picture
def test_on_a_card_pngs_are_made_beside_the_next_cell(model, monkeypatch, tmp_path):
    """None is lost, their order is kept, and an interrupt waits for the one that is being made."""
    monkeypatch.setattr(run, "_waits_for_pngs", lambda _: False)
    grid = sdnb.sweep(BASE, steps=[1, 2, 3])
    seen = [at.cell.label for at in grid.steps(model, store=tmp_path) if at.made]
    assert seen == ["steps=1", "steps=2", "steps=3"]
    assert_same_pictures(grid, model)
    grid = sdnb.sweep(BASE, steps=[1, 2, 3])
    for at in grid.steps(model):
        if at.cell is not None and at.cell.label == "steps=2":
            break
    assert grid.done == 1


@pytest.mark.picture
def test_models_and_plans_are_axes(model, tmp_path):
    copy = shutil.copytree(sdnb.assets.embedded_model(), tmp_path / "another")
    grid = sdnb.sweep(BASE, model=[None, copy], memory=["cpu", replace(CPU, name="mine", batch=2)])
    assert [axis.labels for axis in grid.axes] == [("built-in", "another"), ("cpu", "mine")]
    grid.run(progress=False)
    assert_same_pictures(grid, model)
    assert grid.frame["model"].tolist() == ["built-in"] * 2 + ["another"] * 2
    assert [grid.made(model=m, memory="cpu").model for m in ("built-in", "another")] == [
        "tiny", "another",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("varied", "words"),
    [
        ({"memory": ["cpu", "9gb"]}, r"1 of 2 .*\n  memory=9gb: memory='9gb' is unknown"),
        ({"model": [None, "no/such.ckpt"]}, r"1 of 2 .*\n  model=no/such.ckpt: .*no/such.ckpt"),
    ],
)
def test_a_model_or_plan_that_is_none_is_refused_before_anything_runs(varied, words):
    grid = sdnb.sweep(BASE, **varied)
    with pytest.raises(ValueError, match=words):
        grid.run(progress=False)
    assert grid.done == 0


def test_a_kernel_that_is_not_here_is_refused_before_anything_runs():
    """But for workers, which may be on another machine that has it."""
    plan = MemoryPlan(name="xf", attention="xformers", device="cpu")
    grid = sdnb.sweep(BASE, memory=[plan, "cpu"])
    with pytest.raises(ValueError, match=r"1 of 2 .*\n  memory=xf: attention='xformers' needs"):
        grid.run(progress=False)
    assert [len(group.cells) for group in checkpoint_groups(grid.cells, None, here=False)] == [1, 1]


def test_a_tokenizer_of_too_many_words_is_refused_before_anything_runs(tmp_path):
    damaged = shutil.copytree(sdnb.assets.embedded_model(), tmp_path / "damaged")
    path = damaged / "tokenizer" / "vocab.json"
    words = json.loads(path.read_text())
    path.write_text(json.dumps(words | {f"more{i}": len(words) + i for i in range(9)}))
    with pytest.raises(ValueError, match=r"1 of 2 .*\n  model=damaged: .*but the tokenizer has"):
        sdnb.sweep(BASE, model=[None, damaged]).run(progress=False)


@pytest.mark.slow
def test_a_model_that_fails_to_load_ends_its_own_cells_alone(model, monkeypatch):
    def load(memory, **rest):
        if memory == "1gb":
            raise MemoryError("no room for the weights")
        return contextlib.nullcontext(model)

    monkeypatch.setattr("sdnb.engine.loading.load", load)
    monkeypatch.setattr("sdnb.engine.planning.machine.usable", lambda *_: None)
    grid = sdnb.sweep(BASE, memory=["1gb", "cpu"], steps=[1, 2])
    words = (
        r"2 of 4 cells failed; .*: 2.*\n  memory=1gb, steps=1; memory=1gb, steps=2: MemoryError: no"
    )
    with pytest.raises(RuntimeError, match=words):
        grid.run(progress=False)
    assert grid.done == 2


@pytest.mark.picture
def test_another_configuration_makes_other_pictures_and_is_not_taken_for_the_same(model, tmp_path):
    grid = sdnb.sweep(BASE, cfg=[2]).run(model, store=tmp_path, progress=False)
    with sdnb.load(memory=CPU, precision="full", config={"noise": {"prediction": "v"}}) as v:
        other = pixels(sdnb.generate(v, grid.at(), progress=False).image)
        assert np.abs(other - pixels(grid.image())).max() > 50
        for again, store in ((grid, None), (sdnb.sweep(BASE, cfg=[2]), tmp_path)):
            with pytest.raises(ValueError, match="the same weights in another configuration"):
                again.run(v, store=store, progress=False)
    # Settings and the colours of a preview change no picture of a request that is resolved.
    same = {"settings": {"steps": 3}, "vae": {"preview": [0.1] * 15}}
    found = checkpoint.read(sdnb.assets.embedded_model(), config=same)
    assert found.fingerprint == model.fingerprint


def test_what_the_model_cannot_make_is_refused_before_anything_runs(model, monkeypatch):
    settings = replace(model.settings, sampler="euler")
    monkeypatch.setattr(type(model), "settings", property(lambda _: settings))
    grid = sdnb.sweep(BASE, eta=[0, 0.5])
    with pytest.raises(ValueError, match=r"1 of 2 cells cannot be made:\n  eta=0.5: .* but euler"):
        grid.run(model, progress=False)
    assert grid.done == 0


def test_what_is_no_model_or_executor_is_refused(model):
    grid = sdnb.sweep(BASE, steps=[1])
    with pytest.raises(TypeError, match="model=3 is no model"):
        grid.run(3, progress=False)
    with pytest.raises(TypeError, match="executor=3 runs nothing"):
        grid.run(model, executor=3, progress=False)
    with pytest.raises(TypeError, match="models are an axis"):
        sdnb.sweep(BASE, model=[None]).run(model, progress=False)
    with pytest.raises(TypeError, match="this executor has one model, and memory is an axis"):
        sdnb.sweep(BASE, memory=["cpu"]).run(executor=Worker(print), progress=False)


@pytest.mark.picture
def test_a_worker_beside_the_kernel_fills_a_grid(model):
    worker = Worker(lambda request: sdnb.run(model, request))
    grid = sdnb.sweep(BASE, steps=[1, 2], seed=[1, 2])
    seen = [(at.done, at.cell and at.cell.label) for at in grid.steps(model, executor=worker)]
    assert sorted({done for done, _ in seen}) == [0, 1, 2, 3, 4]
    assert_same_pictures(grid, model)
    worker.shutdown()


def test_closing_the_generator_stops_the_jobs(model):
    worker = Worker(lambda request: sdnb.run(model, request))
    steps = sdnb.sweep(BASE, steps=[500, 501]).steps(model, executor=worker)
    while (at := next(steps)).progress is None or at.progress.step < 1:
        pass
    (job,) = worker.jobs
    steps.close()
    assert job.wait(30)
    assert job.state == "stopped"
    worker.shutdown()


# -- LoRAs ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_loras(tmp_path_factory):
    """A model whose library has two LoRAs of random numbers, "one" and "two"."""
    where = tmp_path_factory.mktemp("loras")
    for seed, name in enumerate(("one", "two")):
        generator = torch.Generator().manual_seed(seed)
        stored = {}
        for path in ("attn2_to_k", "attn2_to_v"):
            stem = f"lora_unet_middle_block_1_transformer_blocks_0_{path}"
            stored[f"{stem}.lora_down.weight"] = torch.randn(4, 256, generator=generator)
            stored[f"{stem}.lora_up.weight"] = 0.1 * torch.randn(96, 4, generator=generator)
        alias = {"ss_output_name": "uno"} if name == "one" else None
        save_file(stored, where / f"{name}.safetensors", alias)
    return sdnb.load(memory=CPU, precision="full", library=where)


@pytest.mark.picture
def test_an_axis_of_a_lora_makes_the_pictures_of_its_strengths(with_loras, tmp_path):
    """Each as `generate` makes it alone; strength 0 is the picture without, and a store has all."""
    grid = sdnb.sweep(BASE, lora=("one", [0, 1]), lora2=("two", [0, -2]))
    grid.run(with_loras, store=tmp_path, progress=False)
    assert_same_pictures(grid, with_loras)
    made = {cell.label: pixels(grid.pictures.made[cell.key].image) for cell in grid.cells}
    assert len({each.tobytes() for each in made.values()}) == 4
    without = sdnb.generate(with_loras, BASE, progress=False).image
    assert np.array_equal(made["one=0, two=0"], pixels(without))
    again = sdnb.sweep(BASE, lora=("one", [0, 1]), lora2=("two", [0, -2]))
    before = with_loras.weights.overlay
    again.run(with_loras, store=tmp_path, progress=False)
    assert again.done == 4
    assert with_loras.weights.overlay is before


AXES = {
    "steps": [1, 2], "lora": ("one", [0, 1]), "loras": [(), "two"],
}  # fmt: skip


@pytest.mark.parametrize("order", [*itertools.permutations(AXES)])
def test_the_set_of_loras_changes_once_for_each(with_loras, order):
    """Wherever their axes stand; here, and as jobs in the order in which they are given away."""
    grid = sdnb.sweep(BASE, **{name: AXES[name] for name in order})
    (group,) = checkpoint_groups(grid.cells, with_loras)
    sets = [cell.request.loras for cell in group.cells]
    assert len(list(itertools.groupby(sets))) == len(set(sets)) == 4
    given = []
    worker = Worker(lambda request: given.append(request.loras) or iter(()))
    with contextlib.suppress(RuntimeError):  # it makes nothing
        grid.run(with_loras, executor=worker, progress=False)
    worker.shutdown()
    assert given == sets


def test_nets_change_seldom_among_the_cells_of_the_same_loras(with_loras):
    nets = [sdnb.Control(net, images.picture(Image.new("RGB", (8, 8)))) for net in ("a", "b")]
    grid = sdnb.sweep(BASE, steps=[1, 2], controls=[(), *nets], loras=[(), "two"])
    (group,) = checkpoint_groups(grid.cells, with_loras, here=False)
    sets = [(c.request.loras, c.request.controls) for c in group.cells]
    assert len(list(itertools.groupby(sets))) == len(set(sets)) == 6
    assert len(list(itertools.groupby(loras for loras, _ in sets))) == 2
    with pytest.raises(
        ValueError, match=r"2 of 3 cells .*\n  controls=a 1: there is no control network 'a'"
    ):
        sdnb.sweep(BASE, controls=[(), *nets]).run(with_loras, progress=False)


def test_a_lora_that_is_not_there_is_refused_with_a_similar_name(with_loras):
    with pytest.raises(ValueError, match=r"2 of 3 cells .*\n  tow=0.5; tow=1: .*mean 'two'"):
        sdnb.sweep(BASE, lora=("tow", [0, 0.5, 1])).run(with_loras, progress=False)
    with pytest.raises(ValueError, match="mean 'two'"):  # also where no cell has it
        sdnb.sweep(BASE, lora=("tow", [0])).run(with_loras, progress=False)


def test_two_axes_of_one_file_by_two_names_are_refused(with_loras):
    grid = sdnb.sweep(BASE, lora=("one", [0, 1]), lora2=("uno", [0, 1]))
    with pytest.raises(ValueError, match=r"lora and lora2 are both of \S+one\.safetensors; give"):
        grid.run(with_loras, progress=False)
