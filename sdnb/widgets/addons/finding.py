"""The files of a library that a panel offers (LoRAs, embeddings, control networks), searched, and
what a person is told of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdnb.library import Library, LibraryFile
from sdnb.library.recognition import BASES, UNREAD
from sdnb.request import checks
from sdnb.request.lora import Lora
from sdnb.request.plain_words import counted, plain

KINDS = {"lora": "LoRA", "embedding": "embedding", "control": "control network"}
_ADD_ONS = ("lora", "embedding")
_FAMILIES = {
    "controlnet": "ControlNet", "t2i-adapter": "T2I-Adapter", "control-lora": "control-LoRA",
}  # fmt: skip
_SHORT = {"sd1": "SD 1.x", "sd2": "SD 2.x", "sdxl": "SDXL"}
_MEANS = {
    "lora": "how much it can change, and how large its file is",
    "embedding": "how many tokens of a prompt it takes",
}
# The width of the texts of what a LoRA is for, where its tensors touch no text.
_READS = {"sd1": 768, "sd2": 1024}
_LONGEST = 160  # letters of a line
# Of a name that no user's library was asked for, since there is none: why, and what helps.
_NO_LIBRARY = (
    "no file has this path, and the model was loaded without a library of files. In the studio, "
    "write the folder of your web UI, or of such files, into “or path” and press Load; in code, "
    "give it as sdnb.load(library=...)"
)
_FEW_WORDS = 3


@dataclass(frozen=True)
class Item:
    """A file that the list shows; `why_not` says why this model cannot use it."""

    file: LibraryFile
    why_not: str
    text: str  # what is searched, in small letters


def items(library: Library | None, width: int, kinds: Sequence[str] = _ADD_ONS) -> list[Item]:
    """The files of these kinds in a library, for a model whose text is so wide."""
    files = [file for file in library.files() if file.kind in kinds] if library else []
    return [Item(file, why_not(file, width), _searched(file)) for file in files]


def found(all_items: Sequence[Item], words: str, kind: str = "") -> list[Item]:
    """Those with all of these words in their names, folders or trigger words, of one kind or for ""
    of both: first what can be used, and what begins with the words.
    """
    wanted = words.casefold().split()
    start = wanted[0] if wanted else ""
    fitting = [
        item for item in all_items
        if kind in ("", item.file.kind) and all(word in item.text for word in wanted)
    ]  # fmt: skip

    def rank(item: Item) -> tuple[bool, bool, bool]:
        name = item.file.name.casefold()
        return bool(item.why_not), not name.startswith(start), start not in name

    return sorted(fitting, key=rank)


def why_not(file: LibraryFile, width: int) -> str:
    """Why a model whose text is `width` wide (0: not known) cannot use a file; "" where it can."""
    if file.why_not:
        return file.why_not
    reads = file.width or _READS.get(file.base, 0)
    if not (width and reads) or reads == width:
        return ""
    base = BASES.get(file.base, "")
    made_for = f"it is for {base}: " if base else ""
    return f"{made_for}its text is {reads} wide, and this model's {width}"


def label(item: Item) -> str:
    """A file as a line of the list."""
    file = item.file
    kind = "" if file.kind == "lora" else KINDS.get(file.kind, file.kind)  # most are LoRAs
    kind = _FAMILIES.get(file.family, kind)
    facts = [kind, _SHORT.get(file.base, file.base), _size(file)]
    shown = [file.full_name, *facts, refusal(item) or ", ".join(file.words[:_FEW_WORDS])]
    return plain(" · ".join(filter(None, shown)), _LONGEST)


def refusal(item: Item) -> str:
    """Why a line is grey; "" where it is not."""
    if not item.why_not:
        return ""
    unusable = item.file.family == UNREAD
    return f"{'cannot be used' if unusable else 'not for this model'}: {item.why_not}"


def title(file: LibraryFile, digest: str = "") -> str:
    """What is known of a file, in lines; `digest` is its sha256 as far as it is known."""
    family = file.family if file.family not in ("", file.kind) else ""
    kind = KINDS.get(file.kind, file.kind)
    family = _FAMILIES.get(family, family)
    facts = [kind, family, BASES.get(file.base, file.base)]
    lines = [str(file.path), ", ".join(filter(None, facts))]
    if file.rank:
        lines.append(f"{_size(file)}: {_MEANS.get(file.kind, '')}")
    lines += [f"called {file.alias} inside"] if file.alias else []
    lines += [f"sha256 {digest[:12]}…"] if digest else []
    return "\n".join(plain(line) for line in lines)


class Names:
    """The files of one kind by all that they are called, since to ask a library of thousands for a
    name takes a tenth of a second.
    """

    def __init__(self, library: Library | None, kind: str) -> None:
        self._library, self.kind = library, kind
        self.files = [] if library is None else library.files(kind)
        self._called: dict[str, list[LibraryFile]] = {}
        for file in self.files:
            for name in {file.full_name, file.name, file.alias} - {""}:
                self._called.setdefault(name.casefold(), []).append(file)

    def find(self, name: str) -> LibraryFile | None:
        """The file that a name means, or None. Raises NamingError for a name of two."""
        alike = self._called.get(name.casefold(), [])
        if self._library is None or (len(alike) == 1 and alike[0].called(name)):
            return alike[0] if alike else None
        if not alike and "." not in name and "\\" not in name:  # neither ending nor hash
            return None
        path = self._library.path(self.kind, name)
        return next((file for file in self.files if file.path == path), None)

    def shortest(self, file: LibraryFile) -> str:
        """The shortest name that means this file, or its path where none does."""
        names = (file.name, file.full_name)
        return next((name for name in names if self._means(name, file)), str(file.path))

    def _means(self, name: str, file: LibraryFile) -> bool:
        try:
            return self.find(name) is file
        except ValueError:  # two files are called so
            return False


def usable(library: Library | None, width: int) -> tuple[str, ...]:
    """The shortest names of the LoRAs that a model whose text is so wide can use; none while the
    library was not looked at.
    """
    if library is None or not library.listed:
        return ()
    names = Names(library, "lora")
    return tuple(names.shortest(file) for file in names.files if not why_not(file, width))


def look_up(
    library: Library | None, loras: Names, lora: Lora, width: int
) -> tuple[LibraryFile | None, str]:
    """The file that a LoRA's name means, and what would keep it from running, in words; `loras` are
    the names of the library's.
    """
    path = file_at(lora.name)
    direct = path is not None
    if library is None:
        return None, "" if direct else unknown(library, loras, lora.name)
    try:
        same = (file for file in loras.files if file.path == path)
        file = next(same, None) if direct else loras.find(lora.name)
    except ValueError as error:
        return None, str(error)
    if file is None and not direct and lora.sha256 is not None:
        file = library.by_sha256(lora.sha256)  # it may have another name here
    if file is None:
        return None, "" if direct else unknown(library, loras, lora.name)
    if not file.path.exists():
        return file, f"its file is gone: {file.path}"
    return file, why_not(file, width)


def unknown(library: Library | None, names: Names, name: str) -> str:
    """Words for a name that no file of this kind has, with a similar one; `names` are the names of
    the library's.
    """
    near, what = checks.nearest(name, [each.name for each in names.files]), KINDS[names.kind]
    if library is not None and library.given is not None:
        return f"the library has no {what} of this name{near}"
    if not near:
        return _NO_LIBRARY
    more = f"{_NO_LIBRARY[0].upper()}{_NO_LIBRARY[1:]}"
    return f"the model brings no {what} of this name{near} {more}"


def near(names: Names, name: str) -> str:
    """Another name of a file of this kind that is similar; "" if none is."""
    found = checks.most_alike(name, [each.name for each in names.files])
    return found if found != name else ""


class KnownEmbeddings(Mapping[str, Any]):
    """A model's embeddings as they were when the library was looked at: each is read once, since
    the inspector asks for them at each letter that is typed.
    """

    def __init__(self, embeddings: Mapping[str, Any]) -> None:
        self._embeddings, self._names = embeddings, tuple(embeddings)
        self._read: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = self._embeddings[name]
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def file_at(name: str) -> Path | None:
    """The file that a name is the path of; a name may be any text."""
    try:
        path = Path(name).expanduser()
        return path if path.suffix and path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, a user who is none
        return None


def _searched(file: LibraryFile) -> str:
    return " ".join((file.full_name, file.alias, *file.words)).casefold()


def _size(file: LibraryFile) -> str:
    if not file.rank:
        return ""
    return f"rank {file.rank}" if file.kind == "lora" else counted(file.rank, "vector")
