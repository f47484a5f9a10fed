"""Words for pictures: CosmicMan's dense captions in 20 attribute groups, and one plain sentence.

A caption names only what is in the picture: what a framing cuts off or an arm hides is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..common.dense_captions import all_texts, join
from . import classes
from .accessories import shows_tie
from .looks import Garment, Look
from .poses import FAMILIES

if TYPE_CHECKING:
    from .scene import Person, Picture

Attributes = dict[str, str]

# Places in the list of 20 groups (common/dense_captions.py has their layout).
(
    SUBJECT,
    BODY,
    BACKGROUND,
    HAIR,
    SPECIAL,
    ONE_PIECE,
    TOPS,
    COATS,
    BOTTOMS,
    SHOES,
    BAGS,
    HATS,
    BELTS,
    SCARF,
    STYLE,
) = range(15)
HEADBAND, HEADSCARF = 15, 16
SOCKS, TIES = 18, 19
STYLE_WORDS = {
    "shaded": "a shaded drawing",
    "flat": "a flat illustration",
    "cartoon": "a cartoon",
    "sketch": "a sketch",
}
NUMBERS = ("nobody", "one person", "two people", "three people", "four people", "five people", "six people",
           "seven people", "eight people")  # fmt: skip


def visible_classes(picture: Picture, person: int) -> list[int]:
    """Part map classes of ``people[person]`` that cover at least a few pixels, in rising order."""
    counts = np.bincount(picture.parts[picture.mask(person)], minlength=18)
    least = max(2, picture.parts.size // 4000)
    return [label for label in range(1, 18) if counts[label] >= least]


def attribute_groups(
    picture: Picture, person: int = 0
) -> tuple[list[Attributes | None], list[list[int] | None]]:
    """CosmicMan's ``aa_text`` and ``aa_ids``: 20 groups, each attributes or null, and class ids or null."""
    look, seen = picture.people[person].look, visible_classes(picture, person)
    texts: list[Attributes | None] = [None] * 20
    ids: list[list[int] | None] = [None] * 20

    def add(group: int, attributes: Attributes, *labels: int) -> None:
        shown = [label for label in labels if label in seen or label == classes.BACKGROUND]
        if shown:
            texts[group], ids[group] = {key: value for key, value in attributes.items() if value}, shown

    add(SUBJECT, {"country": f"{look.skin}-skinned", "age": look.age, "gender": look.gender}, *seen)
    add(BODY, {"body shape": look.body}, *seen)
    add(BACKGROUND, {"background": picture.backdrop.words}, classes.BACKGROUND)
    if look.hair is not None:
        hair = {"hair color": look.hair.color, "hair style": look.hair.style, "hair length": look.hair.length}
        add(HAIR, hair, classes.HAIR)
    _add_clothes(look, add)
    _add_accessories(picture.people[person], seen, add)
    add(STYLE, {"overall-style": look.style}, classes.UPPER, classes.SKIRT, classes.PANTS, classes.DRESS)
    return texts, ids


def _add_clothes(look: Look, add: Callable[..., None]) -> None:
    dress, top, coat, bottom = look.dress, look.top, look.coat, look.bottom
    if dress is not None:
        words = _words(dress, "sleeve length", "collar shape", "length", covered=coat is not None)
        add(ONE_PIECE, words | {"pattern": colored_pattern(dress)}, classes.DRESS)
    if top is not None:
        keys = ("color", "sleeve length", "top length", "collar shape")
        add(TOPS, _words(top, *keys, covered=coat is not None), classes.UPPER)
    if coat is not None:
        add(COATS, _words(coat, "color", "coat length", "collar shape"), classes.UPPER)
    if bottom is not None:
        label = classes.SKIRT if bottom.kind == "skirt" else classes.PANTS
        add(BOTTOMS, _words(bottom, "color", "length", "bottom shape"), label)
    shoes = {
        name: word for name, word in _words(look.shoes, "color", "boots length").items() if name != "pattern"
    }
    add(SHOES, shoes, classes.LEFT_SHOE, classes.RIGHT_SHOE)


def _words(garment: Garment, *keys: str, covered: bool = False) -> Attributes:
    """Type, pattern, material and the named attributes of a garment, under the layout's keys; of one
    ``covered`` by a coat neither sleeves nor hem."""
    fields = {"color": garment.color, "sleeve length": garment.sleeve, "collar shape": garment.collar}
    fields |= {"bottom shape": garment.shape}
    if covered:
        keys = tuple(key for key in keys if key not in ("sleeve length", "top length"))
    own = {key: fields.get(key, garment.length) for key in keys}
    return {"type": garment.kind, "pattern": pattern(garment), "material": garment.material} | own


def _add_accessories(person: Person, seen: list[int], add: Callable[..., None]) -> None:
    look = person.look
    if look.bag is not None:
        add(BAGS, {"type": look.bag.kind, "material": look.bag.material}, classes.BAG)
    if look.hat is not None:
        add(HATS, {"type": look.hat.kind, "material": look.hat.material}, classes.HAT)
    if look.belt is not None and look.coat is None:
        add(BELTS, {"material": look.belt.material}, classes.BELT)
    if look.scarf is not None:
        add(SCARF, _colored(look.scarf), classes.SCARF)
    if look.wrap is not None:
        add(HEADBAND if look.wrap.kind == "headband" else HEADSCARF, _colored(look.wrap), classes.HAT)
    if look.socks is not None and {classes.LEFT_SHOE, classes.RIGHT_SHOE} & set(seen):
        add(SOCKS, _colored(look.socks), classes.LEFT_LEG, classes.RIGHT_LEG)
    if look.tie is not None and shows_tie(person.skeleton):
        add(TIES, _colored(look.tie) | {"material": "silk"}, classes.UPPER)


def _colored(garment: Garment) -> Attributes:
    return {"pattern": colored_pattern(garment), "material": garment.material}


def pattern(garment: Garment) -> str:
    """Solid, or the pattern with its second colour: ``white striped``."""
    return garment.pattern if not garment.second else f"{garment.second} {garment.pattern}"


def colored_pattern(garment: Garment) -> str:
    """Groups whose layout has no colour key (dresses, scarves, socks …) carry the colour in the pattern."""
    if not garment.second:
        return f"solid {garment.color}"
    return f"{garment.color} and {garment.second} {garment.pattern}"


def group_texts(picture: Picture, person: int = 0) -> list[str]:
    """The 21 texts of a dense caption: the shot, then the 20 groups in order; an empty group is ""."""
    return all_texts(picture.people[person].shot, attribute_groups(picture, person)[0])


def dense_caption(picture: Picture, person: int = 0) -> str:
    """The whole dense caption of one person: ``a full-body shot, a pale-skinned adult female, slim, …``."""
    return join(group_texts(picture, person))


def sentence(picture: Picture) -> str:
    """One plain sentence on everybody: style, number, place, and who wears what, from left to right."""
    people = sorted(enumerate(picture.people), key=lambda item: float(item[1].box[0]))
    shown = [(number, person) for number, person in people if person.box.any()]
    words = [_describe(picture, number, person) for number, person in shown]
    style, place = STYLE_WORDS[picture.style], _place(picture.backdrop.words)
    if len(words) == 1:
        return f"{style} of {words[0]}, {place}"
    if not words:
        return f"{style} of nobody, {place}"
    return f"{style} of {NUMBERS[len(words)]}, {place}: {', and '.join(words)}"


def _place(words: str) -> str:
    for key, preposition in (
        ("park", "in"),
        ("room", "in"),
        ("beach", "at"),
        ("street", "on"),
        ("sky", "under"),
    ):
        if key in words:
            return f"{preposition} {words}"
    return f"in front of {words}"


def _describe(picture: Picture, number: int, person: Person) -> str:
    look, seen = person.look, visible_classes(picture, number)
    worn = []
    for garment, labels in (
        (look.coat, {classes.UPPER}),
        (look.dress, {classes.DRESS}),
        (look.top, {classes.UPPER}),
        (look.bottom, {classes.PANTS, classes.SKIRT}),
        (look.shoes, {classes.LEFT_SHOE, classes.RIGHT_SHOE}),
    ):
        if garment is not None and labels & set(seen):
            second = f" and {garment.second} {garment.pattern}" if garment.second else ""
            worn.append(_article(f"{garment.color}{second} {garment.kind}"))
    if look.hat is not None and classes.HAT in seen:
        worn.append(_article(f"{look.hat.material} {look.hat.kind}"))
    noun = {"female": "woman", "male": "man"}[look.gender]
    hair = f" with {look.hair.color} hair" if look.hair is not None and classes.HAIR in seen else ""
    who = _article(f"elderly {noun}" if look.age == "elderly" else noun)
    return f"{who}{hair} in {', '.join(worn) or 'plain clothes'}, {_DOING[person.pose.name]}"


HAIR_WORDS = {"above ears": "short", "above shoulders": "short", "above chest": "long"}


def short_groups(picture: Picture, person: int = 0) -> tuple[list[str], list[list[int] | None]]:
    """The parts of ``short_caption`` as 21 texts (the shot, always empty, and the 20 groups) and, as in
    ``aa_ids``, the 20 groups' class ids. Each text stands word for word, once, in the caption."""
    look, seen = picture.people[person].look, visible_classes(picture, person)
    texts = [""] * 21
    ids: list[list[int] | None] = [None] * 20

    def add(group: int, words: str, *labels: int) -> None:
        shown = [label for label in labels if label in seen or label == classes.BACKGROUND]
        if shown:
            texts[group + 1], ids[group] = words, shown

    add(SUBJECT, "a woman" if look.gender == "female" else "a man", *seen)
    add(BACKGROUND, picture.backdrop.words, classes.BACKGROUND)
    if look.hair is not None:
        add(HAIR, f"{HAIR_WORDS[look.hair.length]} {look.hair.color} hair", classes.HAIR)
    for group, garment, *labels in (
        (ONE_PIECE, look.dress, classes.DRESS),
        (TOPS, look.top, classes.UPPER),
        (BOTTOMS, look.bottom, classes.SKIRT, classes.PANTS),
        (SHOES, look.shoes, classes.LEFT_SHOE, classes.RIGHT_SHOE),
    ):
        if garment is not None:
            add(group, f"{garment.color} {garment.kind}", *labels)
    return texts, ids


def short_attributes(
    picture: Picture, person: int = 0
) -> tuple[list[Attributes | None], list[list[int] | None]]:
    """``aa_text`` and ``aa_ids`` whose group texts are those of ``short_groups``."""
    texts, ids = short_groups(picture, person)
    attributes: list[Attributes | None] = [None] * 20
    for group, text in enumerate(texts[1:]):
        if group == SUBJECT and text:
            attributes[group] = {"gender": text.removeprefix("a ")}
        elif group == BACKGROUND and text:
            attributes[group] = {"background": text}
        elif group == HAIR and text:
            length, color, _ = text.split()
            attributes[group] = {"hair color": f"{length} {color}"}
        elif text:
            color, _, kind = text.partition(" ")
            attributes[group] = {"pattern" if group == ONE_PIECE else "color": color, "type": kind}
    return attributes, ids


def short_caption(picture: Picture, person: int = 0) -> str:
    """One person in a few words: ``a woman with long black hair, red sweater, blue skirt, white boots, in
    front of a pink wall``. Exact for worlds drawn with ``plain`` (configs.demo)."""
    texts = short_groups(picture, person)[0]
    who, place, hair = (texts[group + 1] for group in (SUBJECT, BACKGROUND, HAIR))
    worn = [texts[group + 1] for group in (ONE_PIECE, TOPS, BOTTOMS, SHOES)]
    who += f" with {hair}" if hair else ""
    return ", ".join([who, *(text for text in worn if text), _place(place)])


def plain_caption(picture: Picture, short: bool) -> str:
    """``short_caption`` for worlds whose clothes are all named by it (``WorldConfig.plain``), else
    ``sentence``."""
    return short_caption(picture) if short else sentence(picture)


def _article(words: str) -> str:
    """``a`` or ``an`` in front, nothing in front of what comes in pairs."""
    if words.endswith(("pants", "shorts", "shoes", "boots", "sneakers")):
        return words
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


_DOING = {name: name for name in FAMILIES}
_DOING |= {"upright": "standing upright", "back view": "seen from behind"}
