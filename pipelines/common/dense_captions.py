"""The dense captions of CosmicMan's label files: a shot, then 20 groups of attributes, in a fixed layout.

Lower case, "a" even before a vowel, groups joined by ", "; the specification of the paper's released loader.
"""

import random
from collections.abc import Mapping, Sequence

SHOTS = {
    "full_body": "a full-body shot",
    "nearly_full_body": "a nearly full-body shot",
    "upper_body": "a upper body shot",
    "portrait": "a close up portrait shot",
    "headshot": "a headshot",
}
GROUPS = (
    "subject", "body shape", "background", "hair", "special clothings", "one-piece outfits", "tops", "coats",
    "bottoms", "shoes", "bags", "hats", "belts", "scarf", "overall-style", "headband", "headscarf", "veil",
    "socks", "ties",
)  # fmt: skip
# Each group's attributes, in the order of the labels, and its noun: a word, or the attribute that holds it.
_CLOTH = ("pattern", "material")
ATTRIBUTES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("country", "age"), "gender"),
    (("body shape",), ""),
    (("background",), ""),
    (("hair color", "hair style", "hair length"), "=hair"),
    (("sleeve length",), "type"),
    ((*_CLOTH, "sleeve length", "collar shape", "length", "shoulder exposure level"), "type"),
    ((*_CLOTH, "sleeve length", "top length", "collar shape", "color", "graphic"), "type"),
    ((*_CLOTH, "coat length", "collar shape", "color", "graphic"), "type"),
    ((*_CLOTH, "length", "bottom shape", "color", "graphic"), "type"),
    ((*_CLOTH, "boots length", "color"), "type"),
    (("material",), "type"),
    (("material",), "type"),
    (("material",), "=belt"),
    (_CLOTH, "=scarf"),
    (("overall-style",), ""),
    (_CLOTH, "=headband"),
    (_CLOTH, "=headscarf"),
    (_CLOTH, "=veil"),
    (_CLOTH, "=socks"),
    (_CLOTH, "=ties"),
)


def group_text(index: int, attributes: Mapping[str, str | None]) -> str:
    """The words of group ``index`` (0..19): its attributes in the table's order, then its noun.

    A missing noun, or an attribute that is there but null, leaves the group empty, as in training.
    """
    keys, noun = ATTRIBUTES[index]
    words = [attributes[key] for key in keys if key in attributes]
    if noun:
        words.append(noun[1:] if noun.startswith("=") else attributes.get(noun))
    if any(word is None for word in words):
        return ""
    text = " ".join(word for word in words if word)
    return f"a {text}" if index == 0 and text else text


def join(texts: Sequence[str]) -> str:
    """The groups' texts as one caption; the first stays even when it is empty, as in training."""
    return ", ".join([texts[0], *(text for text in texts[1:] if text)]) if texts else ""


Attributes = Mapping[str, str | None]
FIXED = 3  # subject, body shape and background keep their places; later groups are shuffled
RARE = 14  # from this group on, a group is left out half of the time


def all_texts(shot: str, groups: Sequence[Attributes | None]) -> list[str]:
    """The 21 texts of a record: the shot's, then the groups'; empty where there is nothing to say."""
    texts = [group_text(i, attributes) if attributes else "" for i, attributes in enumerate(groups)]
    return [SHOTS.get(shot, ""), *texts]


def varied_texts(
    shot: str, groups: Sequence[Attributes | None], rng: random.Random, drop: float = 0.1
) -> tuple[list[str], list[int | None]]:
    """As ``all_texts`` with the released trainer's chance, draw for draw: adjectives and later groups
    shuffled, rare groups emptied half of the time, every group dropped with probability ``drop``.

    Returns: 21 texts in the caption's order, and for each which of ``all_texts`` it is; None if dropped.
    """
    texts: list[str] = []
    for index, attributes in enumerate(groups):
        if attributes is None or (index >= RARE and rng.random() < 0.5):
            texts.append("")
        else:
            texts.append(_shuffled_text(index, attributes, rng))
    later = list(range(FIXED, len(groups)))
    rng.shuffle(later)
    order = [*range(min(FIXED, len(groups))), *later]
    kept = [rng.random() > drop for _ in order]
    words = [texts[index] if keep else "" for index, keep in zip(order, kept, strict=True)]
    places = [1 + index if keep else None for index, keep in zip(order, kept, strict=True)]
    return [SHOTS.get(shot, ""), *words], [0, *places]


def _shuffled_text(index: int, attributes: Attributes, rng: random.Random) -> str:
    keys, noun = ATTRIBUTES[index]
    present = [key for key in keys if key in attributes]
    rng.shuffle(present)
    ordered = {key: attributes[key] for key in present}
    if noun and not noun.startswith("=") and noun in attributes:
        ordered[noun] = attributes[noun]
    words = [ordered[key] for key in present]
    if noun:
        words.append(noun[1:] if noun.startswith("=") else ordered.get(noun))
    if any(word is None for word in words):
        return ""
    text = " ".join(word for word in words if word)
    return f"a {text}" if index == 0 and text else text
