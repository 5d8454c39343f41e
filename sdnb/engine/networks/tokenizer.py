"""Text to the 77 token ids that CLIP reads; imports no torch.

CLIP's own table ships with the package, so that a single-file checkpoint loads offline. A model
folder brings its own, in either of the forms that `transformers` writes. Only the table is a
model's own: how a text is cut up is CLIP's, for a file could ask for rules that make GBs of a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from sdnb.request import checks, documents
from sdnb.request.plain_words import plain

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
_FILE_LIMIT = 16 << 20  # bytes; CLIP's has 2 MB
_ADDED_LIMIT = 1 << 20  # letters of all added tokens; the library's automaton takes 100 times that


@dataclass(frozen=True)
class Tokens:
    """One text as ids: start, up to 75 tokens, end, then padding until 77."""

    ids: tuple[int, ...]
    count: int  # tokens of the whole text, without start and end
    room: int  # how many of them fit: 75
    dropped: str  # the end of the text that did not fit, or ""


class Tokenizer:
    """CLIP's byte-pair encoding, from a folder with `tokenizer.json`, or `vocab.json` and
    `merges.txt`; without one, CLIP's own 49,408 tokens. `padding` is the token that fills up a
    text; -1: the one that ends it.

    Raises `ValueError` when the files cannot be read, lack CLIP's two marks, or cut texts up in
    another way than CLIP.
    """

    def __init__(self, folder: Path | None = None, positions: int = 77, padding: int = -1) -> None:
        folder = folder or _CLIP
        self._folder = folder
        self._bpe = _open(folder)
        self._bpe.no_truncation()
        self._bpe.no_padding()
        self.positions = positions
        start, end = (self._bpe.token_to_id(mark) for mark in (_START, _END))
        if start is None or end is None:
            raise ValueError(
                f"the tokenizer in {folder} is not CLIP's: it has no {_START} or no {_END}. "
                "Stable Diffusion needs a CLIP tokenizer."
            )
        self.start, self.end = start, end
        self.padding = end if padding < 0 else padding

    @property
    def size(self) -> int:
        """How many rows the text encoder's table needs: one more than the largest id."""
        return 1 + max(self._bpe.get_vocab(with_added_tokens=True).values())

    def __call__(self, text: str) -> Tokens:
        with _in_words(f"the tokenizer in {self._folder} cannot read {checks.shown(text)}"):
            encoding = self._bpe.encode(text, add_special_tokens=False)
        room = self.positions - 2
        ids = [self.start, *encoding.ids[:room], self.end]
        ids += [self.padding] * (self.positions - len(ids))
        count = len(encoding.ids)
        dropped = text[encoding.offsets[room][0] :] if count > room else ""
        return Tokens(tuple(ids), count, room, dropped)


def _open(folder: Path) -> tokenizers.Tokenizer:
    whole, parts = folder / "tokenizer.json", [folder / "vocab.json", folder / "merges.txt"]
    if folder == _CLIP:
        return tokenizers.Tokenizer.from_file(str(whole))
    files = [whole] if whole.exists() else parts
    with _in_words(
        f"the tokenizer in {folder} cannot be read",
        "Expected tokenizer.json, or vocab.json and merges.txt, as transformers saves them.",
    ):
        texts = [documents.file_text(file, _FILE_LIMIT) for file in files]
        return _of_whole(texts[0]) if len(texts) == 1 else _of_parts(*texts)


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
