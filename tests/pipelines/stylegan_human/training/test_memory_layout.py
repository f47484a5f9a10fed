"""``--nhwc``: feature maps channels last, and the same training up to rounding.

All but the discriminator's last map, 4 pixels high, which is put together from two.
"""

import pytest
import torch
from comfyui_figura.pipelines.stylegan_human.networks.discriminator import Conv
from comfyui_figura.pipelines.stylegan_human.networks.synthesis_v3 import Layer
from comfyui_figura.pipelines.stylegan_human.training import run as running
from comfyui_figura.pipelines.stylegan_human.training.task import GanTask
from safetensors.torch import load_file

from .conftest import small_config, write_pictures


@pytest.mark.parametrize("cfg", ["tiny", "stylegan3-t"])
def test_maps_lie_channels_last_and_results_stay(tmp_path, monkeypatch, cfg):
    """Adam makes of a gradient that is nothing but rounding a whole step, so weights may differ by some of
    its steps (8 of 0.003), but all together by little.
    """
    size = (16, 8) if cfg.startswith("stylegan3") else (32, 16)
    data = write_pictures(tmp_path / "pictures", 8, size)
    maps: list[tuple[str, bool]] = []

    class Watched(GanTask):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            for network in self.modules.values():
                for name, module in network.named_modules():
                    if isinstance(module, Conv | Layer):
                        module.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))

    def note(name: str, x: torch.Tensor) -> None:
        if x.shape[1] > 1 and name != "b4.conv":  # one channel lies both ways at once
            maps.append((name, x.is_contiguous(memory_format=torch.channels_last)))

    monkeypatch.setattr(running, "GanTask", Watched)
    ends = []
    for nhwc in (False, True):
        maps.clear()
        config = small_config(
            data, tmp_path / str(nhwc), cfg=cfg, aug="fixed", p=0.5, mbstd_group=2, nhwc=nhwc
        )
        assert running.run(config) is not None
        assert all(last for _, last in maps) == nhwc, sorted({name for name, last in maps if not last})
        ends.append(load_file(config.outdir / "training.safetensors"))
    plain, last = ends
    gap = sum((plain[name] - last[name]).square().sum().item() for name in plain) ** 0.5
    length = sum(plain[name].square().sum().item() for name in plain) ** 0.5
    assert gap < 1e-3 * length, gap / length
