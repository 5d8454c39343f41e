"""Chooses the emoji that become concepts, and gives them everyday names.

The table is emojibase's, with Unicode CLDR's names. What no newcomer would ask for is left out:
country flags, skin tones, clock faces, arrows, families, gendered copies of gestures and sports.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

Emoji = dict[str, Any]  # an entry of emojibase's table
HELD_OUT = 0.05  # share of the (concept, style) pairs that the UNet never sees
_TAGS = 6

GROUP_WEIGHTS = {  # how often a concept of the group is drawn
    "smileys-emotion": 1.2, "people-body": 0.55, "animals-nature": 1.7, "food-drink": 1.5,
    "travel-places": 1.3, "activities": 1.2, "objects": 1.1, "symbols": 0.6, "flags": 0.5,
}  # fmt: skip
_NO_SUBGROUPS = {
    "skin-tone", "hair-style", "family", "country-flag", "subdivision-flag", "arrow", "zodiac",
    "av-symbol", "keycap", "alphanum", "transport-sign", "gender", "currency", "other-symbol",
    "geometric", "religion", "punctuation", "math", "warning", "person-symbol",
    "hand-single-finger",
}  # fmt: skip
_ONE_GENDER = {"person-gesture", "person-activity", "person-sport", "person-resting"}
_KEEP = {  # from those sub-groups and from the symbols
    "warning", "no entry", "radioactive", "biohazard", "peace symbol", "yin yang",
    "recycling symbol", "check mark", "cross mark", "red question mark", "red exclamation mark",
    "infinity", "red circle", "blue circle", "green circle", "yellow circle", "red square",
    "blue square", "green square", "yellow square", "large orange diamond", "large blue diamond",
    "red triangle pointed up", "trident emblem", "fleur-de-lis", "sparkle", "footprints",
    "fingerprint", "heavy dollar sign", "plus", "play button", "people hugging",
    "index pointing up", "medical symbol",
}  # fmt: skip
_DROP = {
    "moon viewing ceremony", "love hotel", "funeral urn", "middle finger", "guide dog",
    "service dog", "pine decoration", "tanabata tree", "Japanese post office", "map of Japan",
    "part alternation mark",
}  # fmt: skip
ALIASES = {  # everyday words for CLDR's names
    "automobile": "car;red car", "deciduous tree": "tree;green tree",
    "evergreen tree": "pine tree;fir tree", "hot beverage": "coffee;cup of coffee;tea",
    "soccer ball": "football;soccer", "lady beetle": "ladybug", "honeybee": "bee",
    "doughnut": "donut", "airplane": "plane;jet", "flying saucer": "ufo;spaceship",
    "sauropod": "dinosaur;brontosaurus", "T-Rex": "tyrannosaurus;t rex dinosaur",
    "mobile phone": "phone;smartphone", "laptop": "computer;notebook computer",
    "desktop computer": "computer;monitor", "red apple": "apple",
    "grinning face": "happy face;smiley;smile", "crying face": "sad face",
    "locomotive": "steam train;steam engine", "sport utility vehicle": "suv",
    "articulated lorry": "truck;big truck", "delivery truck": "truck;van",
    "snow-capped mountain": "snowy mountain", "person biking": "cyclist;person riding a bicycle",
    "hamburger": "burger", "french fries": "fries", "soft ice cream": "ice cream cone",
    "house": "home", "wrapped gift": "gift;present", "closed book": "book;red book",
    "television": "tv", "motorcycle": "motorbike", "bicycle": "bike", "sailboat": "boat;sail boat",
    "fire engine": "fire truck", "rocket": "space rocket", "eyes": "pair of eyes",
    "jack-o-lantern": "halloween pumpkin;pumpkin", "person surfing": "surfer",
    "person swimming": "swimmer", "person running": "runner", "Santa Claus": "santa",
    "pile of poo": "poop", "face with tears of joy": "laughing face",
    "enraged face": "very angry face", "ear of corn": "corn", "glass of milk": "milk",
    "cheese wedge": "cheese", "shortcake": "cake;strawberry cake", "birthday cake": "cake",
    "beer mug": "beer", "wine glass": "red wine;glass of wine", "wood": "log",
    "sunrise over mountains": "mountain sunrise", "cityscape": "city;skyline",
    "high voltage": "lightning bolt;lightning", "sun with face": "smiling sun",
    "full moon": "moon", "crescent moon": "moon", "star": "yellow star", "fire": "flame",
    "droplet": "water drop", "water wave": "wave;ocean wave", "round pushpin": "pin",
    "t-shirt": "shirt", "jeans": "pants", "man’s shoe": "shoe", "running shoe": "sneaker",
    "billed cap": "cap", "top hat": "hat", "mage": "wizard", "merperson": "mermaid",
    "horse racing": "jockey on a horse", "old key": "antique key", "light bulb": "bulb;lamp",
    "mantelpiece clock": "clock", "alarm clock": "clock", "framed picture": "painting",
    "artist palette": "paint palette", "potted plant": "plant;houseplant",
    "spouting whale": "blue whale", "rabbit face": "bunny face", "rabbit": "bunny",
    "mouse face": "cartoon mouse", "chicken": "hen head", "baby chick": "chick",
    "blowfish": "pufferfish", "parrot": "colorful parrot", "teddy bear": "toy bear",
    "pool 8 ball": "8 ball", "video game": "game controller", "game die": "dice",
    "couch and lamp": "couch;sofa", "ship": "big ship", "speedboat": "motor boat toy",
    "ringed planet": "planet;saturn", "globe showing Americas": "earth;planet earth",
    "globe showing Europe-Africa": "earth;globe", "snowman without snow": "snowman",
    "sun": "bright sun", "umbrella with rain drops": "rainy umbrella", "gem stone": "diamond;gem",
    "money bag": "bag of money", "person in lotus position": "person meditating;yoga",
    "man mage": "wizard;old wizard", "woman mage": "witch", "love letter": "envelope with heart",
    "hundred points": "one hundred", "police car": "police vehicle", "dog": "walking dog",
    "cat": "walking cat", "dog face": "puppy;dog head", "cat face": "kitten;cat head",
}  # fmt: skip


def chosen(emojibase: Path) -> list[dict[str, Any]]:
    """The concepts of emojibase's English table (the folder of its npm package), without styles."""
    messages = json.loads((emojibase / "en" / "messages.json").read_text("utf-8"))
    groups = {g["order"]: g["key"] for g in messages["groups"]}
    subgroups = {g["order"]: g["key"] for g in messages["subgroups"]}
    out: dict[str, dict[str, Any]] = {}
    for emoji in json.loads((emojibase / "en" / "data.json").read_text("utf-8")):
        if "group" not in emoji:
            continue
        group, subgroup = groups[emoji["group"]], subgroups[emoji["subgroup"]]
        name = clean(emoji["label"])
        if name not in out and _is_drawn(emoji, group, subgroup):
            out[name] = _concept(len(out), name, emoji, group, subgroup)
    return list(out.values())


def _is_drawn(emoji: Emoji, group: str, subgroup: str) -> bool:
    label = emoji["label"]
    if label in _KEEP:
        return True
    clock = subgroup == "time" and ("o’clock" in label or "thirty" in label)
    copy = subgroup in _ONE_GENDER and emoji.get("gender") is not None
    dropped = label in _DROP or "facing right" in label
    return not (dropped or clock or copy or subgroup in _NO_SUBGROUPS or group == "symbols")


def _concept(number: int, name: str, emoji: Emoji, group: str, subgroup: str) -> dict[str, Any]:
    role = subgroup == "person-role" and emoji.get("gender") is not None
    tags = [tag.lower() for tag in emoji.get("tags", [])]
    return {
        "id": number,
        "label": name,
        "hex": emoji["hexcode"],
        "aliases": [alias for alias in ALIASES.get(emoji["label"], "").split(";") if alias],
        "tags": [tag for tag in tags if re.fullmatch(r"[a-z][a-z' -]{2,18}", tag)][:_TAGS],
        "weight": GROUP_WEIGHTS[group] * (0.5 if role else 1),
        "styles": [],
    }


def clean(label: str) -> str:
    """CLDR's name as plain words: no typographic quotes, no colons."""
    words = label.replace("’", "'").replace("“", "").replace("”", "").lower()
    words = re.sub(r"^flag: ", "flag of ", words)
    if words.endswith(": bald"):
        return "bald " + words.removesuffix(": bald")
    person = words.startswith(("man:", "woman:", "person:"))
    return words.replace(": ", " with ") if person else words.replace(":", "")


def held_out(label: str, styles: list[str]) -> list[str]:
    """The style of this concept that the UNet never sees, or none; it is always the same."""
    digest = int(hashlib.sha1(("held" + label).encode(), usedforsecurity=False).hexdigest(), 16)
    if digest % 1000 >= 1000 * HELD_OUT * len(styles):
        return []
    return [styles[digest // 7919 % len(styles)]]
