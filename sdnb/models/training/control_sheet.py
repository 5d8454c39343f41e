"""`python -m sdnb.models.training.control_sheet`: what an adapter does, to be looked at.

    python -m sdnb.models.training.control_sheet --kind sketch --data data --net sketch --out a.jpg

A row is a scene that was not trained on: its picture, its hint, and what the model makes of its
caption without the adapter and with it, with the same seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

import sdnb
from sdnb import assets

from .catalog import Catalog
from .drawn_hints import KINDS
from .hinted import HintedBatches

_SHOWN = 192  # pixels a side of a picture in the sheet
_ROW = 16  # pixels for the caption


def main() -> None:
    """Make the sheet; `--columns` scenes stand side by side."""
    args = _parser().parse_args()
    sprites = Catalog(args.data).sprites(threads=8)
    tokens = args.model / "tokenizer"
    scenes = HintedBatches(
        args.data, sprites, args.kind, args.scenes, size=args.size, tokens=tokens, seed=99991
    )
    pixels, hints, _, captions = next(iter(scenes))
    model = sdnb.load(args.model)
    rows = -(-args.scenes // args.columns)
    sheet = Image.new("RGB", (args.columns * 4 * _SHOWN, rows * (_SHOWN + _ROW)), "white")
    for i, caption in enumerate(captions):
        hint = _image(hints[i])
        control = sdnb.Control(str(args.net), sdnb.images.picture(hint), scale=args.scale)
        made = [
            sdnb.txt2img(
                model, caption, seed=i, width=args.size, height=args.size, steps=args.steps,
                controls=controls, progress=False,
            ).image
            for controls in ((), (control,))
        ]  # fmt: skip
        left, upper = (i % args.columns) * 4 * _SHOWN, i // args.columns * (_SHOWN + _ROW)
        for n, picture in enumerate([_image(pixels[i]), hint, *made]):
            sheet.paste(picture.resize((_SHOWN, _SHOWN)), (left + n * _SHOWN, upper))
        words = caption.encode("ascii", "replace").decode()
        ImageDraw.Draw(sheet).text((left + 4, upper + _SHOWN + 2), words, fill="black")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out, quality=88)


def _image(pixels: Tensor) -> Image.Image:
    rows = pixels.expand(3, -1, -1).permute(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(rows.numpy()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kind", choices=tuple(KINDS), required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--net", type=Path, required=True, help="the adapter's folder")
    parser.add_argument("--out", type=Path, required=True, help="a JPEG or PNG file")
    parser.add_argument("--model", type=Path, default=assets.embedded_model())
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--columns", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--scale", type=float, default=1.0)
    return parser


if __name__ == "__main__":
    main()
