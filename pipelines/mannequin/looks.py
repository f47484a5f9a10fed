"""What a person looks like: attributes drawn at random, all of them visible in the picture."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .palette import CLOTHES, HAIR, SKIN


@dataclass(frozen=True)
class Garment:
    """One piece of clothing. Words are the words of the caption."""

    kind: str
    color: str
    pattern: str = "solid"
    material: str = "cotton"
    length: str = ""
    """tops: cropped, normal, long. bottoms and dresses: short, knee-length, long."""
    sleeve: str = ""
    """sleeveless, short sleeve, long sleeve; empty for what has no sleeves."""
    collar: str = ""
    shape: str = ""
    second: str = ""
    """The other colour of a pattern."""


@dataclass(frozen=True)
class Hair:
    """Hair; ``length`` is above ears, above shoulders or above chest."""

    color: str
    style: str
    length: str


@dataclass(frozen=True)
class Look:
    """Everything about a person that does not change with the pose."""

    gender: str
    age: str
    skin: str
    body: str
    """slim, fit or plump."""
    hair: Hair | None
    top: Garment | None
    bottom: Garment | None
    dress: Garment | None
    shoes: Garment
    coat: Garment | None = None
    hat: Garment | None = None
    scarf: Garment | None = None
    belt: Garment | None = None
    bag: Garment | None = None
    tie: Garment | None = None
    wrap: Garment | None = None
    """A headband or a headscarf; never with a hat."""
    socks: Garment | None = None
    glasses: bool = False
    beard: bool = False
    stature: float = 1.0
    """Height in units of the frame's standard person."""
    tints: tuple[float, ...] = field(default=(0.0,) * 6)
    """Brightness offsets of skin, hair, top, bottom, shoes, coat: shades of one named colour."""

    @property
    def style(self) -> str:
        """casual, formal or sporty, as the clothes say."""
        if self.tie is not None or (self.dress is not None and self.dress.length == "long"):
            return "formal"
        light = self.top is not None and self.top.kind in ("t-shirt", "tank top")
        return "sporty" if light and self.shoes.kind == "sneakers" and self.coat is None else "casual"


def pick(rng: random.Random, options: Sequence[str], weights: Sequence[float] | None = None) -> str:
    """One of ``options``, evenly or by ``weights``."""
    if weights is None:
        return options[int(rng.random() * len(options))]
    return rng.choices(options, weights)[0]


def draw_look(rng: random.Random, accessories: float = 1.0, wraps: float = 0.0) -> Look:
    """Draw a person. ``accessories`` scales the chance of hats, bags, scarves, coats and the like (0:
    none), ``wraps`` is that of a headband or headscarf, and that of socks."""
    gender = pick(rng, ("female", "male"))
    age = pick(rng, ("adult", "elderly"), (5, 1))
    has = lambda chance: rng.random() < chance * accessories  # noqa: E731
    top, bottom, dress = _draw_outfit(rng, gender)
    coat = _draw_coat(rng) if has(0.14) and (top is None or top.sleeve != "sleeveless") else None
    shirt = top is not None and top.kind == "shirt" and coat is None
    look = Look(
        gender=gender,
        age=age,
        skin=pick(rng, tuple(SKIN)),
        body=pick(rng, ("slim", "fit", "plump"), (3, 4, 2)),
        hair=_draw_hair(rng, gender, age),
        top=top,
        bottom=bottom,
        dress=dress,
        shoes=_draw_shoes(rng),
        coat=coat,
        hat=_draw_hat(rng) if has(0.15) else None,
        scarf=_draw_scarf(rng) if has(0.09) else None,
        belt=Garment("belt", "", material="leather") if has(0.22) else None,
        bag=_draw_bag(rng) if has(0.14) else None,
        tie=Garment("tie", pick(rng, ("red", "blue", "black"))) if shirt and has(0.3) else None,
        glasses=has(0.07),
        beard=gender == "male" and has(0.25),
        stature=rng.gauss(0.975 if gender == "female" else 1.02, 0.03),
        tints=tuple(rng.uniform(-0.06, 0.06) for _ in range(6)),
    )
    return _wrapped(rng, look, wraps) if wraps else look  # drawn last: the rest of a look stays


def draw_plain_look(rng: random.Random) -> Look:
    """Draw a person from the short wardrobe: hair short or long in five colours; t-shirt, sweater or tank
    top; pants, shorts or skirt; shoes or boots; each garment in one of eight colours, evenly."""
    gender = pick(rng, ("female", "male"))
    colors, style = tuple(CLOTHES), pick(rng, ("straight", "wavy", "curly"), (4, 3, 2))
    hair = Hair(pick(rng, tuple(HAIR)), style, pick(rng, ("above ears", "above chest")))
    kind, sleeve = rng.choice(_PLAIN_TOPS)
    collar = "round" if kind == "sweater" else pick(rng, ("round", "v neck"))
    top = Garment(kind, pick(rng, colors), length="normal", sleeve=sleeve, collar=collar)
    kind = pick(rng, ("pants", "shorts", "skirt"))
    length = {"pants": "long", "shorts": "short"}.get(kind) or pick(rng, ("short", "knee-length"))
    shape = pick(rng, ("a-line", "pencil") if kind == "skirt" else ("slim", "straight"))
    bottom = Garment(kind, pick(rng, colors), length=length, shape=shape)
    kind = pick(rng, ("shoes", "boots"))
    shoes = Garment(kind, pick(rng, colors), material="leather", length="ankle" if kind == "boots" else "")
    body = pick(rng, ("slim", "fit", "plump"), (3, 4, 2))
    skin = pick(rng, [name for name in SKIN if (name, hair.color) != ("dark", "brown")])  # two alike
    return Look(
        gender, "adult", skin, body, hair, top, bottom, None, shoes,
        stature=rng.gauss(0.975 if gender == "female" else 1.02, 0.03),
        tints=tuple(rng.uniform(-0.05, 0.05) for _ in range(6)),
    )  # fmt: skip


_PLAIN_TOPS = (("t-shirt", "short sleeve"), ("sweater", "long sleeve"), ("tank top", "sleeveless"))


def _draw_hair(rng: random.Random, gender: str, age: str) -> Hair | None:
    if age == "adult" and rng.random() < (0.08 if gender == "male" else 0.01):
        return None
    color = "gray" if age == "elderly" else pick(rng, tuple(HAIR), (4, 4, 3, 2, 0))
    long_weights = (3, 4, 5) if gender == "female" else (9, 1.2, 0.6)
    length = pick(rng, ("above ears", "above shoulders", "above chest"), long_weights)
    if length == "above ears":
        return Hair(
            color, pick(rng, ("straight", "curly", "bun"), (5, 2, 2 if gender == "female" else 0)), length
        )
    style = pick(
        rng, ("straight", "wavy", "curly", "ponytail"), (4, 3, 2, 2 if length == "above chest" else 0)
    )
    return Hair(color, style, length)


def _color_pair(
    rng: random.Random, patterns: tuple[str, ...], weights: tuple[float, ...]
) -> tuple[str, str, str]:
    """A colour, a pattern, and the pattern's second colour (white on dark, else a dark or white one)."""
    color, pattern = pick(rng, tuple(CLOTHES)), pick(rng, patterns, weights)
    if pattern == "solid":
        return color, pattern, ""
    return color, pattern, pick(rng, ("black", "red", "blue")) if color in ("white", "yellow") else "white"


def _draw_top(rng: random.Random) -> Garment:
    kind = pick(rng, ("t-shirt", "shirt", "sweater", "tank top"), (5, 4, 3, 2))
    color, pattern, second = _color_pair(rng, ("solid", "striped", "dotted", "plaid"), (13, 3, 1.5, 1.5))
    if kind == "sweater" and pattern == "dotted":
        pattern = "striped"
    if pattern == "plaid" and kind != "shirt":
        pattern = "striped"
    sleeve = {"t-shirt": "short sleeve", "tank top": "sleeveless", "sweater": "long sleeve"}.get(kind)
    sleeve = sleeve or pick(rng, ("short sleeve", "long sleeve"), (1, 3))
    collar = {"shirt": "lapel", "sweater": pick(rng, ("round", "turtleneck"), (2, 1))}.get(kind)
    collar = collar or pick(rng, ("round", "v neck"), (2, 1))
    length = pick(rng, ("cropped", "normal", "long"), (1 if kind != "shirt" else 0, 6, 2))
    material = {"sweater": "wool", "shirt": "linen"}.get(kind, "cotton")
    return Garment(kind, color, pattern, material, length, sleeve, collar, second=second)


def _draw_bottom(rng: random.Random, gender: str) -> Garment:
    kind = pick(rng, ("pants", "shorts", "skirt"), (5, 2, 3) if gender == "female" else (7, 3, 0))
    color = pick(rng, tuple(CLOTHES))
    if kind == "skirt":
        length = pick(rng, ("short", "knee-length", "long"), (3, 4, 2))
        shape = pick(rng, ("a-line", "pleated", "pencil") if length != "long" else ("a-line", "pleated"))
        return Garment(kind, color, length=length, shape=shape)
    shape = pick(rng, ("slim", "straight", "wide"), (3, 4, 2))
    material = "denim" if color == "blue" else "cotton"
    return Garment(kind, color, material=material, length="long" if kind == "pants" else "short", shape=shape)


def _draw_outfit(rng: random.Random, gender: str) -> tuple[Garment | None, Garment | None, Garment | None]:
    if gender == "male" or rng.random() > 0.2:
        return _draw_top(rng), _draw_bottom(rng, gender), None
    color, pattern, second = _color_pair(rng, ("solid", "striped", "dotted"), (8, 1.5, 2.5))
    sleeve = pick(rng, ("sleeveless", "short sleeve", "long sleeve"), (3, 3, 2))
    length = pick(rng, ("short", "knee-length", "long"), (2, 4, 3))
    collar = pick(rng, ("round", "v neck"))
    return None, None, Garment("dress", color, pattern, "cotton", length, sleeve, collar, "a-line", second)


def _draw_shoes(rng: random.Random) -> Garment:
    kind = pick(rng, ("shoes", "sneakers", "boots"), (4, 4, 2))
    material = {"sneakers": "canvas"}.get(kind, "leather")
    return Garment(
        kind, pick(rng, tuple(CLOTHES)), material=material, length="ankle" if kind == "boots" else ""
    )


def _draw_coat(rng: random.Random) -> Garment:
    kind, color = pick(rng, ("jacket", "coat")), pick(rng, tuple(CLOTHES))
    if kind == "coat":
        return Garment(kind, color, material="wool", length="long", collar="lapel")
    return Garment(
        kind, color, material="denim" if color == "blue" else "leather", length="short", collar="lapel"
    )


def _draw_hat(rng: random.Random) -> Garment:
    kind, material = rng.choice((("hat", "straw"), ("hat", "felt"), ("cap", "cotton"), ("beanie", "wool")))
    return Garment(kind, "", material=material)


def _draw_scarf(rng: random.Random) -> Garment:
    color, pattern, second = _color_pair(rng, ("solid", "striped"), (1, 1))
    return Garment("scarf", color, pattern, "wool", second=second)


def _wrapped(rng: random.Random, look: Look, chance: float) -> Look:
    """The look with a headband or headscarf, and with socks, where they would be seen."""
    wrap = socks = None
    if rng.random() < chance and look.hat is None:
        kind = pick(rng, ("headband", "headscarf"))
        color, pattern, second = _color_pair(rng, ("solid", "dotted"), (2, 0 if kind == "headband" else 1))
        wrap = Garment(kind, color, pattern, "cotton", second=second)
    lower = look.bottom or look.dress
    if rng.random() < chance and look.shoes.kind != "boots" and lower is not None and lower.length != "long":
        socks = Garment("socks", pick(rng, tuple(CLOTHES)), material="cotton")
    return replace(look, wrap=wrap, socks=socks)


def _draw_bag(rng: random.Random) -> Garment:
    kind, material = rng.choice(
        (("shoulder bag", "leather"), ("shoulder bag", "canvas"), ("handbag", "leather"))
    )
    return Garment(kind, "", material=material)
