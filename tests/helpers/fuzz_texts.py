"""Hostile JSON and YAML: valid documents with a part exchanged, cut or doubled, seeded.

    cd tests; python -m helpers.fuzz_texts 600      # for so many seconds

Each reader takes a text and may raise its own kinds of errors only, in words.
"""

from __future__ import annotations

import copy
import json
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import sdnb
from helpers import grids
from helpers.any_request import png
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.checkpoint.configs import read_config
from sdnb.grid.store import Store
from sdnb.jobs.executor import Inline
from sdnb.request import Request, memory_plan
from sdnb.request.control import Control

# Stand for what Python does not write: a number of many digits, and deep lists.
HUGE, DEEP, DEEPER = "@huge@", "@deep@", "@deeper@"
WRITTEN = {HUGE: "9" * 5000, DEEP: "[" * 300 + "]" * 300, DEEPER: "[" * 9000 + "]" * 9000}

PARTS = [
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, 2**64, 10**39, 10**41, 10**400, HUGE, 0.5, 1e308,
    -1e-308, float("inf"), float("nan"), "", " ", "x", "x" * 5000, "\0", "\ud800", "\x1b[31mred",
    "a\nb", "${oc.env:HOME}", "euler", "1e400", "..", "/etc/passwd", [], {}, [[]], [{}], [None],
    [0] * 999, ["x"] * 99, {"": ""}, {"x" * 5000: 1}, {"\x1b]0;x\x07": 1}, DEEP, DEEPER,
]  # fmt: skip


def places(tree, path=()):
    """The paths of all nodes of a tree."""
    yield path
    if isinstance(tree, (dict, list)):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from places(value, (*path, key))


def changed(tree, chance):
    """The tree with one to three nodes exchanged, removed, added or doubled."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.randint(1, 3)):
        *above, last = (None, *chance.choice(list(places(tree))))
        if last is None:
            return copy.deepcopy(chance.choice(PARTS))
        parent = tree
        for key in above[1:]:
            parent = parent[key]
        part, how = copy.deepcopy(chance.choice(PARTS)), chance.random()
        if how < 0.6:
            parent[last] = part
        elif how < 0.75:
            del parent[last]
        elif isinstance(parent, dict):
            parent[str(part)[:5000]] = parent[last]
        else:
            parent.append(parent[last])
    return tree


def text_of(tree, chance):
    text = json.dumps(tree)
    for mark, written in WRITTEN.items():
        text = text.replace(f'"{mark}"', written)
    if chance.random() < 0.3:  # torn
        at = chance.randrange(len(text) + 1)
        text = (
            text[:at]
            + chance.choice(["", "}", "[", ",", "\0", "é", "*a", "&a ", "- "])
            + text[at + 1 :]
        )
    return text


def recipe(folder):
    control = Control("canny", png(), 0.5, prepare="canny", values=(50,))
    asked = grids.BASE.but(steps=4, sampler="ddim", cfg=3, controls=control)
    read = partial(Request.from_json, pictures=asked.pictures)
    return {"version": 2, **asked.plain()}, (TypeError, ValueError), read


def rows(folder):
    """The rows of a store, of which one is changed."""
    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    grid.run(grids.model(), store=folder, executor=Inline(grids.make), progress=False)
    one, two = (folder / "rows.jsonl").read_bytes().splitlines()

    def read(text):
        line = text.replace("\n", " ").encode("utf-8", "surrogatepass")
        (folder / "rows.jsonl").write_bytes(line + b"\n" + two + b"\n")
        assert len(Store(folder, grid.base, grid.axes).finished(grid.cells)) in {1, 2}

    return json.loads(one), (), read


def manifest(folder):
    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    Store(folder, grid.base, grid.axes)
    path = folder / "grid.json"

    def read(text):
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        Store(folder, grid.base, grid.axes)

    return json.loads(path.read_bytes()), (ValueError,), read


def configuration(folder, tree=None):
    """A YAML in our layout: JSON is YAML too."""
    path = folder / "c.yaml"

    def read(text):
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        read_config(path)

    ours = {
        "unet": {"channels": [320, 640], "blocks": 2, "heads": 8},
        "vae": {"scale": 0.18, "preview": [0.1, 0.2]},
        "noise": {"steps": 1000, "beta_start": 1e-4, "prediction": "v"},
        "settings": {"width": 512, "sampler": "ddim"},
        "examples": {"prompts": ["a cat"]},
    }
    return tree or ours, (CheckpointError,), read


def originals(folder):
    """A YAML in CompVis' layout."""
    ddconfig = {"z_channels": 4, "ch": 128, "ch_mult": [1, 2], "num_res_blocks": 2}
    unet = {
        "in_channels": 4, "model_channels": 320, "channel_mult": [1, 2], "num_heads": 8,
        "attention_resolutions": [4, 2, 1], "num_res_blocks": 2,
    }  # fmt: skip
    params = {
        "linear_start": 0.00085, "timesteps": 1000, "scale_factor": 0.18, "image_size": 64,
        "beta_schedule": "linear", "unet_config": {"target": "x", "params": unet},
        "first_stage_config": {"params": {"ddconfig": ddconfig}},
    }  # fmt: skip
    return configuration(folder, {"model": {"target": "x", "params": params}})


def plan(folder):
    def read(text):
        (folder / "memory").mkdir(exist_ok=True)
        text = text.encode("utf-8", "surrogatepass")
        (folder / "memory" / "mine.yaml").write_bytes(text)
        before, memory_plan.assets.configs = memory_plan.assets.configs, lambda: folder
        try:
            memory_plan.read("mine")
        finally:
            memory_plan.assets.configs = before

    fields = {"name": "mine", "gb": 4, "unet": "stream", "batch": 2, "tile": 64, "together": True}
    return fields, (ValueError,), read


READERS = (recipe, rows, manifest, configuration, originals, plan)


def fuzz(reader, folder, seed, count):
    """Read so many texts. Raises AssertionError that shows the text whose error is not in words."""
    chance = random.Random(seed)
    tree, errors, read = reader(folder)
    read(json.dumps(tree))  # as it is, it is read
    for _ in range(count):
        text = text_of(changed(tree, chance), chance)
        began = time.monotonic()
        try:
            read(text)
        except errors as error:
            words = str(error)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} for {text[:2000]!r}") from error
        else:
            words = ""
        assert len(words) < 4000, f"{len(words)} letters for {text[:2000]!r}"
        assert all(c.isprintable() or c == "\n" for c in words), f"{words!r} for {text[:2000]!r}"
        assert time.monotonic() - began < 10, f"too long for {text[:2000]!r}"


def main():
    end, seed = time.monotonic() + float(sys.argv[1]), random.randrange(2**32)
    while time.monotonic() < end:
        seed += 1
        for reader in READERS:
            with tempfile.TemporaryDirectory() as folder:
                fuzz(reader, Path(folder), seed, 200)
    print(f"nothing was found, up to seed {seed}")


if __name__ == "__main__":
    main()
