"""`ModelLibrary`: the add-ons that a model brings along, and the library of a user beside them.

A model's folder may have LoRAs in `lora`, embeddings in `embeddings` and control networks in
`control`. They are found by name as the user's files are, and are asked for a name first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sdnb.library.library import Library
from sdnb.library.library_file import LibraryFile

_FOLDERS = ("lora", "embeddings", "control")


def brought_by(models: Sequence[Path]) -> Library | None:
    """The add-ons in the folders of a model, as a library; None where they have none. Nothing is
    read before it is asked for.
    """
    folders = [model / name for model in models for name in _FOLDERS]
    folders = [folder for folder in folders if folder.is_dir()]
    return Library(*folders) if folders else None


def joined(brought: Library | None, given: Library | None) -> Library | None:
    """What a model finds by name: what it brings along, and the library that a user gave; that
    library itself where it brings nothing.
    """
    return given if brought is None else ModelLibrary(brought, given)


def without_a_library(kind: str) -> str:
    """That no library was given in which a name could be looked up, and the way out."""
    path = "" if kind == "embedding" else "the path of a .safetensors file, or "
    return (
        f"The model was loaded without a library of files: give {path}the folder that has it, in "
        "code by sdnb.load(library=...), in the studio by “or path”"
    )


class ModelLibrary(Library):
    """What a model brings along, then the files of a user's library, if one was given.

    A name that both have means the model's own; the user's file is named by its path then. The
    folders, notes, wildcards and styles are those of the user's library, and so is the time that it
    takes to list.
    """

    def __init__(self, brought: Library, given: Library | None) -> None:
        super().__init__()
        self._brought, self._given = brought, given
        self.folders = () if given is None else given.folders

    @property
    def brought(self) -> Library:
        return self._brought

    @property
    def given(self) -> Library | None:
        return self._given

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self._given is None else self._given.notes

    @property
    def listed(self) -> bool:
        """Whether the user's folders were looked at; what a model brings is a few files, which are
        listed when they are asked for.
        """
        return self._given is None or self._given.listed

    def files(self, kind: str | None = None) -> list[LibraryFile]:
        own = self._brought.files(kind)
        if self._given is None:
            return own
        paths = {file.path for file in own}
        return own + [file for file in self._given.files(kind) if file.path not in paths]

    def refresh(self, progress: Callable[[float], object] | None = None) -> None:
        self._brought.refresh(progress if self._given is None else lambda _: None)
        if self._given is not None:
            self._given.refresh(progress)

    def brings(self, kind: str, name: str) -> bool:
        called, own = self._called(kind, name), self._brought.files(kind)
        return any(file in own for file in called)

    def unknown(self, kind: str, name: str) -> str:
        words = super().unknown(kind, name)
        if self._given is not None:
            return words
        return f"{words}{'' if words.endswith('?') else '.'} {without_a_library(kind)}"

    @property
    def _where(self) -> str:
        own = "the model's own folder"
        return f"{own} and {super()._where}" if self.folders else own

    def _called(self, kind: str, name: str) -> list[LibraryFile]:
        called, own = super()._called(kind, name), self._brought.files(kind)
        return [file for file in called if file in own] or called

    def __repr__(self) -> str:
        return f"ModelLibrary({self._brought!r}, {self._given!r})"
