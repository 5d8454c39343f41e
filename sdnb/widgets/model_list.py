"""What the list of models has: those that ship with sdnb, and those of a library."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sdnb import assets
from sdnb.library import Library, LibraryFile
from sdnb.library.recognition import BASES
from sdnb.request import documents
from sdnb.request.checks import most_alike as named_alike
from sdnb.request.plain_words import counted, plain

BUILT_IN = ""  #: the path that stands for the built-in model
_KINDS = (".safetensors", ".ckpt")
_LONGEST_LABEL = 120  # letters
_OWN = "the built-in model"


def models_of(library: Library | None) -> list[LibraryFile]:
    """The models of a library: checkpoint files and diffusers folders, also those that cannot be
    used, and damaged files that may be some.
    """
    return [
        file
        for file in (() if library is None else library.files())
        if file.kind == "checkpoint" or (file.kind == "other" and file.path.suffix in _KINDS)
    ]


def offered(files: Sequence[LibraryFile]) -> list[tuple[str, str]]:
    """The lines of a list and their paths: the built-in model, the others that ship with sdnb, each
    with a word on what it is, and these files.
    """
    others = [
        (f"{name} · {_OWN} in {counted(_steps(folder), 'step')}", name)
        for name, folder in assets.built_in().items()
        if name != assets.EMBEDDED and any(folder.rglob("*.safetensors"))
    ]
    return [(_OWN, BUILT_IN), *others, *((_label(file), str(file.path)) for file in files)]


def is_built_in(path: str) -> bool:
    """Whether this is a model that ships with sdnb."""
    return path == BUILT_IN or path in assets.built_in()


def is_here(path: str, library: Library | None) -> bool:
    """Whether this model can be loaded without asking the hub."""
    if is_built_in(path) or assets.user_path(path).exists():
        return True
    with suppress(LookupError):
        return library is not None and library.find("checkpoint", path) is not None
    return False


def most_alike(path: str, offers: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """The name and the path of what is offered under the name that is most like this one's; None
    where none is.
    """
    named = {Path(each or assets.EMBEDDED).name: each for _, each in offers}
    wanted = Path(path).name
    stems = {Path(name).stem: name for name in named}
    near = named_alike(wanted, named) or stems.get(named_alike(Path(wanted).stem, stems), "")
    return (near, named[near]) if near else None


def _steps(folder: Path) -> int:
    text = documents.file_text(folder / "sdnb.yaml", documents.YAML_LIMIT)
    return int(documents.from_yaml(text)["settings"]["steps"])


def _label(file: LibraryFile) -> str:
    """A model in the list: its name, its family, and why it is not used where it is not."""
    why_not = file.why_not and f"not used: {file.why_not}"
    facts = (file.full_name, BASES.get(file.base, file.base), why_not)
    return plain(" · ".join(filter(None, facts)), _LONGEST_LABEL)
