"""HumanSD's losses (paper sections 3.3 and 4.1): the noise loss, alone or weighted where joints are seen.

The released code and the paper do not weight alike. ``heatmap_released`` is the code's: the error, decoded,
is shown to the pose estimator; where a heat map passes a threshold the weight image is 0, elsewhere 1; that
image is encoded, and its latent, which has both signs, is added to the weight of 1. ``heatmap_paper`` is our
reading of the text: the same heat maps, but more weight where joints are seen, and never less than 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...pose.estimators.bottom_up import DEVIATION, MEAN
from ...pose.estimators.higherhrnet import HigherHRNet
from .. import vae as autoencoder
from ..defaults import LATENT_SCALE

THRESHOLD, WEIGHT = 0.05, 0.1


def noise_loss(prediction: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the predicted noise; both [B, 4, h, w]."""
    return F.mse_loss(prediction, noise)


@dataclass(frozen=True)
class JointWeights:
    """How the noise loss is weighted.

    Attributes:
        vae: diffusers' autoencoder, frozen.
        estimator: frozen, in eval mode (the released trainer leaves its batch norms running, by oversight).
        weight: of the added term, ``w`` of equation 4.
        threshold: of a heat map's value.
        paper: our reading of the text instead of the released code.
    """

    vae: Any
    estimator: HigherHRNet
    weight: float = WEIGHT
    threshold: float = THRESHOLD
    paper: bool = False

    def loss(
        self, prediction: Tensor, noise: Tensor, draw: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """The weighted noise loss.

        Args:
            prediction, noise: [B, 4, h, w], in the network's scale.
            draw: standard noise shaped like a tensor, for the posterior of the encoded weights (released form
                alone); None takes the posterior's mean.
        """
        with torch.no_grad():
            weights = self.weights(prediction.detach() - noise, draw)
        return ((prediction - noise).square() * weights).mean()

    def weights(self, error: Tensor, draw: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Weights [B, 1 or 4, h, w] of an error [B, 4, h, w]."""
        picture = shown(self.vae, error)
        if self.paper:
            heatmaps = self._heatmaps(normalised(picture))
            seen = (heatmaps.amax(1, keepdim=True) > self.threshold).to(error)
            return 1 + self.weight * F.interpolate(seen, error.shape[-2:], mode="area")
        image = weight_image(self._heatmaps(picture), self.threshold, picture.shape[-2:])
        posterior = self.vae.encode(image.to(next(self.vae.parameters()))).latent_dist
        sample = posterior.mean if draw is None else posterior.mean + posterior.std * draw(posterior.mean)
        return 1 + self.weight * sample.to(error) * LATENT_SCALE

    def _heatmaps(self, pixels: Tensor) -> Tensor:
        weight = next(self.estimator.parameters())
        return self.estimator.heatmaps_and_tags(pixels.to(weight))[0]


def shown(vae: Any, error: Tensor) -> Tensor:
    """The error as a picture [B, 3, H, W] in [0, 1]: decoded like a latent."""
    return ((autoencoder.decode(vae, error) + 1) / 2).clamp(0, 1)


def normalised(picture: Tensor) -> Tensor:
    """A picture in [0, 1] as the estimator wants it (ImageNet). The released loss leaves this out."""
    mean, deviation = (picture.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (picture - mean) / deviation


def weight_image(heatmaps: Tensor, threshold: float, size: tuple[int, int] | torch.Size) -> Tensor:
    """The released weight image [B, 3, H, W] of heat maps [B, K, h, w]: how many joints are not seen at each
    place, 0 to K, resized by bicubic interpolation."""
    unseen = (heatmaps <= threshold).float().sum(1, keepdim=True).expand(-1, 3, -1, -1)
    return F.interpolate(unseen, tuple(size), mode="bicubic", align_corners=False)
