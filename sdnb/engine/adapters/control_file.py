"""Files of control networks: told by their tensors, brought to our names, matched with a model.

Their layouts: lllyasviel's (1.0 with a whole model beside it, 1.1, cropped), "difference" files and
control-LoRAs, which need the model's own weights, diffusers' ControlNetModel, and T2I-Adapters as
TencentARC's and as diffusers'.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sdnb.engine.adapters import families
from sdnb.engine.adapters.merge import Addition
from sdnb.engine.checkpoint import CheckpointError, LazyTensor, Tensors, detect, names
from sdnb.engine.checkpoint.assign import compare
from sdnb.engine.checkpoint.reader import canonical
from sdnb.engine.checkpoint.tensors import Weights, read_tensors
from sdnb.engine.networks.config import ModelConfig, UNetConfig
from sdnb.engine.networks.controlnet import ControlNet, ControlNetConfig
from sdnb.engine.networks.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sdnb.headers import diffusers_folder
from sdnb.headers.errors import in_words, listed
from sdnb.headers.statedict import unwrapped
from sdnb.hints import Wanted, wanted
from sdnb.library import hashes
from sdnb.library.recognition import A_KIND, BASES, Told, told
from sdnb.request import documents
from sdnb.request.plain_words import counted, plain

Config = ControlNetConfig | T2IAdapterConfig
_PREFIX = "control_model."
_MARKS = ("difference", "lora_controlnet")  # empty tensors that say how the file is meant
_AVERAGED = re.compile(r"^\s*global_average_pooling:\s*true\s*$", re.IGNORECASE | re.MULTILINE)
_LONGEST_YAML = 1 << 16


@dataclass(frozen=True)
class ControlFile:
    """An opened file; its weights are on disk. `averaged`: its maps are averaged over the picture,
    and given to the prompt's half of guidance alone, as the shuffle network wants it. `wanted` is
    the preparation that it learnt from, where its name or its metadata say so.
    """

    path: Path
    sha256: str
    told: Told = field(compare=False)
    tensors: Weights = field(compare=False, repr=False)
    averaged: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False)
    wanted: Wanted | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ControlWeights:
    """A control network that fits a model: what it is built by, its weights, and what is added to
    those that are the model's own.
    """

    config: Config
    tensors: Tensors
    additions: Mapping[str, Sequence[Addition]]

    def build(self) -> nn.Module:
        """The network, without weights, in the layout that it computes in."""
        return _without_weights(self.config).to(memory_format=torch.channels_last).eval()


# -- opening -----------------------------------------------------------------------------------
def open_control(path: Path, name: str = "") -> ControlFile:
    """The control network in a file, or in a diffusers folder of one network. A file that did not
    change is not read again. `name` is what it is called where its own name says nothing, as in the
    hub's cache, where a folder is a commit's. Raises CheckpointError for anything else, which says
    what it is, and for a kind that sdnb does not run.
    """
    with in_words(path):
        if path.is_dir():
            path = _weights_of(path)
        found = path.stat()
    return _opened(path.absolute(), name, found.st_size, found.st_mtime_ns)


def _weights_of(folder: Path) -> Path:
    if (folder / "model_index.json").is_file():
        raise CheckpointError(
            f"{folder} is a whole model and no control network, which is a folder of its own with "
            "config.json and diffusion_pytorch_model.safetensors"
        )
    files = diffusers_folder.weight_files(folder, [])
    if len(files) > 1:
        raise CheckpointError(f"{folder} has {len(files)} files of weights; a network has one")
    return files[0]


@lru_cache(maxsize=16)
def _opened(path: Path, name: str, size: int, _changed: int) -> ControlFile:
    with in_words(path):
        notes: list[str] = []
        tensors, metadata = read_tensors(path, notes)
        tensors = unwrapped(tensors)
        seen = told({name: tensor.shape for name, tensor in tensors.items()}, metadata)
        if seen.kind != "control":
            what = seen.why_not or f"it is {A_KIND[seen.kind]}"
            raise CheckpointError(f"{path} is no control network: {what}")
        if seen.why_not:
            raise CheckpointError(f"{path} cannot be used: {seen.why_not}")
        own = {n.removeprefix(_PREFIX): t for n, t in tensors.items() if n.startswith(_PREFIX)}
        marks = {name: t for name, t in tensors.items() if name in _MARKS}
        tensors = {**own, **marks} if own else tensors  # 1.0 has a whole model beside it
        announced = sum(tensor.nbytes for tensor in tensors.values())
        if announced > size:  # a view may repeat one number a million times
            raise CheckpointError(
                f"{path}: its tensors take {announced:,} bytes and it has {size:,}, so that they "
                "repeat each other's. Save them again one by one (tensor.clone())."
            )
        said = tuple(plain(f"{path.name}: {note}") for note in notes)
        nameless = path.stem.startswith(diffusers_folder.STEMS)
        called = (name or path.parent.name) if nameless else path.stem
        learnt = wanted(called, metadata)
        digest, averaged = hashes.sha256(path), _is_averaged(path, called)
        return ControlFile(path, digest, seen, tensors, averaged, said, learnt)


def _is_averaged(path: Path, called: str) -> bool:
    """What a YAML of the same stem says, diffusers' config.json, or else the name."""
    for yaml in (path.with_suffix(".yaml"), path.with_suffix(".yml")):
        if yaml.is_file():
            return _AVERAGED.search(documents.file_text(yaml, _LONGEST_YAML)) is not None
    config = path.parent / "config.json"
    if path.stem.startswith(diffusers_folder.STEMS) and config.is_file():
        said: dict[str, Any] = diffusers_folder.read_json(config)
        if said.get("controlnet_conditioning_channel_order", "rgb") != "rgb":
            raise CheckpointError(
                f"{path} reads its hint as blue, green and red, which is not done"
            )
        if "global_pool_conditions" in said:
            return bool(said["global_pool_conditions"])
    return "shuffle" in f"{path.parent.name}/{called}".lower()


# -- matching with a model ---------------------------------------------------------------------
def matched(file: ControlFile, config: ModelConfig, unet: Tensors) -> ControlWeights:
    """The network of a file for the model of this configuration, whose denoiser has these weights.

    Raises CheckpointError where it was made for another model, or its weights are not all there.
    """
    factor = 2 ** (len(config.vae.channels) - 1)
    with in_words(file.path):
        if file.told.family == "t2i-adapter":
            return _adapter(file, config.unet, factor)
        return _controlnet(file, replace(config.unet, in_channels=4, out_channels=4), factor, unet)


def _controlnet(file: ControlFile, unet: UNetConfig, factor: int, base: Tensors) -> ControlWeights:
    widths = _hint_widths(file)
    if 2 ** (len(widths) - 1) != factor:
        raise CheckpointError(
            f"{file.path} halves its hint {counted(len(widths) - 1, 'time')}, and the model makes "
            f"its pictures {factor} times smaller: it is for another kind of model"
        )
    config = ControlNetConfig(unet, widths)
    tensors = {name: t for name, t in file.tensors.items() if name not in _MARKS}
    additions: dict[str, list[Addition]] = {}
    rows, what = names.controlnet_table(unet, widths), f"control network {file.path}"
    if file.told.family == "control-lora":
        tensors, additions = _with_factors(file, tensors, rows, _of_four_channels(base))
        return ControlWeights(config, canonical(rows, tensors, what), additions)
    equal: set[str] = set()
    differs = "difference" in file.tensors
    if differs:  # what does not differ is not in the file
        base = _of_four_channels(base)
        equal = {row.compvis for row in rows} & base.keys() - tensors.keys()
        tensors = {**tensors, **{name: base[name] for name in equal}}
    _check_same_unet(file, tensors, unet)
    tensors = canonical(rows, tensors, what)
    if differs:
        tensors, additions = _with_differences(tensors, base, equal)
    return ControlWeights(config, tensors, additions)


def _hint_widths(file: ControlFile) -> tuple[int, ...]:
    """The widths of the hint's encoder: of each second of its convolutions."""
    ours = re.compile(r"input_hint_block\.(\d{1,3})\.weight")
    found = {int(m[1]): t.shape[0] for n, t in file.tensors.items() if (m := ours.fullmatch(n))}
    theirs = re.compile(r"controlnet_cond_embedding\.(?:conv_in|blocks\.(\d{1,3}))\.weight")
    for name, tensor in file.tensors.items():
        if match := theirs.fullmatch(name):
            found[0 if match[1] is None else 2 * int(match[1]) + 2] = tensor.shape[0]
    widths = tuple(width for n, width in sorted(found.items()) if n % 4 == 0)
    if not widths:
        raise CheckpointError(f"{file.path} has no network for the hint (input_hint_block)")
    return widths


def _check_same_unet(file: ControlFile, tensors: Weights, wanted: UNetConfig) -> None:
    """Raises CheckpointError where the network copies another denoiser than the model's."""
    found = detect.unet_config({name: tensor.shape for name, tensor in tensors.items()})
    if found.context_dim != wanted.context_dim:
        made = BASES.get(file.told.base, f"texts {found.context_dim} wide")
        raise CheckpointError(
            f"{file.path} is made for {made}, and this model reads texts {wanted.context_dim} "
            "wide: take the control network of its own family"
        )
    for name in ("channels", "blocks", "attention_levels", "depth"):
        one, other = getattr(found, name), getattr(wanted, name)
        if one != other:
            raise CheckpointError(
                f"{file.path} is made for another model: its {name} are {one}, the model's {other}"
            )


def _of_four_channels(base: Tensors) -> Tensors:
    """The denoiser's weights, its first convolution without what an inpainting model also sees."""
    first = base["input_blocks.0.0.weight"]
    out, channels, high, wide = first.shape
    if channels == 4:
        return base
    stride = first.stride or (channels * high * wide, high * wide, wide, 1)
    return {**base, "input_blocks.0.0.weight": replace(
        first, shape=(out, 4, high, wide), stride=stride)}  # fmt: skip


def _with_differences(
    tensors: Weights, base: Tensors, equal: Collection[str]
) -> tuple[dict[str, LazyTensor], dict[str, list[Addition]]]:
    """The denoiser's own weights, and to each its difference, but for those that are `equal`; what
    it has not is whole.
    """
    additions: dict[str, list[Addition]] = {}
    for name, tensor in tensors.items():
        if name in base and name not in equal:
            delta = families.deltas({"diff": tensor}, base[name].shape, None)["weight"]
            additions[name] = [(delta, 1.0)]
    return {name: base[name] if name in additions else t for name, t in tensors.items()}, additions


def _with_factors(
    file: ControlFile, tensors: Weights, rows: Sequence[names.Row], base: Tensors
) -> tuple[dict[str, LazyTensor], dict[str, list[Addition]]]:
    """The denoiser's own weights but for those that the file has whole; to some a product."""
    table = {row.compvis: row for row in rows}
    additions: dict[str, list[Addition]] = {}
    whole = {n: t for n, t in tensors.items() if not n.endswith((".up", ".down"))}
    for name in sorted(n.removesuffix(".up") for n in tensors if n.endswith(".up")):
        row = table.get(f"{name}.weight")
        if row is None or row.compvis not in base:
            raise CheckpointError(f"{file.path}: {name} is no layer of this model's denoiser")
        parts = {part: t for part in ("up", "down") if (t := tensors.get(f"{name}.{part}"))}
        try:
            delta = families.deltas(parts, row.shape, None)["weight"]
        except CheckpointError as error:
            raise CheckpointError(
                f"{file.path} is made for another model: at {name} {error}"
            ) from None
        additions[row.compvis] = [(delta, 1.0)]
    shared = {name: base[name] for name in table if name in base}
    return {**shared, **whole}, additions


# -- T2I-Adapters ------------------------------------------------------------------------------
_LEVEL = re.compile(r"body\.(\d{1,3})\.(?:resnets|body)\.(\d{1,3})\.(.+)")


def _adapter(file: ControlFile, unet: UNetConfig, factor: int) -> ControlWeights:
    tensors = {name.removeprefix("adapter."): t for name, t in file.tensors.items()}
    light = any(name.endswith(".out_conv.weight") for name in tensors)
    tensors = _light_names(tensors) if light else _flat_names(tensors)
    levels = len(unet.channels)
    blocks = _blocks_a_level(tensors, levels, light=light)
    if blocks * levels > len(tensors):  # before all of them are built to be compared
        raise CheckpointError(
            f"{file.path} is no T2I-Adapter: it would have {blocks * levels:,} blocks, and there "
            f"are {counted(len(tensors), 'tensor')} in it"
        )
    first = tensors.get("body.0.in_conv.weight" if light else "conv_in.weight")
    inputs = first.shape[1] if first is not None and len(first.shape) == 4 else 0
    if inputs not in (factor**2, 3 * factor**2):
        raise CheckpointError(
            f"{file.path} is no T2I-Adapter for this model: its first layer takes {inputs} "
            f"channels; expected {factor**2} (a hint in grey) or {3 * factor**2}"
        )
    inner = tuple(
        tensors[name].shape[0]
        for level in range(levels if light else 0)
        if (name := f"body.{level}.in_conv.weight") in tensors
    )
    config = T2IAdapterConfig(unet.channels, blocks, inputs // factor**2, factor, light, inner)
    _check_shapes(file, config, tensors)
    return ControlWeights(config, tensors, {})


def _light_names(tensors: Weights) -> Weights:
    return {name.replace(".resnets.", ".body."): tensor for name, tensor in tensors.items()}


def _flat_names(tensors: Weights) -> Weights:
    """diffusers' blocks of a level as one row of blocks, of which a level's first has `in_conv`."""
    found = [match for name in tensors if (match := _LEVEL.fullmatch(name))]
    if not found:
        return tensors
    size = 1 + max(int(match[2]) for match in found)
    out = {}
    for name, tensor in tensors.items():
        if match := _LEVEL.fullmatch(name):
            name = f"body.{int(match[1]) * size + int(match[2])}.{match[3]}"
        elif match := re.fullmatch(r"body\.(\d{1,3})\.(in_conv\..+)", name):
            name = f"body.{int(match[1]) * size}.{match[2]}"
        out[name] = tensor
    return out


def _blocks_a_level(tensors: Weights, levels: int, *, light: bool) -> int:
    pattern = r"body\.\d+\.body\.(\d{1,3})\." if light else r"body\.(\d{1,3})\."
    found = [int(match[1]) for name in tensors if (match := re.match(pattern, name))]
    count = 1 + max(found, default=0)
    return count if light else max(count // levels, 1)


def _without_weights(config: Config) -> nn.Module:
    with torch.device("meta"):
        if isinstance(config, ControlNetConfig):
            return ControlNet(config).requires_grad_(False)
        return T2IAdapter(config).requires_grad_(False)


def _check_shapes(file: ControlFile, config: T2IAdapterConfig, tensors: Tensors) -> None:
    shapes = {name: tuple(t.shape) for name, t in _without_weights(config).state_dict().items()}
    compare(shapes, tensors, f"T2I-Adapter {file.path}")
    wrong = [name for name, tensor in tensors.items() if not tensor.dtype.is_floating_point]
    if wrong:
        raise CheckpointError(f"{file.path}: {listed(wrong)} are no floating-point numbers")
