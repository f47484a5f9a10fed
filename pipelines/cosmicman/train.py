"""CosmicMan's training: the noise loss, and HOLA on the cross-attention of body groups (section 4.2).

HOLA is skipped where the text was dropped or no group has a place of its own in the caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from ..common.diffusion_training import DiffusionTask, Said
from ..common.errors import FiguraInputError
from ..common.people_dataset import GROUPS, group_masks
from ..common.progress import Progress, silent
from . import hola
from .captions import Span, group_spans
from .configs import TrainConfig

WHOLE_FIGURE = (0, 1, 2)  # the shot, the subject, the body shape: C_body in the paper's section 3.2


class HolaTask(DiffusionTask):
    """One training run; ``hola.weight`` 0 is plain denoising."""

    def __init__(self, config: TrainConfig, progress: Progress = silent) -> None:
        self.hola = config.hola
        self.needs_parts = config.hola.weight > 0
        super().__init__(config, progress)
        self.encoder = list(self.base.encoders)[-1]  # SDXL's second tokenizer, as in the released trainer
        if self.needs_parts:
            self._check_stride()

    def _check_stride(self) -> None:
        """Refuse a stride at which no layer of this UNet looks."""
        unet: Any = self.base.unet
        latents = 2 ** (len(self.base.vae.config.block_out_channels) - 1)  # type: ignore[union-attr, arg-type]
        kinds = unet.config.down_block_types
        strides = [latents * 2**level for level, kind in enumerate(kinds) if "CrossAttn" in kind]
        if self.hola.stride not in strides:
            raise FiguraInputError(
                "hola.stride", str(self.hola.stride), f"one of {strides}, where this UNet has cross-attention"
            )

    def weights(self) -> dict[str, float]:
        """The noise loss and HOLA."""
        return {"loss": 1.0, "hola": self.hola.weight}

    def forward(
        self, noisy: Tensor, times: Tensor, said: Sequence[Said], part: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's answer; HOLA of what its attention did meanwhile."""
        spans = [self._spans(one) for one in said] if self.needs_parts else []
        if not any(map(any, spans)):
            return super().forward(noisy, times, said, part)
        masks = [self._masks(*row) for row in zip(part["place"].tolist(), part["parts"], said, strict=True)]
        watch = hola.Watch(torch.stack(masks).to(noisy.device), spans, self.hola.stride, self.hola.form)
        with hola.watching(self.modules["denoiser"], watch):
            prediction = self.answer(noisy, times, said)
        return prediction, {"hola": watch.loss()}

    def _spans(self, said: Said) -> list[Span | None]:
        """The spans that take part; without the whole person's where the configuration leaves those out."""
        spans = spans_of(said, self.encoder)
        if self.hola.whole_figure:
            return spans
        return [None if group in WHOLE_FIGURE else span for group, span in zip_longest(said.groups, spans)]

    def _masks(self, place: int, parts: Tensor, said: Said) -> Tensor:
        """Masks [21, H, W] in the order of the caption's texts; nothing where a group was dropped."""
        own = group_masks(parts.numpy(), self.record(place))
        chosen = torch.zeros(1 + GROUPS, *own.shape[1:])
        for row, group in enumerate(said.groups):
            if group is not None:
                chosen[row] = own[group]
        return chosen


def spans_of(said: Said, encoder: str) -> list[Span | None]:
    """The tokens of each of the 21 texts in the caption, where they stand there once."""
    found = list(_spans(said.caption, tuple(said.texts), encoder)) if said.caption else []
    return found + [None] * (1 + GROUPS - len(found))


@lru_cache(maxsize=1 << 15)
def _spans(caption: str, texts: tuple[str, ...], encoder: str) -> tuple[Span | None, ...]:
    return tuple(group_spans(caption, texts, encoder))
