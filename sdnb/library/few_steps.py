"""LoRAs that make a model need few steps say so, in their metadata or their name: the settings that
suit them. Without these a picture by one of them is burnt, or noise.

What each family wants its authors say: LCM https://arxiv.org/abs/2311.05556, TCD
https://arxiv.org/abs/2402.19159, Hyper-SD https://arxiv.org/abs/2404.13686, PCM
https://arxiv.org/abs/2405.18407, SD-Turbo https://huggingface.co/stabilityai/sd-turbo. Where they
write a guidance of 0 or 1, which is none, that is cfg 1 here. "ddim distilled" is what
`sdnb.models.training.train_fast` writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from sdnb.assets import user_path
from sdnb.library import known
from sdnb.library.library import Library
from sdnb.library.library_file import LibraryFile
from sdnb.library.looking import look
from sdnb.request import Request, Settings, lora
from sdnb.request.choices import LCM_LEVELS
from sdnb.request.lora import Lora
from sdnb.request.plain_words import digits

Find = Callable[[Lora], LibraryFile | None]


@dataclass(frozen=True)
class FewSteps:
    """The settings that suit a LoRA, and its family as it is called."""

    family: str
    steps: int
    cfg: float
    sampler: str
    schedule: str
    eta: float | None = None  # for so many steps; None: the sampler's own


# Words of a name, between "-" -> what suits. The first that fits; words that are common in other
# names ("hyper realistic", "911 turbo") stand with what goes with them alone.
_FAMILIES = (
    (r"hyper-?sd\w*", FewSteps("Hyper-SD", 8, 1.0, "ddim", "trailing")),
    (r"pcm", FewSteps("PCM", 4, 1.0, "ddim", "trailing")),
    (r"tcd", FewSteps("TCD", 4, 1.0, "tcd", "lcm")),
    (r"lcm|lcmlora|latent-consistency", FewSteps("LCM", 4, 1.0, "lcm", "lcm")),
    (r"ddim-?distilled", FewSteps("distilled for DDIM", 4, 1.0, "ddim", "trailing")),
    (r"sd\w*-?turbo|turbo-?lora|lora-?turbo", FewSteps("Turbo", 4, 1.0, "euler", "trailing")),
)
_BROUGHT = ("steps", "cfg", "sampler", "schedule", "eta")
_STEPS = r"(\d+)-?steps?"


def settings_of(file: LibraryFile) -> FewSteps | None:
    """What suits a LoRA, by its name, its trainer's name or its title; None where none of them says
    that it is for few steps.
    """
    return _of_names(file.name, file.alias, file.title)


def _of_names(*names: str) -> FewSteps | None:
    for name in names:
        words = "-".join(re.findall(r"[^\W_]+", name.lower()))
        for pattern, suits in _FAMILIES:
            if _holds(pattern, words):
                return _of_variant(suits, words)
    return None


def _of_variant(suits: FewSteps, words: str) -> FewSteps:
    """The settings of a family for one of its files, which says its steps in its name."""
    said = _holds(_STEPS, words)
    if said and 1 <= int(said[1]) <= LCM_LEVELS:
        suits = replace(suits, steps=int(said[1]))
    if suits.family == "Hyper-SD" and _holds("cfg", words):
        return replace(suits, cfg=5.0)
    if suits.family == "Hyper-SD" and suits.steps == 1:
        # For one step; its authors take less for more steps, as the sampler's own is.
        return replace(suits, sampler="tcd", schedule="lcm", eta=1.0)
    if suits.family == "PCM" and _holds("normalcfg", words):
        return replace(suits, cfg=4.5)
    if suits.family == "PCM" and _holds("lcmlike", words):
        return replace(suits, sampler="lcm", schedule="lcm")
    return suits


def _holds(pattern: str, words: str) -> re.Match[str] | None:
    return re.search(rf"(?:^|-)(?:{pattern})(?:-|$)", words)


def suited(request: Request, settings: Settings, find: Find) -> tuple[Settings, str]:
    """The settings for what a request leaves open: a model's, or, of steps, cfg, sampler, schedule
    and eta, those that suit the first of its LoRAs that has some; and a sentence on what that LoRA
    brought, "" for nothing.

    `find` gives the file of a LoRA; where it gives None, the LoRA's name tells alone. A sampler
    that the request names keeps the LoRA's schedule, unless it names that too.
    """
    given = {name: getattr(request, name) for name in _BROUGHT}
    if None not in given.values():
        return settings, ""
    named: tuple[Lora, ...] = ()
    with suppress(ValueError):  # a tag that cannot be done, which a run says
        named = lora.of_request(request.prompt, request.loras)
    for each in named:
        file = find(each)
        # Of a file that is on a worker's disk, or not looked at yet, its name is known.
        name = lora.stem(each.name) if file is None else file.name
        suits = _of_names(name) if file is None else settings_of(file)
        if suits is None or not each.unet:
            continue
        own = {name: getattr(suits, name) for name in given}
        sampler = suits.sampler if request.sampler is None else request.sampler
        if sampler != suits.sampler or request.steps not in (None, suits.steps):
            own["eta"] = None
        brought = [
            f"{name} {value if isinstance(value, str) else digits(value)}"
            for name, value in own.items()
            if given[name] is None and value is not None
        ]
        if not brought:
            return settings, ""
        return replace(settings, **{**own, "sampler": sampler}), (
            f"{name} is a LoRA for few steps ({suits.family}), and brought what was left open: "
            f"{', '.join(brought)}."
        )
    return settings, ""


def finder(library: Library | None) -> Find:
    """What finds the file of a LoRA as a run does: by its path, its digest, or its name in a
    library. It remembers what it found.
    """
    found: dict[Lora, LibraryFile | None] = {}

    def find(given: Lora) -> LibraryFile | None:
        if given not in found:
            found[given] = _file(given, library)
        return found[given]

    return find


def _file(given: Lora, library: Library | None) -> LibraryFile | None:
    with suppress(OSError, LookupError, ValueError, RuntimeError):  # which a run says
        path = user_path(given.name)
        if path.suffix and path.is_file():
            return at(path)
        if library is not None:
            same = library.by_sha256(given.sha256) if given.sha256 else None
            return same or library.find("lora", given.name)
    return None


def at(path: Path) -> LibraryFile | None:
    """The file at a path, which may be in no library; None for what is no file of weights. Raises
    OSError where it is not there.
    """
    return _at(path, known.stamp(path))


@lru_cache(maxsize=64)
def _at(path: Path, _stamp: known.Stamp) -> LibraryFile | None:
    seen = look(path)  # from the folder above, since a nameless file has its folder's name
    return None if seen is None else LibraryFile.of(path, path.parent.parent, seen)
