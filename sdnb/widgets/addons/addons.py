"""The section "Add-ons" of a panel: the chosen LoRAs, the library's list, and how prompts are read.

It is folded until somebody opens it, or a request comes that uses some of it; its title says how
many are in use, and how prompts are read where that is not the usual way. What is in it is made
when it is first opened.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from sdnb.library import Library, LibraryFile, few_steps
from sdnb.request import Request
from sdnb.request.lora import Lora
from sdnb.request.plain_words import counted, digits, reason
from sdnb.widgets.addons import finding, prompt_tags
from sdnb.widgets.addons.library_list import LibraryList
from sdnb.widgets.addons.lora_row import FileFacts
from sdnb.widgets.addons.loras_control import LorasControl
from sdnb.widgets.addons.tag_warnings import TagWarning
from sdnb.widgets.fold import Fold
from sdnb.widgets.form.fields import SYNTAXES_CALLED
from sdnb.widgets.hearing import in_order

Write = Callable[[str, str], object]


class AddOns(Fold):
    """What is laid over a model, for one panel.

    `read` gives the prompts and the syntax, by their names in a request; `write` gets a name and a
    prompt that was changed here. `more` are controls that are shown below. `listed` is called when
    the files of another library are known, which takes time; then `embeddings` has them.
    """

    def __init__(
        self, loras: LorasControl, more: Sequence[widgets.Widget],
        read: Callable[[str], str], write: Write, listed: Callable[[], object],
    ) -> None:  # fmt: skip
        self._loras, self._read, self._write, self._listed = loras, read, write, listed
        self._more = more
        self.embeddings: Mapping[str, Any] = {}
        self._library: Library | None = None
        self._width = 0
        self._model: Any = None
        self.grown: Callable[[], object] = lambda: None  #: called when there are more boxes
        self._known: dict[object, FileFacts] = {}  # of LoRAs, by name and digest
        self._paths: dict[str, object] = {}
        self._files: dict[str, LibraryFile | None] = {}  # of LoRAs, by name
        self._by_name: dict[str, finding.Names] = {}
        self._unread: list[tuple[Lora, LibraryFile]] = []
        self._list: LibraryList | None = None
        self._thread: threading.Thread | None = None
        loras.facts, loras.put = self._facts, partial(self._put, "prompt")
        loras.grown = self._has_grown
        super().__init__("Add-ons", [loras.widget, *more], self._build)
        self.add_class("sdnb-addons")

    @property
    def library(self) -> Library | None:
        """The library of the model that is served."""
        return self._library

    # -- what the form says ----------------------------------------------------------------------
    def serve(self, model: Any) -> None:
        """Show the library of this model from now on."""
        self._model, self._library = model, model.library
        self._width = model.config.unet.context_dim
        if self._library is None or self._library.listed:
            self._take_files()
        else:
            self._look()

    def show(self, embeddings: Sequence[str]) -> None:
        """Say how many are in use; the prompts name these embeddings, some of them both."""
        loras, embeddings = self._loras.used, list(dict.fromkeys(embeddings))
        counts = [(len(loras), "LoRA"), (len(embeddings), "embedding")]
        used = [counted(n, what) for n, what in counts if n]
        refused = sum(1 for each in loras if self._known_of(each).why_not)
        used += [f"{refused} cannot be used"] if refused else []
        used += self._reading()
        self.name(f"Add-ons: {', '.join(used)}" if used else "Add-ons")
        if self._list is not None:
            for each in loras:
                self._facts(each)
            named = {self._embedding_path(name) for name in embeddings}
            self._list.mark({self._paths.get(each.name) for each in loras} | named)

    def _reading(self) -> list[str]:
        """How prompts are read, where that is not the usual way."""
        syntax, skipped = self._read("syntax"), self._read("clip_skip")
        said = [] if syntax == Request.syntax else [f"syntax {SYNTAXES_CALLED[syntax]}"]
        return said if skipped == "None" else [*said, f"clip skip {skipped}"]

    # -- the library -----------------------------------------------------------------------------
    def _build(self) -> None:
        self._list = LibraryList(self._chosen, self._look)
        # Below the rows, which one works on; `keys.js` keeps a line under the mouse when one comes.
        shelf = Fold("Library", [self._list])
        shelf.unfolded = not self._loras.used
        self.inside.children = [self._loras.widget, shelf, *self._more]
        self._loras.unfold()
        if self._thread is None or not self._thread.is_alive():
            self._show_files()
        in_order(self.inside)
        self.grown()

    def _has_grown(self) -> None:
        self.grown()

    def _look(self) -> None:
        """Look through the library's folders, in a thread of its own."""
        if self._thread is not None and self._thread.is_alive():
            return
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._refresh,), daemon=True)
        self._thread.start()

    def look_if_gone(self) -> None:
        """Look through the folders again where a file that is in use is there no longer."""
        paths = [self._paths.get(each.name) for each in self._loras.used]
        if any(isinstance(path, Path) and not path.exists() for path in paths):
            self._look()

    def _refresh(self) -> None:
        while (library := self._library) is not None:
            try:
                library.refresh(self._looked)
            except OSError as error:
                self._say(f"The library cannot be read: {reason(error)}")
                return
            if library is self._library:  # no other model came meanwhile
                self._take_files()
                return

    def _looked(self, share: float) -> None:
        percent = round(share * 100)
        if percent % 5 == 0:
            self._say(f"Looking through the library: {percent} %")

    def _say(self, words: str) -> None:
        if self._list is not None:
            self._list.say(words)

    def _take_files(self) -> None:
        self._known.clear()
        self._paths.clear()
        self._files.clear()
        self._by_name.clear()
        before, known = self.embeddings, self._library is not None
        self.embeddings = finding.KnownEmbeddings(self._model.embeddings) if known else {}
        self._show_files()
        if known or before or self._loras.used:
            self._listed()

    def _show_files(self) -> None:
        if self._list is not None:
            library = self._library
            has_users = library is not None and library.given is not None
            self._list.show(finding.items(library, self._width), has_users=has_users)

    def _chosen(self, item: finding.Item, place: str) -> None:
        """Take the file of a line that was clicked; a LoRA that is there already goes."""
        assert self._library is not None
        file = item.file
        name = self._names(file.kind).shortest(file)
        if file.kind == "embedding":
            self._put(place, prompt_tags.named_embedding(name, self._read("syntax")))
            return
        there = [each.name for each in self._loras.used if self._paths.get(each.name) == file.path]
        if there:
            self._loras.remove(there)
        else:
            self._loras.add(Lora(name))

    def _put(self, place: str, words: str) -> None:
        """Put words at the end of a prompt, once."""
        text = self._read(place)
        longer = prompt_tags.with_words(text, words, self._read("syntax"))
        if longer != text:
            self._write(place, longer)

    # -- what is known of a file -----------------------------------------------------------------
    def warnings(self) -> list[TagWarning]:
        """What is wrong with the LoRAs of the prompt's tags, or odd."""
        text, said = self._read("prompt"), []
        for number, (tag, lora) in enumerate(self._loras.tagged):
            facts = self._facts(lora)
            if words := facts.why_not or facts.twice:
                said.append(TagWarning(number, text[tag.start : tag.end], words, facts.near))
        return said

    def file_of(self, lora: Lora) -> LibraryFile | None:
        """The file of a LoRA, by its name or path, as far as the library is known."""
        self._known_of(lora)
        file, path = self._files.get(lora.name), finding.file_at(lora.name)
        with suppress(OSError):
            return few_steps.at(path) if file is None and path is not None else file
        return None

    def _facts(self, lora: Lora) -> FileFacts:
        facts = self._known_of(lora)
        return facts if facts.why_not else replace(facts, twice=self._twice(lora))

    def _twice(self, lora: Lora) -> str:
        """A sentence where several of those in use are one file."""
        path, used = self._paths.get(lora.name), self._loras.used
        if path is None or lora not in used:
            return ""
        alike = [each for each in used if each.name == lora.name or self._path_of(each) == path]
        if len(alike) < 2:
            return ""
        names = ", ".join(dict.fromkeys(each.name for each in alike))
        whole = digits(sum(each.unet for each in alike))
        return f"one file, used {len(alike)} times ({names}): its strengths add up to {whole}"

    def _path_of(self, lora: Lora) -> object:
        self._known_of(lora)
        return self._paths.get(lora.name)

    def _known_of(self, lora: Lora) -> FileFacts:
        key = _key(lora)
        library = self._library
        if library is not None and not library.listed:
            return FileFacts(lora.name)
        if key not in self._known:
            file, why_not = finding.look_up(library, self._names("lora"), lora, self._width)
            self._paths[lora.name] = None if file is None else file.path
            self._files[lora.name] = file
            near = finding.near(self._names("lora"), lora.name) if file is None and why_not else ""
            self._known[key] = _facts(lora, file, why_not, lora.sha256 or "", near)
            if file is not None and not why_not and lora.sha256 is None:
                self._unread.append((lora, file))
                if len(self._unread) == 1:
                    context = contextvars.copy_context()
                    threading.Thread(target=context.run, args=(self._digest,), daemon=True).start()
        return self._known[key]

    def _embedding_path(self, name: str) -> object:
        """The file of an embedding that the prompt names."""
        key = f"embedding:{name}"
        if key not in self._paths:
            with suppress(ValueError):  # a name of two, which the inspector says
                file = self._names("embedding").find(name)
                self._paths[key] = None if file is None else file.path
        return self._paths.get(key)

    def _names(self, kind: str) -> finding.Names:
        """The names of the library's files of one kind, put together once."""
        if kind not in self._by_name:
            self._by_name[kind] = finding.Names(self._library, kind)
        return self._by_name[kind]

    def _digest(self) -> None:
        """Add the digests of files to what is known of them; a thread's work, since a file is read
        whole where its digest is not known yet.
        """
        while self._unread:
            (lora, file), *self._unread = self._unread
            with suppress(OSError):
                digest = file.sha256
                self._known[_key(lora)] = _facts(lora, file, "", digest)
                self._loras.refresh()


def _key(lora: Lora) -> tuple[str, str | None]:
    return lora.name, lora.sha256


def _facts(
    lora: Lora, file: LibraryFile | None, why_not: str, digest: str, near: str = ""
) -> FileFacts:
    if file is None:
        return FileFacts(lora.name, why_not=why_not, near=near)
    return FileFacts(finding.title(file, digest), file.words, why_not)
