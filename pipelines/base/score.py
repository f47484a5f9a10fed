"""Does a base draw what captions ask for? Held-out captions drawn and read again."""

from typing import Any

import torch

from ..common import base_model
from ..common.captioned import draw_captions
from ..common.errors import FiguraInputError
from ..common.named_function import named
from ..common.people_dataset import Record, open_records
from ..common.processes import find_device
from ..common.progress import Progress, silent
from .configs import ScoreConfig


def scored(config: ScoreConfig, progress: Progress = silent) -> dict[str, Any]:
    """The reader's figures for pictures drawn from held-out captions (``asked``), and for the same pictures
    read against the next picture's caption (``chance``)."""
    config.check()
    score = named(config.score)
    if score is None:
        raise FiguraInputError("score", "none", "module:function")
    records = held_out(config)
    path = base_model.find(config.base_path, "base", "figura base new makes a tiny one.")
    base = base_model.open_base(path, unet=True).to(find_device(config.device), torch.float32, torch.float32)
    assert base.unet is not None
    base.check_least(*config.size)
    pictures = draw_captions(
        base.unet, base.encoders, base.vae, [record.caption for record in records],
        range(config.seed, config.seed + len(records)), size=config.size, guidance=config.scale,
        steps=config.steps, schedule=base.scheduler, progress=progress,
    )  # fmt: skip
    drawn = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return {
        "pictures": len(records), "guidance": config.scale, "steps": config.steps, "seed": config.seed,
        "asked": score(drawn, records), "chance": score(drawn, [*records[1:], records[0]]),
    }  # fmt: skip


def held_out(config: ScoreConfig) -> list[Record]:
    """The last pictures' records of each folder."""
    found: list[Record] = []
    for folder in config.data:
        found += open_records(folder, config.size)[-config.count :]
    if len(found) < 2:
        raise FiguraInputError("data", f"{len(found)} captions", "two or more")
    return found
