"""One denoising step of Parts2Whole with k masked references against a plain SD1.5 step of the same UNet.

Full-size random weights, guidance on (two rows), float32, one thread. Masks keep about 0.3 to 0.6 of the
tokens, as those published with the model do. ``k1`` ... ``k6``: plain / ours; 1 would mean free references.
``released_k1`` ... : released formulation / ours, ``small_k1`` ... plain / ours, both at a smaller picture,
as the released formulation takes minutes at 768x512.
``bank_k1`` ... : keys and values kept during sampling, of all tokens / of the tokens kept.

``FIGURA_BENCH_SIZE=512x768`` sets width x height of the k records; ``FIGURA_BENCH_ONLY=k1,k2`` picks records.
"""

import os

import torch

from .measure import Record, compare, record

UNET = {
    "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "attention_head_dim": 8,
    "block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768, "norm_num_groups": 32,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}  # fmt: skip
COVERAGE = (0.28, 0.45, 0.2, 0.52, 0.36, 0.4)
"""Share of the picture inside each mask; the published test masks cover 0.2 to 0.52."""
SIZE = tuple(int(side) for side in os.environ.get("FIGURA_BENCH_SIZE", "512x768").split("x"))
RELEASED_SIZE = (256, 384)


def build():
    """A full-size SD1.5 UNet with random weights, drawn once and repeated: their values cost no time."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNET)
    unet = unet.to_empty(device="cpu").eval().requires_grad_(False)
    drawn = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))
    for parameter in unet.parameters():
        size = parameter.numel()
        fan_in = max(1, parameter[0].numel())
        parameter.copy_((drawn.repeat(-(-size // len(drawn)))[:size] / fan_in**0.5).view_as(parameter))
    return unet


def make_bank(width: int, height: int, count: int):
    """A bank of random features under elliptic masks, as the reference UNet would leave it."""
    from pipelines.parts2whole.reference import PartFeatures, make_bank

    draw = torch.Generator().manual_seed(1)
    parts = []
    for coverage in COVERAGE[:count]:
        part = PartFeatures("face", 1.0, ellipse(width, height, coverage))
        for block, channels, stride in blocks():
            tokens = -(-height // stride) * -(-width // stride)
            part.record(block, torch.randn(1, tokens, channels, generator=draw))
        parts.append(part)
    embeds = [torch.randn(1, 768, generator=draw) for _ in parts]
    return make_bank(parts, embeds, torch.zeros(1, 77, 768), (width, height))


def ellipse(width: int, height: int, coverage: float) -> torch.Tensor:
    """An elliptic mask [1, 1, H, W] over ``coverage`` of the picture."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return ((x**2 + y**2) < coverage * 4 / torch.pi).float()[None, None]


def blocks():
    """(name, channels, stride in pixels) of the 16 transformer blocks."""
    for level, channels in enumerate((320, 640, 1280)):
        for index in range(2):
            yield f"down_blocks.{level}.attentions.{index}", channels, 8 * 2**level
    yield "mid_block.attentions.0", 1280, 64
    for level, channels in enumerate((1280, 640, 320), start=1):
        for index in range(3):
            yield f"up_blocks.{level}.attentions.{index}", channels, 64 // 2**level


class Step:
    """One guided noise prediction, with or without references."""

    def __init__(self, unet, width: int, height: int) -> None:
        self.unet, self.size = unet, (width, height)
        draw = torch.Generator().manual_seed(2)
        self.latents = torch.randn(1, 4, height // 8, width // 8, generator=draw).repeat(2, 1, 1, 1)
        self.text = torch.randn(2, 77, 768, generator=draw)
        self.image_keys = {
            block: tuple(torch.randn(1, 6, channels, generator=draw) for _ in range(2))
            for block, channels, _ in blocks()
        }

    @torch.inference_mode()
    def plain(self) -> torch.Tensor:
        """The UNet as diffusers runs it."""
        return self.unet(self.latents, 500, encoder_hidden_states=self.text, return_dict=False)[0]

    def references(self, count: int):
        """The step with ``count`` references as this pack runs it, the bank projected beforehand."""
        from pipelines.parts2whole.reference import project
        from pipelines.parts2whole.unet import Condition, conditioned, self_attentions

        condition = Condition(make_bank(*self.size, count), self.image_keys)
        layers = self_attentions(self.unet).items()
        kept = {block: project(condition.bank, block, layer.to_k, layer.to_v, self.latents, layer.heads)
                for block, layer in layers}  # fmt: skip

        def run() -> torch.Tensor:
            condition.projected.update(kept)
            with conditioned(self.unet, condition):
                return self.plain()

        return run

    def released(self, count: int):
        """The step as the released code runs it: all tokens are queries too, in both rows."""
        from pipelines.parts2whole.unet import Condition, conditioned, self_attentions

        bank = make_bank(*self.size, count)
        condition = Condition(bank, self.image_keys)

        def run() -> torch.Tensor:
            with conditioned(self.unet, condition):
                chosen = dict(self.unet.attn_processors)
                for block in self_attentions(self.unet):
                    features = torch.cat([part.full(block) for part in bank.parts], dim=1)
                    chosen[f"{block}.transformer_blocks.0.attn1.processor"] = Released(features)
                self.unet.set_attn_processor(chosen)
                return self.plain()

        return run


class Released:
    """Self-attention over target and bank with every token as a query, then the first row once more."""

    def __init__(self, features: torch.Tensor) -> None:
        self.features = features

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, *_, **__):
        joined = torch.cat([hidden_states, self.features.expand(len(hidden_states), -1, -1)], dim=1)
        out = self._attend(attn, joined)[:, : hidden_states.shape[1]].clone()
        out[:1] = self._attend(attn, hidden_states[:1])
        return attn.to_out[0](out)

    @staticmethod
    def _attend(attn, tokens):
        from pipelines.parts2whole.attention import attend

        return attend(attn.to_q(tokens), attn.to_k(tokens), attn.to_v(tokens), attn.heads)


def run() -> list[Record]:
    """All records; their names end with nothing for the large size and with the size for the small one."""
    unet = build()
    small = Step(unet, *RELEASED_SIZE)
    records = []
    for count in (1, 2, 3, 6):
        if wanted(f"released_k{count}"):
            records += _released(small, count)
    step = Step(unet, *SIZE)
    for count in (1, 2, 3, 6):
        if wanted(f"k{count}"):
            plain = f"plain SD1.5 step, {SIZE[0]}x{SIZE[1]}"
            records.append(timed(f"k{count}", step.references(count), step.plain, plain))
        if wanted(f"bank_k{count}"):
            records.append(_memory(count))
    return records


def wanted(name: str) -> bool:
    """Whether the user asked for this record."""
    only = os.environ.get("FIGURA_BENCH_ONLY")
    return not only or name in only.split(",")


def _released(step: Step, count: int) -> list[Record]:
    """Ours and the released formulation at the small size, each against the other and the plain step."""
    size = "x".join(map(str, step.size))
    ours, released = step.references(count), step.released(count)
    mine, theirs = ours(), released()
    error = (mine - theirs).abs().max() / theirs.abs().max()
    assert error < 1e-5, f"the two formulations differ by {error:.1e}"
    return [
        timed(f"released_k{count}", ours, released, f"released formulation, {size}"),
        timed(f"small_k{count}", ours, step.plain, f"plain SD1.5 step, {size}"),
    ]


def timed(name: str, ours, other, other_is: str) -> Record:
    """CPU seconds, without a warm-up of minutes: the small steps before have warmed up."""
    return compare(name, ours, other, other_is, repeats=1, warm=True)


def _memory(count: int) -> Record:
    """Megabytes of keys and values in half precision at the large size: every token, and the kept ones."""
    bank = make_bank(*SIZE, count)
    kept = sum(part.kept[block].numel() for part in bank.parts for block in bank.blocks)
    full = sum(part.full(block).numel() for part in bank.parts for block in bank.blocks)
    return record(
        f"bank_k{count}", kept * 4 / 2**20, full * 4 / 2**20, "keys and values of all tokens, fp16", "MB"
    )
