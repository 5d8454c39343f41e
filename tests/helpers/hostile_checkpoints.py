"""Files made to hang, to fill the memory or to write to the terminal of whoever loads them.

`FILES` is the table of them: a function writes each into a folder and returns what is loaded.
"""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from sdnb.engine.checkpoint import names
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig

SMALL = ModelConfig(
    unet=UNetConfig(channels=(32,), blocks=1, attention_levels=(0,), context_dim=64),
    vae=VAEConfig(channels=(32,), blocks=1),
    text=TextConfig(vocab=100, width=64, layers=1, heads=1, hidden=64),
)
PRIME = 2**61 - 1  # Python's hash of a whole number is its rest by this
DOUBLES = b"N" + b"q\x00h\x00\x86" * 100  # t = (t, t), a hundred times
ESCAPE = "\x1b]0;owned\x07\x1b[2J\0"

Shapes = dict[str, tuple[int, ...]]


# -- models ------------------------------------------------------------------------------------
def shapes(config: ModelConfig = SMALL) -> Shapes:
    """Every tensor of a whole model in CompVis' names."""
    tables = (
        ("model.diffusion_model.", names.unet_table(config.unet)),
        ("first_stage_model.", names.vae_table(config.vae)),
        ("cond_stage_model.transformer.text_model.", names.text_table(config.text)),
    )
    return {prefix + row.compvis: row.shape for prefix, rows in tables for row in rows}


def model(**more: Tensor) -> dict[str, Tensor]:
    """A whole small model of zeros, and what else shall be in it."""
    return {name: torch.zeros(shape) for name, shape in shapes().items()} | more


def saved(path: Path, value: object) -> Path:
    torch.save({"state_dict": value}, path)
    return path


def headed(path: Path, header: dict | bytes, data: int = 0) -> Path:
    """A safetensors file of this header and so many bytes of nothing behind it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        file.truncate(8 + len(text) + data)
    return path


def laid_out(wanted: Shapes, *, overlapping: bool = False) -> tuple[dict, int]:
    """A safetensors header of float32 tensors, and how long its data is."""
    header, at, end = {}, 0, 0
    for name, shape in wanted.items():
        size = 4 * torch.Size(shape).numel()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        end = max(end, at + size)
        at = 0 if overlapping else end
    return header, end


# -- pickles -----------------------------------------------------------------------------------
def zipped(path: Path, data: bytes | None, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip as torch writes it, of one pickle."""
    with zipfile.ZipFile(path, "w", packing, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", data or b"}.")
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def storage(key: bytes, count: int = 4) -> bytes:
    """A persistent id, as torch writes it for a storage; `key` is a pickle of its name."""
    kind = b"ctorch\nFloatStorage\n"
    return b"(" + text("storage") + kind + key + text("cpu") + number(count) + b"tQ"


def tensor(shape: bytes, stride: bytes, count: int = 4) -> bytes:
    """A view of the storage "0", of so many float32; shape and stride are pickles."""
    start = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(text("0"), count) + number(0)
    return start + shape + stride + b"\x89}tR"


def legacy(path: Path, *values: bytes) -> Path:
    """The stream of five pickles that torch wrote before 1.6; `values` are the last two."""
    start = (number(0x1950A86A20F9469CFC6C), number(1001), b"}")
    path.write_bytes(b"".join(b"\x80\x02" + value + b"." for value in (*start, *values)))
    return path


def dictionary(items: Iterable[bytes]) -> bytes:
    """A dictionary of these keys, each with None."""
    return b"}(" + b"".join(chain.from_iterable((item, b"N") for item in items)) + b"u"


# -- the larger inputs -------------------------------------------------------------------------
def _dtype_that_doubles(path: Path) -> Path:
    call = b"ctorch._utils\n_rebuild_tensor_v3\n("
    return zipped(path, call + storage(text("0")) + b"K\0K\4\x85K\1\x85\x89}" + DOUBLES + b"tR.")


def _byteorder(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", b"}.")
        with archive.open("archive/byteorder", "w", force_zip64=True) as entry:
            for _ in range(300):
                entry.write(bytes(1 << 20))
    return path


def _bzip(path: Path) -> Path:
    data = b"}" + b"0}" * (12 << 20)
    return zipped(path, data + b".", zipfile.ZIP_BZIP2)


def _entries(path: Path, count: int) -> Path:
    """A zip whose list has so many entries of no name."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", *[0] * 18)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(entry) * count, 4, 0)
    path.write_bytes(b"PK\3\4" + entry * count + end)
    return path


def _dictionary_of_dictionaries(path: Path) -> Path:
    """One of 40,000 keys, 40,000 times: a copy of each would be 1.6 thousand millions."""
    keys = [text(f"k{n}") for n in range(40_000)]
    inner = dictionary(keys) + b"q\0"
    outer = b"}(" + b"".join(key + b"h\0" for key in keys) + b"u"
    return zipped(path, inner + b"0" + outer + b".")


def _holds_itself(path: Path) -> Path:
    others = b"".join(text(f"a.{n}") + b"cos\nsystem\n)R" for n in range(30_000))
    return zipped(path, b"}q\0(" + text("model") + b"h\0" + others + b"u.")


def _expanded(path: Path) -> Path:
    """A model of full size, all of it views of one number."""
    one = torch.zeros(1)
    return saved(path, {n: one.expand(shape) for n, shape in shapes(ModelConfig()).items()})


def _one_storage(path: Path) -> Path:
    whole = torch.zeros(6_000_000)
    wanted = {n: torch.Size(shape) for n, shape in shapes(ModelConfig()).items()}
    views = {n: whole[: s.numel()].view(s) for n, s in wanted.items() if s.numel() < len(whole)}
    return saved(path, {n: views.get(n, torch.zeros(1).expand(s)) for n, s in wanted.items()})


def _overlapping(path: Path) -> Path:
    return headed(path, *laid_out(shapes(ModelConfig()), overlapping=True))


def _large_vae(path: Path) -> Path:
    down = "first_stage_model.encoder.down"
    levels = {f"{down}.{n}.block.0.conv1.bias": (32,) for n in range(600)}
    blocks = {f"{down}.0.block.{n}.conv1.bias": (32,) for n in range(600)}
    return headed(path, *laid_out(shapes() | levels | blocks))


def _positions(path: Path, count: int) -> Path:
    name = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"
    return headed(path, *laid_out(shapes() | {name: (count, 64)}))


def _beside(path: Path, yaml: str) -> Path:
    path.with_suffix(".yaml").write_text(yaml, "utf-8")
    return saved(path, model())


def _folder(path: Path, **texts: str) -> Path:
    """A diffusers folder that has only these JSON files: `unet_config` is `unet/config.json`."""
    texts = {"model_index": '{"_class_name": "StableDiffusionPipeline"}'} | texts
    for name, content in texts.items():
        folder, _, leaf = name.rpartition("__")
        (path / folder).mkdir(parents=True, exist_ok=True)
        (path / folder / f"{leaf}.json").write_text(content, "utf-8")
    for part in ("unet", "vae", "text_encoder"):
        (path / part).mkdir(exist_ok=True)
    return path


_INDEX = "unet__diffusion_pytorch_model.safetensors.index"
_MANY = 1_000_000
# What it is -> how it is written, and what its error says; None: it loads.
FILES: dict[str, tuple[Callable[[Path], Path], str | None]] = {
    "persistent id that doubles": (lambda p: zipped(p, DOUBLES + b"Q."), "a whole object"),
    "persistent id nested deeply": (
        lambda p: zipped(p, b"N" + b"\x85" * 200_000 + b"Q."), "a whole object"),
    "storage key that doubles": (lambda p: zipped(p, storage(DOUBLES) + b"."), "list of|size or"),
    "dtype that doubles": (_dtype_that_doubles, "storage 0 is missing"),
    "legacy keys that double": (
        lambda p: legacy(p, b"}", b"(" + DOUBLES + b"l"), "no names"),
    "global whose name doubles": (
        lambda p: zipped(p, b"\x80\x04" + DOUBLES + text("x") + b"\x93."), "damaged"),
    "key that doubles": (lambda p: zipped(p, b"}" + DOUBLES + b"Ns."), "key that is a tuple"),
    "count of 10**4000": (
        lambda p: zipped(p, storage(text("0"), 10**4000) + b"."), "damaged.*2\\*\\*48"),
    "byteorder of 300 MB": (_byteorder, "byteorder in it has 314,572,800 bytes"),
    "bzip2 of 24 MB of steps": (_bzip, "never uses"),
    "20 million empty sets": (
        lambda p: zipped(p, b"(" + b"\x8f" * 20_000_000 + b"l."), "steps"),
    "sets up to the limit of steps": (
        lambda p: zipped(p, b"(" + b"\x8f\x94" * 262_000 + b"l."), "a whole object"),
    "30 MB of text, four bytes a letter": (
        lambda p: zipped(p, b"}" + text("\U0001f98a" * (15 << 19)) + b"Ns."), "no whole"),
    "whole numbers whose hashes collide": (
        lambda p: zipped(p, dictionary(number(PRIME * n) for n in range(50_000)) + b"."), "keys"),
    "memo numbers whose hashes collide": (
        lambda p: zipped(p, b"N" + b"".join(b"p%d\n" % (PRIME * n) for n in range(50_000)) + b"."),
        "beyond its end"),
    "tuples as keys": (
        lambda p: zipped(p, dictionary(b"J%sK\1\x86" % struct.pack("<i", n)
                                       for n in range(50_000)) + b"."), "keys"),
    "one dictionary 40,000 times": (_dictionary_of_dictionaries, "no whole"),
    "dictionary that holds itself": (_holds_itself, "would come out of a call"),
    "shape of a million sizes, pickled": (
        lambda p: zipped(p, tensor(b"(" + b"K\2" * 200_000 + b"t", b")") + b"."), "at most 32"),
    "shape of a million sizes": (
        lambda p: headed(p, {"a": {"dtype": "F32", "shape": [2] * _MANY, "data_offsets": [0, 4]}}),
        "at most 32"),
    "size of 10**4000": (
        lambda p: headed(p, {"a": {"dtype": "F32", "shape": [10**4000], "data_offsets": [0, 4]}}),
        "2\\*\\*48"),
    "size of 10**5000": (
        lambda p: headed(p, b'{"a": {"shape": [1' + b"0" * 5000 + b"]}}"), "JSON|digits"),
    "list of a million entries": (lambda p: _entries(p, _MANY), "list of entries"),
    "list of 180,000 entries": (lambda p: _entries(p, 180_000), "no data.pkl"),
    "views of one number": (_expanded, "repeat each other"),
    "views of one storage": (_one_storage, "repeat each other"),
    "offsets that overlap": (_overlapping, "the same bytes"),
    "alphas_cumprod of 16 GB": (
        lambda p: saved(p, model(alphas_cumprod=torch.zeros(1).expand(1 << 32))), None),
    "VAE of 600 levels x 600 blocks": (_large_vae, "600 levels"),
    "text of no positions": (lambda p: _positions(p, 0), "positions is 0"),
    "text of one position": (lambda p: _positions(p, 1), "positions is 1"),
    "text of 100,000 positions": (lambda p: _positions(p, 100_000), "positions is 100000"),
    "header of 200 MB": (lambda p: headed(p, b"{" + b" " * (200 << 20)), "begin with a header"),
    "header of empty tensors": (
        lambda p: headed(p, {f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                             for n in range(200_000)}), "no whole|hypernetwork"),
    "header of empty lists": (
        lambda p: headed(p, b'{"a":[' + b"[]," * (5 << 20) + b"[]]}"), "damaged"),
    "name of 5 MB, with escapes": (
        lambda p: headed(p, *laid_out({ESCAPE + "a" * 5_000_000: (1,)})), "no whole"),
    "name of 15 MB of the same words": (
        lambda p: headed(p, *laid_out(shapes() | {"cond_stage_model.embeddings." * 500_000: (1,)})),
        "1 unexpected"),
    "10,000 names with escapes": (
        lambda p: headed(p, *laid_out(shapes() | {f"{ESCAPE}{n}": (1,) for n in range(10_000)})),
        "10,000 unexpected"),
    "call of a name of 5 MB": (
        lambda p: zipped(p, b"c" + ESCAPE.encode() + b"a" * 5_000_000 + b"\nf\n)R."),
        "damaged.*1,000 letters"),
    "names put together from one of 20 MB": (
        lambda p: zipped(p, text("a" * (20 << 20)) + b"q\0(" + b"h\0h\0\x93" * 3000 + b"l."),
        "damaged.*1,000 letters"),
    "legacy keys of 4,000 digits": (
        lambda p: legacy(p, b"}", b"](" + number(10**4000) + b"q\1" + b"h\1" * 200_000 + b"e"),
        "no names"),
    "whole numbers whose places are chosen": (
        lambda p: zipped(p, dictionary(number(n << 25) for n in range(50_000)) + b"."), "keys"),
    "text without quotes": (
        lambda p: zipped(p, b"S" + b"\1" * (60 << 20) + b"\n."), "33,554,432"),
    "YAML with 10**12 steps": (
        lambda p: _beside(p, "noise: {steps: 1000000000000}"), "steps"),
    "YAML with 10**400 heads": (
        lambda p: _beside(p, f"unet: {{heads: 1{'0' * 400}}}"), "heads|digits"),
    "YAML of 10**400 as a fraction": (
        lambda p: _beside(p, f"vae: {{scale: 1{'0' * 400}}}"), "large|digits|scale"),
    "YAML of betas without signal": (
        lambda p: _beside(p, "noise: {steps: 100000, beta_end: 0.9999}"), "float64"),
    "YAML of betas without noise": (
        lambda p: _beside(p, "noise: {beta_start: 1.0e-30}"), "float64"),
    "YAML of a scale of zero": (lambda p: _beside(p, "vae: {scale: 0}"), "scale is 0"),
    "config.json nested deeply": (
        lambda p: _folder(p, unet__config='{"a":' * 100_000), "cannot be read"),
    "config.json of 200 MB": (
        lambda p: _folder(p, unet__config=" " * (200 << 20)), "at most 4,194,304 are read"),
    "config.json with a list of heads": (
        lambda p: _folder(p, unet__config='{"num_attention_heads": [[8], {}]}'), "cannot be read"),
    "config.json with no channels": (
        lambda p: _folder(p, unet__config='{"num_attention_heads": [0, 8], '
                                          '"block_out_channels": [320, 640]}'), "cannot be read"),
    "weight_map of lists": (
        lambda p: _folder(p, **{_INDEX: '{"weight_map": {"a": [[[["x"]]]]}}'}), "cannot be"),
    "weight_map of long names": (
        lambda p: _folder(p, **{_INDEX: json.dumps({"weight_map": {"a": "x" * 5000}})}),
        "cannot be"),
    "weight_map of many files": (
        lambda p: _folder(p, **{_INDEX: json.dumps({"weight_map": {n: str(n) for n in range(99)}})}
        ),
        "names 99 files"),
    "path of 5,000 letters": (lambda p: p.with_name("x" * 5000), "too long"),
    "path with a zero": (lambda p: p.with_name("a\0b"), "null|no file"),
}  # fmt: skip
