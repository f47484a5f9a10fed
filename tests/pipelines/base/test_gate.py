"""The gate's arithmetic, and the figures of an autoencoder that keeps nothing."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from comfyui_figura.pipelines.base import gate
from comfyui_figura.pipelines.base.commands import measure
from comfyui_figura.pipelines.base.configs import MeasureConfig
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.named_function import named


@pytest.mark.parametrize(
    "top, bottom, shoes, passes",
    [(0.95, 0.95, 0.95, True), (1, 1, 0.949, False), (0.94, 1, 1, False), (1, 1, None, False)],
)
def test_all_three_garments_must_reach_the_gate(top, bottom, shoes, passes):
    figures = {"color_top": top, "color_bottom": bottom} | ({} if shoes is None else {"color_shoes": shoes})
    assert gate.passes(figures, 0.95) == passes


def brightness(pictures, records):
    """A reader that finds any colour in pictures that are as varied as renders."""
    assert pictures.dtype == np.uint8 and len(pictures) == len(records)
    varied = float(pictures.std() > 55)
    return dict.fromkeys(gate.GARMENTS, varied)


def test_an_untrained_autoencoder_does_not_pass(people, vae_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "named", lambda place: brightness)
    config = MeasureConfig(vae_folder, [people], count=8, size=(64, 32), out=tmp_path / "figures.json")
    with pytest.raises(SystemExit) as stopped:
        measure(config)
    figures = json.loads(config.out.read_text())
    assert stopped.value.code == 1 and not figures["passes"] and figures["pictures"] == 8
    assert figures["renders"]["color_top"] == 1 and figures["through"]["color_top"] == 0
    assert len(figures["latent_mean"]) == 4 and figures["psnr"] < 20


def test_readers_are_named_by_module_and_function():
    assert named("") is None
    assert named("json:dumps") is json.dumps
    assert named(".demo.scores:captions").__name__ == "captions"
    for wrong in ("json", "json:nothing", "no.such.module:f", "json:__name__", ":f"):
        with pytest.raises(FiguraInputError, match="score"):
            named(wrong)


def test_the_mannequins_reader_is_asked_with_captions(monkeypatch):
    from comfyui_figura.pipelines.demo import scores
    from comfyui_figura.pipelines.mannequin.reader import scores as reading

    seen = []
    reader = SimpleNamespace(read=lambda pixels: [float(row.mean()) for row in pixels])
    monkeypatch.setattr(scores, "_reader", lambda: reader)
    monkeypatch.setattr(
        reading, "caption_scores", lambda found, words: seen.append((found, words)) or {"n": 1.0}
    )
    records = [SimpleNamespace(caption=f"caption {n}") for n in range(70)]
    pictures = np.full((70, 8, 4, 3), 255, np.uint8)
    assert scores.captions(pictures, records) == {"n": 1.0}
    ((found, words),) = seen
    assert found == [1.0] * 70 and words[69] == "caption 69"
