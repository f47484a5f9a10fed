"""CosmicMan's dense captions: a shot, then groups of the body in a fixed order, and the tokens of each.

The layout is that of the training captions: lower case, "a" even before a vowel, groups joined by ", ".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..common.text import BOS, EOS, MAX_TOKENS, PAD, token_ids

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
Span = tuple[int, int]


@dataclass(frozen=True)
class Group:
    """One part of a caption: its name, its words, and its tokens [start, end) of the 77, if unique."""

    name: str
    text: str
    span: Span | None = None


@dataclass(frozen=True)
class Caption:
    """A caption and the groups it was made of, the shot first. ``tokens`` counts start and end."""

    text: str
    groups: tuple[Group, ...]
    tokens: int


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


def make_caption(
    shot: str, texts: Sequence[str], names: Sequence[str] = GROUPS, encoder: str = "clip_g"
) -> Caption:
    """Join a shot and group texts in order, leaving out the empty ones, and find every group's tokens."""
    parts = [(name, text) for name, text in zip(("shot", *names), (shot, *texts), strict=True) if text]
    caption = ", ".join(text for _, text in parts)
    spans = group_spans(caption, [text for _, text in parts], encoder)
    groups = tuple(Group(name, text, span) for (name, text), span in zip(parts, spans, strict=True))
    return Caption(caption, groups, len(token_ids(caption, encoder)))


def split_caption(text: str, encoder: str = "clip_g") -> Caption:
    """Take a caption apart at its commas; a part that names a shot is the shot, the others are numbered."""
    words = [part.strip() for part in text.split(",") if part.strip()]
    spans = group_spans(", ".join(words), words, encoder)
    groups = tuple(
        Group("shot" if word in SHOTS.values() else f"group {number}", word, span)
        for number, (word, span) in enumerate(zip(words, spans, strict=True))
    )
    return Caption(", ".join(words), groups, len(token_ids(", ".join(words), encoder)))


def trim(texts: Sequence[str], encoder: str = "clip_g") -> list[str]:
    """Empty the last non-empty groups until the caption fits CLIP's 77 tokens."""
    texts = list(texts)
    while len(token_ids(join(texts), encoder)) > MAX_TOKENS and any(texts):
        last = max(i for i, text in enumerate(texts) if text)
        texts = texts[:last]
    return texts


def group_spans(caption: str, texts: Sequence[str], encoder: str = "clip_g") -> list[Span | None]:
    """Where each group's tokens stand in the caption's 77: [start, end), start token counted.

    None where they occur not at all or more than once: such a group takes no part in the loss.
    """
    ids = token_ids(caption, encoder)[:MAX_TOKENS]
    ids += [PAD[encoder][1]] * (MAX_TOKENS - len(ids))
    return [_only_occurrence(ids, inner_ids(text, encoder)) for text in texts]


def inner_ids(text: str, encoder: str = "clip_g") -> list[int]:
    """Token ids without start and end."""
    ids = token_ids(text, encoder)
    assert ids[0] == BOS and ids[-1] == EOS
    return ids[1:-1]


def _only_occurrence(ids: list[int], part: list[int]) -> Span | None:
    if not part:
        return None
    starts = [i for i in range(len(ids) - len(part) + 1) if ids[i : i + len(part)] == part]
    return (starts[0], starts[0] + len(part)) if len(starts) == 1 else None
