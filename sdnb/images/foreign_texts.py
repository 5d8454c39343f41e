"""Settings in the texts of programs that write no infotext: what can be known of them is read.

ComfyUI writes its graph of nodes, InvokeAI, NovelAI, Fooocus, SwarmUI and Draw Things an object of
JSON, Easy Diffusion a text for each setting. A text that fits none of them gives None.

Sources: InvokeAI's `invocations/metadata.py` (3 to 6) and `retrieve_metadata` (2), Fooocus'
`modules/async_worker.py` (2.1 to 2.5), SwarmUI's "Image Metadata Format"; of Draw Things, whose
writer is not public, the XMP that several public readers and writers agree on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from sdnb.images import control_text, sampler_names, used_files
from sdnb.images.saved import NO_PICTURE, Saved, accepted, emphasis_notes
from sdnb.images.used_files import UsedFile
from sdnb.request import documents
from sdnb.request.foreign_names import FIELD_OF

# In the order in which their texts are looked for: key of the text, and the program.
_PROGRAMS = (
    ("invokeai_metadata", "InvokeAI"), ("sd-metadata", "InvokeAI"), ("Comment", "NovelAI"),
    ("parameters", "Fooocus"), ("prompt", "ComfyUI"),
)  # fmt: skip
# Names of settings by which a program is known.
_MARKS = {"sui_image_params": "SwarmUI", "num_inference_steps": "Easy Diffusion",
          "c": "Draw Things"}  # fmt: skip
_FIELDS = {
    **FIELD_OF, "prompt": "prompt", "c": "prompt",
    "negative": "negative", "negativeprompt": "negative", "uc": "negative",
    "negativeconditioning": "negative", "width": "width", "height": "height", "steps": "steps",
    "cfg": "cfg", "seed": "seed", "sampler": "sampler", "strength": "strength",
}  # fmt: skip
_TAKEN = (
    "prompt", "negative", "width", "height", "steps", "cfg", "cfg_rescale", "sampler", "seed",
    "strength", "syntax", "clip_skip", "loras",
)  # fmt: skip
_INSIDE = ("image", "sui_image_params")  # objects in which a program keeps its settings
_RESOLUTION = re.compile(r"\(?([0-9]{2,5}) *[,xX×] *([0-9]{2,5})\)?.*")
# InvokeAI's first form is a command: "a cat" -s 50 -S 123 -W 512 -H 512 -C 7.5 -A k_lms
_DREAM = re.compile(r'\s*"(.*)"((?: +-.*)?)', re.DOTALL)
_OPTIONS = {
    "s": "steps", "S": "seed", "W": "width", "H": "height", "C": "cfg", "A": "sampler",
    "f": "strength",
}  # fmt: skip
_OPTION = re.compile(r" -([sSWHCAf]) ?([\w.]+)")
_MOST_NODES, _MOST_TEXTS = 1000, 200  # of a graph that are followed from a sampler
_PLAIN = ("value", "string", "int", "float", "text")  # inputs of nodes that hold one value
_PART = re.compile(r"(?:text|string)_?(?:[a-z]|[0-9]{1,2})$")  # inputs of nodes that join texts
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def read(texts: Mapping[str, str]) -> Saved | None:
    """What another program wrote of its settings, or None where no text is of a known form."""
    for key, program in _PROGRAMS:
        values = _json_object(texts.get(key, ""))
        if values is None:
            continue
        if program == "ComfyUI":
            found = _from_graph(values)
        elif key == "parameters" and (found := _from_graph(values)):
            program = "ComfyUI"
        else:
            program = next((name for mark, name in _MARKS.items() if mark in values), program)
            found = _flat(values, program)
        if key == "Comment" and not found.get("prompt"):  # of NovelAI's first years
            found["prompt"] = texts.get("Description")
        if key == "sd-metadata":
            found |= _bracketed(found)
        if found.get("seed") is not None or found.get("steps") is not None:
            return _saved(program, found)
    dream = _DREAM.fullmatch(texts.get("Dream", ""))
    if dream:
        options = {_OPTIONS[key]: value for key, value in _OPTION.findall(dream[2])}
        found = _flat({"prompt": dream[1], **options}, "InvokeAI")
        return _saved("InvokeAI", found | _bracketed(found))
    if "num_inference_steps" in texts:
        return _saved("Easy Diffusion", _flat(texts, "Easy Diffusion"))
    return None


def _saved(program: str, found: dict[str, Any]) -> Saved:
    fields = {name: found[name] for name in _TAKEN if found.get(name) is not None}
    notes: list[str] = []
    if "sampler" in fields:
        label, schedule = (_text(found.get(name)) for name in ("sampler", "schedule"))
        fields["sampler"], fields["schedule"], notes = sampler_names.read(label, schedule)
        if program == "ComfyUI" and fields["schedule"] == "beta":
            notes.append(
                "ComfyUI's schedule beta spreads the steps over time; here, as in AUTOMATIC1111, "
                "beta spreads them over the noise: the picture will differ."
            )
    if fields.get("strength") == 1:
        del fields["strength"]
    request, refused = accepted(fields)
    notes = [*emphasis_notes(request.syntax, request.prompt, request.negative), *notes, *refused]
    if "strength" in fields:
        notes.insert(0, NO_PICTURE)
    if found.get("nameless"):
        notes.append("It was made with LoRAs that have no name in it: they are left out.")
    if found.get("joined"):
        notes.append("Its prompt was put together of several texts, which stand below one another.")
    if found.get("samplers", 1) > 1:
        notes.append("It was made in several passes; this is the first.")
    files: tuple[UsedFile, ...] = found.get("files", ())
    notes += [control_text.left_out(file.name) for file in files if file.kind == "control"]
    told = fields.get("strength") == request.strength
    return Saved(
        request, str(found.get("model", "")), "", program, notes=tuple(notes),
        files=files, strength_told=told,
    )  # fmt: skip


def _flat(values: Mapping[str, Any], program: str) -> dict[str, Any]:
    """The settings in a program's object of JSON, by our names."""
    for inside in _INSIDE:
        if isinstance(values.get(inside), Mapping):
            values = {**values, **values[inside]}
    values = {str(key).lower(): value for key, value in values.items()}
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = _FIELDS.get("".join(c for c in key if c.isalnum()))
        if name in ("prompt", "negative"):
            found.setdefault(name, _prompt(value))
        elif name in _TAKEN and name not in found:
            found[name] = _text(value) if name == "sampler" else _number(value)
    found["schedule"] = values.get("noise_schedule")
    if "sampler" in found:
        found["schedule"] = found["schedule"] or values.get("scheduler")
    elif "scheduler" in values:  # of InvokeAI and diffusers, which name the sampler so
        found["sampler"] = values["scheduler"]
    resolution = _RESOLUTION.fullmatch(_text(values.get("resolution") or values.get("size")))
    if resolution:
        found["width"], found["height"] = int(resolution[1]), int(resolution[2])
    found["clip_skip"] = _their_clip_skip(values, program)
    found["model"], found["files"] = _model(values), used_files.of_list(values)
    found["loras"] = used_files.loras(found["files"])
    found["nameless"] = bool(values.get("loras")) and not found["files"]
    return found


def _their_clip_skip(values: Mapping[str, Any], program: str) -> int | None:
    """AUTOMATIC1111's count of a program's, which Fooocus and Draw Things share: InvokeAI counts
    the layers that are left out, SwarmUI from the end as ComfyUI, Easy Diffusion has one or none.
    """
    told, inside = values.get("clip_skip"), values.get("v2")
    if program == "SwarmUI":
        return _clip_skip(_number(values.get("clipstopatlayer")))
    if program == "Easy Diffusion":
        return 2 if str(told).lower() == "true" else None
    if program == "Draw Things" and isinstance(inside, Mapping):
        told = inside.get("clipSkip")
    count = _number(told)
    if not isinstance(count, int) or isinstance(count, bool):
        return None
    count += program == "InvokeAI"
    return count if count > 1 else None


def _bracketed(found: Mapping[str, Any]) -> dict[str, str]:
    """The prompts of InvokeAI before 3.0, where words in brackets were the negative prompt."""
    prompt, unwanted = _text(found.get("prompt")), []
    if not found.get("negative"):
        unwanted = _BRACKETS.findall(prompt)
        prompt = " ".join(_BRACKETS.sub(" ", prompt).split()) if unwanted else prompt
    return {"prompt": prompt, "negative": _text(found.get("negative")) or " ".join(unwanted)}


def _prompt(value: Any) -> str | None:
    """A prompt: text, or InvokeAI's list of texts with weights."""
    if isinstance(value, list):
        parts = [part.get("prompt") if isinstance(part, Mapping) else part for part in value]
        return "\n".join(part for part in parts if isinstance(part, str))
    return value if isinstance(value, str) else None


def _model(values: Mapping[str, Any]) -> str:
    for key in ("model_weights", "model", "base_model", "base_model_name", "source",
                "use_stable_diffusion_model"):  # fmt: skip
        value = values.get(key)
        if isinstance(value, Mapping):
            value = value.get("name") or value.get("model_name")
        if isinstance(value, str):
            return value
    return ""


def _from_graph(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the first sampler in a graph of ComfyUI: the one that starts from noise."""
    inputs = {str(key): node["inputs"] for key, node in nodes.items()
              if isinstance(node, Mapping) and isinstance(node.get("inputs"), Mapping)
              and "ZeroOut" not in str(node.get("class_type"))}  # fmt: skip
    samplers = [at for at, given in inputs.items() if _samples(given)]
    if not samplers:
        return {}
    first = min(samplers, key=lambda at: _rank(inputs[at]))

    def of(*names: str, along: str = "") -> Any:
        return _value(inputs, inputs[first].get(along, [first]), names)

    prompts = {name: _texts(inputs, [first], name, set()) for name in ("positive", "negative")}
    files = used_files.of_graph(inputs, first)
    if prompts["negative"] == prompts["positive"]:  # a guider that has one of the two
        prompts["negative"] = []
    return {
        "prompt": "\n".join(prompts["positive"]),
        "negative": "\n".join(prompts["negative"]),
        "joined": any(len(texts) > 1 for texts in prompts.values()),
        "width": _number(of("width", "empty_latent_width", along="latent_image")),
        "height": _number(of("height", "empty_latent_height", along="latent_image")),
        "steps": _number(of("steps")),
        "cfg": _number(of("cfg")),
        "sampler": _text(of("sampler_name")),
        "schedule": _text(of("scheduler")),
        "seed": _number(of("seed", "noise_seed")),
        "strength": _number(inputs[first].get("denoise", of("denoise", along="sigmas"))),
        "syntax": "comfy",
        "clip_skip": _clip_skip(of("stop_at_clip_layer")),
        "model": _text(of("ckpt_name", along="model")),
        "samplers": len(samplers),
        "files": files,
        "loras": used_files.loras(files),
    }


def _clip_skip(layer: Any) -> int | None:
    """AUTOMATIC1111's count of ComfyUI's: there -2 is the last layer but one."""
    return -layer if isinstance(layer, int) and layer < -1 else None


def _samples(given: Mapping[str, Any]) -> bool:
    """Whether a node is a sampler. SamplerCustom's settings are those of nodes before it."""
    return ("sampler_name" in given and "steps" in given) or {"sampler", "sigmas"} <= given.keys()


def _rank(given: Mapping[str, Any]) -> tuple[bool, float]:
    """The less, the more a sampler begins with noise alone: later passes keep what is there."""
    denoise = _number(given.get("denoise"))
    kept = 1 - denoise if isinstance(denoise, (int, float)) else 0
    return given.get("add_noise") in ("disable", False), kept


def _value(inputs: Mapping[str, Mapping[str, Any]], start: Any, names: tuple[str, ...]) -> Any:
    """The nearest value along a link that has one of the names. If that is a link itself, the
    nearest along it that has one of them, or that a node of one value holds.
    """
    waiting, seen = deque([start]), set[str]()
    while waiting and len(seen) < _MOST_NODES:
        link = waiting.popleft()
        if not isinstance(link, list):
            return link
        node = _node(link)
        if node in seen or node not in inputs:
            continue
        seen.add(node)
        given = inputs[node]
        key = next((key for key in names if key in given), None)
        if key is None:
            waiting.extend(value for value in given.values() if isinstance(value, list))
        else:
            waiting, names = deque([given[key]]), tuple(dict.fromkeys((*names, *_PLAIN)))
    return None


def _texts(
    inputs: Mapping[str, Mapping[str, Any]], link: Any, name: str, seen: set[str]
) -> list[str]:
    """The texts that a link leads to: of two conditions both, of a node that joins texts one."""
    if isinstance(link, str):
        return [link]
    given = inputs.get(node := _node(link))
    if given is None or node in seen or len(seen) > _MOST_TEXTS:
        return []
    seen.add(node)
    own = (name, f"text_{name}", f"{name}_prompt", "populated_text", "text", "prompt", "string",
           "value")  # fmt: skip
    key = next((key for key in own if key in given), None)
    links = [key] if key else [k for k, v in given.items() if isinstance(v, list) or _PART.match(k)]
    texts = [text for key in links for text in _texts(inputs, given[key], name, seen)]
    delimiter = given.get("delimiter", given.get("separator"))
    if isinstance(delimiter, str) and len(delimiter) < 100:
        return [delimiter.join(texts)]
    return list(dict.fromkeys(texts))


def _node(link: Any) -> str:
    """The name of the node that a link, its name and the number of its output, leads to."""
    return str(link[0]) if isinstance(link, list) and link else ""


def _json_object(text: str) -> dict[str, Any] | None:
    text = text.removeprefix("\ufeff")
    if not text.lstrip().startswith("{"):
        return None
    try:
        values = documents.from_json(text)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | float | str | None:
    """A number that may be written as text or as a whole float; text that is none as it is."""
    if isinstance(value, str):
        try:
            return _number(float(value)) if "." in value else int(value)
        except ValueError:
            return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | float) else None
