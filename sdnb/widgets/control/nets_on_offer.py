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
    looked at, it has none.
    """

    def __init__(self, model: Any) -> None:
        library: Library | None = getattr(model, "library", None)
        #: Whether the library's folders were looked at, if there is one.
        self.is_listed = library is None or library.listed
        self._width = 0 if model is None else model.config.unet.context_dim
        self._library = library if library is None or library.listed else library.brought
        self._names = finding.Names(self._library, "control")
        self._items = finding.items(self._library, self._width, ("control",))
        self.has_any = bool(self._items) or (library is not None and library.given is not None)
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
        return self._names.shortest(file)

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
        file = self._names.find(name)
        if file is None and sha256 is not None and self._library is not None:
            return self._library.by_sha256(sha256)  # it may have another name here
        return file

    def _of_no_file(self, name: str) -> NetFacts:
        wanted = hints.wanted(name)
        if is_hub_id(name):
            return NetFacts("from the Hugging Face hub", name, known=True, wanted=wanted)
        return NetFacts(why_not=finding.unknown(self._library, self._names, name), wanted=wanted)


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
