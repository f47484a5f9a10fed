"""CosmicMan's dense captions: a shot, then groups of the body in a fixed order, and the tokens of each.

The layout is that of the training captions: lower case, "a" even before a vowel, groups joined by ", ".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..common.dense_captions import ATTRIBUTES, GROUPS, SHOTS, group_text, join
from ..common.text import BOS, EOS, MAX_TOKENS, PAD, token_ids

__all__ = [
    "ATTRIBUTES", "GROUPS", "SHOTS", "Caption", "Group", "Span", "group_spans", "group_text", "join",
    "make_caption", "split_caption", "trim",
]  # fmt: skip
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
