"""The control networks that a panel offers, and what is known of a name that is typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sdnb import hints
from sdnb.hints import Wanted
from sdnb.library import Library, LibraryFile, few_steps
from sdnb.library.recognition import A_KIND
from sdnb.request import checks
from sdnb.widgets.addons import finding
from sdnb.widgets.addons.finding import Item

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")  # owner/name
_UNKNOWN = finding.Names(None, "control")


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
    """The control networks of a library, for a model whose text is so wide. While the library was
    not looked at, there are none.
    """

    def __init__(self, library: Library | None, width: int) -> None:
        self.has_library = library is not None
        self._library = library if library is not None and library.listed else None
        self._width = width
        listed = self._library
        self._names = _UNKNOWN if listed is None else finding.Names(listed, "control")
        self._items = [] if listed is None else finding.items(listed, width, ("control",))
        self._facts: dict[tuple[str, str | None], NetFacts] = {}

    @property
    def is_listed(self) -> bool:
        """Whether the library's folders were looked at, if there is one."""
        return not self.has_library or self._library is not None

    def found(self, words: str) -> Sequence[Item]:
        """Those with all of these words in their names: first what can be used."""
        return finding.found(self._items, words)

    def shortest(self, file: LibraryFile) -> str:
        """The shortest name that means this file."""
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
        path = finding.file_at(name) or _folder_at(name)
        if path is not None:
            return few_steps.at(path)
        file = self._names.find(name)
        if file is None and sha256 is not None and self._library is not None:
            file = self._library.by_sha256(sha256)  # it may have another name here
        return file

    def _of_no_file(self, name: str) -> NetFacts:
        wanted = hints.wanted(name)
        if is_hub_id(name):
            return NetFacts("from the Hugging Face hub", name, known=True, wanted=wanted)
        if self._library is None:
            words = "no file has this path, and the model was loaded without a library of files"
        else:
            near = checks.nearest(name, [file.name for file in self._names.files])
            words = f"the library has no control network of this name{near}"
        return NetFacts(why_not=words, wanted=wanted)


def is_hub_id(words: str) -> bool:
    """Whether these words can be the id of a network on the Hugging Face hub."""
    return _HUB_ID.fullmatch(words) is not None and not Path(words).suffix


def _folder_at(name: str) -> Path | None:
    """The diffusers folder that a name is the path of."""
    with suppress(OSError, ValueError, RuntimeError):
        path = Path(name).expanduser()
        return path if (path / "config.json").is_file() else None
    return None
