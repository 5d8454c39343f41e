"""Where a long prompt is cut: into chunks of 75 tokens, which the text encoder reads one by one.

AUTOMATIC1111 and ComfyUI cut in different places, and a picture depends on where. In both a text
keeps all its tokens, and an embedding, which is several vectors for one name, is never cut. Imports
no torch. The rules are those of `modules/sd_hijack_clip.py` and `comfy/sd1_clip.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

#: With this many tokens or fewer after the last comma, they go to the next chunk together.
BACKTRACK = 20
#: In ComfyUI, words between two weights with fewer tokens than these go to the next chunk together.
FEW = 8


@dataclass(frozen=True)
class Chunk:
    """What the text encoder reads at once: 77 ids, which are start, up to 75 tokens, end, padding.

    `weights` has one for each id. `embeddings` says which ids are taken by vectors instead, as
    (first position, embedding). It begins with character `begins[1]` of fragment `begins[0]`.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    embeddings: tuple[tuple[int, Any], ...]
    count: int  # tokens of the text
    begins: tuple[int, int] = (0, 0)


class Atom(NamedTuple):
    """What is never cut: a token, or an embedding, which takes several ids; with none, a BREAK."""

    ids: tuple[int, ...]
    weight: float
    place: tuple[int, int]  # fragment, and character in its text
    embedding: Any = None


def by_commas(atoms: Sequence[Atom], room: int, comma: int | None) -> list[list[Atom]]:
    """Chunks as AUTOMATIC1111 makes them: a chunk that would end within words after a comma ends
    with that comma. `comma` is its id.
    """
    chunks: list[list[Atom]] = []
    now: list[Atom] = []
    size, last = 0, None  # ids in `now`; the place of its last comma, in atoms and in ids
    for atom in atoms:
        moved: list[Atom] | None = None
        is_comma = atom.embedding is None and atom.ids == (comma,)
        if not atom.ids or (is_comma and size == room):
            moved = []
        elif size == room and last is not None and size - last[1] <= BACKTRACK:
            moved = now[last[0] + 1 :]
            del now[last[0] + 1 :]
        elif size + len(atom.ids) > room:
            moved = []
        if moved is not None:
            chunks.append(now)
            now, size, last = moved, sum(len(a.ids) for a in moved), None
            if size + len(atom.ids) > room:  # an embedding behind what was moved
                chunks.append(now)
                now, size = [], 0
        if is_comma:
            last = len(now), size
        if atom.ids:
            now.append(atom)
            size += len(atom.ids)
    return [*chunks, now] if now or not chunks else chunks


def by_segments(segments: Sequence[Sequence[Atom]], room: int) -> list[list[Atom]]:
    """Chunks as ComfyUI makes them: a segment that does not fit goes to the next chunk if it is
    short, and else is cut.
    """
    chunks: list[list[Atom]] = [[]]
    size = 0
    for segment in segments:
        rest, is_large = list(segment), len(segment) >= FEW
        while rest:
            long = sum(len(atom.ids) for atom in rest)
            if size + long <= room:
                chunks[-1] += rest
                size += long
                break
            if is_large:
                chunks[-1] += rest[: room - size]
                rest = rest[room - size :]
            chunks.append([])
            size = 0
    return chunks


def filled(atoms: Sequence[Atom], marks: tuple[int, int, int], positions: int) -> Chunk:
    """A chunk of these atoms; `marks` are the ids of start, end and padding."""
    start, end, pad = marks
    ids, weights = [start], [1.0]
    embeddings = []
    for atom in atoms:
        if atom.embedding is not None:
            embeddings.append((len(ids), atom.embedding))
        ids += atom.ids
        weights += [atom.weight] * len(atom.ids)
    count, more = len(ids) - 1, positions - len(ids) - 1
    return Chunk(
        (*ids, end, *[pad] * more),
        (*weights, *[1.0] * (more + 1)),
        tuple(embeddings),
        count,
        atoms[0].place if atoms else (0, 0),
    )
