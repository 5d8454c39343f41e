"""Cuts CLIP's byte-pair encoding down to the part that the captions need.

CLIP's 49,408 tokens would take 12 million weights, twice the rest of the text encoder. The kept
merges split every word of the captions exactly as CLIP does; other words fall into smaller pieces.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import phrases
from .catalog import Catalog
from .loose_words import vocabulary
from .scenes import Composer

_MERGES = 49152 - 256 - 2  # in CLIP
_NEVER = 1 << 30  # the rank of what is no merge
_COMMON = 600  # CLIP's first merges, kept for words that no caption has
_CAPTIONS = 5000  # a sample; some 600 captions have all of the grammar's 63 words
_MARKS = ("<|startoftext|>", "<|endoftext|>")
#: How CLIP splits a text into words before it merges: letters, single digits, the rest.
_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")


def write(data: Path, bpe: Path, folder: Path) -> int:
    """Write `vocab.json` and `merges.txt` for a catalog's captions; returns the count of tokens."""
    merges = kept(_all_merges(bpe), words(Catalog(data)))
    letters = list(_letters().values())
    table = [*letters, *(letter + "</w>" for letter in letters)]
    table += ["".join(merge.split()) for merge in merges] + list(_MARKS)
    folder.mkdir(parents=True, exist_ok=True)
    ids = {token: i for i, token in enumerate(table)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    start, end = _MARKS
    marks = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **marks}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return len(table)


def grow(data: Path, bpe: Path, init: Path, folder: Path) -> int:
    """Write the tokenizer of the folder `init`, grown by the words of a catalog's captions.

    All its tokens keep their ids; the new ones follow the last. Both cuts' merges stand in CLIP's
    order, so that each word which either splits as CLIP does still is. Returns the count of
    tokens; ValueError if `init` has merges that CLIP lacks.
    """
    every = _all_merges(bpe)
    lines = (init / "merges.txt").read_text("utf-8").split("\n")
    had = {line for line in lines if line and not line.startswith("#version")}
    if not had <= set(every):
        raise ValueError(f"{init} has {len(had - set(every))} merges that CLIP lacks: it is no cut")
    wanted = had | set(kept(every, words(Catalog(data))))
    merges = [merge for merge in every if merge in wanted]
    ids = json.loads((init / "vocab.json").read_text("utf-8"))
    fresh = [token for merge in merges if (token := "".join(merge.split())) not in ids]
    ids |= {token: len(ids) + i for i, token in enumerate(fresh)}
    shutil.copytree(init, folder, dirs_exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return len(ids)


def pieces(init: Path, folder: Path) -> dict[int, list[int]]:
    """For each id that `folder`'s tokenizer has and `init`'s has not: the ids that `init`'s gives
    to the same letters. ValueError unless `folder`'s goes on from `init`'s.
    """
    old, new = (json.loads((at / "vocab.json").read_text("utf-8")) for at in (init, folder))
    if any(new.get(token) != number for token, number in old.items()):
        raise ValueError(
            f"the tokenizer in {folder} does not go on from {init}: make it with --init"
        )
    lines = (init / "merges.txt").read_text("utf-8").split("\n")
    rank = {tuple(line.split(" ")): i for i, line in enumerate(lines) if not line.startswith("#")}
    out = {}
    for token, number in new.items():
        if token not in old:
            letters = list(token.removesuffix("</w>"))
            letters[-1] += "</w>" * token.endswith("</w>")
            out[number] = [old[part] for part in _merged(letters, rank)[0]]
    return out


def _all_merges(bpe: Path) -> list[str]:
    lines = gzip.decompress(bpe.read_bytes()).decode().split("\n")
    return lines[1 : _MERGES + 1]  # the first line is a title


def words(catalog: Catalog) -> set[str]:
    """The words of the captions: all names and tags, and the grammar's words from a sample."""
    texts = []
    for concept in catalog.concepts:
        names = (concept.label, *concept.aliases)
        texts += [*names, *map(phrases.plural, names), *concept.tags]
    composer = Composer(catalog, 0, "all")
    composer.unknown, composer.loose = [], 0.0  # made-up words are to be split
    texts += [composer.draw()[1] for _ in range(_CAPTIONS)]
    return {word for text in texts for word in _WORDS.findall(text.lower())} | vocabulary()


def kept(merges: list[str], vocabulary: Iterable[str]) -> list[str]:
    """The merges that the vocabulary uses, and the first `_COMMON` of all, in CLIP's order."""
    rank = {tuple(merge.split()): i for i, merge in enumerate(merges)}
    letters, used = _letters(), set(range(min(_COMMON, len(merges))))
    for word in vocabulary:
        parts = [letters[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        used |= _merged(parts, rank)[1]
    return [merges[i] for i in sorted(used)]


def _merged(parts: list[str], rank: dict[tuple[str, ...], int]) -> tuple[list[str], set[int]]:
    """A word's parts after all merges that apply, the lowest rank first; and those merges."""
    used: set[int] = set()
    while len(parts) > 1:
        ranks = [rank.get(pair, _NEVER) for pair in itertools.pairwise(parts)]
        best = min(ranks)
        if best == _NEVER:
            break
        used.add(best)
        i = ranks.index(best)
        parts = [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :]]
    return parts, used


def _letters() -> dict[int, str]:
    """GPT-2's letter for every byte: printable ones are themselves, the rest follow at 256."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}
