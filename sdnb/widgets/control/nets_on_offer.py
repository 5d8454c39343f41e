"""The control networks that a panel offers, and what is known of a name that is typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdnb import hints
from sdnb.hints import Wanted
from sdnb.library import Library, LibraryFile, few_steps, layouts
from sdnb.library.recognition import A_KIND
from sdnb.request import checks
from sdnb.widgets.addons import finding
from sdnb.widgets.addons.finding import Item

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")  # owner/name


@dataclass(frozen=True)
class NetFacts:
    """What is known of a net: a line about it, a tooltip, why it cannot be used, whether there is
    such a file at all, and which preparation it wants.
    """

    about: str = ""
    title: str = ""
    why_not: str = ""
    known: bool = False
    wanted: Wanted | None = None


class NetsOnOffer:
    """The control networks that a model brings along, and those of its library; while that was not
    looked at, it has none. A name that both have means the model's own.
    """

    def __init__(self, model: Any) -> None:
        own, library = (getattr(model, name, None) for name in ("own_nets", "library"))
        #: Whether the library's folders were looked at, if there is one.
        self.is_listed = library is None or library.listed
        shelves = (own, library if self.is_listed else None)
        self._shelves: list[Library] = [each for each in shelves if each is not None]
        self.has_any = bool(own or library)
        self._width = 0 if model is None else model.config.unet.context_dim
        self._names = [finding.Names(each, "control") for each in self._shelves]
        self._items = [
            item
            for each in self._shelves
            for item in finding.items(each, self._width, ("control",))
        ]
        self._facts: dict[tuple[str, str | None], NetFacts] = {}

    @property
    def usable(self) -> list[str]:
        """The shortest names of those that the model can use."""
        return [self.shortest(item.file) for item in self._items if not item.why_not]

    def found(self, words: str) -> Sequence[Item]:
        """Those with all of these words in their names: first what can be used."""
        return finding.found(self._items, words)

    def shortest(self, file: LibraryFile) -> str:
        """The shortest name that means this file, or its path where none does."""
        for n, names in enumerate(self._names):
            if file in names.files:
                name = names.shortest(file)
                taken = any(before.find(name) is not None for before in self._names[:n])
                return str(file.path) if taken else name
        return str(file.path)

    def about(self, name: str, sha256: str | None = None) -> NetFacts:
        """What is known of a net of this name, or of this digest."""
        if not self.is_listed:
            return NetFacts(known=True, wanted=hints.wanted(name))
        key = name, sha256
        if key not in self._facts:
            self._facts[key] = self._looked_up(name, sha256)
        return self._facts[key]

    def _looked_up(self, name: str, sha256: str | None) -> NetFacts:
        try:
            file = self._file(name, sha256)
        except (ValueError, OSError) as error:
            return NetFacts(why_not=str(error), wanted=hints.wanted(name))
        if file is None:
            return self._of_no_file(name)
        why_not = finding.why_not(file, self._width)
        if file.kind != "control":
            what = A_KIND[file.kind]
            why_not = f"it is no control network: {file.why_not or f'it is {what}'}"
        elif not file.path.exists():
            why_not = f"its file is gone: {file.path}"
        wanted = hints.wanted(file.name, {"modelspec.title": file.title})
        about = finding.label(Item(file, "", "")).partition(" · ")[2]
        return NetFacts(about, finding.title(file), why_not, known=True, wanted=wanted)

    def _file(self, name: str, sha256: str | None) -> LibraryFile | None:
        path = finding.file_at(name) or _weights_at(name)
        if path is not None:
            return few_steps.at(path)
        found = (names.find(name) for names in self._names)
        file = next((each for each in found if each is not None), None)
        if file is None and sha256 is not None:  # it may have another name here
            same = (each.by_sha256(sha256) for each in self._shelves)
            file = next((each for each in same if each is not None), None)
        return file

    def _of_no_file(self, name: str) -> NetFacts:
        wanted = hints.wanted(name)
        if is_hub_id(name):
            return NetFacts("from the Hugging Face hub", name, known=True, wanted=wanted)
        if not self._shelves:
            words = finding.NO_LIBRARY
        else:
            near = checks.nearest(name, [item.file.name for item in self._items])
            words = f"the library has no control network of this name{near}"
        return NetFacts(why_not=words, wanted=wanted)


def is_hub_id(words: str) -> bool:
    """Whether these words can be the id of a network on the Hugging Face hub."""
    file = Path(words).suffix.lower() in layouts.WEIGHTS
    return _HUB_ID.fullmatch(words) is not None and not file


def _weights_at(name: str) -> Path | None:
    """The weights in the diffusers folder that a name is the path of."""
    with suppress(OSError, ValueError, RuntimeError):
        found = sorted(Path(name).expanduser().glob("diffusion_pytorch_model*"))
        return found[0] if found else None
    return None
