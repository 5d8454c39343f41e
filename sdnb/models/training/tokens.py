"""Cuts CLIP's byte-pair encoding down to the part that the captions need.

CLIP's 49,408 tokens would take 12 million weights, twice the rest of the text encoder. The kept
merges split every word of the captions exactly as CLIP does; other words fall into smaller pieces.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path

from . import phrases
from .catalog import Catalog
from .scenes import Composer

_MERGES = 49152 - 256 - 2  # in CLIP
_COMMON = 600  # CLIP's first merges, kept for words that no caption has
_CAPTIONS = 5000  # a sample; some 600 captions have all of the grammar's 63 words
_MARKS = ("<|startoftext|>", "<|endoftext|>")
#: How CLIP splits a text into words before it merges: letters, single digits, the rest.
_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")


def write(data: Path, bpe: Path, folder: Path) -> int:
    """Write `vocab.json` and `merges.txt` for a catalog's captions; returns the count of tokens."""
    lines = gzip.decompress(bpe.read_bytes()).decode().split("\n")
    merges = kept(lines[1 : _MERGES + 1], words(Catalog(data)))  # the first line is a title
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


def words(catalog: Catalog) -> set[str]:
    """The words of the captions: all names and tags, and the grammar's words from a sample."""
    texts = []
    for concept in catalog.concepts:
        names = (concept.label, *concept.aliases)
        texts += [*names, *map(phrases.plural, names), *concept.tags]
    composer = Composer(catalog, 0, "all")
    texts += [composer.draw()[1] for _ in range(_CAPTIONS)]
    return {word for text in texts for word in _WORDS.findall(text.lower())}


def kept(merges: list[str], vocabulary: Iterable[str]) -> list[str]:
    """The merges that the vocabulary uses, and the first `_COMMON` of all, in CLIP's order."""
    rank = {tuple(merge.split()): i for i, merge in enumerate(merges)}
    letters, used = _letters(), set(range(min(_COMMON, len(merges))))
    for word in vocabulary:
        parts = [letters[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            ranks = [rank.get(pair, len(rank)) for pair in itertools.pairwise(parts)]
            best = min(ranks)
            if best == len(rank):
                break
            used.add(best)
            i = ranks.index(best)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return [merges[i] for i in sorted(used)]


def _letters() -> dict[int, str]:
    """GPT-2's letter for every byte: printable ones are themselves, the rest follow at 256."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}
