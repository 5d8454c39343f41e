"""LoRAs over whole models: pictures, every memory plan, files that come and go, hostile files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_checkpoints, tiny_loras
from oracles import tiny_pipeline
from safetensors.torch import save_file

import sdnb
from sdnb.engine import memory, pipeline
from sdnb.engine.adapters import merge
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.checkpoint.embeddings import Embedding
from sdnb.engine.memory.placement import Offloaded
from sdnb.engine.networks import winograd
from sdnb.engine.networks.config import UNetConfig
from sdnb.headers.errors import MissingCheckpointError
from sdnb.library import few_steps
from sdnb.request.memory_plan import MemoryPlan

# Wide enough in its second level for convolutions with prepared weights.
CONFIG = replace(
    tiny_pipeline.CONFIG,
    unet=UNetConfig(
        channels=(64, 64), blocks=1, attention_levels=(0,), heads=4, context_dim=48, groups=8
    ),
)
ASKED = sdnb.Request("a castle", width=128, height=128, steps=1, seed=2, cfg=4)


@pytest.fixture(scope="module")
def pipe():
    return tiny_pipeline.build(CONFIG)


@pytest.fixture(scope="module")
def folder(pipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    pipe.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def files(pipe, tmp_path_factory):
    """Three LoRAs: of everything, a DoRA of the UNet's attention, and one in half precision."""
    where = tmp_path_factory.mktemp("loras")
    whole, part = tiny_loras.kohya(pipe, 1), tiny_loras.kohya(pipe, 2, convs=False)
    part = {name: t for name, t in part.items() if "_te_" not in name}
    for (network, name), weight in tiny_loras.modules(pipe, convs=False).items():
        if network == "unet":
            lengths = 1.1 * weight.flatten(1).norm(dim=1)
            stem = f"lora_unet_{name.replace('.', '_')}"
            part[f"{stem}.dora_scale"] = lengths.view(-1, *(1 for _ in weight.shape[1:])).detach()
    half = {name: t.half() for name, t in tiny_loras.kohya(pipe, 3, alphas=(1.0, 4.0)).items()}
    return [
        str(tiny_loras.save(where / f"{name}.safetensors", stored))
        for name, stored in (("whole", whole), ("part", part), ("half", half))
    ]


@pytest.fixture(scope="module")
def single_file(folder, tmp_path_factory):
    """The same model as one file in CompVis' names."""
    model = load(folder)
    parts = {name: network.state_dict() for name, network in model.weights.networks.items()}
    path = tmp_path_factory.mktemp("file") / "model.safetensors"
    return tiny_checkpoints.safetensors(path, tiny_checkpoints.compvis(parts))


def load(path, precision="full", **fields):
    config = None if path.is_dir() else CONFIG
    return sdnb.load(path, MemoryPlan(device="cpu", **fields), precision, config=config)


def picture(model, loras=(), **changes):
    return sdnb.generate(model, ASKED.but(loras=loras, **changes), progress=False)


def same(one, other):
    return one.image.tobytes() == other.image.tobytes()


@pytest.mark.slow
def test_a_lora_for_few_steps_brings_its_settings_and_what_is_given_stays(pipe, folder, tmp_path):
    tiny_loras.save(tmp_path / "lcm-lora.safetensors", tiny_loras.kohya(pipe, 1))
    model = sdnb.load(folder, "cpu", "full", library=tmp_path)
    asked = sdnb.Request("a castle", width=64, height=64, seed=2)
    made = sdnb.generate(model, asked.but(loras=["lcm-lora"], steps=2), progress=False)
    done = made.request
    assert (done.steps, done.cfg, done.sampler, done.schedule) == (2, 1, "lcm", "lcm")
    assert sum("brought what was left open: cfg 1, sampler lcm" in n for n in made.notes) == 1
    again = sdnb.generate(model, done, progress=False)
    assert same(again, made)
    assert not any("brought" in note for note in again.notes)
    grid = sdnb.sweep(asked.but(steps=1), lora=("lcm-lora", [0, 1]))
    grid.run(model, progress=False)
    samplers = [grid.made(lora=strength).request.sampler for strength in (0, 1)]
    assert samplers == [model.settings.sampler, "lcm"]


@pytest.mark.picture
def test_a_picture_is_diffusers_and_pefts(tmp_path):
    """<= 1/255 on 99.9 % of the numbers, with two LoRAs of the UNet's and the encoder's layers."""
    pipe = tiny_pipeline.build()
    pipe.save_pretrained(tmp_path / "model")
    names = []
    for n, weight in enumerate((0.8, -0.6)):
        names.append((f"{n}.safetensors", weight))
        tiny_loras.save(tmp_path / names[-1][0], tiny_loras.kohya(pipe, n))
    model = sdnb.load(tmp_path / "model", "cpu", "full")
    asked = sdnb.Request("a castle", width=64, height=64, steps=4, seed=5, cfg=5)
    loras = [sdnb.Lora(str(tmp_path / name), weight) for name, weight in names]
    before = sdnb.generate(model, asked, progress=False)
    found = sdnb.generate(model, asked.but(loras=loras), progress=False)
    for i, (name, _) in enumerate(names):
        pipe.load_lora_weights(str(tmp_path), weight_name=name, adapter_name=f"a{i}")
    pipe.set_adapters(["a0", "a1"], [weight for _, weight in names])
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    pipe.set_progress_bar_config(disable=True)
    truth = pipe(
        "a castle", negative_prompt="", latents=noise, num_inference_steps=4, guidance_scale=5.0,
        height=64, width=64, output_type="np",
    ).images[0]  # fmt: skip
    apart = np.abs(np.asarray(found.image) / 255 - truth)
    assert (apart <= 1.01 / 255).mean() >= 0.999
    assert np.abs(np.asarray(before.image) / 255 - truth).max() > 0.05


PLANS = {
    "resident": ("full", {}),
    "offloaded": ("bf16", {"unet": "offload", "text": "offload", "vae": "offload"}),
    "streamed": ("full", {"unet": "stream", "keep": 0.0005, "together": False}),
    "streamed in bf16": ("bf16", {"unet": "stream", "text": "offload", "vae": "offload"}),
    "streamed in 8 bits": ("bf16", {"unet": "stream", "weights": "int8", "keep": 0.0}),
    "in parts": ("full", {"chunk": 64, "tile": 64, "attention": "sliced"}),
}


@pytest.mark.picture
@pytest.mark.parametrize("plan", PLANS)
def test_any_change_of_the_set_gives_the_picture_of_a_fresh_load(
    plan, folder, single_file, files, monkeypatch
):
    """Bit for bit, after each change there is from one set to another: taken away, exchanged, in
    another order. From a folder, with prepared convolutions where it is resident; offloaded, from a
    single file.
    """
    precision, fields = PLANS[plan]
    if fields.get("text") == "offload":  # the CPU stands for a card
        monkeypatch.setattr(memory, "place", lambda module, _, device: Offloaded(module, device))
    folder = single_file if plan == "offloaded" else folder
    sets = [
        [],
        [sdnb.Lora(files[0], 0.7)],
        [sdnb.Lora(files[1], -0.5), sdnb.Lora(files[0], 0.7, text=0.0)],
        [sdnb.Lora(files[0], 0.7, text=0.0), sdnb.Lora(files[1], -0.5)],  # in another order
        [sdnb.Lora(files[2], 1.0, text=0.3), sdnb.Lora(files[1], blocks="OUTALL")],
    ]
    fresh = [picture(load(folder, precision, **fields), loras) for loras in sets]
    assert same(fresh[2], fresh[3])
    assert len({each.image.tobytes() for each in fresh}) == 4
    model = load(folder, precision, **fields)
    where = {name: p.data_ptr() for name, p in model.text.named_parameters()}
    # Rounds of five sets in steps of 1, 2, 3 and 4: every ordered pair of two once.
    for n in accumulate([0, *(step for step in (1, 2, 3, 4) for _ in sets)]):
        assert same(picture(model, sets[n % len(sets)]), fresh[n % len(sets)])
    assert {name: p.data_ptr() for name, p in model.text.named_parameters()} == where
    prepared = any(id(weight) in winograd._kept for weight in model.unet.parameters())
    assert prepared == (plan == "resident")


@pytest.mark.picture
def test_a_change_of_plan_and_full_precision_keep_what_is_laid_over(folder, files, monkeypatch):
    model = load(folder, "bf16")
    loras = [sdnb.Lora(files[0], 0.7)]
    truth = {}
    for name, fields in {"cpu": {}, "stream": {"unet": "stream"}}.items():
        truth[name] = picture(load(folder, "bf16", **fields), loras)
    for name in ("cpu", "stream", "cpu"):
        model.ask(MemoryPlan(device="cpu", **({"unet": "stream"} if name == "stream" else {})))
        assert same(picture(model, loras), truth[name])
    plain = picture(load(folder, "bf16"))
    assert same(picture(model), plain)


@pytest.mark.picture
def test_weights_that_were_prepared_are_prepared_again(folder, files):
    model = load(folder)
    before = picture(model)
    assert any(id(weight) in winograd._kept for weight in model.unet.parameters())
    after = picture(model, [sdnb.Lora(files[0])])
    assert not same(before, after)
    assert same(picture(model), before)


def counted(monkeypatch):
    calls = []
    whole = merge.write_sum
    monkeypatch.setattr(merge, "write_sum", lambda *args: calls.append(args) or whole(*args))
    return calls


@pytest.mark.picture
def test_nothing_is_written_where_the_set_is_the_same(folder, files, monkeypatch):
    model, calls = load(folder), counted(monkeypatch)
    picture(model, [sdnb.Lora(files[1]), sdnb.Lora(files[0], 0.5)])
    everything = len(calls)
    calls.clear()
    picture(model, [sdnb.Lora(files[0], 0.5), sdnb.Lora(files[1])])
    picture(model, prompt=f"a castle <lora:{files[0]}:0.5> <lora:{files[1]}>")
    assert calls == []
    picture(model)
    assert len(calls) == everything  # all as they were in the file
    calls.clear()
    picture(model, [sdnb.Lora(files[1])])
    some = len(calls)
    assert 0 < some < everything  # what the file touches, and no more
    calls.clear()
    picture(model, [sdnb.Lora(files[1]), sdnb.Lora(files[0], 0.0, text=0.5)])
    assert 0 < len(calls) < some  # the text encoder's: the other's weights stay


@pytest.mark.picture
def test_tags_in_the_prompt_add_to_the_field_and_are_no_words(folder, files):
    model = load(folder)
    both = picture(model, [sdnb.Lora(files[1], 0.5), sdnb.Lora(files[0], 0.8, text=0.2)])
    tagged = picture(model, [sdnb.Lora(files[1], 0.5)], prompt=f"a castle<lora:{files[0]}:0.2:0.8>")
    assert same(both, tagged)
    assert [(each.name, each.unet) for each in tagged.loras] == [(files[1], 0.5), (files[0], 0.8)]
    assert all(len(each.sha256) == 64 for each in tagged.loras)
    assert [each.name for each in tagged.request.loras] == [files[1]]
    assert tagged.request.loras[0].sha256 == tagged.loras[0].sha256
    noted = picture(model, prompt="a castle<wild:card>", negative="<lora:x:1>").notes
    assert any("'<wild:card>' is no tag" in note for note in noted)
    assert sum("<lora:x:1>" in note and "not in the negative one" in note for note in noted) == 1
    noted = picture(model, syntax="comfy", negative="<lora:x:1>").notes
    assert any("tag in the negative prompt names none" in note for note in noted)


@pytest.mark.picture
def test_embeddings_in_a_lora_are_words_while_it_is_in_use(folder, pipe, tmp_path):
    """As those of a library are, by the same vectors; and of one name in both, the library's. The
    prompts that are kept know them apart: the LoRA changes nothing of the text encoder.
    """
    vectors = torch.randn(2, 48, generator=torch.Generator().manual_seed(1))
    stored = {n: t for n, t in tiny_loras.kohya(pipe, 2).items() if "_te_" not in n}
    bare = tiny_loras.save(tmp_path / "bare.safetensors", stored)
    bundle = {"bundle_emb.fogmachine.clip_l": vectors}
    path = tiny_loras.save(tmp_path / "brings.safetensors", {**stored, **bundle})
    model, words = load(folder), {"prompt": "a FogMachine", "syntax": "a1111"}
    plain, without = picture(model, **words), picture(model, [str(bare)], **words)
    brought = picture(model, [str(path)], **words)
    assert same(picture(model, **words), plain)
    assert same(picture(model, [str(bare)], **words), without)
    assert "Embeddings in the prompt: fogmachine (in brings.safetensors)." in brought.notes
    assert not [note for note in (*plain.notes, *without.notes) if "Embeddings" in note]
    model.embeddings = {"fogmachine": Embedding("fogmachine", vectors, "ab" * 32)}
    assert same(picture(model, [str(bare)], **words), brought)
    model.embeddings = {"FogMachine": Embedding("FogMachine", -vectors, "cd" * 32)}
    both, own = picture(model, [str(path)], **words), picture(model, [str(bare)], **words)
    assert same(both, own)
    assert not same(own, brought)
    assert not same(without, brought)
    (note,) = set(both.notes) - set(own.notes)
    assert note.startswith("The embedding 'fogmachine' in brings.safetensors is left out")
    assert not any("left out" in note for note in picture(model, [str(path)]).notes)


@pytest.mark.picture
def test_what_was_used_is_in_the_png(folder, files, tmp_path):
    made = picture(load(folder), [sdnb.Lora(files[0], 0.8)], prompt=f"a <lora:{files[1]}:0.5>")
    (path,) = made.save(tmp_path)
    assert sdnb.read(path) == made.request
    text = sdnb.images.open(path.read_bytes()).text["sdnb"]
    assert all(each.sha256 in text for each in made.loras)
    again = sdnb.read(path)
    assert same(picture(load(folder), again.loras, prompt=again.prompt), made)


@pytest.mark.picture
def test_requests_are_alike_where_their_sets_are(folder, files):
    model = load(folder, batch=2)
    tag = f"<lora:{files[0]}:0.5>"
    resolved = [
        ASKED.but(prompt=prompt).resolved(model.settings)
        for prompt in (f"a cat {tag}", f"a dog {tag}", "a dog")
    ]
    assert pipeline.alike(resolved[0]) == pipeline.alike(resolved[1])
    assert pipeline.alike(resolved[1]) != pipeline.alike(resolved[2])
    grid = sdnb.sweep(ASKED, seed=[1, 2], prompt=["a cat", f"a cat {tag}"])
    grid.run(model, progress=False)
    alone = picture(load(folder), prompt=f"a cat {tag}", seed=2)
    found = np.asarray(grid.image(seed=2, prompt=f"a cat {tag}"), dtype=float)
    assert np.abs(found - np.asarray(alone.image)).max() <= 1


@pytest.mark.picture
def test_a_grid_changes_the_set_as_seldom_as_it_can(folder, files, monkeypatch):
    model = load(folder)
    changes = []
    whole = type(model.weights).lay_over
    monkeypatch.setattr(
        type(model.weights),
        "lay_over",
        lambda self, o: changes.append(whole(self, o)) or changes[-1],
    )
    grid = sdnb.sweep(ASKED, seed=[1, 2, 3], loras=[[], files[0], [files[0], files[1]]])
    assert [axis.labels[1] for axis in grid.axes] == ["2", f"{files[0]} 1"]
    grid.run(model, progress=False)
    assert [networks for networks in changes if networks] == [{"unet", "text"}, {"unet"}]
    assert len(changes) == 9


@pytest.mark.picture
def test_a_grid_says_which_loras_it_cannot_have_before_its_first_cell(folder, files):
    grid = sdnb.sweep(ASKED, seed=[1, 2], loras=[[], "fog", files[0]])
    with pytest.raises(ValueError, match=r"2 of 6 cells cannot be made(.|\n)*no LoRA 'fog'"):
        grid.run(load(folder), progress=False)
    assert grid.pictures.made == {}


class Shelf:
    """A library of two files, as `load` will give it to a model."""

    def __init__(self, by_name, by_digest):
        self.by_name, self.by_digest = by_name, by_digest

    def find(self, kind, name):
        assert kind == "lora"
        return few_steps.at(Path(self.by_name[name]))

    def by_sha256(self, digest):
        path = self.by_digest.get(digest)
        return None if path is None else few_steps.at(Path(path))


@pytest.mark.picture
def test_a_name_is_looked_up_in_the_library_by_its_digest_first(folder, files):
    model = load(folder)
    truth = [picture(model, [path]) for path in files[:2]]
    digest = truth[0].loras[0].sha256
    model.library = Shelf({"fog": files[1]}, {digest: files[0]})
    assert same(picture(model, ["fog"]), truth[1])
    assert same(picture(model, [sdnb.Lora("fog", sha256=digest)]), truth[0])
    with pytest.raises(CheckpointError, match="is another file than the LoRA 'fog'"):
        picture(model, [sdnb.Lora("fog", sha256="0a" * 32)])  # by its name, and it is not the one
    with pytest.raises(KeyError):
        picture(model, ["rain"])


@pytest.mark.picture
def test_a_lora_of_no_finite_numbers_is_named_and_the_model_stays_usable(
    folder, files, pipe, tmp_path
):
    model = load(folder)
    before = picture(model)
    for n, wrong in enumerate((float("nan"), float("-inf"))):
        stored = tiny_loras.kohya(pipe, n)
        list(stored.values())[-2].view(-1)[-1] = wrong  # an up
        file = tiny_loras.save(tmp_path / f"broken{n}.safetensors", stored)
        with pytest.raises(
            CheckpointError, match=rf"/broken{n}\.safetensors is damaged.*not finite"
        ):
            picture(model, [sdnb.Lora(files[0]), str(file)])
    assert same(picture(model), before)


@pytest.mark.picture
def test_a_checkpoint_that_is_gone_is_said_and_the_model_stays_as_it_was(folder, files, tmp_path):
    own = shutil.copytree(folder, tmp_path / "model")
    model = load(own)
    before = picture(model)
    weights = next((own / "unet").glob("*.safetensors"))
    weights.rename(tmp_path / "aside")
    with pytest.raises(CheckpointError, match="is gone or was changed since"):
        picture(model, [sdnb.Lora(files[0])])
    assert same(picture(model), before)
    (tmp_path / "aside").rename(weights)
    laid_over = picture(model, [sdnb.Lora(files[0])])
    os.utime(weights, ns=(1, 1))
    assert same(picture(model, [sdnb.Lora(files[0])]), laid_over)
    with pytest.raises(CheckpointError, match="put the file back, or load the model again"):
        picture(model)
    assert same(picture(model, [sdnb.Lora(files[0])]), laid_over)


@pytest.mark.picture
def test_a_change_that_breaks_off_is_made_whole_by_the_next_run(folder, files, monkeypatch):
    model = load(folder)
    before = picture(model)
    calls, whole = [], merge.write_sum

    def breaks(*args):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        whole(*args)

    with monkeypatch.context() as patch:
        patch.setattr(merge, "write_sum", breaks)
        with pytest.raises(KeyboardInterrupt):
            picture(model, [sdnb.Lora(files[0])])
    assert same(picture(model), before)


# -- files that are none -----------------------------------------------------------------------
KEY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


class Runs:
    def __reduce__(self):
        return os.system, ("touch /tmp/sdnb-a-lora-ran",)


def pairs(out=64, rank=2, width=64, **more):
    stored = {"lora_up.weight": torch.ones(out, rank), "lora_down.weight": torch.ones(rank, width)}
    return {f"{KEY}.{name}": t for name, t in {**stored, **more}.items()}


def claims(path):
    """10 GB, of a file of a few hundred bytes."""
    about = {"dtype": "F32", "shape": [50000, 50000], "data_offsets": [0, 10**10]}
    header = json.dumps({f"{KEY}.lora_up.weight": about}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 64)


HOSTILE = {
    "a pickle that runs": lambda path: path.write_bytes(pickle.dumps({"a.b": Runs()})),
    "one in a zip": lambda path: torch.save({f"{KEY}.alpha": Runs()}, path),
    "10 GB in a header": claims,
    "10 GB in a view": lambda path: torch.save(
        {f"{KEY}.lora_up.weight": torch.ones(1).expand(50000, 50000)}, path
    ),
    "another shape": lambda path: save_file(pairs(out=65), path),
    "rank 0": lambda path: save_file(pairs(rank=0), path),
    "ranks that differ": lambda path: save_file(
        {**pairs(), f"{KEY}.lora_up.weight": torch.ones(64, 3)}, path
    ),
    "an alpha of two numbers": lambda path: save_file(pairs(alpha=torch.ones(2)), path),
    "an alpha of infinity, in metadata": lambda path: save_file(
        pairs(), path, {"lora_adapter_metadata": '{"unet.lora_alpha": Infinity}'}
    ),
    "a mid, and no convolution": lambda path: save_file(
        pairs(**{"lora_mid.weight": torch.ones(2, 2, 3, 3)}), path
    ),
    "lengths of neither rows nor columns": lambda path: save_file(
        pairs(dora_scale=torch.ones(63, 1)), path
    ),
    "LoHa of rank 0": lambda path: save_file(
        {
            f"{KEY}.hada_w{n}_{x}": torch.ones((64, 0) if x == "a" else (0, 64))
            for n in "12"
            for x in "ab"
        },
        path,
    ),
    "LoHa without its half": lambda path: save_file({f"{KEY}.hada_w1_a": torch.ones(64, 2)}, path),
    "LoKr that does not divide": lambda path: save_file(
        {f"{KEY}.lokr_w1": torch.ones(7, 7), f"{KEY}.lokr_w2": torch.ones(9, 9)}, path
    ),
    "LoKr of no height": lambda path: save_file(
        {f"{KEY}.lokr_w1": torch.ones(0, 8), f"{KEY}.lokr_w2": torch.ones(8, 8)}, path
    ),
    "a difference of another shape": lambda path: save_file({f"{KEY}.diff": torch.ones(65)}, path),
    "an alpha of nan": lambda path: save_file(pairs(alpha=torch.tensor(torch.nan)), path),
    "whole numbers": lambda path: save_file(
        {name: t.to(torch.int8) for name, t in pairs().items()}, path
    ),
    "one layer twice": lambda path: save_file(
        {**pairs(), **{n.replace("lora_unet_", "lycoris_"): t + 1 for n, t in pairs().items()}},
        path,
    ),
    "OFT": lambda path: save_file({f"{KEY}.oft_blocks": torch.ones(2, 4, 4)}, path),
    "metadata that is no JSON": lambda path: save_file(
        pairs(), path, {"lora_adapter_metadata": "{" * 1000}
    ),
    "an alpha that is text": lambda path: save_file(
        pairs(), path, {"lora_adapter_metadata": '{"unet.lora_alpha": "x"}'}
    ),
    "nothing": lambda path: path.write_bytes(b""),
    "a web page": lambda path: path.write_bytes(b"<!doctype html><p>log in</p>"),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_ends_in_words(kind, tmp_path):
    from sdnb.engine import adapters
    from sdnb.request.lora import Lora

    path = tmp_path / "a.safetensors"
    HOSTILE[kind](path)
    with pytest.raises(CheckpointError) as caught:
        adapters.overlay(CONFIG, [(Lora("a"), adapters.open_file(path))])
    assert str(path) in str(caught.value)
    assert not os.path.exists("/tmp/sdnb-a-lora-ran")  # noqa: PTH110


def test_an_oft_with_names_of_its_own_is_refused_by_name(tmp_path):
    from sdnb.engine import adapters
    from sdnb.request.lora import Lora

    path = tmp_path / "a.safetensors"
    save_file({f"{KEY.replace('lora_', 'oft_')}.oft_blocks": torch.ones(2, 4, 4)}, path)
    with pytest.raises(CheckpointError, match="it is OFT or BOFT, which sdnb does not run"):
        adapters.overlay(CONFIG, [(Lora("a"), adapters.open_file(path))])


@pytest.mark.picture
def test_a_file_that_is_missing_or_another_one_is_said(folder, files):
    model = load(folder)
    with pytest.raises(MissingCheckpointError, match="there is no LoRA 'pixelart'"):
        picture(model, ["pixelart"])
    with pytest.raises(CheckpointError, match=r"another file than the LoRA.*0a0a0a0a0a0a is"):
        picture(model, [sdnb.Lora(files[0], sha256="0a" * 32)])


@pytest.mark.picture
def test_a_torch_file_is_read_as_a_safetensors_is(folder, files, pipe, tmp_path):
    torch.save(tiny_loras.kohya(pipe, 1), tmp_path / "a.pt")
    torch.save({"state_dict": tiny_loras.kohya(pipe, 1)}, tmp_path / "b.ckpt")
    model = load(folder)
    truth = picture(model, [files[0]])
    for name in ("a.pt", "b.ckpt"):
        assert same(picture(model, [str(tmp_path / name)]), truth)
