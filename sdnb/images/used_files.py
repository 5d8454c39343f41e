"""The files that a picture names: checkpoint, VAE, LoRAs, embeddings, control networks.

AUTOMATIC1111 writes the beginnings of their hashes, ComfyUI the nodes that loaded them.

Model hash: 6ce0161689, Model: v1-5, Lora hashes: "pixelart: 0123456789ab, fog: ba9876543210",
TI hashes: "easynegative: c74b4e810b03", Hashes: {"lora:pixelart": "0123456789"}
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sdnb.request import documents, lora
from sdnb.request.lora import MOST_STRENGTH, Lora
from sdnb.request.plain_words import plain

_MOST = 200  # files of one picture
_MOST_NODES = 1000  # of a graph that are followed from a sampler
_LONGEST_TEXT = 1 << 16  # letters of a prompt that are looked through
_LOADERS = {"ckpt_name": "checkpoint", "vae_name": "vae", "lora_name": "lora",
            "control_net_name": "control"}  # fmt: skip
_EMBEDDING = re.compile(r"\bembedding:([^\s,():]+)")  # in ComfyUI's prompts
LONGEST_NAME = 200  # letters of a name
_LORA_LISTS, _WEIGHT_LISTS = ("loras", "lora", "use_lora_model"), ("loraweights", "lora_alpha")
_COMBINED = "lora_combined_"  # of Fooocus: one key for each LoRA, where it writes no list
_NAMED = ("model", "lora", "name", "file", "model_name")  # of a LoRA in a list
_KINDS = ("checkpoint", "vae", "lora", "embedding", "control")
_LISTS = {"Lora hashes": "lora", "TI hashes": "embedding"}
# What stands before the names in "Hashes", which Civitai reads.
_CIVITAI = {"lora": "lora", "lyco": "lora", "embed": "embedding", "model": "checkpoint",
            "vae": "vae"}  # fmt: skip


@dataclass(frozen=True)
class UsedFile:
    """A file that a picture was made with. `Library.recover(kind, name, hash)` looks for it."""

    kind: str  # "checkpoint", "vae", "lora", "embedding", "control"
    name: str
    hash: str = ""  # a sha256 or its beginning, in small letters; "" where it is not told
    #: Of a LoRA, for UNet and text encoder; AUTOMATIC1111's stand in the prompt.
    strengths: tuple[float, float] | None = None
    short: str = ""  # what AUTOMATIC1111 writes, where that is not the beginning of `hash`

    @property
    def short_hash(self) -> str:
        """The hash as AUTOMATIC1111 writes it; "" where it is not known."""
        return self.short or self.hash[: 12 if self.kind in ("lora", "embedding") else 10]

    def plain(self) -> dict[str, str]:
        """What JSON holds of it."""
        told = {"kind": self.kind, "name": self.name, "sha256": self.hash, "short": self.short}
        return {name: value for name, value in told.items() if value}


def of_json(values: object, loras: object = None) -> tuple[UsedFile, ...]:
    """The files in a list of what `UsedFile.plain` gave; what is none is left out. Before there was
    such a list, pictures had one of `loras` alone.
    """
    if not isinstance(values, list):
        several = loras if isinstance(loras, list) else []
        values = [{**each, "kind": "lora"} for each in several if isinstance(each, Mapping)]
    files = []
    for each in values[:_MOST]:
        if isinstance(each, Mapping) and str(each.get("kind")) in _KINDS:
            name, digest, short = (str(each.get(key, "")) for key in ("name", "sha256", "short"))
            file = _file(each["kind"], name, digest)
            files.append(replace(file, short=_file(file.kind, name, short).hash))
    return tuple(file for file in files if file.name)


def loras(files: Iterable[UsedFile]) -> tuple[Lora, ...]:
    """The LoRAs whose strengths are known."""
    known = [(f.name, *f.strengths) for f in files if f.strengths and f.name.strip()]
    return tuple(Lora(n, unet, None if text == unet else text) for n, unet, text in known)


def of_infotext(values: Mapping[str, str]) -> tuple[UsedFile, ...]:
    """The files in the values of an infotext, each once."""
    found: dict[tuple[str, str], UsedFile] = {}
    for file in (*_named(values), *_listed(values), *_civitais(values)):
        if file.name and len(found) < _MOST:
            found.setdefault((file.kind, file.name), file)
    return tuple(found.values())


def first(files: Iterable[UsedFile], kind: str) -> UsedFile | None:
    """The first file of a kind, if there is one."""
    return next((file for file in files if file.kind == kind), None)


def hash_lists(files: Iterable[UsedFile]) -> dict[str, str | None]:
    """The values of "Lora hashes" and "TI hashes": names without folders, and what would part them,
    with their short hashes; None where there are none.
    """
    lists: dict[str, dict[str, str]] = {"lora": {}, "embedding": {}}
    for file in files:
        if file.kind in lists and file.short_hash:
            lists[file.kind][tag_name(file.name)] = file.short_hash
    return {
        key: ", ".join(f"{name}: {short}" for name, short in lists[kind].items()) or None
        for key, kind in _LISTS.items()
    }


def tag_name(name: str) -> str:
    """The name of a LoRA or an embedding as it stands beside its hash, where commas part them."""
    return lora.stem(name).replace(",", "")


def of_graph(nodes: Mapping[str, Mapping[str, Any]], sampler: str) -> tuple[UsedFile, ...]:
    """The files that a sampler of ComfyUI works with; LoRAs in the order in which they were loaded.

    `nodes` are the nodes' inputs by their names; a link is a list of a node's name and a number.
    """
    found: list[UsedFile] = []
    waiting, seen = deque([sampler]), set[str]()
    while waiting and len(seen) < _MOST_NODES:
        node = waiting.popleft()
        if node in seen or node not in nodes:
            continue
        seen.add(node)
        found += _loaded(nodes[node])
        links = [value for value in nodes[node].values() if isinstance(value, list) and value]
        waiting.extend(str(link[0]) for link in links)
    ordered = list(enumerate(reversed(found[:_MOST])))  # a LoRA that is loaded twice works twice
    each = {(f.kind, f.name, i if f.kind == "lora" else 0): f for i, f in ordered}
    return tuple(each.values())


def of_list(values: Mapping[str, Any]) -> tuple[UsedFile, ...]:
    """The LoRAs in the settings of InvokeAI, Fooocus, SwarmUI, Easy Diffusion or Draw Things, which
    list them in an object of JSON with small keys.
    """
    given: Any = next((values[key] for key in _LORA_LISTS if values.get(key)), [])
    given = given or [_parted(str(v)) for k, v in values.items() if k.startswith(_COMBINED)]
    weights: Any = next((values[key] for key in _WEIGHT_LISTS if values.get(key) is not None), [])
    several = given if isinstance(given, list) else [given]
    weights = weights if isinstance(weights, list) else [weights]
    files = []
    for i, item in enumerate(several[:_MOST]):
        name, weight = _name_and_weight(item)
        weight = weights[i] if weight is None and i < len(weights) else weight
        if name.strip() and name != "None":
            files.append(UsedFile("lora", plain(name, LONGEST_NAME), "", _strengths(weight, None)))
    return tuple(files)


def _parted(text: str) -> list[str]:
    """A name and a weight in one text of Fooocus, as "pixelart.safetensors : 0.7"."""
    name, _, weight = text.rpartition(" : ")
    return [name or weight, weight if name else ""]


def _name_and_weight(item: Any) -> tuple[str, Any]:
    """Of one LoRA in a list: a name, a name and a weight, or an object, perhaps with an inner."""
    if isinstance(item, list):
        name, weight = [*item, None, None][:2]
    elif isinstance(item, Mapping):
        weight = item.get("weight")
        name = next((item[key] for key in _NAMED if item.get(key)), "")
    else:
        name, weight = item, None
    if isinstance(name, Mapping):
        name = name.get("name") or name.get("model_name")
    return name if isinstance(name, str) else "", weight


def _loaded(given: Mapping[str, Any]) -> Iterator[UsedFile]:
    """The files that one node loads. rgthree's loader has an input with an object for each LoRA."""
    for key, kind in _LOADERS.items():
        name = given.get(key)
        if isinstance(name, str) and name and name != "None":
            text = given.get("strength_clip")
            if "strength_model" in given and not {"clip", "strength_clip"} & given.keys():
                text = 0.0  # LoraLoaderModelOnly, which leaves the text encoder as it is
            strengths = _strengths(given.get("strength_model"), text)
            yield UsedFile(
                kind, plain(name, LONGEST_NAME), "", strengths if kind == "lora" else None
            )
    for value in given.values():
        if isinstance(value, Mapping) and value.get("on") and isinstance(value.get("lora"), str):
            both = _strengths(value.get("strength"), value.get("strengthTwo"))
            yield UsedFile("lora", plain(value["lora"], LONGEST_NAME), "", both)
        elif isinstance(value, str):
            for name in _EMBEDDING.findall(value[:_LONGEST_TEXT]):
                yield UsedFile("embedding", plain(name, LONGEST_NAME))


def _strengths(unet: Any, text: Any) -> tuple[float, float]:
    """Both as numbers: 1 where the UNet's is told by another node, the UNet's where no other is."""
    first = _number(unet, 1.0)
    return first, _number(text, first)


def _number(value: Any, otherwise: float) -> float:
    with suppress(TypeError, ValueError, OverflowError):
        if not isinstance(value, bool) and abs(float(value)) <= MOST_STRENGTH:
            return float(value)
    return otherwise


def _named(values: Mapping[str, str]) -> Iterator[UsedFile]:
    for key, kind in (("Model", "checkpoint"), ("VAE", "vae")):
        if key in values:
            yield _file(kind, values[key], values.get(f"{key} hash", ""))


def _listed(values: Mapping[str, str]) -> Iterator[UsedFile]:
    for key, kind in _LISTS.items():
        for item in values.get(key, "").split(","):
            name, _, digest = item.rpartition(":")
            yield _file(kind, name or digest, digest if name else "")


def _civitais(values: Mapping[str, str]) -> Iterator[UsedFile]:
    try:
        hashes = documents.from_json(values.get("Hashes", "{}"))
    except ValueError:
        return
    for key, digest in hashes.items() if isinstance(hashes, dict) else ():
        kind, _, name = key.partition(":")
        if kind.lower() in _CIVITAI and isinstance(digest, str):
            yield _file(_CIVITAI[kind.lower()], name, digest)


def _file(kind: str, name: str, digest: str) -> UsedFile:
    digest = digest.strip().lower()
    is_hash = 6 <= len(digest) <= 64 and not set(digest) - set("0123456789abcdef")
    return UsedFile(kind, plain(name.strip(), LONGEST_NAME), digest if is_hash else "")
