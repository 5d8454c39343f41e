"""`LibraryFile`: a file of a library, and what is known of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sdnb.headers.picture_embedding import SUFFIXES
from sdnb.hints import Wanted, wanted
from sdnb.library import hashes, layouts
from sdnb.library.looking import Look
from sdnb.library.recognition import BASES, UNREAD
from sdnb.request.plain_words import counted

# Names that say nothing: diffusers' and InvokeAI's, where the folder has the name.
_NAMELESS = re.compile(
    r"(diffusion_pytorch_model|pytorch_lora_weights|learned_embeds|pytorch_model|model)(\..*)?"
)
_TITLE = re.compile(r" \[[0-9a-f]{6,64}\]$")  # AUTOMATIC1111's "name.safetensors [hash]"


@dataclass(frozen=True)
class LibraryFile:
    """A file of weights, or a diffusers folder, as its tensors tell.

    `kind` is "checkpoint", "lora", "embedding", "vae", "control" or "other", and `family` a closer
    word, as "locon" or "controlnet"; "unread" is that of a file in which no tensor can be read,
    which is a "lora" in a folder of LoRAs and "other" elsewhere. `base` is the family of models
    that it is or is for, as "sd1", "sd2" or "sdxl", "" where nothing says so. `name` is what it is
    called in a prompt, `alias` what its trainer called it, `folder` the folder from which names
    count: "styles/pixel" means `folder / "styles/pixel.safetensors"`. `width` is how wide its text
    is (768 for SD 1.x), `rank` a LoRA's rank or an embedding's number of vectors. `words` are its
    trigger words. `why_not` says why sdnb does not use it; it is "" for a file that it does.
    """

    path: Path
    kind: str
    name: str
    alias: str
    folder: Path
    base: str
    width: int
    rank: int
    words: tuple[str, ...]
    why_not: str
    family: str = ""
    hash_in_metadata: str = ""  # of its weights, as its trainer wrote it
    title: str = ""  # what its author calls it in its metadata

    @classmethod
    def of(cls, path: Path, shelf: Path, seen: Look) -> LibraryFile:
        """The file at `path`, seen so, on a shelf."""
        told = seen.told
        kind = layouts.kind_on(shelf) if told.family == UNREAD else told.kind
        return cls(
            path, kind, _name(path, shelf), seen.alias, shelf, told.base, told.width,
            told.rank, seen.words, told.why_not, told.family, seen.hash_of_weights, seen.title,
        )  # fmt: skip

    @cached_property
    def full_name(self) -> str:
        """The name with the folders before it, as "styles/pixel"."""
        try:
            inside = self.path.parent.relative_to(self.folder)
        except ValueError:  # it is the folder
            return self.name
        parts = inside.parts[:-1] if inside.parts[-1:] == (self.name,) else inside.parts
        return "/".join((*parts, self.name))

    @property
    def wanted(self) -> Wanted | None:
        """Of a control network, the preparation that it learnt from, by its name, its trainer's or
        its title; None where none of them says.
        """
        if self.kind != "control":
            return None
        return wanted(self.name, {"alias": self.alias, "title": self.title})

    @property
    def words_for_it(self) -> tuple[str, ...]:
        """What means this embedding in a prompt: its file's name, alone and with folders, the token
        of diffusers in angle brackets, and what a picture calls it, which alone is its word in
        AUTOMATIC1111. What other files say inside may be any word.
        """
        is_word = self.alias.startswith("<") or self.path.suffix.lower() in SUFFIXES
        return (self.name, self.full_name, *([self.alias] if is_word and self.alias else []))

    @property
    def sha256(self) -> str:
        """The sha256 of the file in hex, computed once and kept; "" for a folder. Raises OSError
        where it cannot be read.
        """
        return "" if self.path.is_dir() else hashes.sha256(self.path)

    @property
    def weights_sha256(self) -> str:
        """The hash that AUTOMATIC1111 gives a LoRA: what its metadata say, else the sha256 of the
        bytes behind the header, and of a file without a header that of all.
        """
        if self.hash_in_metadata:
            return self.hash_in_metadata
        return "" if self.path.is_dir() else hashes.weights_sha256(self.path)

    @property
    def short_hash(self) -> str:
        """What AUTOMATIC1111 writes into a picture for this file."""
        if self.kind == "lora":
            return self.weights_sha256[:12]
        if self.kind == "control" and self.path.is_file():
            return hashes.old_hash(self.path)
        return self.sha256[: 12 if self.kind == "embedding" else 10]

    def called(self, words: str) -> int:
        """How a name means this file: 3 with its folders, 2 by its own name, 1 by its alias, 0 not
        at all. The file's ending may stand behind the name.
        """
        wanted = _TITLE.sub("", words).replace("\\", "/")
        full, name, alias, ending = self.full_name, self.name, self.alias, self.path.suffix
        if self.kind == "embedding":  # the text encoder reads small letters
            wanted, full, name, alias = (each.lower() for each in (wanted, full, name, alias))
        if wanted in (full, full + ending) and full != name:
            return 3
        return 2 if wanted in (name, name + ending) else 1 if alias and wanted == alias else 0

    def __str__(self) -> str:
        facts = [self.family, BASES.get(self.base, self.base)]
        if self.kind == "lora" and self.rank:
            facts.append(f"rank {self.rank}")
        if self.kind == "embedding" and self.rank:
            facts.append(counted(self.rank, "vector"))
        if self.words:
            facts.append(f"words: {', '.join(self.words[:4])}")
        if self.wanted and self.wanted.prepare:
            facts.append(f'prepare="{self.wanted.prepare}"')
        if self.why_not:
            facts.append(f"not used: {self.why_not}")
        known = "; ".join(filter(None, facts))
        return f"{self.kind} {self.full_name}" + (f" ({known})" if known else "")


def _name(path: Path, shelf: Path) -> str:
    if path.is_dir():
        hub = path.parts[-3] if path.parent.name == "snapshots" else ""  # of the hub's own cache
        return hub.rpartition("--")[2] or path.name
    found = _NAMELESS.fullmatch(path.stem)
    if found and path.parent != shelf:
        return path.parent.name + (found[2] or "")
    return path.stem
