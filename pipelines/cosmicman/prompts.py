"""The parts of a dense prompt that a user fills in, and the caption made of them.

Order and wording follow the training captions: "shot, a <adjectives> <gender>, <body>, <background>, …".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..common.errors import FiguraInputError
from ..common.text import MAX_TOKENS
from .captions import GROUPS, Caption, make_caption


@dataclass(frozen=True)
class Part:
    """One text field: its input name, its group (index in ``GROUPS``), an example and its help."""

    name: str
    group: int
    example: str
    help: str
    rare: bool = False


PARTS = (
    Part("ethnicity", 0, "caucasian", "First word of the subject."),
    Part("age", 0, "middle-aged", "Second word of the subject."),
    Part("gender", 0, "woman", "The subject itself; without it the subject is left out."),
    Part("body", 1, "fit", "Body shape."),
    Part("background", 2, "a natural landscape", "What is behind the person."),
    Part("hair", 3, "wavy white hair above shoulders", "Colour, style and length of the hair."),
    Part("special_clothing", 4, "a long sleeve wedding gown", "Costumes, uniforms and the like.", rare=True),
    Part("one_piece", 5, "floral cotton short dress", "Dress, jumpsuit."),
    Part(
        "tops", 6, "plaid cotton long sleeve red shirt", "Pattern, material, sleeves, colour, then the thing."
    ),
    Part("coats", 7, "wool long coat", "Coat or jacket."),
    Part("bottoms", 8, "denim blue pants", "Trousers or skirt."),
    Part("shoes", 9, "leather black shoes", "Shoes or boots."),
    Part("bags", 10, "nylon backpack", "Bags.", rare=True),
    Part("hats", 11, "straw hat", "Hats.", rare=True),
    Part("belts", 12, "leather belt", "Belts.", rare=True),
    Part("scarf", 13, "plaid cashmere scarf", "Scarf.", rare=True),
    Part("overall_style", 14, "casual sporty", "Style of the whole outfit.", rare=True),
    Part("headwear", 15, "striped cotton headband", "Headband, headscarf or veil.", rare=True),
    Part("socks", 18, "striped cotton socks", "Socks.", rare=True),
    Part("ties", 19, "silk tie", "Ties.", rare=True),
)


def build(shot: str, parts: Mapping[str, str], extra: str = "") -> Caption:
    """Make a caption of filled-in parts; commas and blanks at their ends are dropped, empty ones left out.

    Args:
        shot: the shot's words, or "" for none.
        parts: text by ``Part.name``.
        extra: goes to the end as a group of its own.
    """
    texts = [""] * len(GROUPS)
    subject = []
    for part in PARTS:
        words = " ".join(parts.get(part.name, "").split()).strip(" ,")
        if part.group == 0:
            subject.append(words)
        elif words:
            texts[part.group] = words
    if subject[-1]:
        texts[0] = "a " + " ".join(word for word in subject if word)
    elif any(subject):
        raise FiguraInputError(
            "gender",
            "nothing, but an age or ethnicity",
            "a noun for them",
            "For example: woman, man, person.",
        )
    return make_caption(shot, [*texts, " ".join(extra.split()).strip(" ,")], [*GROUPS, "extra"])


def summary(caption: Caption) -> str:
    """The caption and its length, with a warning past the one window that CosmicMan was trained on."""
    lines = [caption.text, "", f"{caption.tokens} of {MAX_TOKENS} tokens"]
    if caption.tokens > MAX_TOKENS:
        lines.append(
            f"Too long by {caption.tokens - MAX_TOKENS}: CosmicMan was trained on one window of "
            f"{MAX_TOKENS}; ComfyUI reads the rest as a second one. Leave something out."
        )
    return "\n".join(lines)
