"""Reads the sprites on disk: `concepts.json` and one `sprites_STYLE.zip` for each style.

`concepts.json` is a list of `{"id", "label", "aliases", "tags", "weight", "styles", "held_out"}`,
and `{"asked", "unknown"}` where they are not the usual;
`sprites_flat.zip` holds `ID.webp` (RGBA, 224x224, cropped to the visible part and centred).
`sprites.py` writes both from emoji packages; write them yourself for sprites of your own.
"""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIZE = 224  # pixels a side of a stored sprite


@dataclass(frozen=True)
class Concept:
    """One thing that can be drawn, in one or more styles."""

    id: int  # the name of its files
    label: str
    aliases: tuple[str, ...] = ()  # other words for it
    tags: tuple[str, ...] = ()  # keywords
    weight: float = 1.0  # how often it is drawn, relative to the others
    styles: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()  # styles in which the UNet never sees it
    asked: tuple[str, ...] = ()  # styles that the evaluation asks for, all unless it is said
    unknown: bool = False  # also drawn for words that nobody knows

    @property
    def judged(self) -> tuple[str, ...]:
        """The styles that a picture is compared with: those that are asked for, if any is."""
        return self.asked or self.styles


class Catalog:
    """The concepts of a folder, and the number of each sprite."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        entries = json.loads((self.folder / "concepts.json").read_text("utf-8"))
        self.concepts = [_concept(entry) for entry in entries]
        self.styles = sorted({style for c in self.concepts for style in c.styles})
        rows = range(len(self.concepts))
        pairs = [(row, s) for s in self.styles for row in rows if s in self.concepts[row].styles]
        #: (row of the concept, style) -> the sprite's number in `sprites()`.
        self.number = {pair: i for i, pair in enumerate(pairs)}

    def sprites(self, numbers: list[int] | None = None, threads: int = 2) -> Tensor:
        """The sprites of these numbers (all of them by default), uint8 `[n, 4, 224, 224]`."""
        names = list(self.number)
        pairs = names if numbers is None else [names[i] for i in numbers]
        with ExitStack() as stack:
            packs = {
                style: stack.enter_context(zipfile.ZipFile(self.folder / f"sprites_{style}.zip"))
                for style in {style for _, style in pairs}
            }
            blobs = [packs[style].read(f"{self.concepts[row].id}.webp") for row, style in pairs]
        with ThreadPoolExecutor(threads) as pool:
            return torch.from_numpy(np.stack(list(pool.map(_decode, blobs))))


def _concept(entry: dict[str, Any]) -> Concept:
    many = {key: tuple(entry.get(key, ())) for key in ("aliases", "tags", "styles", "held_out")}
    many["asked"] = tuple(entry.get("asked", many["styles"]))
    unknown = entry.get("unknown", False)
    weight = entry.get("weight", 1.0)
    return Concept(entry["id"], entry["label"], weight=weight, unknown=unknown, **many)


def _decode(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).transpose(2, 0, 1)
