"""A set of files over one model: what each adds to which weight."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sdnb.engine.adapters import block_weights, families, module_names
from sdnb.engine.adapters.adapter_file import AdapterFile
from sdnb.engine.adapters.families import Delta
from sdnb.engine.adapters.merge import Addition
from sdnb.engine.adapters.module_names import Module
from sdnb.engine.checkpoint import CheckpointError, LazyTensor
from sdnb.engine.networks.config import ModelConfig
from sdnb.headers.errors import in_words, listed
from sdnb.request.lora import ATTENDING, Lora
from sdnb.request.plain_words import counted, plain

_FAMILIES = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}
_VERSIONS = (  # how metadata begin -> the family
    ("sdxl", "SDXL"), ("stable-diffusion-xl", "SDXL"), ("sd_v2", "Stable Diffusion 2.x"),
    ("stable-diffusion-v2", "Stable Diffusion 2.x"), ("sd3", "Stable Diffusion 3"),
    ("stable-diffusion-3", "Stable Diffusion 3"), ("flux", "Flux"), ("sd_v1", _FAMILIES[768]),
    ("stable-diffusion-v1", _FAMILIES[768]),
)  # fmt: skip


@dataclass(frozen=True)
class Overlay:
    """What is added to a model's weights. Two of one `key` add the same, whatever their order."""

    key: Hashable
    #: network -> name of a weight -> what is added to it
    additions: Mapping[str, Mapping[str, Sequence[Addition]]] = field(compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def of(self, network: str, weight: str) -> Sequence[Addition]:
        """What is added to one weight."""
        return self.additions.get(network, {}).get(weight, [])


NOTHING = Overlay((), {})


def overlay(config: ModelConfig, chosen: Sequence[tuple[Lora, AdapterFile]]) -> Overlay:
    """What these files add together. Raises CheckpointError for one that does not fit the model,
    which says for which it was made.
    """
    additions: dict[str, dict[str, list[Addition]]] = defaultdict(lambda: defaultdict(list))
    keys, notes = [], list[str]()
    for lora, file in sorted(chosen, key=lambda pair: _key(*pair)):
        keys.append(_key(lora, file))
        matched = _match(config, file, lora.dyn)
        notes += matched.notes
        for (network, weight), delta in matched.deltas.items():
            strength = _strength(lora, network, weight)
            if strength:
                additions[network][weight].append((delta, strength))
        if lora.blocks is not None and len(lora.blocks) == len(ATTENDING):
            notes += _left_out(file, matched)
    digests = [file.sha256 for _, file in chosen]
    notes += [
        f"{file.name} is named {digests.count(file.sha256)} times: its strengths add up."
        for i, (_, file) in enumerate(chosen)
        if digests.count(file.sha256) > 1 and file.sha256 not in digests[:i]
    ]
    return Overlay(tuple(keys), additions, tuple(dict.fromkeys(notes)))


def _key(lora: Lora, file: AdapterFile) -> tuple[Any, ...]:
    return file.sha256, lora.unet, lora.text_strength, lora.blocks or (), lora.dyn or 0


def _strength(lora: Lora, network: str, weight: str) -> float:
    if network == "text":
        return lora.text_strength
    return lora.unet * block_weights.strength(weight, lora.blocks)


def _left_out(file: AdapterFile, matched: Matched) -> list[str]:
    inside = {
        block_weights.block(weight) for network, weight in matched.deltas if network == "unet"
    }
    others = sorted(inside - set(ATTENDING) - {""})
    if not others:
        return []
    return [
        f"{file.name} also changes {listed(others, 4)}, which 17 block weights leave out: give 26."
    ]


# -- one file ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Matched:
    """What a file adds to each weight, by network and name."""

    deltas: Mapping[tuple[str, str], Delta]
    notes: tuple[str, ...]


@lru_cache(maxsize=64)
def _match(config: ModelConfig, file: AdapterFile, dyn: int | None) -> Matched:
    """Find the weights of a file's modules, and check every shape before anything is read."""
    modules, strange = module_names.by_module(file.tensors)
    _refuse_others(config, file, modules)
    alpha_of, deltas = _Alphas(file), {}
    for stem, parts in modules.items():
        module = module_names.find(config, stem)
        if module is None:
            with in_words(f"{file.path}: {plain(stem, 160)}"):
                families.refuse_kind(parts)  # it has names of its own
            strange.append(stem)
            continue
        with in_words(f"{file.path}: {plain(stem, 160)}"):
            try:
                found = _deltas(module, parts, alpha_of(module.network, stem, parts), dyn)
            except CheckpointError as error:
                made = _made_for(file, modules)
                made_for = f" It was made for {made}." if made else ""
                raise CheckpointError(
                    f"{file.path} does not fit this model, {_own_family(config)}: of "
                    f"{plain(stem, 160)}, {error}.{made_for}"
                ) from None
        if "bias" in found and not module.has_bias:
            strange.append(f"{stem}.diff_b")
            del found["bias"]
        for leaf, delta in found.items():
            weight = module.network, f"{module.name}.{leaf}"
            if weight in deltas:
                raise CheckpointError(
                    f"{file.path} has {plain(stem, 160)} twice, under another name too: which of "
                    "them is meant cannot be told. Save it again with the tool that made it."
                )
            deltas[weight] = delta
    if not deltas:
        raise _none_matched(config, file, modules, strange)
    note = (
        f"{file.name}: of {counted(len(modules), 'module')} {len(strange)} "
        f"{'is' if len(strange) == 1 else 'are'} in no part of this model, without effect: "
        f"{listed(sorted(strange), 3)}."
    )
    return Matched(deltas, (*file.notes, *([note] if strange else [])))


def _deltas(
    module: Module, parts: families.Parts, alpha: float | None, dyn: int | None
) -> dict[str, Delta]:
    shape = module.shape
    if module.name == "input_blocks.0.0" and shape[1] == 9:  # a LoRA of an ordinary model has 4
        inner = (shape[0], 4, *shape[2:])
        down = parts.get("down")
        if down is not None and down.count and down.count // down.shape[0] == 4 * 9:
            found = families.deltas(parts, inner, alpha, dyn)
            return {
                leaf: families.padded(delta, inner, shape) if leaf == "weight" else delta
                for leaf, delta in found.items()
            }
    return families.deltas(parts, shape, alpha, dyn)


def _refuse_others(
    config: ModelConfig, file: AdapterFile, modules: Mapping[str, Mapping[str, LazyTensor]]
) -> None:
    """Raises CheckpointError for a file whose texts have another width, or that numbers its layers
    by their order.
    """
    if any(key.startswith(("unet:", "text_encoder:")) for key in file.tensors):
        raise CheckpointError(
            f"{file.path} is a LoRA of cloneofsimo's first tool, which numbers its layers and does "
            "not name them. It is not read: convert it to kohya's form."
        )
    shapes = [
        (stem, parts[part].shape)
        for stem, parts in modules.items()
        for part in ("down", "hada_w1_b")
        if part in parts
    ]
    wrong = module_names.widths(shapes) - {config.unet.context_dim}
    if wrong:
        width = min(wrong)
        family = _FAMILIES.get(width) or _by_metadata(file) or "another model"
        own = _FAMILIES.get(config.unet.context_dim, "")
        raise CheckpointError(
            f"{file.path} was made for {family}, whose texts are {width} wide; those of this model"
            f"{own and f', {own},'} are {config.unet.context_dim} wide. Take one made for it."
        )


def _none_matched(
    config: ModelConfig, file: AdapterFile, modules: Mapping[str, Any], strange: Sequence[str]
) -> CheckpointError:
    made = _made_for(file, modules)
    if not modules:
        return CheckpointError(
            f"{file.path} is no LoRA, nor of its family. Its tensors are named "
            f"{listed(sorted(strange), 4) or '(it has none)'}."
        )
    return CheckpointError(
        f"{file.path}: none of its {counted(len(modules), 'module')} is in this model, "
        f"{_own_family(config)}: {listed(sorted(strange), 4)}."
        + (f" It was made for {made}." if made else "")
    )


def _own_family(config: ModelConfig) -> str:
    return _FAMILIES.get(config.unet.context_dim, f"of texts {config.unet.context_dim} wide")


def _made_for(file: AdapterFile, modules: Mapping[str, Any]) -> str:
    """The family that a file is for, as its names or its metadata say; "" where they do not."""
    if any(stem.startswith(("lora_te2_", "text_encoder_2.")) for stem in modules):
        return _FAMILIES[2048]
    if any("double_blocks" in stem or "joint_blocks" in stem for stem in modules):
        return "Flux or Stable Diffusion 3"
    return _by_metadata(file)


def _by_metadata(file: AdapterFile) -> str:
    told = [
        file.metadata.get(key, "").lower()
        for key in ("ss_base_model_version", "modelspec.architecture")
    ]
    for start, family in _VERSIONS:
        if any(text.startswith(start) for text in told):
            return family
    return _FAMILIES[1024] if file.metadata.get("ss_v2") == "True" else ""


class _Alphas:
    """The alpha of a module as PEFT writes it into the metadata; None where there is none.

    diffusers keeps `lora_adapter_metadata`, JSON with `unet.lora_alpha` and the like, since 2025
    (https://github.com/huggingface/diffusers/pull/11324).
    """

    def __init__(self, file: AdapterFile) -> None:
        text = file.metadata.get("lora_adapter_metadata", "")
        with in_words(f"{file.path}: its lora_adapter_metadata"):
            told = json.loads(text) if text else {}
            if not isinstance(told, dict):
                raise TypeError("it is no JSON object")
        self._told: dict[str, Any] = told

    def __call__(self, network: str, stem: str, parts: Mapping[str, LazyTensor]) -> float | None:
        prefix = {"unet": "unet", "text": "text_encoder"}[network]
        alpha = self._told.get(f"{prefix}.lora_alpha")
        pattern = self._told.get(f"{prefix}.alpha_pattern") or {}
        path = stem.removeprefix("base_model.model.").removeprefix(f"{prefix}.")
        for name, value in pattern.items():
            if path == name or path.endswith(f".{name}"):
                alpha = value
        if alpha is None or "down" not in parts:
            return None
        if self._told.get(f"{prefix}.use_rslora"):  # alpha / sqrt(rank), not alpha / rank
            alpha = float(alpha) * max(parts["down"].shape[0], 1) ** 0.5
        return float(alpha)
