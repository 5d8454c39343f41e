"""Small models with random damage: in their pickles, headers, JSON and YAML."""

from __future__ import annotations

import json
import shutil
import zipfile
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from random import Random

import torch

from helpers import hostile_checkpoints as hostile
from sdnb.engine.checkpoint import export

# Values that a field of a file does not expect.
ODD = (
    None, True, -1, 0, 2**31, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf"), "", "x",
    hostile.ESCAPE, "a" * 5000, "..", "${oc.env:HOME}", [], {}, [[]], [1] * 50, {"a": 1}, [None],
)  # fmt: skip
PIECES = (
    b"N", b"(", b"t", b"l", b"d", b"}", b"]", b")", b"\x8f", b"q\0", b"h\0", b"0", b"1", b"2", b"Q",
    b"R", b"s", b"u", b"a", b"e", b"b", b"\x81", b"\x85", b"\x86", b"\x87", b"\x91", b"\x90",
    b"\x93", b"\x94", b"o", b".", hostile.text("state_dict"), hostile.text("model"),
    hostile.number(-1), hostile.number(2**70), hostile.number(10**4000), b"G" + b"\x7f" * 8,
    b"cbuiltins\nlist\n", b"ccollections\nOrderedDict\n)R", b"cos\nsystem\n", b"Pa\n",
    b"ctorch._utils\n_rebuild_tensor_v3\n", hostile.storage(hostile.text("0")), hostile.DOUBLES,
    hostile.tensor(b"K\2\x85", b"K\1\x85"), b"V\\ud800\n", b"I99999999999\n", b"N\x85" * 500,
)  # fmt: skip


def with_pieces(chance: Random, data: bytes) -> bytes:
    """A pickle with pieces of others in it, and some of its bytes changed or gone."""
    for _ in range(chance.randint(1, 6)):
        at, until = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        match chance.randrange(3):
            case 0:
                data = data[:at] + chance.choice(PIECES) + data[at:]
            case 1:
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case _:
                data = data[:at] + data[min(until, at + 8) :]
    return data


def with_odd_values(chance: Random, tree: object) -> object:
    """The same JSON with one to three of its values or names exchanged."""
    tree = json.loads(json.dumps(tree))
    for _ in range(chance.randint(1, 3)):
        node, parent, key = tree, None, None
        while isinstance(node, (dict, list)) and node and (parent is None or chance.random() < 0.8):
            parent = node
            key = (
                chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
            )
            node = node[key]
        if isinstance(parent, dict) and chance.random() < 0.2:
            parent[chance.choice((hostile.ESCAPE, "model", "unet", "a" * 400))] = parent.pop(key)
        elif parent is not None:
            parent[key] = deepcopy(chance.choice(ODD))
    return tree


class Damage:
    """Writes damaged models into a folder, each from a seed of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        torch.save({"state_dict": hostile.model()}, folder / "whole.ckpt")
        with zipfile.ZipFile(folder / "whole.ckpt") as archive:
            self.entries = {name: archive.read(name) for name in archive.namelist()}
        torch.save({"state_dict": {"a": torch.zeros(3)}}, folder / "old.ckpt",
                   _use_new_zipfile_serialization=False)  # fmt: skip
        self.header, self.length = hostile.laid_out(hostile.shapes())
        export.write_configs(hostile.SMALL, folder / "folder")

    def pickled(self, chance: Random) -> Path:
        path = self.folder / "a.ckpt"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in self.entries.items():
                pickled = name.endswith("data.pkl")
                archive.writestr(name, with_pieces(chance, data) if pickled else data)
        return path

    def packed(self, chance: Random) -> Path:
        return self._bytes(chance, "whole.ckpt", -4000)

    def stream(self, chance: Random) -> Path:
        return self._bytes(chance, "old.ckpt", 0)

    def _bytes(self, chance: Random, name: str, first: int) -> Path:
        data, path = (self.folder / name).read_bytes(), self.folder / "b.ckpt"
        path.write_bytes(data[:first] + with_pieces(chance, data[first:]))
        return path

    def safetensors(self, chance: Random) -> Path:
        path = self.folder / "a.safetensors"
        if chance.random() < 0.3:
            text = with_pieces(chance, json.dumps(self.header).encode())
            return hostile.headed(path, text, self.length)
        return hostile.headed(path, with_odd_values(chance, self.header), self.length)

    def diffusers(self, chance: Random) -> Path:
        path = self.folder / "folder"
        file = chance.choice([*path.rglob("*.json")])
        whole = file.read_text("utf-8")
        damaged = shutil.copytree(path, self.folder / "damaged", dirs_exist_ok=True)
        if chance.random() < 0.3:
            text = with_pieces(chance, whole.encode())
        else:
            text = json.dumps(with_odd_values(chance, json.loads(whole))).encode()
        (damaged / file.relative_to(path)).write_bytes(text)
        index = {"weight_map": {"a": "b.safetensors", "c": "d.safetensors"}}
        (damaged / "unet" / "model.safetensors.index.json").write_text(
            json.dumps(with_odd_values(chance, index)), "utf-8"
        )
        return damaged

    def yaml(self, chance: Random) -> Path:
        path = self.folder / "whole.ckpt"
        tree = chance.choice((json.loads(json.dumps(asdict(hostile.SMALL))), COMPVIS))
        text = json.dumps(with_odd_values(chance, tree)).encode()  # JSON is YAML
        if chance.random() < 0.3:
            text = with_pieces(chance, text)
        path.with_suffix(".yaml").write_bytes(text)
        return path


COMPVIS = {
    "model": {
        "params": {
            "linear_start": 0.00085, "timesteps": 1000, "image_size": 64,
            "unet_config": {"params": {"model_channels": 32, "channel_mult": [1, 2],
                                       "attention_resolutions": [4, 2, 1], "num_heads": 8}},
            "first_stage_config": {"params": {"ddconfig": {"ch": 32, "ch_mult": [1]}}},
        }
    }
}  # fmt: skip
KINDS = ("pickled", "packed", "stream", "safetensors", "diffusers", "yaml")
