"""Augmentation between pictures and discriminator (StyleGAN2-ada, Karras et al. 2020, section 2, appendix B).

Every transformation is applied with probability p, invertible on the level of distributions, and
differentiable, so that the generator does not learn to imitate it. Works on pictures of any shape.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....common.errors import FiguraInputError
from ...networks.filtered_lrelu import downsample, upsample
from .chance import Chance
from .matrices import shift2d, shift3d, stretch2d, stretch3d, turn2d, turn3d
from .resampling import sample

# Orthogonal low-pass filters (symlets), I. Daubechies, Ten Lectures on Wavelets, 1992, table 6.3.
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
BLIT = ("xflip", "rotate90", "xint")
GEOM = ("scale", "rotate", "aniso", "xfrac")
COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
REST = ("imgfilter", "noise", "cutout")
PIPES: dict[str, tuple[str, ...]] = {
    "blit": BLIT, "geom": GEOM, "color": COLOR, "filter": ("imgfilter",), "noise": ("noise",),
    "cutout": ("cutout",), "bg": BLIT + GEOM, "bgc": BLIT + GEOM + COLOR,
    "bgcf": (*BLIT, *GEOM, *COLOR, "imgfilter"), "bgcfn": (*BLIT, *GEOM, *COLOR, "imgfilter", "noise"),
    "bgcfnc": BLIT + GEOM + COLOR + REST,
    "body": ("xflip", "xint", "scale", "aniso", "xfrac", *COLOR),
}  # fmt: skip

XINT, XFRAC, SCALE, ANISO = 0.125, 0.125, 0.2, 0.2  # shares of the side; standard deviations of log2
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0
FILTER, NOISE, CUTOUT = 1.0, 0.1, 0.5
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of the four frequency bands in natural pictures


class AugmentPipe(nn.Module):
    """Pictures [N, 3, H, W] -> augmented pictures. ``p`` and ``generator`` are set before each update.

    Args:
        steps: a name of ``PIPES``, or names of single transformations.
    """

    low: Tensor
    bank: Tensor

    def __init__(self, steps: str | tuple[str, ...] = "bgc", p: float = 0.0) -> None:
        super().__init__()
        chosen = PIPES.get(steps, ()) if isinstance(steps, str) else steps
        known = set(PIPES["bgcfnc"])
        if not chosen or not known.issuperset(chosen):
            raise FiguraInputError("--augpipe", repr(steps), ", ".join(PIPES))
        self.steps, self.p = frozenset(chosen), p
        self.generator: torch.Generator | None = None
        low = torch.tensor(SYM6)
        self.register_buffer("low", low / low.sum(), persistent=False)
        self.register_buffer("bank", filter_bank(), persistent=False)

    def forward(self, pixels: Tensor, percentile: float | None = None) -> Tensor:
        """``percentile``: apply everything, at that point of each distribution (see ``Chance``)."""
        chance = Chance(len(pixels), self.p, self.generator, pixels.device, percentile)
        inverse = self._geometry(chance, pixels.shape[3], pixels.shape[2])
        if inverse is not None:
            pixels = self._move(pixels, inverse)
        colors = self._colors(chance)
        if colors is not None:
            pixels = (colors[:, :3, :3] @ pixels.flatten(2) + colors[:, :3, 3:]).unflatten(
                2, pixels.shape[2:]
            )
        return self._corrupt(pixels, chance)

    def _geometry(self, chance: Chance, width: int, height: int) -> Tensor | None:
        """Matrices [N, 3, 3] from a pixel of the result to where it comes from, about the centre."""
        found: list[Tensor] = []
        if "xflip" in self.steps:
            flipped = chance.applied(chance.whole(2), 0)
            found.append(stretch2d(1 / (1 - 2 * flipped), torch.ones_like(flipped)))
        if "rotate90" in self.steps:
            found.append(turn2d(chance.applied(chance.whole(4), 0) * (math.pi / 2)))
        if "xint" in self.steps:
            shift = chance.applied(chance.symmetric(2) * XINT, 0)
            found.append(shift2d(-(shift[:, 0] * width).round(), -(shift[:, 1] * height).round()))
        if "scale" in self.steps:
            size = chance.applied((chance.normal() * SCALE).exp2(), 1)
            found.append(stretch2d(1 / size, 1 / size))
        if "rotate" in self.steps:
            found.append(turn2d(chance.applied(chance.symmetric() * math.pi, 0, chance.half_p())))
        if "aniso" in self.steps:
            size = chance.applied((chance.normal() * ANISO).exp2(), 1)
            found.append(stretch2d(1 / size, size))
        if "rotate" in self.steps:  # once before and once after the uneven scaling
            angle = chance.applied(chance.symmetric() * math.pi, 0, chance.half_p())
            found.append(turn2d(angle if chance.percentile is None else torch.zeros_like(angle)))
        if "xfrac" in self.steps:
            shift = chance.applied(chance.normal(2) * XFRAC, 0)
            found.append(shift2d(-shift[:, 0] * width, -shift[:, 1] * height))
        return _product(found)

    def _move(self, pixels: Tensor, inverse: Tensor) -> Tensor:
        """Resample at twice the resolution, between two orthogonal low-pass filters."""
        count, channels, height, width = pixels.shape
        reach = len(self.low) // 4
        before_x, before_y, after_x, after_y = _margins(inverse, width, height, 2 * reach)
        pixels = F.pad(pixels, (before_x, after_x, before_y, after_y), mode="reflect")
        inverse = _shift(inverse, (before_x - after_x) / 2, (before_y - after_y) / 2) @ inverse
        taps = len(self.low)
        for axis in (1, 0):
            pixels = upsample(pixels, self.low, 2, ((taps + 1) // 2, (taps - 2) // 2), axis)
        double = _stretch(inverse, 2, 2)
        inverse = double @ inverse @ double.inverse()
        half = _shift(inverse, -0.5, -0.5)
        inverse = half @ inverse @ half.inverse()
        out_height, out_width = 2 * (height + 2 * reach), 2 * (width + 2 * reach)
        scaled = _stretch(inverse, 2 / pixels.shape[3], 2 / pixels.shape[2])
        inverse = scaled @ inverse @ _stretch(inverse, out_width / 2, out_height / 2)
        grid = F.affine_grid(inverse[:, :2], [count, channels, out_height, out_width], align_corners=False)
        pixels = sample(pixels, grid)
        crop = 2 * reach - (taps - 1) // 2
        return downsample(
            pixels[:, :, crop : out_height - crop, crop : out_width - crop], self.low.flip(0), 2
        )

    def _colors(self, chance: Chance) -> Tensor | None:
        """Matrices [N, 4, 4] from a colour to its new one."""
        found: list[Tensor] = []
        grey = torch.full((3,), 1 / math.sqrt(3), device=chance.device)
        along = torch.zeros(4, 4, device=chance.device)
        along[:3, :3] = torch.outer(grey, grey)
        same = torch.eye(4, device=chance.device)
        if "brightness" in self.steps:
            found.append(shift3d(chance.applied(chance.normal() * BRIGHTNESS, 0)))
        if "contrast" in self.steps:
            found.append(stretch3d(chance.applied((chance.normal() * CONTRAST).exp2(), 1)))
        if "lumaflip" in self.steps:
            flipped = chance.applied(chance.whole(2), 0)
            found.append(same - 2 * along * flipped[:, None, None])
        if "hue" in self.steps:
            found.append(turn3d(grey, chance.applied(chance.symmetric() * math.pi, 0)))
        if "saturation" in self.steps:
            factor = chance.applied((chance.normal() * SATURATION).exp2(), 1)
            found.append(along + (same - along) * factor[:, None, None])
        return _product(found[::-1])  # the last is applied last

    def _corrupt(self, pixels: Tensor, chance: Chance) -> Tensor:
        if "imgfilter" in self.steps:
            pixels = self._filter(pixels, chance)
        if "noise" in self.steps:
            sigma = chance.applied(chance.half_normal() * NOISE, 0)
            pixels = pixels + chance.field(*pixels.shape[1:]) * sigma[:, None, None, None]
        if "cutout" in self.steps:
            pixels = pixels * _window(pixels, chance)
        return pixels

    def _filter(self, pixels: Tensor, chance: Chance) -> Tensor:
        """Amplify or damp each of four frequency bands, keeping the power of natural pictures."""
        count, channels, height, width = pixels.shape
        power = torch.tensor(POWER, device=pixels.device)
        gains = torch.ones(count, len(POWER), device=pixels.device)
        for band in range(len(POWER)):
            gain = torch.ones_like(gains)
            gain[:, band] = chance.applied((chance.normal() * FILTER).exp2(), 1)
            gains = gains * gain / (power * gain.square()).sum(dim=1, keepdim=True).sqrt()
        kernels = (gains @ self.bank).repeat_interleave(channels, dim=0)[:, None]  # [N C, 1, taps]
        reach = self.bank.shape[1] // 2
        pixels = pixels.reshape(1, count * channels, height, width)
        pixels = _reflect(pixels, reach)
        pixels = F.conv2d(pixels, kernels[:, :, None], groups=count * channels)
        pixels = F.conv2d(pixels, kernels[..., None], groups=count * channels)
        return pixels.reshape(count, channels, height, width)


def filter_bank() -> Tensor:
    """[4, 43]: a symmetric filter for each octave; together they pass everything."""
    low = np.array(SYM2)
    high = low * (-1.0) ** np.arange(len(low))
    low2, high2 = np.convolve(low, low[::-1]) / 2, np.convolve(high, high[::-1]) / 2
    bank = [np.array([1.0])]  # band 0 of one band: everything
    for _ in range(3):  # split the lowest band: each filter at half the rate, low-passed; plus a new top band
        wider = [np.convolve(_spread(taps), low2) for taps in bank]
        top = np.zeros(len(wider[0]))
        start = (len(top) - len(high2)) // 2
        top[start : start + len(high2)] = high2
        bank = [*wider, top]
    return torch.tensor(np.stack(bank), dtype=torch.float32)


def _spread(taps: np.ndarray) -> np.ndarray:
    spread = np.zeros(2 * len(taps) - 1)
    spread[::2] = taps
    return spread


def _product(found: list[Tensor]) -> Tensor | None:
    product = None
    for factor in found:
        product = factor if product is None else product @ factor
    return product


def _shift(like: Tensor, x: float, y: float) -> Tensor:
    return torch.tensor([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=like.dtype, device=like.device)


def _stretch(like: Tensor, x: float, y: float) -> Tensor:
    return torch.tensor([[x, 0, 0], [0, y, 0], [0, 0, 1]], dtype=like.dtype, device=like.device)


def _margins(inverse: Tensor, width: int, height: int, extra: int) -> tuple[int, int, int, int]:
    """Pixels to add (left, top, right, bottom) so that every source pixel exists; reflection allows
    at most a whole side less one."""
    x, y = (width - 1) / 2, (height - 1) / 2
    corners = inverse.new_tensor([[-x, x, x, -x], [-y, -y, y, y], [1, 1, 1, 1]])
    reached = (inverse @ corners)[:, :2].transpose(0, 1).flatten(1)  # [xy, N * corners]
    margin = torch.cat([-reached, reached]).amax(dim=1) + inverse.new_tensor([extra - x, extra - y] * 2)
    most = inverse.new_tensor([width - 1, height - 1] * 2)
    left, top, right, bottom = margin.clamp(min=0).minimum(most).ceil().int().tolist()
    return left, top, right, bottom


def _reflect(pixels: Tensor, reach: int) -> Tensor:
    """Reflect at the edges; small pictures are reflected more than once."""
    while reach > 0:
        step = min(reach, pixels.shape[2] - 1, pixels.shape[3] - 1)
        pixels, reach = F.pad(pixels, [step] * 4, mode="reflect"), reach - step
    return pixels


def _window(pixels: Tensor, chance: Chance) -> Tensor:
    """[N, 1, H, W]: 0 in a rectangle of half the sides, 1 elsewhere."""
    height, width = pixels.shape[2:]
    full = torch.full((chance.count,), CUTOUT, device=pixels.device)
    size = chance.applied(full, 0)[:, None] / 2
    centre = chance.uniform(2)
    x = (torch.arange(width, device=pixels.device) + 0.5) / width
    y = (torch.arange(height, device=pixels.device) + 0.5) / height
    keep_x = (x - centre[:, :1]).abs() >= size
    keep_y = (y - centre[:, 1:]).abs() >= size
    return (keep_x[:, None, :] | keep_y[:, :, None])[:, None].to(pixels.dtype)
