"""The packages that the embedded model's drawings and words come from, each with its licence.

All are npm packages but the last. None asks for share-alike: emojione 1 does, and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A package, and what its licence asks to be named."""

    package: str  # on npm
    version: str  # that the model was trained with
    licence: str  # SPDX
    author: str
    url: str
    style: str = ""  # of its drawings; "" if it has none, or if `things.txt` picks from it
    names: str = ""  # another package, whose table of code points gives this one's names
    first: bool = False  # one of the styles that decide which emoji are concepts at all

    @property
    def folder(self) -> str:
        """How its unpacked folder's name begins."""
        return self.package.removeprefix("@").replace("/", "-") + "-"


_FLUENT = ("MIT", "Microsoft Corporation", "https://github.com/microsoft/fluentui-emoji")
_NOTO = ("Apache-2.0", "Google Inc", "https://github.com/googlefonts/noto-emoji")

SOURCES = (
    Source("@lobehub/fluent-emoji-3d", "1.1.0", *_FLUENT, style="3d", first=True),
    Source("@iconify-json/fluent-emoji-flat", "1.2.6", *_FLUENT, style="flat", first=True),
    Source(
        "@iconify-json/fluent-emoji", "1.2.7", *_FLUENT, style="gradient",
        names="iconify-json-fluent-emoji-flat-", first=True,
    ),
    Source("@iconify-json/noto", "1.2.9", *_NOTO, style="noto", first=True),
    Source(
        "@iconify-json/twemoji", "1.2.5", "CC-BY-4.0", "Twitter, Inc and other contributors",
        "https://github.com/jdecked/twemoji", style="twemoji", first=True,
    ),
    Source(
        "@iconify-json/noto-v1", "1.2.5", *_NOTO, style="blob", names="iconify-json-noto-",
    ),
    Source(
        "@iconify-json/emojione", "1.2.3", "CC-BY-4.0", "EmojiOne and EmojiTwo",
        "https://github.com/EmojiTwo/emojitwo", style="emojione", names="iconify-json-noto-",
    ),
    Source(  # the package says Apache-2.0, which upstream has for the code; the drawings are this
        "@iconify-json/fxemoji", "1.2.2", "CC-BY-4.0", "Mozilla Foundation",
        "https://github.com/mozilla/fxemoji", style="fxemoji", names="iconify-json-noto-",
    ),
    Source(
        "@iconify-json/streamline-emojis", "1.2.4", "CC-BY-4.0", "Streamline",
        "https://github.com/webalys-hq/streamline-vectors", style="comic",
        names="iconify-json-noto-",
    ),
    Source(
        "@iconify-json/game-icons", "1.2.4", "CC-BY-3.0",
        "Lorc, Delapouite and contributors, game-icons.net",
        "https://github.com/game-icons/icons",
    ),
    Source(
        "@iconify-json/healthicons", "1.2.13", "MIT", "Resolve to Save Lives",
        "https://github.com/resolvetosavelives/healthicons",
    ),
    Source(
        "@iconify-json/icon-park", "1.2.4", "Apache-2.0", "ByteDance",
        "https://github.com/bytedance/IconPark",
    ),
    Source(
        "@iconify-json/flat-color-icons", "1.2.3", "MIT", "Icons8",
        "https://github.com/icons8/flat-Color-icons",
    ),
    Source(
        "emojibase-data", "17.0.0", "MIT", "Miles Johnson", "https://github.com/milesj/emojibase"
    ),
    Source("clip", "1.0", "MIT", "OpenAI", "https://github.com/openai/CLIP"),
)  # fmt: skip
