"""Text to the token ids that CLIP reads, 77 at once; imports no torch.

CLIP's own table ships with the package, so that a single-file checkpoint loads offline. A model
folder brings its own, in either of the forms that `transformers` writes. Only the table is a
model's own: how a text is cut up is CLIP's, for a file could ask for rules that make GBs of a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import tokenizers

from sdnb.engine.networks.chunks import Atom, Chunk, by_commas, by_segments, filled
from sdnb.request import checks, documents
from sdnb.request.plain_words import plain
from sdnb.request.prompt import Fragment

_CLIP = Path(__file__).parent / "clip"
_START, _END = "<|startoftext|>", "<|endoftext|>"
#: What CLIP takes as a word.
_MARKS = r"<\|startoftext\|>|<\|endoftext\|>|"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# What a tokenizer.json may say or leave out.
_DEFAULTS = {
    "dropout": 0, "continuing_subword_prefix": "", "fuse_unk": False, "byte_fallback": False,
    "ignore_merges": False, "use_regex": True, "trim_offsets": True,
}  # fmt: skip
# How ComfyUI names an embedding, and what its name may end with there.
_NAMED = re.compile(r"(?:(?<=\s)|^)embedding:(\S*)")
_SUFFIX = re.compile(r"\.(?:pt|bin|safetensors)$", re.IGNORECASE)
_FILE_LIMIT = 16 << 20  # bytes; CLIP's has 2 MB
_ADDED_LIMIT = 1 << 20  # letters of all added tokens; the library's automaton takes 100 times that


class Tokenizer:
    """CLIP's byte-pair encoding, from a folder with `tokenizer.json`, or `vocab.json` and
    `merges.txt`; without one, CLIP's own 49,408 tokens. `padding` is the token that fills up a
    text; -1: the one that ends it. `size` is how many rows the text encoder's table needs: one more
    than the largest id.

    Raises `ValueError` when the files cannot be read, lack CLIP's two marks, or cut texts up in
    another way than CLIP.
    """

    def __init__(self, folder: Path | None = None, positions: int = 77, padding: int = -1) -> None:
        folder = folder or _CLIP
        self._folder = folder
        self._bpe, self.size = _open(folder)
        self.positions = positions
        start, end = (self._bpe.token_to_id(mark) for mark in (_START, _END))
        if start is None or end is None:
            raise ValueError(
                f"the tokenizer in {folder} is not CLIP's: it has no {_START} or no {_END}. "
                "Stable Diffusion needs a CLIP tokenizer."
            )
        self.start, self.end = start, end
        self.padding = end if padding < 0 else padding
        self._comma: int | None = self._bpe.token_to_id(",</w>")
        self._names: dict[str, tuple[int, ...]] = {}  # ids of embeddings' names

    @property
    def room(self) -> int:
        """How many tokens of a text fit into a chunk: 75."""
        return self.positions - 2

    def __call__(self, text: str) -> Chunk:
        """The first 75 tokens of a text without weights: what a model is trained on."""
        ids, _ = self._encoded(text)
        return self._filled([Atom((one,), 1.0, (0, 0)) for one in ids[: self.room]])

    def chunks(
        self,
        fragments: Sequence[Fragment],
        syntax: str = "blocks",
        embeddings: Mapping[str, Any] | None = None,
    ) -> list[Chunk]:
        """The runs of one text in chunks, cut as ComfyUI or, for any other syntax, AUTOMATIC1111
        does. No token is left out.

        `embeddings` are textual inversions by name; each has `vectors` `[n, width]`, and takes n
        ids. In ComfyUI's syntax a prompt names them `embedding:name`, else `name`, in small or
        large letters, anywhere. Raises ValueError for more vectors than fit into a chunk.
        """
        known = embeddings or {}
        if syntax == "comfy":
            segments = [s for i, f in enumerate(fragments) for s in self._segments(i, f, known)]
            return [self._filled(atoms) for atoms in by_segments(segments, self.room)]
        by_ids = self._by_ids(known)
        atoms = [a for i, f in enumerate(fragments) for a in self._atoms(i, f, known, by_ids)]
        return [self._filled(chunk) for chunk in by_commas(atoms, self.room, self._comma)]

    def _filled(self, atoms: Sequence[Atom]) -> Chunk:
        return filled(atoms, (self.start, self.end, self.padding), self.positions)

    def _encoded(self, text: str) -> tuple[list[int], list[int]]:
        """The ids of a text, and where each begins in it."""
        with _in_words(f"the tokenizer in {self._folder} cannot read {checks.shown(text)}"):
            encoding = self._bpe.encode(text, add_special_tokens=False)
        return encoding.ids, [begin for begin, _ in encoding.offsets]

    # -- embeddings ------------------------------------------------------------------------------
    def _by_ids(self, known: Mapping[str, Any]) -> dict[int, list[tuple[tuple[int, ...], str]]]:
        """The names of embeddings by their first id, the longest first."""
        found: dict[int, list[tuple[tuple[int, ...], str]]] = {}
        for name in known:
            if name not in self._names:
                self._names[name] = tuple(self._encoded(name)[0])
            if self._names[name]:
                found.setdefault(self._names[name][0], []).append((self._names[name], name))
        for names in found.values():
            names.sort(key=lambda pair: -len(pair[0]))
        return found

    def _atoms(
        self,
        index: int,
        fragment: Fragment,
        known: Mapping[str, Any],
        by_ids: Mapping[int, list[tuple[tuple[int, ...], str]]],
    ) -> Iterator[Atom]:
        """The tokens of a fragment; where some of them spell a name, its embedding instead."""
        if fragment.breaks:
            yield Atom((), 1.0, (index, 0))
        ids, offsets = self._encoded(fragment.text)
        at = 0
        while at < len(ids):
            place = index, offsets[at]
            for name_ids, name in by_ids.get(ids[at], ()):
                if tuple(ids[at : at + len(name_ids)]) == name_ids:
                    yield self._embedding(name, known, fragment.weight, place)
                    at += len(name_ids)
                    break
            else:
                yield Atom((ids[at],), fragment.weight, place)
                at += 1

    def _embedding(
        self, name: str, known: Mapping[str, Any], weight: float, place: tuple[int, int]
    ) -> Atom:
        embedding = known[name]
        count = len(embedding.vectors)
        if not 0 < count <= self.room:
            raise ValueError(
                f"the embedding {checks.shown(name)} has {count} vectors, and a chunk of a prompt "
                f"has room for {self.room}: take its name out of the prompt"
            )
        return Atom((0,) * count, weight, place, embedding)

    def _segments(
        self, index: int, fragment: Fragment, known: Mapping[str, Any]
    ) -> Iterator[list[Atom]]:
        """What ComfyUI never mixes in a fragment: words, and embeddings that are named."""
        at = 0
        for match in _NAMED.finditer(fragment.text):
            yield self._words(index, fragment, at, match.start())
            at = match.end()
            name = _named(match[1], known)
            if name is None:
                raise ValueError(
                    f"{checks.shown(match[0])} names an embedding that is not here"
                    f"{'; ' + checks.known(match[1], tuple(known)) if known else ''}: take it out "
                    "of the prompt, or load the model with a library= that has it"
                )
            at -= len(match[1]) - len(match[1].rstrip(","))
            yield [self._embedding(name, known, fragment.weight, (index, match.start()))]
        yield self._words(index, fragment, at, len(fragment.text))

    def _words(self, index: int, fragment: Fragment, begin: int, end: int) -> list[Atom]:
        ids, offsets = self._encoded(fragment.text[begin:end])
        places = ((index, begin + offset) for offset in offsets)
        return [Atom((i,), fragment.weight, p) for i, p in zip(ids, places, strict=True)]


def _named(word: str, known: Mapping[str, Any]) -> str | None:
    """The name of a known embedding: with or without its suffix and its folder, in any case."""
    wanted = _SUFFIX.sub("", word.rstrip(",")).casefold()
    by_name = {_SUFFIX.sub("", name).casefold(): name for name in known}
    return by_name.get(wanted) or by_name.get(wanted.rsplit("/", 1)[-1])


def _open(folder: Path) -> tuple[tokenizers.Tokenizer, int]:
    """The tokenizer in a folder, and its size."""
    whole, parts = folder / "tokenizer.json", [folder / "vocab.json", folder / "merges.txt"]
    if folder == _CLIP:
        return _own()
    files = [whole] if whole.exists() else parts
    with _in_words(
        f"the tokenizer in {folder} cannot be read",
        "Expected tokenizer.json, or vocab.json and merges.txt, as transformers saves them.",
    ):
        texts = [documents.file_text(file, _FILE_LIMIT) for file in files]
        return _of_files(*texts)


@lru_cache(maxsize=1)
def _own() -> tuple[tokenizers.Tokenizer, int]:
    return _with_size(tokenizers.Tokenizer.from_file(str(_CLIP / "tokenizer.json")))


# Most models bring the same 49,408 tokens, half a second of reading for each: who loads one after
# another shares them. Nothing of a tokenizer changes after this.
@lru_cache(maxsize=2)
def _of_files(*texts: str) -> tuple[tokenizers.Tokenizer, int]:
    """The tokenizer of a `tokenizer.json`, or of a `vocab.json` and a `merges.txt`, by what they
    hold; and its size.
    """
    return _with_size(_of_whole(*texts) if len(texts) == 1 else _of_parts(*texts))


def _with_size(bpe: tokenizers.Tokenizer) -> tuple[tokenizers.Tokenizer, int]:
    bpe.no_truncation()
    bpe.no_padding()
    return bpe, 1 + max(bpe.get_vocab(with_added_tokens=True).values(), default=-1)


@contextmanager
def _in_words(what: str, then: str = "") -> Iterator[None]:
    """Turn all errors into `ValueError`. The library raises bare Exceptions; where it panics, it is
    a BaseException.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        said = plain(str(error), 300) or type(error).__name__
        raise ValueError(f"{what}: {said}. {then}".rstrip()) from error


def _of_whole(text: str) -> tokenizers.Tokenizer:
    """A `tokenizer.json`, whose rules are compared with CLIP's before the library follows them."""
    tree = documents.from_json(text)
    rules, clip = (_rules(t) for t in (tree, json.loads((_CLIP / "tokenizer.json").read_text())))
    for name in rules | clip:
        if rules.get(name) != clip.get(name):
            raise ValueError(
                f"its {name} is {checks.shown(rules.get(name))}, which is not CLIP's; Stable "
                "Diffusion needs a CLIP tokenizer"
            )
    added = sum(len(json.dumps(token)) for token in tree.get("added_tokens") or ())
    if added > _ADDED_LIMIT:
        raise ValueError(f"its added tokens take {added:,} letters; {_ADDED_LIMIT:,} are read")
    unused = dict.fromkeys(("truncation", "padding", "post_processor", "decoder"))
    return tokenizers.Tokenizer.from_str(json.dumps({**tree, **unused}))


def _rules(tree: Any) -> dict[str, Any]:
    """What a `tokenizer.json` says apart from its table, without the defaults."""
    if not isinstance(tree, dict) or not isinstance(tree.get("model"), dict):
        raise ValueError("it describes no tokenizer")  # noqa: TRY004 - the file is wrong
    table = ("vocab", "merges", "unk_token")
    options = {name: value for name, value in tree["model"].items() if name not in table}
    steps = {name: tree.get(name) for name in ("normalizer", "pre_tokenizer")}
    rules: dict[str, Any] = _without_defaults({"type": "BPE", **options, **steps})
    return rules


def _without_defaults(rule: Any) -> Any:
    if isinstance(rule, dict):
        kept = {k: v for k, v in rule.items() if v is not None and v != _DEFAULTS.get(k)}
        return {k: _without_defaults(v) for k, v in kept.items()}
    if isinstance(rule, list):
        return [_without_defaults(step) for step in rule]
    return rule.removeprefix(_MARKS) if isinstance(rule, str) else rule  # older files lack them


def _of_parts(vocabulary: str, merges: str) -> tokenizers.Tokenizer:
    """CLIP's way of splitting a text, with the table of a `vocab.json` and a `merges.txt`."""
    from tokenizers import Regex, models, normalizers, pre_tokenizers

    lines = (line.rstrip("\r") for line in merges.split("\n"))
    pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    if not all(len(pair) == 2 for pair in pairs):
        raise ValueError("a line of merges.txt is not two parts of a word")
    table = models.BPE(
        vocab=documents.from_json(vocabulary),
        merges=[(one, two) for one, two in pairs],
        unk_token=_END,
        end_of_word_suffix="</w>",
    )
    bpe = tokenizers.Tokenizer(table)
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(_MARKS + _WORDS), behavior="removed", invert=True)
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_])
    known = [mark for mark in (_START, _END) if bpe.token_to_id(mark) is not None]
    bpe.add_special_tokens([tokenizers.AddedToken(mark, normalized=False) for mark in known])
    return bpe
