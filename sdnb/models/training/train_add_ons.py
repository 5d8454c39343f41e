"""`python -m sdnb.models.training.train_add_ons`: the add-ons that come with the embedded model.

Two styles, whose examples are its own pictures after image processing (`picture_styles`), and a new
word, whose examples are drawings (`blorp`). No pictures from elsewhere are needed.

    python -m sdnb.models.training.train_add_ons --out folder --only blueprint

A card takes some two minutes for each, its examples included. Without one the word took 23 minutes
on one core, and a style takes far longer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from tqdm.auto import tqdm

import sdnb

from . import blorp, picture_styles, things
from .phrases import article
from .train_embedding import train_embedding
from .train_lora import train_lora

if TYPE_CHECKING:
    from sdnb.engine.model import Model

SEED = 1000  # of the first example


@dataclass(frozen=True)
class AddOn:
    """What is trained, from how many examples, and how."""

    folder: str  # of the model's folder
    examples: Callable[[Model, int], tuple[Sequence[Image.Image], Sequence[str]]]
    count: int
    train: Callable[..., Path]
    how: dict[str, Any]


def main() -> None:
    """Train each that is asked for; the file is whole when it is done."""
    args = _parser().parse_args()
    model = sdnb.load(args.model, memory=args.memory, precision="full")
    for name in args.only or ADD_ONS:
        add_on = ADD_ONS[name]
        given = {key: getattr(args, key) for key in ("steps", "batch", "rate", "seed")}
        how = {**add_on.how, **{key: value for key, value in given.items() if value is not None}}
        pictures, captions = add_on.examples(model, args.count or add_on.count)
        began = time.monotonic()
        path = args.out / add_on.folder / f"{name}.safetensors"
        add_on.train(model, pictures, captions, path, resume=args.resume, **how)
        size, took = path.stat().st_size / 1e6, time.monotonic() - began
        print(f"{path}: {size:.2f} MB, {len(pictures)} examples, {took:.0f} s", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--only", nargs="+", choices=ADD_ONS, help="all by default")
    parser.add_argument("--model", help="another model than the built-in one")
    parser.add_argument("--memory", default="auto", help="its memory plan; cpu: without a card")
    parser.add_argument("--count", type=int, help="examples; by default those of each add-on")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", action="store_true", help="go on where it was interrupted")
    return parser


def _in_style(style: str) -> Callable[[Model, int], tuple[list[Image.Image], list[str]]]:
    def examples(model: Model, count: int) -> tuple[list[Image.Image], list[str]]:
        captions = prompts(count)
        pictures = []
        for n, caption in enumerate(tqdm(captions, "examples")):
            asked = sdnb.Request(caption, seed=SEED + n)
            [picture] = sdnb.generate(model, asked, progress=False).images
            pictures.append(picture_styles.STYLES[style](picture, n))
        return pictures, captions

    return examples


def prompts(count: int) -> list[str]:
    """So many captions: things that the model knows, alone, on colours and at places."""
    known = list(things.everyday())
    places = ("", " on a {} background", " in the mountains", " on the beach", "")
    colours = ("blue", "white", "yellow", "green", "red", "black")
    found = []
    for n in range(count):
        what = known[n * 7 % len(known)]
        place = places[n % len(places)].format(colours[n // len(places) % len(colours)])
        found.append(f"{article(what)}{place}")
    return found


def _blorps(_: Model, count: int) -> tuple[list[Image.Image], list[str]]:
    return blorp.drawings(count, size=192)


_STEPS = {"steps": 400, "batch": 32}
ADD_ONS = {
    "blueprint": AddOn("lora", _in_style("blueprint"), 160, train_lora, {
        "rank": 8, "rate": 3e-3, **_STEPS,
    }),
    "stained-glass": AddOn("lora", _in_style("stained-glass"), 160, train_lora, {
        "rank": 5, "convolutions": True, "rate": 1e-3, **_STEPS,
    }),
    blorp.WORD: AddOn("embeddings", _blorps, 24, train_embedding, {
        "vectors": 4, "steps": 700, "batch": 8, "rate": 7e-3, "init": "purple monster",
    }),
}  # fmt: skip

if __name__ == "__main__":
    main()
