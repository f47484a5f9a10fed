"""InsetGAN: a face generator and a body generator moved towards each other until the face sits in the body.

Frühstück et al. 2022, "InsetGAN for Full-Body Image Generation", as StyleGAN-Human's script does it, in three
stages: the face meets the body's surroundings (25 steps), a body is found that suits the face (150), and
both move in turns of 50. Each network's latent is one w for all rows and a difference for each; one Adam
for each network lives through all stages, and its rate rises and falls anew in every stage.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.progress import Progress, silent
from .losses import Box, Measure, Pair, border, coarse, inside, outside, towards_mean

Drawing = Callable[[Tensor], Tensor]  # ws [1, rows, w_dim] -> pixels [1, 3, H, W] in [-1, 1]
FindFace = Callable[[Tensor], Box | None]  # pixels [1, 3, H, W] of a body -> the box of its face

RAMP_UP, RAMP_DOWN = 0.05, 0.25
PREVIEW_EVERY = 5


@dataclass(frozen=True)
class Weights:
    """The terms of one kind of step; ``own`` compares a network's picture with its reference."""

    coarse: Pair
    border: Pair
    own: Pair
    mean: float = 0.0


FACE_FIRST = Weights(Pair(50, 0.05), Pair(1000, 0.1), Pair(5000, 1.75))
BODY_FIRST = Weights(Pair(500, 0.05), Pair(2500, 0), Pair(9000, 0.1), 15000)
FACE_JOINT = Weights(Pair(500, 0.05), Pair(25000, 0), Pair(5000, 1.75))
BODY_JOINT = Weights(Pair(500, 0.05), Pair(2500, 0), Pair(9000, 0.1), 25000)


@dataclass(frozen=True)
class InsetConfig:
    """Steps and rates; the defaults are the published ones.

    Attributes:
        detect_every: steps of the second stage after which the face is looked for again.
        film_every: keep a frame after each so many steps; 0 keeps none.
    """

    face_steps: int = 25
    body_steps: int = 150
    joint_steps: int = 500
    turn: int = 50
    face_rate: float = 0.02
    body_rate: float = 0.05
    detect_every: int = 50
    film_every: int = 0

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.face_steps + self.body_steps + self.joint_steps


@dataclass(frozen=True)
class Point:
    """One step of the curve."""

    stage: int
    loss: float
    rate: float


@dataclass(frozen=True)
class InsetResult:
    """What came out: both latents [1, rows, w_dim], the box, the joined picture and the one before, pixels
    [1, 3, H, W]; frames uint8 [H, W, 3]; the curve.
    """

    face_ws: Tensor
    body_ws: Tensor
    box: Box
    image: Tensor
    before: Tensor
    frames: list = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)


class Half:
    """One network with its latent, its reference picture and its optimiser."""

    def __init__(self, draw: Drawing, ws: Tensor, rate: float) -> None:
        self.draw, self.rate = draw, rate
        ws = ws.detach().clone().float()
        even = bool((ws == ws[:, :1]).all())
        w = ws[:, :1].clone() if even else ws.mean(dim=1, keepdim=True)
        self.w = w.requires_grad_(True)
        self.delta = (ws - w.detach()).requires_grad_(True)
        self.optimizer = torch.optim.Adam([self.w, self.delta], lr=rate, betas=(0.9, 0.999))
        self.reference = self.still()

    @property
    def ws(self) -> Tensor:
        """The latent as the network reads it."""
        return self.w + self.delta

    def picture(self) -> Tensor:
        """The picture now, recording gradients."""
        return self.draw(self.ws)

    def still(self) -> Tensor:
        """The picture now, without gradients."""
        with torch.no_grad():
            return self.draw(self.ws)

    def move(self, loss: Tensor, rate: float) -> None:
        """One step of Adam at ``rate``."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def ramped(rate: float, step: int, steps: int) -> float:
    """The rate of ``step``: up over 5 % of the steps, from 0; down along a cosine over the last 25 %."""
    t = step / steps
    down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / RAMP_DOWN))
    return rate * down * min(1.0, t / RAMP_UP)


class Inset:
    """The optimisation, stage by stage; ``run`` does all three. Needs gradients switched on."""

    def __init__(
        self,
        face: Drawing,
        body: Drawing,
        face_ws: Tensor,
        body_ws: Tensor,
        body_mean: Tensor,
        box: Box,
        features: Box,
        measure: Measure,
        find_face: FindFace | None = None,
        config: InsetConfig | None = None,
        progress: Progress = silent,
    ) -> None:
        """Args: body_mean: average w [1, w_dim] of the body network. box: the face's place in the body
        picture. features: the rectangle of eyes, nose and mouth in the face picture. find_face: looks for
        the face again as the body changes; None keeps the box.
        """
        self.config = check_config(config or InsetConfig())
        self.face = Half(face, face_ws, self.config.face_rate)
        self.body = Half(body, body_ws, self.config.body_rate)
        self.body_mean, self.features = body_mean.detach().clone(), features
        self.box = fitted(box, self.body.reference, "face box")
        self.measure, self.find_face, self.progress = measure, find_face, progress
        self.before = joined(self.body.reference, self.face.reference, self.box)
        self.curve: list[Point] = []
        self.frames: list = []

    def run(self) -> InsetResult:
        """All stages."""
        self.meet_surroundings()
        self.find_body()
        self.move_both()
        image = joined(self.body.still(), self.face.still(), self.box)
        face_ws, body_ws = self.face.ws.detach(), self.body.ws.detach()
        return InsetResult(face_ws, body_ws, self.box, image, self.before, self.frames, self.curve)

    def meet_surroundings(self) -> None:
        """Stage 1: the face alone, at half its rate."""
        body, steps = self.body.still(), self.config.face_steps
        for step in range(steps):
            rate = ramped(self.face.rate / 2, step, steps)
            self._face_step(1, body, FACE_FIRST, rate)

    def find_body(self) -> None:
        """Stage 2: the body alone; its face is looked for again from time to time."""
        face, steps = self.face.still(), self.config.body_steps
        for step in range(steps):
            rate = ramped(self.body.rate, step, steps)
            self._body_step(2, face, BODY_FIRST, rate, look=step % self.config.detect_every == 0)

    def move_both(self) -> None:
        """Stage 3: face and body in turns, the face first."""
        steps, turn = self.config.joint_steps, self.config.turn
        half, done = max(1, steps // 2), {True: 0, False: 0}
        other = self.body.still()
        for step in range(steps):
            for_face = step // turn % 2 == 0
            if step % turn == 0:  # the one that rests is drawn once a turn
                other = (self.body if for_face else self.face).still()
            mover, move = (self.face, self._face_step) if for_face else (self.body, self._body_step)
            rate = ramped(mover.rate, done[for_face], half)
            move(3, other, FACE_JOINT if for_face else BODY_JOINT, rate)
            done[for_face] += 1

    def _face_step(self, stage: int, body: Tensor, weights: Weights, rate: float) -> None:
        raw = self.face.picture()
        crop, face = _crop(body, self.box), resized(raw, self.box)
        loss = self._meeting(face, crop, weights) + inside(
            raw, self.face.reference, self.features, weights.own, self.measure
        )
        self._finish(self.face, stage, loss, rate, body, face)

    def _body_step(
        self, stage: int, raw_face: Tensor, weights: Weights, rate: float, look: bool = False
    ) -> None:
        body = self.body.picture()
        if look and self.find_face is not None:
            self.box = recentred(self.box, self.find_face(body.detach()), body)
        face = resized(raw_face, self.box)
        loss = self._meeting(face, _crop(body, self.box), weights) + outside(
            body, self.body.reference, self.box, weights.own, self.measure
        )
        loss = loss + towards_mean(self.body.w, self.body_mean, weights.mean, self.body.delta)
        self._finish(self.body, stage, loss, rate, body, face)

    def _meeting(self, face: Tensor, crop: Tensor, weights: Weights) -> Tensor:
        return coarse(face, crop, weights.coarse, self.measure) + border(
            face, crop, weights.border, self.measure
        )

    def _finish(self, half: Half, stage: int, loss: Tensor, rate: float, body: Tensor, face: Tensor) -> None:
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FiguraInputError(
                "InsetGAN", f"a loss of {value} at step {len(self.curve) + 1}", "finite losses",
                "A latent far from the network's people, or a network in half precision, does this.",
            )  # fmt: skip
        half.move(loss, rate)
        self.curve.append(Point(stage, value, rate))
        done = len(self.curve)
        film = self.config.film_every and (done - 1) % self.config.film_every == 0
        show = done % PREVIEW_EVERY == 1 or done == self.config.steps
        picture = joined(body.detach(), face.detach(), self.box)[0] if film or show else None
        if film and picture is not None:
            self.frames.append(_frame(picture))
        self.progress(done, self.config.steps, picture if show else None)


def check_config(config: InsetConfig) -> InsetConfig:
    """Return the config, or raise FiguraInputError for numbers that make no optimisation."""
    for name, low in (("face_steps", 0), ("body_steps", 0), ("joint_steps", 0), ("turn", 1),
                      ("detect_every", 1), ("film_every", 0)):  # fmt: skip
        value = getattr(config, name)
        if not low <= value <= 100_000:
            raise FiguraInputError(name.replace("_", " "), str(value), f"{low} to 100000")
    for name in ("face_rate", "body_rate"):
        if not 0 < getattr(config, name) <= 10:
            raise FiguraInputError(
                name.replace("_", " "), str(getattr(config, name)), "more than 0, up to 10"
            )
    return config


def fitted(box: Sequence[int], pixels: Tensor, what: str) -> Box:
    """The box moved into the picture; FiguraInputError where it is no box or larger than the picture."""
    x0, y0, x1, y1 = (int(side) for side in box)
    height, width = pixels.shape[2:]
    if not (0 < x1 - x0 <= width and 0 < y1 - y0 <= height):
        raise FiguraInputError(
            what, f"{x1 - x0} x {y1 - y0} pixels", f"a box within the {width} x {height} of the picture"
        )
    x0, y0 = min(max(x0, 0), width - (x1 - x0)), min(max(y0, 0), height - (y1 - y0))
    return x0, y0, x0 + int(box[2]) - int(box[0]), y0 + int(box[3]) - int(box[1])


def recentred(box: Box, found: Box | None, pixels: Tensor) -> Box:
    """``box`` moved so that its centre is that of ``found``; an odd side loses a pixel. None leaves it."""
    if found is None:
        return box
    x, y = (found[0] + found[2]) // 2, (found[1] + found[3]) // 2
    across, down = (box[2] - box[0]) // 2, (box[3] - box[1]) // 2
    return fitted((x - across, y - down, x + across, y + down), pixels, "face box")


def resized(face: Tensor, box: Box) -> Tensor:
    """The face picture in the box's size: by areas when it shrinks, else bilinear."""
    size = box[3] - box[1], box[2] - box[0]
    if face.shape[2] >= size[0] and face.shape[3] >= size[1]:
        return F.interpolate(face, size, mode="area")
    return F.interpolate(face, size, mode="bilinear", align_corners=False)


def joined(body: Tensor, face: Tensor, box: Box) -> Tensor:
    """The body picture with the face picture in its box."""
    image = body.detach().clone()
    image[..., box[1] : box[3], box[0] : box[2]] = resized(face.detach(), box)
    return image


def _crop(pixels: Tensor, box: Box) -> Tensor:
    return pixels[..., box[1] : box[3], box[0] : box[2]]


def _frame(pixels: Tensor):
    from ...common.images import to_uint8

    return to_uint8(pixels[None])[0]
