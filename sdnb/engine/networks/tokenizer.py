"""Text to the 77 token ids that CLIP reads; imports no torch.

CLIP's own table ships with the package, so that a single-file checkpoint loads offline. A model
folder brings its own, in either of the forms that `transformers` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tokenizers

_CLIP = Path(__file__).parent / "clip"
_START, _END = "<|startoftext|>", "<|endoftext|>"
#: What CLIP takes as a word.
_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


@dataclass(frozen=True)
class Tokens:
    """One text as ids: start, up to 75 tokens, end, then ends until 77."""

    ids: tuple[int, ...]
    count: int  # tokens of the whole text, without start and end
    room: int  # how many of them fit: 75
    dropped: str  # the end of the text that did not fit, or ""


class Tokenizer:
    """CLIP's byte-pair encoding, from a folder with `tokenizer.json`, or `vocab.json` and
    `merges.txt`; without one, CLIP's own 49,408 tokens.

    Raises `ValueError` when the files cannot be read, or lack CLIP's two marks.
    """

    def __init__(self, folder: Path | None = None, positions: int = 77) -> None:
        folder = folder or _CLIP
        self._bpe = _open(folder)
        self._bpe.no_truncation()
        self._bpe.no_padding()
        self.positions = positions
        start, end = (self._bpe.token_to_id(mark) for mark in (_START, _END))
        if start is None or end is None:
            raise ValueError(
                f"the tokenizer in {folder} is not CLIP's: it has no {_START} or no {_END}. "
                "Stable Diffusion 1.x needs a CLIP tokenizer."
            )
        self.start, self.end = start, end

    @property
    def size(self) -> int:
        """How many tokens the table knows."""
        return int(self._bpe.get_vocab_size(with_added_tokens=True))

    def __call__(self, text: str) -> Tokens:
        encoding = self._bpe.encode(text, add_special_tokens=False)
        room = self.positions - 2
        ids = [self.start, *encoding.ids[:room], self.end]
        ids += [self.end] * (self.positions - len(ids))
        count = len(encoding.ids)
        dropped = text[encoding.offsets[room][0] :] if count > room else ""
        return Tokens(tuple(ids), count, room, dropped)


def _open(folder: Path) -> tokenizers.Tokenizer:
    whole, parts = folder / "tokenizer.json", [folder / "vocab.json", folder / "merges.txt"]
    expected = "Expected tokenizer.json, or vocab.json and merges.txt, as transformers saves them."
    if not whole.exists() and not all(part.exists() for part in parts):
        raise ValueError(f"the tokenizer in {folder} cannot be read: no such files. {expected}")
    try:
        if whole.exists():
            return tokenizers.Tokenizer.from_file(str(whole))
        return _of_parts(*parts)
    except Exception as error:  # the library raises bare Exceptions
        raise ValueError(
            f"the tokenizer in {folder} cannot be read: {error}. {expected}"
        ) from error


def _of_parts(vocabulary: Path, merges: Path) -> tokenizers.Tokenizer:
    """CLIP's way of splitting a text, with another table."""
    from tokenizers import Regex, models, normalizers, pre_tokenizers

    table = models.BPE.from_file(
        str(vocabulary), str(merges), unk_token=_END, end_of_word_suffix="</w>"
    )
    bpe = tokenizers.Tokenizer(table)
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_])
    known = [mark for mark in (_START, _END) if bpe.token_to_id(mark) is not None]
    bpe.add_special_tokens([tokenizers.AddedToken(mark, normalized=False) for mark in known])
    return bpe
