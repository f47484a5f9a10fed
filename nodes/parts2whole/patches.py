"""References as patches of a MODEL: which rows they act on, when, and how earlier patches are kept.

No ComfyUI import here; ``bridge`` hangs these on a clone. Formulas live in ``pipelines.parts2whole``.
"""

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.parts2whole.attention import References, attend, attend_references, attend_rows
from ...pipelines.parts2whole.checkpoint import comfyui_block
from ...pipelines.parts2whole.reference import Bank, project
from ...pipelines.parts2whole.unet import add_pose

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Strengths:
    """How strongly each way of the references acts, and in which part of the steps."""

    reference: float = 1.0
    image: float = 1.0
    pose: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def limited(self) -> bool:
        """Whether the references act in some steps only."""
        return self.start > 0 or self.end < 1


@dataclass
class Run:
    """What holds during one sampling run, and is dropped with it."""

    positive: set = field(default_factory=set)
    """The uuids of the positive conditionings; which index they have differs from guider to guider."""
    projected: dict[str, References] = field(default_factory=dict)
    """Banks through to_k and to_v with the weights of this run, LoRA and all."""
    network: Callable[[], nn.Module] | None = None
    percent_to_sigma: Callable[[float], float] | None = None


class Applied:
    """One Apply node's references. All its patches share this object, on every clone of the MODEL."""

    def __init__(
        self,
        bank: Bank,
        strengths: Strengths,
        image_keys: dict[str, tuple[Tensor, Tensor]] | None,
        pose: Tensor | None,
        plain_attention: Callable[..., Tensor],
    ) -> None:
        self.bank, self.strengths, self.image_keys, self.pose = bank, strengths, image_keys, pose
        self.plain_attention = plain_attention
        self.blocks = {comfyui_block(block): block for block in bank.blocks}
        self.outside = Run()
        """For calls outside of any sampler: nothing is kept there."""
        self.run: Run | None = None

    def __deepcopy__(self, memo: dict) -> "Applied":
        return self

    def now(self) -> Run:
        """The run that is under way."""
        return self.run or self.outside

    def flags(self, options: dict[str, Any]) -> list[bool]:
        """One flag per chunk of the batch: whether it is the positive prompt, and the references act now."""
        chunks = options.get("cond_or_uncond") or [0]
        if not self.active(options):
            return [False] * len(chunks)
        uuids = options.get("uuids") or []
        if self.run and self.run.positive and len(uuids) == len(chunks):
            return [uuid in self.run.positive for uuid in uuids]
        return [chunk == 0 for chunk in chunks]

    def active(self, options: dict[str, Any]) -> bool:
        """Whether this step lies between start and end percent."""
        to_sigma, sigmas = self.now().percent_to_sigma, options.get("sigmas")
        if not self.strengths.limited() or to_sigma is None or sigmas is None:
            return True
        return to_sigma(self.strengths.end) <= float(sigmas[0]) <= to_sigma(self.strengths.start)

    def references(self, place: tuple, like: Tensor, heads: int) -> References:
        """The bank of one block, projected by the network that is running; kept for the run."""
        block, run = self.blocks[place], self.now()
        if block in run.projected:
            return run.projected[block]
        if run.network is None:
            raise RuntimeError("the references were asked for outside of their MODEL")
        attn1 = run.network().get_submodule(module_name(place))
        made = project(self.bank, block, attn1.to_k, attn1.to_v, like, heads, self.strengths.reference)
        if self.run is not None:
            run.projected[block] = made
        return made

    def forget(self, *_) -> None:
        """Drop projections because weights changed under a run (scheduled LoRA hooks)."""
        self.now().projected.clear()

    def check_size(self, latent: Tensor) -> None:
        """Refuse latents of another size than the references were read for."""
        height, width = latent.shape[-2:]
        if (width, height) != (self.bank.width // 8, self.bank.height // 8):
            raise FiguraInputError(
                "latent", f"{width * 8}x{height * 8} pixels ({width}x{height} latents)",
                f"{self.bank.width}x{self.bank.height} pixels, the size the references were encoded at",
                "Give Parts2Whole Encode and the empty latent the same width and height.",
            )  # fmt: skip


def module_name(place: tuple) -> str:
    """("input", 4) -> the name of that block's self-attention in ComfyUI's UNet."""
    group = {"input": "input_blocks.{}.1", "middle": "middle_block.1", "output": "output_blocks.{}.1"}[
        place[0]
    ]
    return group.format(place[1]) + ".transformer_blocks.0.attn1"


class Patch:
    """A patch that knows its Applied and the patch it was put over."""

    def __init__(self, applied: Applied, earlier: Callable | None = None) -> None:
        self.applied, self.earlier = applied, earlier
        self.added: list[tuple[Callable, dict]] = []

    def __deepcopy__(self, memo: dict) -> "Patch":
        clone = copy.copy(self)
        clone.added = list(self.added)
        clone.earlier = copy.deepcopy(self.earlier, memo)
        return clone

    def base(self, q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        """The block's attention without us: the earlier patch if there is one, else ComfyUI's own."""
        if self.earlier is not None:
            return self.earlier(q, k, v, options)
        return self.applied.plain_attention(q, k, v, options)


class SelfAttention(Patch):
    """attn1 replacement: references join the keys of positive rows."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        flags = self.applied.flags(options)
        if not any(flags) or q.shape[0] % len(flags):
            return self.base(q, k, v, options)
        heads = options["n_heads"]
        seen = self.applied.references(options["block"], q, heads)
        if self.earlier is not None:
            return self._over_earlier(q, k, v, options, flags, seen)

        def plain(q, k, v, _):
            return self.applied.plain_attention(q, k, v, options)

        def referenced(q, k, v, _):
            return attend_references(q, k, v, heads, seen)

        return attend_rows((q, k, v), flags, plain, referenced)

    def _over_earlier(self, q, k, v, options, flags, seen: References) -> Tensor:
        """What the references change is added to the earlier patch's result, which sees its usual tensors."""
        heads = options["n_heads"]

        def change(out, q, k, v, _):
            return out + attend_references(q, k, v, heads, seen) - attend(q, k, v, heads)

        out = self.earlier(q, k, v, options) if self.earlier else q
        return attend_rows((out, q, k, v), flags, lambda out, *_: out, change)


class CrossAttention(Patch):
    """attn2 replacement: a second attention over the CLIP tokens is added in positive rows."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        out = self.base(q, k, v, options)
        for callback, settings in self.added:
            sigma = float(options["sigmas"][0]) if "sigmas" in options else float("inf")
            if settings.get("sigma_end", 0) <= sigma <= settings.get("sigma_start", float("inf")):
                out = out + callback(out, q, k, v, options, **settings)
        flags = self.applied.flags(options)
        keys = self.applied.image_keys
        if not keys or not any(flags) or q.shape[0] % len(flags):
            return out
        image_k, image_v = (x.to(q.device, q.dtype) for x in keys[self.applied.blocks[options["block"]]])

        def decoupled(out, q, _):
            batch = q.shape[0]
            image = attend(
                q, image_k.expand(batch, -1, -1), image_v.expand(batch, -1, -1), options["n_heads"]
            )
            return out + self.applied.strengths.image * image

        return attend_rows((out, q), flags, lambda out, *_: out, decoupled)

    def add(self, callback: Callable, **settings) -> None:
        """Take a further callback, as packs of the IP-Adapter family ask of whatever holds this place."""
        self.added.append((callback, settings))


class Text(Patch):
    """attn2 patch: the text of cross-attention, with the label in the prompt's place, or image tokens."""

    def __call__(self, n: Tensor, context: Tensor, value: Tensor, options: dict[str, Any]):
        flags = self.applied.flags(options)
        rows = context.shape[0] // len(flags)
        if context.shape[0] % len(flags) or not self.applied.active(options):
            return n, context, value
        bank = self.applied.bank
        if bank.compatible:
            label = bank.label_embeds.to(context)
            label = label.repeat(1, -(-context.shape[1] // label.shape[1]), 1)[:, : context.shape[1]]
            chunks = zip(flags, context.chunk(len(flags)), strict=True)
            context = torch.cat([label.expand(rows, -1, -1) if flag else chunk for flag, chunk in chunks])
        if self.applied.image_keys is None and self.applied.strengths.image > 0:
            tokens = bank.image_tokens.to(context) * self.applied.strengths.image
            image = [tokens if flag else torch.zeros_like(tokens) for flag in flags]
            context = torch.cat([context, torch.cat([row.expand(rows, -1, -1) for row in image])], dim=1)
        return n, context, context


class Pose(Patch):
    """Input block patch: pose features are added after the first convolution, in every row."""

    def __call__(self, hidden: Tensor, options: dict[str, Any]) -> Tensor:
        pose = self.applied.pose
        if pose is None or options.get("block") != ("input", 0) or not self.applied.active(options):
            return hidden
        if pose.shape[-2:] != hidden.shape[-2:]:
            (h, w), (ph, pw) = hidden.shape[-2:], pose.shape[-2:]
            raise FiguraInputError(
                "latent", f"a piece of {w * 8}x{h * 8} pixels", f"the pose's {pw * 8}x{ph * 8} pixels",
                "A pose cannot follow tiled sampling or prompts on an area; use masks for regional prompts.",
            )  # fmt: skip
        if hidden.shape[0] % pose.shape[0]:
            raise FiguraInputError(
                "pose", f"{pose.shape[0]} poses", "one pose, or one per picture of the batch"
            )
        return add_pose(hidden, pose * self.applied.strengths.pose)
