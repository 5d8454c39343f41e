"""`python -m sdnb.models.training.sprites`: turns emoji packages into the trainers' data.

The packages come from npm (`npm pack NAME`, unpacked into `--npm` as `NAME-VERSION`, without the
scope's @ and with - for /), CLIP's byte-pair table from open_clip_torch's wheel. Needs `resvg-py`
to draw SVG. Nothing is downloaded here.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import concepts, tokens
from .catalog import SIZE

_VISIBLE = 10  # of 255: alpha above it is part of the sprite


@dataclass(frozen=True)
class SpriteSet:
    """The package of a style's sprites."""

    style: str
    package: str  # the beginning of its folder's name
    licence: str
    names: str = ""  # another package, which has this one's table of code points
    lossless: bool = False  # smaller for flat colours


SOURCES = (
    SpriteSet("3d", "lobehub-fluent-emoji-3d-", "MIT (Microsoft Fluent Emoji)"),
    SpriteSet("flat", "iconify-json-fluent-emoji-flat-", "MIT (Microsoft Fluent Emoji)", "", True),
    SpriteSet(
        "gradient", "iconify-json-fluent-emoji-1", "MIT (Microsoft Fluent Emoji)",
        "iconify-json-fluent-emoji-flat-",
    ),
    SpriteSet("noto", "iconify-json-noto-", "Apache-2.0 (Google Noto Emoji)"),
    SpriteSet(
        "twemoji", "iconify-json-twemoji-", "CC-BY-4.0 (Twemoji, Twitter, Inc and contributors)",
        "", True,
    ),
)  # fmt: skip


def main() -> None:
    """Write `sprites_STYLE.zip`, `concepts.json` and `tokenizer/`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--npm", type=Path, required=True, help="folder of unpacked packages")
    parser.add_argument("--bpe", type=Path, required=True, help="bpe_simple_vocab_16e6.txt.gz")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    things = concepts.chosen(_package(args.npm, "emojibase-data-"))
    for source in SOURCES:
        count = _pack(source, things, args.npm, args.out / f"sprites_{source.style}.zip")
        print(f"{source.style}: {count} sprites")
    things = [concept for concept in things if len(concept["styles"]) >= 2]
    for concept in things:
        concept["held_out"] = concepts.held_out(concept["label"], concept["styles"])
    (args.out / "concepts.json").write_text(json.dumps(things, indent=0), encoding="utf-8")
    size = tokens.write(args.out, args.bpe, args.out / "tokenizer")
    pairs = sum(len(concept["held_out"]) for concept in things)
    print(f"{len(things)} concepts, {pairs} pairs held out, {size} tokens")


def _package(npm: Path, start: str) -> Path:
    folders = sorted(folder for folder in npm.glob(f"{start}*") if folder.is_dir())
    if not folders:
        raise FileNotFoundError(f"{npm} has no folder {start}*: npm pack it and unpack it there")
    return folders[-1]


def _pack(source: SpriteSet, things: list[dict[str, Any]], npm: Path, target: Path) -> int:
    """Draw a style's sprites into a zip, and add the style to each concept that has one."""
    drawings = _drawings(source, things, npm)
    count = 0
    with ProcessPoolExecutor() as pool, zipfile.ZipFile(target, "w") as pack:
        draw = partial(_draw, lossless=source.lossless)
        sprites = pool.map(draw, drawings.values(), chunksize=16)
        for number, data in zip(drawings, sprites, strict=True):
            if data is not None:
                pack.writestr(f"{number}.webp", data)
                things[number]["styles"].append(source.style)
                count += 1
    return count


def _drawings(source: SpriteSet, things: list[dict[str, Any]], npm: Path) -> dict[int, str]:
    """The id of each concept that the set has, and its picture: a file's path or an SVG's text."""
    folder, codes = _package(npm, source.package), {c["id"]: _code(c["hex"]) for c in things}
    if (folder / "assets").is_dir():
        files = {_code(file.stem): str(file) for file in (folder / "assets").iterdir()}
        return {number: files[code] for number, code in codes.items() if code in files}
    icons = json.loads((folder / "icons.json").read_text("utf-8"))
    table = (_package(npm, source.names) if source.names else folder) / "chars.json"
    names = {_code(k): v for k, v in json.loads(table.read_text("utf-8")).items()}
    drawn = {number: icons["icons"].get(names.get(code)) for number, code in codes.items()}
    return {number: _svg(icon, icons) for number, icon in drawn.items() if icon}


def _code(points: str) -> str:
    """Code points in lower case and without the variation selector, as all packages share them."""
    return "-".join(part for part in points.lower().split("-") if part != "fe0f")


def _svg(icon: dict[str, Any], icons: dict[str, Any]) -> str:
    width = icon.get("width", icons["width"])
    height = icon.get("height", icons.get("height", icons["width"]))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'
    )


def _draw(source: str, lossless: bool) -> bytes | None:
    file: str | io.BytesIO = source
    if source.startswith("<svg"):
        import resvg_py

        file = io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=source, width=320)))
    sprite = trimmed(Image.open(file))
    if sprite is None:
        return None
    how = {"quality": 80, "method": 4} if lossless else {"quality": 93, "method": 5}
    buffer = io.BytesIO()
    sprite.save(buffer, "WEBP", lossless=lossless, **how)
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
