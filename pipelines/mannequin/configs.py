"""What the world looks like: one frozen dataclass and its presets."""

from dataclasses import dataclass

from ..common.errors import FiguraInputError

STYLES = ("shaded", "flat", "cartoon", "sketch")
FAMILIES = (
    "standing", "upright", "posing", "waving", "cheering", "walking", "running", "dancing", "lunging",
    "kicking", "balancing", "jumping", "sitting", "back view",
)  # fmt: skip
WALLS = ("white", "gray", "beige", "pink", "light blue", "light green")
SHOTS = ("full_body", "nearly_full_body", "upper_body", "portrait", "headshot")


@dataclass(frozen=True)
class WorldConfig:
    """How people are drawn at random. A picture is a pure function of this, the seed and the index."""

    height: int = 128
    """Pixels."""
    width: int = 64
    """Pixels."""
    people: tuple[int, int] = (1, 1)
    """Fewest and most people in a picture."""
    shots: tuple[str, ...] = SHOTS
    """Kinds of framing: full_body, nearly_full_body, upper_body, portrait, headshot."""
    styles: tuple[str, ...] = STYLES
    """Drawing styles: shaded, flat, cartoon, sketch."""
    scenery: float = 0.4
    """Share of pictures with a landscape or a street behind; the others have a plain wall."""
    accessories: float = 1.0
    """Scales the chance of hats, bags, scarves, coats and glasses; 0 draws none."""
    calm: bool = False
    """Standing people only, facing us: poses that fit a frame twice as high as wide."""
    aligned: bool = False
    """Head at 5 % and feet at 95 % of the height, trunk in the middle: StyleGAN-Human's alignment."""

    families: tuple[str, ...] = ()
    """Families of poses by name (poses.FAMILIES); empty: those that ``calm`` says."""
    plain: bool = False
    """Dress from the short wardrobe, whose every choice a short caption names (looks.draw_plain_look)."""
    walls: tuple[str, ...] = ()
    """Names of wall colours to choose from; empty: all."""
    big: float = 1.0
    """Scales heads, and with them hands and shoes, so that small pictures show them."""
    band: float = 1.0
    """Share of the height, centred, that a full-length person stays within (Parts2Whole's loader cuts the
    rest)."""
    wraps: float = 0.0
    """Chance of a headband or headscarf, and of socks that show: rarer groups of CosmicMan's captions."""

    def __post_init__(self) -> None:
        for side in ("height", "width"):
            value = getattr(self, side)
            if isinstance(value, bool) or not isinstance(value, int) or not 16 <= value <= 4096:
                raise FiguraInputError(f"picture {side}", repr(value), "a whole number from 16 to 4096")
        fewest, most = self.people
        if not 1 <= fewest <= most <= 8:
            raise FiguraInputError("people", f"{fewest} to {most}", "1 to 8, the smaller number first")
        _check_words("shots", self.shots, SHOTS)
        _check_words("styles", self.styles, STYLES)
        _check_words("families", self.families or FAMILIES[:1], FAMILIES)
        _check_words("walls", self.walls or WALLS[:1], WALLS)
        if not 0.5 <= self.big <= 2:
            raise FiguraInputError("big", str(self.big), "a factor from 0.5 to 2")
        if not 0.2 <= self.band <= 1:
            raise FiguraInputError("band", str(self.band), "a share of the height from 0.2 to 1")
        if not 0 <= self.wraps <= 1:
            raise FiguraInputError("wraps", str(self.wraps), "a chance from 0 to 1")
        if not 0 <= self.scenery <= 1 or not 0 <= self.accessories <= 3:
            came = f"scenery {self.scenery}, accessories {self.accessories}"
            raise FiguraInputError("world", came, "scenery from 0 to 1, accessories from 0 to 3")


def _check_words(what: str, words: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    unknown = [word for word in words if word not in allowed]
    if unknown or not words:
        raise FiguraInputError(what, ", ".join(unknown) or "nothing", "one or more of " + ", ".join(allowed))


def portraits(height: int = 128, width: int = 64) -> WorldConfig:
    """One aligned, calm, shaded full-length figure before a plain wall: StyleGAN-Human's world."""
    return WorldConfig(
        height,
        width,
        shots=("full_body",),
        styles=("shaded",),
        scenery=0.0,
        accessories=0.6,
        calm=True,
        aligned=True,
    )


def catalogue(height: int = 128, width: int = 128) -> WorldConfig:
    """One person in any framing, shaded: CosmicMan's world."""
    return WorldConfig(height, width, styles=("shaded",), wraps=0.12)


def crowd(height: int = 128, width: int = 128) -> WorldConfig:
    """One to four people, any style, lively poses: HumanSD's world."""
    return WorldConfig(
        height, width, people=(1, 4), shots=("full_body", "full_body", "upper_body"), scenery=0.5
    )


def studio(height: int = 1101, width: int = 750) -> WorldConfig:
    """One shaded full-length person before a plain wall, inside what Parts2Whole's loader keeps of the
    picture."""
    band = min(0.94, width / 0.9 / height)
    return WorldConfig(height, width, shots=("full_body",), styles=("shaded",), scenery=0.0, band=band)


def demo(height: int = 128, width: int = 64, lively: bool = False) -> WorldConfig:
    """One aligned full-length figure whose short caption says all (captions.short_caption): the demo models'
    world. ``lively`` adds raised arms and dancers to the standing poses, for models that follow a pose, and
    lets people stand freely in the frame."""
    calm = ("standing", "upright", "posing")
    return WorldConfig(
        height,
        width,
        shots=("full_body",),
        styles=("shaded",),
        scenery=0.0,
        accessories=0.0,
        families=(*calm, "waving", "cheering", "dancing", "walking") if lively else calm,
        aligned=not lively,
        plain=True,
        walls=("gray", "beige", "pink", "light blue", "light green"),
        big=1.35,
    )
