"""`python -m sdnb.models.training.sprites`: turns emoji and icon packages into the trainers' data.

The packages come from npm (`npm pack NAME`, unpacked into `--npm` as `NAME-VERSION`, without the
scope's @ and with - for /; `sources.SOURCES` lists them), CLIP's byte-pair table from
open_clip_torch's wheel. Needs `resvg-py` to draw SVG, and scipy. Nothing is downloaded here.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import concepts, icons, phrases, tokens, unknown
from . import things as lists
from .catalog import SIZE
from .sources import SOURCES, Source

_VISIBLE = 10  # of 255: alpha above it is part of the sprite
_THING_WEIGHT = 2.0  # of a thing that only icons show
_LESS = 0.8  # of the quality, for the styles that few pictures have
_NEW = 200  # of them are asked for in the evaluation

Concepts = list[dict[str, Any]]


@dataclass(frozen=True)
class Original:
    """A picture's file, or an SVG's text, and the colour in which to paint a glyph."""

    source: str
    color: str = ""


def main() -> None:
    """Write `sprites_STYLE.zip`, `concepts.json`, `new200.txt` and `tokenizer/`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--npm", type=Path, required=True, help="folder of unpacked packages")
    parser.add_argument("--bpe", type=Path, required=True, help="bpe_simple_vocab_16e6.txt.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--init", type=Path, help="a model's folder, to grow its tokenizer and keep its ids"
    )
    parser.add_argument("--quality", type=int, default=90, help="WebP's, of the sprites")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    known, drawn = emoji(args.npm)
    more, icons_drawn = ordinary(known, args.npm)
    packs = _merged(drawn, icons_drawn)
    first = {source.style for source in SOURCES if source.first}
    for style, drawings in packs.items():
        quality = args.quality if style in first else int(args.quality * _LESS)
        count = _pack(drawings, args.out / f"sprites_{style}.zip", quality)
        print(f"{style}: {count} sprites")
    known += more
    (args.out / "concepts.json").write_text(json.dumps(known, indent=0), encoding="utf-8")
    (args.out / "new200.txt").write_text("\n".join([*new(known), ""]), encoding="utf-8")
    if args.init:
        tokenizer = args.init / "tokenizer"
        size = tokens.grow(args.out, args.bpe, tokenizer, args.out / "tokenizer")
    else:
        size = tokens.write(args.out, args.bpe, args.out / "tokenizer")
    pairs = sum(len(concept["held_out"]) for concept in known)
    print(f"{len(known)} concepts, {pairs} pairs held out, {size} tokens")


def emoji(npm: Path) -> tuple[Concepts, dict[str, dict[int, Original]]]:
    """The emoji that are concepts, and style -> id -> drawing.

    The first styles decide what is a concept, what is held out and what the evaluation asks for;
    other sets only add drawings, so that all three stay the same whatever is added.
    """
    chosen = concepts.chosen(_package(npm, "emojibase-data-"))
    packs: dict[str, dict[int, Original]] = {}
    for source in (source for source in SOURCES if source.style and source.first):
        packs[source.style] = _drawings(source, chosen, npm)
        _note(chosen, source.style, packs[source.style])
    chosen = [concept for concept in chosen if len(concept["styles"]) >= 2]
    for concept in chosen:
        concept["held_out"] = concepts.held_out(concept["label"], concept["styles"])
        concept["asked"] = list(concept["styles"])
    for source in (source for source in SOURCES if source.style and not source.first):
        packs[source.style] = _drawings(source, chosen, npm)
        _note(chosen, source.style, packs[source.style])
    ids = {concept["id"] for concept in chosen}
    packs = {s: {n: d for n, d in pack.items() if n in ids} for s, pack in packs.items()}
    everyday = lists.everyday()
    for concept in chosen:
        words = [*concept["aliases"], *everyday.get(concept["label"], ())]
        concept["aliases"] = list(dict.fromkeys(words))
    return chosen, packs


def ordinary(known: Concepts, npm: Path) -> tuple[Concepts, dict[str, dict[int, Original]]]:
    """The things of `things.txt` that no emoji shows, and the ball; style -> id -> drawing."""
    by_label = {concept["label"]: concept for concept in known}
    number = max((concept["id"] for concept in known), default=-1) + 1
    sets = {name: _icons(_package(npm, f"iconify-json-{name}-")) for name in icons.FAMILIES}
    packs: dict[str, dict[int, Original]] = {}
    more: Concepts = []

    def added(label: str, aliases: Iterable[str], weight: float) -> dict[str, Any]:
        fresh = {"id": number + len(more), "label": label, "aliases": list(aliases), "tags": []}
        more.append({**fresh, "weight": weight, "styles": [], "held_out": [], "asked": []})
        return more[-1]

    for thing in lists.things():
        concept = by_label.get(thing.label) or added(thing.label, thing.aliases, _THING_WEIGHT)
        for style, icon in thing.styles.items():
            packs.setdefault(style, {})[concept["id"]] = _icon(sets, icon, thing.color)
            concept["styles"].append(style)
    ball = added(unknown.LABEL, unknown.ALIASES, 1.0)
    ball |= {"unknown": True}
    for style, svg in unknown.drawings().items():
        packs.setdefault(style, {})[ball["id"]] = Original(svg)
        ball["styles"].append(style)
    return more, packs


def new(known: Concepts, count: int = _NEW) -> list[str]:
    """Labels of things that only icons show and no emoji is called by, always the same."""
    words = {w for c in known if c["asked"] for w in (c["label"], *c["aliases"], *c["tags"])}
    words |= {phrases.plural(word) for word in words}
    fresh = [c["label"] for c in known if not c["asked"] and not c.get("unknown")]

    def place(label: str) -> str:
        return hashlib.sha1(("new" + label).encode(), usedforsecurity=False).hexdigest()

    return sorted(sorted({label for label in fresh if label not in words}, key=place)[:count])


def _note(chosen: Concepts, style: str, drawings: Iterable[int]) -> None:
    drawn = set(drawings)
    for concept in chosen:
        if concept["id"] in drawn:
            concept["styles"].append(style)


def _merged(*packs: dict[str, dict[int, Original]]) -> dict[str, dict[int, Original]]:
    styles = dict.fromkeys(style for pack in packs for style in pack)
    return {s: {n: d for pack in packs for n, d in pack.get(s, {}).items()} for s in styles}


def _package(npm: Path, start: str) -> Path:
    folders = sorted(folder for folder in npm.glob(f"{start}[0-9]*") if folder.is_dir())
    if not folders:
        raise FileNotFoundError(f"{npm} has no folder {start}*: npm pack it and unpack it there")
    return folders[-1]


def _pack(drawings: dict[int, Original], target: Path, quality: int) -> int:
    """Draw a style's sprites into a zip; returns their number. ValueError for an empty one."""
    with ProcessPoolExecutor() as pool, zipfile.ZipFile(target, "w") as pack:
        sprites = pool.map(partial(_draw, quality=quality), drawings.values(), chunksize=16)
        for number, data in zip(drawings, sprites, strict=True):
            pack.writestr(f"{number}.webp", data)
    return len(drawings)


def _drawings(source: Source, chosen: Concepts, npm: Path) -> dict[int, Original]:
    """The id of each concept that the set has, and its picture: a file's path or an SVG's text."""
    folder, codes = _package(npm, source.folder), {c["id"]: _code(c["hex"]) for c in chosen}
    if (folder / "assets").is_dir():
        files = {_code(file.stem): str(file) for file in (folder / "assets").iterdir()}
        return {number: Original(files[code]) for number, code in codes.items() if code in files}
    sets = _icons(folder)
    table = (_package(npm, source.names) if source.names else folder) / "chars.json"
    names = {_code(k): v for k, v in json.loads(table.read_text("utf-8")).items()}
    found = {number: _named(sets, names.get(code, "")) for number, code in codes.items()}
    return {number: Original(_svg(icon, sets)) for number, icon in found.items() if icon}


def _icons(folder: Path) -> dict[str, Any]:
    """A package of icons: its table of names is `["icons"]`, and has the other names too."""
    sets: dict[str, Any] = json.loads((folder / "icons.json").read_text("utf-8"))
    for name, alias in sets.get("aliases", {}).items():
        if set(alias) == {"parent"} and alias["parent"] in sets["icons"]:
            sets["icons"][name] = sets["icons"][alias["parent"]]
    return sets


def _named(sets: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The icon of a name in words joined by -, as the sets write it: with a number, or in one."""
    for form in (name, f"{name}-1", name.replace("-", "")):
        if form in sets["icons"]:
            icon: dict[str, Any] = sets["icons"][form]
            return icon
    return None


def _icon(sets: dict[str, dict[str, Any]], icon: str, color: str) -> Original:
    """An icon of `things.txt`, in the thing's colour; KeyError if the set lacks it."""
    package, _, name = icon.partition("/")
    if name not in sets[package]["icons"]:
        raise KeyError(f"{package} has no icon {name!r}, which things.txt names")
    svg = _svg(sets[package]["icons"][name], sets[package])
    if icons.FAMILIES[package] == "glyph":
        return Original(svg, color)
    return Original(icons.two_tone(svg, color) if icons.FAMILIES[package] == "twotone" else svg)


def _code(points: str) -> str:
    """Code points in lower case and without the variation selector, as all packages share them."""
    return "-".join(part for part in points.lower().split("-") if part != "fe0f")


def _svg(icon: dict[str, Any], icons: dict[str, Any]) -> str:
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", width))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'
    )


def _draw(drawing: Original, quality: int) -> bytes:
    file: str | io.BytesIO = drawing.source
    if drawing.source.startswith("<svg"):
        import resvg_py

        file = io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=drawing.source, width=320)))
    picture = Image.open(file).convert("RGBA")
    sprite = trimmed(icons.painted(picture, drawing.color) if drawing.color else picture)
    if sprite is None:
        raise ValueError(f"nothing is visible in {drawing.source[:300]!r}")
    buffer = io.BytesIO()
    sprite.save(buffer, "WEBP", quality=quality, alpha_quality=min(quality + 8, 100), method=6)
    return buffer.getvalue()


def trimmed(picture: Image.Image) -> Image.Image | None:
    """The visible part in the middle of a square of the sprites' size; None if there is none.

    It is resized premultiplied: straight colours would mix with the black of transparent pixels.
    """
    rgba = picture.convert("RGBA")
    box = rgba.getchannel("A").point(lambda a: 255 * (a > _VISIBLE)).getbbox()
    if box is None:
        return None
    part = np.asarray(rgba.crop(box), np.float32) / 255  # [h, w, 4]
    height, width = part.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 4), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = part
    square[..., :3] *= square[..., 3:]
    planes = [
        np.asarray(Image.fromarray(square[..., i]).resize((SIZE, SIZE), Image.Resampling.LANCZOS))
        for i in range(4)
    ]
    out = np.clip(np.stack(planes, -1), 0, 1)
    alpha = out[..., 3:]
    out[..., :3] = np.where(alpha > 1e-3, out[..., :3] / np.maximum(alpha, 1e-3), 0)
    return Image.fromarray((np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8))


if __name__ == "__main__":
    main()
