"""The words of the captions and their colours. The model knows prompts in these words best.

Every style, effect and place has several names, so that the model learns a language and not a key.
"""

from __future__ import annotations

# A style as a noun ("a flat icon of a cat"), and after a comma ("a cat, flat style").
STYLE_NOUNS = {
    "3d": ["3d render", "3d icon", "3d model"],
    "flat": ["flat icon", "flat vector", "flat design", "minimal flat icon"],
    "gradient": ["gradient icon", "soft gradient illustration", "shaded vector"],
    "noto": ["cartoon", "noto cartoon", "noto emoji"],
    "twemoji": ["clipart", "twemoji", "simple clipart"],
    "blob": ["blob emoji", "soft cartoon", "old emoji"],
    "emojione": ["round cartoon", "emojione emoji", "bright cartoon"],
    "fxemoji": ["paper cutout", "fxemoji", "matte cartoon"],
    "comic": ["comic drawing", "comic", "outlined cartoon", "cartoon with thick outlines"],
    "glyph": ["glyph icon", "glyph", "one-color icon", "pictogram"],
    "twotone": ["outline icon", "two-tone icon", "icon with thick outlines"],
    "coloricon": ["color icon", "office icon"],
}
STYLE_WORDS = {
    "3d": ["3d", "3d style", "3d render", "glossy 3d style"],
    "flat": ["flat style", "flat", "flat icon", "vector style"],
    "gradient": ["gradient style", "soft gradient", "shaded vector"],
    "noto": ["cartoon style", "noto style", "cartoon"],
    "twemoji": ["clipart style", "twemoji style", "clipart"],
    "blob": ["blob style", "soft cartoon style", "blob emoji"],
    "emojione": ["round cartoon style", "emojione style", "bright cartoon style"],
    "fxemoji": ["paper cutout style", "fxemoji style", "matte cartoon style"],
    "comic": ["comic style", "comic", "outlined cartoon style", "thick outlines"],
    "glyph": ["glyph style", "glyph icon", "one-color icon", "pictogram style"],
    "twotone": ["outline icon style", "two-tone icon", "outline icon"],
    "coloricon": ["color icon style", "color icon"],
}
STYLE_SHARE = {  # of the pictures; all others share the rest evenly
    "3d": 0.3, "blob": 0.035, "emojione": 0.035, "fxemoji": 0.03, "comic": 0.035, "glyph": 0.11,
    "glyph2": 0.012, "glyph3": 0.002, "twotone": 0.032, "twotone2": 0.003, "coloricon": 0.004,
}  # fmt: skip
STYLE_UNSAID = {"3d": 0.5}  # share of captions without the style's name
_UNSAID = 0.12
_UNSAID_RARE = 0.02  # who names no style is not to get one of these
_RARE = {"blob", "emojione", "fxemoji", "comic", "glyph", "twotone", "coloricon"}
_UNSAID_ONLY = 0.5  # of a thing that has drawings of its own kind only

EFFECTS = {  # name: share of the pictures
    "none": 0.88, "pixel": 0.03, "gray": 0.025, "silhouette": 0.02, "line": 0.025, "blur": 0.012,
    "lowq": 0.008,
}  # fmt: skip
EFFECT_NOUNS = {
    "pixel": ["pixel art"],
    "gray": ["black and white picture", "grayscale picture"],
    "silhouette": ["silhouette"],
    "line": ["line drawing", "outline drawing"],
}
EFFECT_WORDS = {
    "pixel": ["pixel art", "pixel art style"],
    "gray": ["black and white", "grayscale", "monochrome"],
    "silhouette": ["silhouette"],
    "line": ["line drawing", "line art"],
    "blur": ["blurry", "out of focus", "blurred"],
    "lowq": ["low quality", "low resolution", "noisy, low quality"],
}

COLORS = {  # 8-bit RGB
    "white": (255, 255, 255), "black": (16, 16, 18), "gray": (136, 138, 142),
    "light gray": (210, 212, 216), "red": (220, 40, 40), "orange": (250, 140, 30),
    "yellow": (252, 214, 50), "green": (50, 170, 70), "light green": (160, 225, 150),
    "dark green": (20, 88, 50), "blue": (45, 110, 230), "light blue": (160, 212, 250),
    "dark blue": (22, 40, 110), "purple": (140, 70, 200), "lavender": (205, 190, 245),
    "pink": (250, 130, 180), "light pink": (252, 205, 222), "brown": (130, 82, 48),
    "beige": (240, 225, 196), "teal": (20, 150, 150), "turquoise": (70, 215, 210),
}  # fmt: skip
#: The twelve colours of tinted objects and of the evaluation.
MAIN_COLORS = [
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray",
    "teal",
]  # fmt: skip

PLACES = {
    "grass": ["on the grass", "in a green field", "in a meadow under a blue sky"],
    "beach": ["on the beach", "on a sandy beach by the sea"],
    "snow": ["in the snow", "in a snowy landscape", "in winter"],
    "night": ["at night", "under a starry night sky"],
    "space": ["in space", "in outer space"],
    "underwater": ["underwater", "under the sea"],
    "desert": ["in the desert", "in a sandy desert"],
    "sunset": ["at sunset", "with a sunset sky"],
    "city": ["in the city", "in front of a city skyline"],
    "table": ["on a wooden table", "on a table"],
    "mountains": ["in the mountains", "in front of mountains"],
}
PATTERNS = {"stripes": "striped", "dots": "polka dot", "checker": "checkered"}
BACKGROUNDS = ["solid", "gradient", *PLACES, *PATTERNS]

BEGINNINGS = [
    "a picture of", "an image of", "a photo of", "an illustration of", "a drawing of",
    "an emoji of", "an icon of", "a painting of",
]  # fmt: skip
PRAISE = [
    "high quality", "best quality", "highly detailed", "detailed", "sharp", "masterpiece",
    "sharp focus",
]  # fmt: skip

_NO_ARTICLE = (
    "grass", "milk", "popcorn", "people", "children", "pasta", "ramen", "soup", "money", "honey",
    "jam", "lettuce", "spinach", "cutlery", "silverware", "wool", "coal", "lemonade",
    "porridge", "leaves", "lava", "cereal", "beef", "love", "hello", "hi",
    "applause", "maize", "medicine", "confetti", "chocolate", "toast", "hot chocolate", "asparagus",
)  # fmt: skip
_PLURALS = {
    "leaf": "leaves", "knife": "knives", "wolf": "wolves", "mouse": "mice", "goose": "geese",
    "foot": "feet", "tooth": "teeth", "man": "men", "woman": "women", "child": "children",
    "person": "people", "sheep": "sheep", "fish": "fish", "deer": "deer", "loaf": "loaves",
    "shelf": "shelves", "potato": "potatoes", "tomato": "tomatoes", "elf": "elves",
}  # fmt: skip


def article(words: str) -> str:
    """`words` with "a" or "an" in front, where English has one."""
    plural_form = words.endswith("s") and not words.endswith(("ss", "us"))
    if plural_form or words.rsplit(maxsplit=1)[-1] in _NO_ARTICLE:
        return words
    spoken_consonant = words.startswith(("uni", "one", "ukul", "euro", "ufo"))
    return ("an " if words[0] in "aeiou" and not spoken_consonant else "a ") + words


def plural(words: str) -> str:
    """The plural: of a "jar of honey" it is "jars of honey"."""
    first, of, rest = words.partition(" of ")
    if of:
        return plural(first) + of + rest
    begin, space, last = words.rpartition(" ")
    if last in _PLURALS:
        return begin + space + _PLURALS[last]
    if words.endswith("s") and not words.endswith(("ss", "us")):
        return words
    if words.endswith(("s", "ch", "sh", "x")):
        return words + "es"
    if words.endswith("y") and words[-2] not in "aeiou":
        return words[:-1] + "ies"
    return words + "s"


def style_nouns(style: str) -> list[str]:
    """A style's names as nouns; a style of your own is called by its own name."""
    return STYLE_NOUNS.get(kind(style), [f"{style} picture"])


def style_words(style: str) -> list[str]:
    """A style's names after a comma."""
    return STYLE_WORDS.get(kind(style), [f"{style} style"])


def kind(style: str) -> str:
    """A style without the number of a second drawing: "glyph" of "glyph2"."""
    bare = style.rstrip("0123456789")
    return bare if bare in STYLE_NOUNS else style


def unsaid(style: str, only: bool) -> float:
    """The share of captions without the style's name; `only`: of a thing with no other drawings."""
    if only:
        return _UNSAID_ONLY
    return _UNSAID_RARE if is_rare(style) else STYLE_UNSAID.get(style, _UNSAID)


def is_rare(style: str) -> bool:
    """Whether a style is drawn only where it is named, or where a thing has no other."""
    return kind(style) in _RARE
