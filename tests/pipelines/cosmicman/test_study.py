"""The HOLA study: which runs, what is read from their logs, what the page says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from comfyui_figura.pipelines.cosmicman import study
from comfyui_figura.pipelines.cosmicman.configs import HolaConfig, StudyConfig, TrainConfig


def config(out: Path, **more):
    trainer = TrainerConfig(out / "runs", steps=20, batch=4, measure_every=10, log_every=5)
    train = TrainConfig(trainer, data=[out], score="json:dumps", size=(64, 32), measured=256)
    settings = {"bases": [out / "fresh", out / "bound"], "seeds": (3, 4), "results": out / "results"}
    return StudyConfig(train, **(settings | more))


def pretend(one: study.Run):
    """What a run leaves behind: better with the loss."""
    one.folder.mkdir(parents=True)
    score = {"without": 0.3, "released": 0.4, "parts": 0.6}[one.variant]
    lines = [{"step": s, "samples": 4 * s, "loss": 1 / s} for s in (5, 10, 15, 20)]
    for at, value in ((10, score / 2), (20, score + 0.1 * (one.seed - 3))):
        measured = {"clothes_colors": value, "all_three": value**3, "swapped": 0.1}
        lines.append({"step": at, "samples": 4 * at, **measured})
    (one.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    speed = [{"step": s, "seconds": 30.0} for s in (5, 10, 15, 20)]
    (one.folder / "speed.jsonl").write_text("".join(json.dumps(line) + "\n" for line in speed))


def test_every_pair_is_the_same_but_for_the_loss(tmp_path):
    runs = study.planned(config(tmp_path))
    assert len(runs) == 2 * 2 * 3 and len({one.folder for one in runs}) == 12
    for without, released, parts in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        assert without.config.hola.weight == 0
        assert released.config.hola == HolaConfig(1.0) and parts.config.hola == HolaConfig(
            1.0, whole_figure=False
        )
        for other in (released, parts):
            plain = replace(other.config.trainer, out=without.folder)
            assert replace(other.config, hola=without.config.hola, trainer=plain) == without.config
            assert (other.base, other.seed) == (without.base, without.seed) and other.seed == plain.seed


def test_runs_once_and_publishes_after_each(tmp_path, monkeypatch):
    settings, started = config(tmp_path), []
    by_folder = {one.folder: one for one in study.planned(settings)}
    monkeypatch.setattr(study, "HolaTask", lambda config: config)

    def train(task, trainer, progress, about):
        started.append(trainer.out)
        pretend(by_folder[trainer.out])
        if len(started) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(study, "train", train)
    with pytest.raises(KeyboardInterrupt):
        study.run(settings)
    assert len(json.loads((tmp_path / "results" / "hola.json").read_text())["runs"]) == 2
    paths = study.run(settings)
    assert len(started) == len(set(started)) == 12
    content = json.loads(paths[0].read_text())
    assert len(content["runs"]) == 12 and content["runs"][0]["curve"][-1]["minutes"] == 2.0
    assert content["runs"][0]["noise_loss"] == pytest.approx((1 / 5 + 1 / 10 + 1 / 15 + 1 / 20) / 4)
    text = paths[1].read_text()
    assert "| fresh | without | 2 | 0.350 ± 0.071 |" in text
    assert "| bound | parts | 2 | 0.650 ± 0.071 |" in text


def test_the_ceiling_stands_beside_the_scores(tmp_path):
    figures = tmp_path / "vae.json"
    figures.write_text(json.dumps({"through": {"clothes_colors": 0.97, "all_three": 0.93}}))
    settings = config(tmp_path, ceiling=figures)
    runs = study.planned(settings)[:2]
    for one in runs:
        pretend(one)
    text = study.publish(replace(settings, name="other"), runs)[1].read_text()
    assert "clothes colors 0.970, all three 0.930" in text and "minutes: `other.json`" in text
    assert {path.name for path in settings.results.iterdir()} == {"other.json", "other.md"}


@pytest.mark.parametrize(
    "change, word",
    [
        ({"bases": []}, "study"),
        ({"seeds": ()}, "study"),
        ({"variants": ()}, "study"),
        ({"bases": [Path("a/x"), Path("b/x")]}, "bases"),
    ],
)
def test_a_study_of_nothing(tmp_path, change, word):
    with pytest.raises(FiguraInputError, match=word):
        study.run(config(tmp_path, **change))
