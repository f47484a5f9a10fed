"""The mapping network z -> ws, the same in all three families but for its gains (StyleGAN, section 2)."""

import math

import torch
from torch import Tensor, nn

from ...common.errors import FiguraInputError
from ..configs import Config, V1Config
from .ops import FullyConnected, normalize_2nd_moment


class Mapping(nn.Module):
    """Normalised z, and a normalised label embedding if there are labels, through ``fc0``, ``fc1``, …"""

    w_avg: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = config.z_dim, config.c_dim, config.w_dim
        self.num_ws, self.num_layers = config.num_ws, config.mapping_layers
        self.truncation_cutoff = config.truncation_cutoff
        self.w_avg_beta = None if isinstance(config, V1Config) else config.w_avg_beta
        # v1 has its sqrt(2) in the weights' gain and none after the activation, so its bias goes without.
        first = isinstance(config, V1Config)
        gains = {"gain": math.sqrt(2), "activation_gain": 1.0} if first else {}
        self.embed = FullyConnected(config.c_dim, config.w_dim) if config.c_dim else None
        width = config.z_dim + (config.w_dim if config.c_dim else 0)
        for i in range(self.num_layers):
            layer = FullyConnected(
                width, config.w_dim, activation=True, lr_multiplier=config.mapping_lr_multiplier, **gains
            )
            self.add_module(f"fc{i}", layer)
            width = config.w_dim
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """[N, z_dim] (and labels [N, c_dim], zeros when None) -> ws [N, num_ws, w_dim], truncated.

        ``truncation_cutoff`` rows are truncated; None means the model's own default (8 for v1, all for v2 and
        v3).
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise FiguraInputError("z", f"shape {list(z.shape)}", f"[batch, {self.z_dim}]")
        w = self._layers(z, c)
        if update_emas and self.w_avg_beta is not None:
            self.w_avg.copy_(w.detach().mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
        return self.truncated(w.unsqueeze(1).repeat(1, self.num_ws, 1), truncation_psi, truncation_cutoff)

    def truncated(self, ws: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """ws with the first ``cutoff`` rows (None: the model's own default) moved towards the average."""
        return truncate(ws, self.w_avg, psi, self.truncation_cutoff if cutoff is None else cutoff)

    def _layers(self, z: Tensor, c: Tensor | None) -> Tensor:
        x = normalize_2nd_moment(z.to(torch.float32))
        if self.embed is not None:
            labels = torch.zeros(z.shape[0], self.c_dim, device=z.device) if c is None else c
            x = torch.cat([x, normalize_2nd_moment(self.embed(labels.to(torch.float32)))], dim=1)
        for i in range(self.num_layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x


def truncate(ws: Tensor, w_avg: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """Move the first ``cutoff`` rows (all when None) towards ``w_avg``: psi 1 leaves them, 0 gives the
    average.
    """
    if cutoff is not None and cutoff < 0:
        raise FiguraInputError("truncation cutoff", str(cutoff), "a number of rows, 0 or more")
    if psi == 1:
        return ws
    rows = ws.shape[1] if cutoff is None else min(cutoff, ws.shape[1])
    moved = w_avg.to(ws) + psi * (ws[:, :rows] - w_avg.to(ws))
    return torch.cat([moved, ws[:, rows:]], dim=1)
