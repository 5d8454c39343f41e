"""`Library`: the files that people have, found by name or by hash."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from sdnb.assets import user_path
from sdnb.library import by_hash, known, layouts, wildcard_files
from sdnb.library.library_file import LibraryFile
from sdnb.library.looking import Look, look
from sdnb.library.recognition import A_KIND, KINDS, UNREAD, Told
from sdnb.request import checks
from sdnb.request.plain_words import counted, plain
from sdnb.request.prompt.wildcards import Wildcards

VARIABLE = "SDNB_LIBRARY"
_THREADS = 16  # they wait for the disk, mostly
_PATIENCE = 1.0  # seconds until a bar of progress is shown
_SHORTEST = 8  # letters of a hash by which a file is found, and those of an old one
_OLD = ("checkpoint", "control")  # kinds with an old hash


class NamingError(LookupError, ValueError):
    """No file of a library has this name, or several have it."""


class Library:
    """The checkpoints, LoRAs, embeddings, VAEs and control networks in folders.

    A folder is that of AUTOMATIC1111, Forge, ComfyUI or InvokeAI, the folder of models in it, or
    any other. What a file is, its tensors tell. Only headers are read, when the files are first
    asked for, and what was read is kept in the user's cache until a file changes.

    Raises FileNotFoundError for a folder that is not there.
    """

    def __init__(self, *folders: str | os.PathLike[str]) -> None:
        self.folders = tuple(user_path(folder) for folder in folders)
        for folder in self.folders:
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"the library {str(folder)!r} is no folder; give the folder of AUTOMATIC1111, "
                    "ComfyUI or InvokeAI, or any folder with models"
                )
        self._notes: tuple[str, ...] = ()
        self._files: list[LibraryFile] | None = None

    # -- whose files they are ------------------------------------------------------------------
    @property
    def given(self) -> Library | None:
        """The library that a user gave, which this one is; of a model's `ModelLibrary`, the one
        beside what the model brings along, or None.
        """
        return self

    @property
    def brought(self) -> Library | None:
        """What a model brings along; None in a user's library."""
        return None

    def brings(self, kind: str, name: str) -> bool:  # noqa: ARG002
        """Whether a name means a file that the model brings along."""
        return False

    # -- listing -------------------------------------------------------------------------------
    @property
    def notes(self) -> tuple[str, ...]:
        """What the last look at the folders has to say of itself."""
        return self._notes

    @property
    def listed(self) -> bool:
        """Whether the folders were looked at, so that `files` answers at once."""
        return self._files is not None

    def files(self, kind: str | None = None) -> list[LibraryFile]:
        """All files, or those of one kind: "checkpoint", "lora", "embedding", "vae", "control" or
        "other". What sdnb cannot use is among them and says why (`why_not`).
        """
        if kind is not None:
            checks.choice("kind", kind, KINDS)
        if self._files is None:
            self.refresh()
        return [file for file in self._files or () if kind in (None, file.kind)]

    def refresh(self, progress: Callable[[float], object] | None = None) -> None:
        """Look at the folders again. A header is read only where a file is new or has changed.

        `progress` is called with the share that was looked at, 0 to 1; None: a bar shows it where
        it takes long.
        """
        found = [each for folder in self.folders for each in layouts.walk(folder)]
        found = list({each.path: each for each in found}.values())
        entries, news = known.recall(), dict[str, Any]()
        listed: list[LibraryFile] = []
        pool = ThreadPoolExecutor(_THREADS)
        try:
            looked = pool.map(lambda each: _seen(each, entries), found)
            bar = tqdm(
                looked, "headers", len(found), unit="file", delay=_PATIENCE, leave=False,
                disable=progress is not None,
            )  # fmt: skip
            for n, (each, (seen, new)) in enumerate(zip(found, bar, strict=True), 1):
                if progress is not None:
                    progress(n / len(found))
                news.update(new)
                if seen is not None:
                    listed.append(LibraryFile.of(each.path, each.shelf, seen))
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the rest
        note = known.remember(news)
        self._notes = (note,) if note else ()
        self._files = sorted(listed, key=lambda file: (file.full_name.lower(), str(file.path)))

    @property
    def wildcards(self) -> Wildcards:
        """The lists of words that prompts name, `__animals__`: the files in folders of wildcards,
        of AUTOMATIC1111's and ComfyUI's extensions too. They are looked for at each call.
        """
        return wildcard_files.found_in(self.folders)

    # -- finding -------------------------------------------------------------------------------
    def find(self, kind: str, name: str) -> LibraryFile:
        """The file of this kind that a prompt or a picture calls `name`: with the folders before
        it, its own name, or its trainer's; with or without its ending.

        Raises NamingError (a LookupError), which lists similar names, or the files of this name.
        """
        checks.text("name", name)
        found = self._called(kind, name)
        if not found or not all(_is_there(file) for file in found):
            self.refresh()  # it may be new, or gone
            found = self._called(kind, name)
        if not found:
            raise NamingError(self.unknown(kind, name))
        if len(found) > 1 and not _equal(found):
            paths = [str(file.path) for file in found]
            clear = [each for each in map(self.name_of, found) if each not in paths]
            way_out = (
                f"Write the folder before the name, as {clear[0]!r}, give a path, or rename one"
                if clear
                else "No name means one of them alone: give its path, or rename one"
            )
            raise NamingError(
                f"{kind} {checks.shown(name)} means {len(found)} files: {', '.join(paths)}. "
                f"{way_out}"
            )
        return found[0]

    def name_of(self, file: LibraryFile) -> str:
        """The shortest name that means this file and no other; its path where there is none."""
        for name in (file.name, file.full_name):
            if all(other == file for other in self._called(file.kind, name)):
                return name
        return str(file.path)

    def path(self, kind: str, source: str | Path) -> str | Path:
        """The path of the file that `source` names, or `source` itself where it is a path already,
        or no file of this kind is called so. Raises NamingError for a name of two files.
        """
        if not isinstance(source, str) or not source.strip() or user_path(source).exists():
            return source
        return self.find(kind, source).path if self._called(kind, source) else source

    def _there(self, kind: str | None = None) -> list[LibraryFile]:
        return [file for file in self.files(kind) if file.path.is_file()]

    def _called(self, kind: str, name: str) -> list[LibraryFile]:
        ranked = [(file.called(name), file) for file in self.files(kind)]
        best = max((rank for rank, _ in ranked), default=0)
        called = [file for rank, file in ranked if rank == best > 0]
        # A damaged file stands in nobody's way.
        return [file for file in called if file.family != UNREAD] or called

    def unknown(self, kind: str, name: str) -> str:
        """Words for a name that no file of this kind has: what else is called so and why it is not
        used, or a similar name.
        """
        names = [name for file in self.files(kind) for name in (file.name, file.alias) if name]
        elsewhere = [f for k in KINDS if k != kind for f in self.files(k) if f.called(name)]
        near = checks.nearest(name, names)
        if elsewhere:
            other = elsewhere[0]
            what = A_KIND[other.kind]
            if other.kind == "other" and other.why_not:
                what = f"not used: {other.why_not.rstrip('.')}"
            near = f"; {other.path}, of this name, is {what}"
        among = counted(len(self.files(kind)), "file")
        thing = "control network" if kind == "control" else kind
        return (
            f"there is no {thing} {checks.shown(name)} among {among} of this kind in {self._where}"
            f"{near}"
        )

    @property
    def _where(self) -> str:
        return ", ".join(map(str, self.folders)) or "a library without folders"

    def by_sha256(self, digest: str, *, hash_missing: bool = False) -> LibraryFile | None:
        """The file with this sha256 (hex), or None. Only hashes that were computed before are
        compared, also where the file had another name then; `hash_missing` computes those of all
        other files, which reads them whole.
        """
        files = self._there()
        return by_hash.found(files, digest.lower(), ("sha256",), compute=hash_missing)

    def by_short_hash(
        self, start: str, kind: str | None = None, *, hash_missing: bool = False
    ) -> LibraryFile | None:
        """The file whose hash begins so, as AUTOMATIC1111 writes them: of the file, of the bytes
        behind a LoRA's header, or the old one, of control networks too. Below 8 letters: None.

        `hash_missing` as in `by_sha256`.
        """
        start = start.lower().removeprefix("0x")
        if len(start) < _SHORTEST:
            return None
        names, files = ("sha256", "weights_sha256"), self._there(kind)
        found = by_hash.found(files, start, names, compute=hash_missing)
        if found is None and len(start) == _SHORTEST and kind in (None, *_OLD):
            return by_hash.found_by_old([file for file in files if file.kind in _OLD], start)
        return found

    def recover(
        self, kind: str, name: str, digest: str = "", *, hash_missing: bool = False
    ) -> tuple[LibraryFile | None, str]:
        """The file that a picture was made with, by its hash, then by its name, and a sentence that
        says where it is another of that name, or missing; "" where it is the same.

        `digest` is a sha256, or its beginning as AUTOMATIC1111 writes it; "" where none is known.
        `hash_missing` as in `by_sha256`.
        """
        file = self.by_short_hash(digest, kind, hash_missing=hash_missing)
        if file is not None:
            return file, ""
        try:
            file = self.find(kind, name)
        except NamingError as error:
            told = (
                f" Its hash {digest[:12]} is told: with hash_missing=True it is looked for in all "
                "files, which are read whole."
            )
            dot = "" if str(error).endswith("?") else "."
            return None, plain(f"{error}{dot}{told if digest and not hash_missing else ''}")
        if not digest or by_hash.has(file, digest):
            return file, ""
        own, its = f"hash is {file.short_hash}", plain(digest, by_hash.WHOLE)
        if len(digest) == by_hash.WHOLE:  # of the whole file, which `short_hash` may not be
            own, its = f"sha256 begins with {by_hash.computed(file, 'sha256')[:12]}", digest[:12]
        return file, (
            f"{kind} {checks.shown(name)} is another file than the one that the picture was made "
            f"with: its {own}, not {its}."
        )

    def __repr__(self) -> str:
        where = ", ".join(map(str, self.folders))
        if self._files is None:
            return f"Library({where}; not looked at yet)"
        counts = Counter(file.kind for file in self._files)
        return f"Library({where}: {', '.join(f'{counts[k]} {k}' for k in KINDS if counts[k])})"


Source = Library | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None


def opened(source: Source) -> Library | None:
    """What `library=` of `load` means: a Library, a folder, or several; None: the folders of the
    environment's SDNB_LIBRARY, and no library where that is not set. Of a model's library it is
    what a user gave, since another model brings other files along.

    Raises FileNotFoundError for a folder that is not there.
    """
    if isinstance(source, Library):
        source = source.given
    if isinstance(source, Library):
        return source
    if source is None:
        folders = [each for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each.strip()]
        try:
            return Library(*folders) if folders else None
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{VARIABLE} in the environment: {error}") from None
    return Library(*([source] if isinstance(source, (str, os.PathLike)) else source))


def _seen(each: layouts.Found, entries: known.Entries) -> tuple[Look | None, Mapping[str, Any]]:
    """What is known of a file, and what the cache is to be told; runs in a thread of its own."""
    if each.why_not:
        return Look(Told(why_not=each.why_not)), {}
    try:
        now = known.stamp(each.path)
    except (OSError, ValueError):
        return look(each.path), {}  # it says why
    if each.path.is_dir():
        return look(each.path), {}
    kept = known.current(entries, each.path, now)
    if "seen" in kept:
        try:
            return Look.from_json(kept["seen"]) if kept["seen"] else None, {}
        except (TypeError, LookupError):  # of a damaged cache
            pass
    seen = look(each.path)
    return seen, {str(each.path): {"stamp": now, "seen": seen.as_json() if seen else None}}


def _equal(files: Sequence[LibraryFile]) -> bool:
    """Whether they are copies of one file, so that either is meant."""
    try:
        if len({file.path.stat().st_size for file in files}) > 1:
            return False
        return len({file.sha256 or str(file.path) for file in files}) == 1
    except OSError:
        return False


def _is_there(file: LibraryFile) -> bool:
    """False where the file was removed, or cannot be looked at."""
    with suppress(OSError):
        return bool(file.path.stat())
    return False
