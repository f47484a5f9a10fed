"""The HOLA study: the same training with and without the loss; how many garments bear the colour asked for.

Figures come from each run's own log (what the named reader says of held-out captions), times from its
``speed.jsonl``. A run that is finished is not run again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ..common.files import atomic_path
from ..common.progress import Progress, part, silent
from ..common.training.logs import read_log
from ..common.training.loop import train
from .configs import HolaConfig, StudyConfig, TrainConfig
from .train import HolaTask

CHANCE = 0.125  # eight colours
SHOWN = ("clothes_colors", "all_three", "swapped", "color_top", "color_bottom", "color_shoes", "color_hair")


@dataclass(frozen=True)
class Run:
    """One run of the study."""

    base: str
    variant: str
    seed: int
    folder: Path
    config: TrainConfig


def planned(config: StudyConfig) -> list[Run]:
    """All runs: bases x variants x seeds; seeds outermost, so that each finished one compares."""
    runs = []
    for seed in config.seeds:
        for base in config.bases:
            for variant in config.variants:
                folder = config.train.trainer.out / f"{base.name}_{variant}_{seed}"
                trainer = replace(config.train.trainer, out=folder, seed=seed)
                hola = loss_of(variant, config.train.hola)
                own = replace(config.train, trainer=trainer, base_path=base, hola=hola)
                runs.append(Run(base.name, variant, seed, folder, own))
    return runs


def loss_of(variant: str, hola: HolaConfig) -> HolaConfig:
    """The loss of one variant: none, as released, or without the whole figure's texts."""
    if variant == "without":
        return replace(hola, weight=0.0)
    return replace(hola, whole_figure=variant == "released")


def run(config: StudyConfig, progress: Progress = silent) -> list[Path]:
    """Run what is not finished, writing the table anew after each run; returns the files written."""
    config.check()
    runs, written = planned(config), []
    for index, one in enumerate(runs):
        if not finished(one):
            train(
                HolaTask(one.config), one.config.trainer, part(progress, index, len(runs)), asdict(one.config)
            )
        written = publish(config, [each for each in runs if finished(each)])
    return written


def finished(one: Run) -> bool:
    """Whether the log holds the measurement at the last step."""
    return any(line["step"] >= one.config.trainer.steps for line in curve(one.folder))


def curve(folder: Path) -> list[dict[str, Any]]:
    """The measurements of a run: step, minutes of training until then, and the reader's figures."""
    seconds = {line["step"]: line["seconds"] for line in read_log(folder / "speed.jsonl")}
    found = []
    for line in read_log(folder / "log.jsonl"):
        if "clothes_colors" in line:
            minutes = sum(value for step, value in seconds.items() if step <= line["step"]) / 60
            shown = {name: line[name] for name in SHOWN if name in line}
            found.append({"step": line["step"], "minutes": round(minutes, 2), **shown})
    return found


def last_loss(folder: Path, steps: int = 100) -> float:
    """Mean noise loss of the last lines of the log that cover ``steps`` updates."""
    lines = [line for line in read_log(folder / "log.jsonl") if "loss" in line]
    return mean(line["loss"] for line in lines if line["step"] > lines[-1]["step"] - steps)


def publish(config: StudyConfig, runs: list[Run]) -> list[Path]:
    """Write ``<name>.json`` (every run's curve) and ``<name>.md`` (the table)."""
    entries = [
        {"base": one.base, "hola": one.variant, "seed": one.seed, "noise_loss": last_loss(one.folder),
         "curve": curve(one.folder)}
        for one in runs
    ]  # fmt: skip
    ceiling = json.loads(config.ceiling.read_text())["through"] if config.ceiling else {}
    shared = config.train
    content = {
        "command": "figura cosmicman study", "name": config.name,
        "steps": shared.trainer.steps, "batch": shared.trainer.batch,
        "measured": shared.measured, "guidance": shared.guidance, "stride": shared.hola.stride,
        "weight": shared.hola.weight, "bases": [path.name for path in config.bases],
        "chance": CHANCE, "ceiling": {name: ceiling[name] for name in SHOWN if name in ceiling},
        "runs": entries,
    }  # fmt: skip
    paths = [config.results / f"{config.name}.{suffix}" for suffix in ("json", "md")]
    for path, text in zip(paths, (json.dumps(content, indent=1) + "\n", page(content)), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def page(content: dict[str, Any]) -> str:
    """The readable page."""
    runs, ceiling = content["runs"], content["ceiling"]
    error = (0.25 / 3 / content["measured"]) ** 0.5  # of a mean of three colours, at worst
    lines = [
        "# HOLA: does the loss bind colours to garments?", "",
        f"Mannequins, {content['steps']} updates of {content['batch']}, guidance {content['guidance']}, "
        f"{content['measured']} held-out captions per measurement (standard error at most {error:.3f}). "
        f"Shares of garments in the colour asked for; chance {content['chance']}. A row's runs differ from "
        f"another's in the loss alone: same base, same batches, same noise. *released*: HOLA at weight "
        f"{content['weight']:g}; *parts*: without the texts of the whole figure (shot, subject, body shape).",
        "",
        "| base | HOLA | seeds | clothes' colours | all three right | another garment's colour "
        "| noise loss | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for base, variant in dict.fromkeys((entry["base"], entry["hola"]) for entry in runs):
        own = [entry for entry in runs if (entry["base"], entry["hola"]) == (base, variant)]
        ends = [entry["curve"][-1] for entry in own]
        figures = [spread([end[name] for end in ends]) for name in ("clothes_colors", "all_three", "swapped")]
        figures += [
            spread([entry["noise_loss"] for entry in own], 4),
            spread([e["minutes"] for e in ends], 1),
        ]
        lines.append(f"| {base} | {variant} | {len(own)} | {' | '.join(figures)} |")
    if ceiling:
        behind = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in ceiling.items())
        lines += ["", f"Ceiling (renders sent through the autoencoder): {behind}."]
    lines += ["", f"Every run's curve, against updates and minutes: `{content['name']}.json`.", ""]
    return "\n".join(lines)


def spread(values: list[float], digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    one = f"{mean(values):.{digits}f}"
    return f"{one} ± {stdev(values):.{digits}f}" if len(values) > 1 else one
