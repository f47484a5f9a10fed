"""HumanSD's cost of a step beside plain SD2.1, ControlNet and T2I-Adapter: full sizes, random weights."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from .measure import Record, record

PLAIN, CONTROLNET, ADAPTER = "plain SD2.1", "SD2.1 + ControlNet", "SD2.1 + T2I-Adapter"
SD21: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}


def run() -> list[Record]:
    """Steps at 512x512 (latents of 64x64) and 256x256, and the parameters of each way."""
    with torch.inference_mode():
        networks = build()
        records = [record("parameters", count(networks["humansd"]), count(networks["plain"]), PLAIN, "count")]
        records += steps(networks, 64, "", repeats=2)
        records += steps(networks, 32, "_256", repeats=4)
    return records


def build() -> dict[str, Any]:
    """The networks, filled with small random numbers; plain SD2.1 and HumanSD share all but one layer."""
    from diffusers import ControlNetModel, T2IAdapter, UNet2DConditionModel

    with torch.device("meta"):
        plain = UNet2DConditionModel(**SD21)
        humansd = UNet2DConditionModel(**SD21, in_channels=8)
        controlnet = ControlNetModel(**SD21)
        adapter = T2IAdapter(in_channels=3, channels=(320, 640, 1280, 1280), adapter_type="full_adapter")
    for network in (plain, controlnet, adapter):
        fill(network)
    shared = dict(plain.state_dict())
    weight = shared["conv_in.weight"]
    shared["conv_in.weight"] = torch.cat([weight, weight], 1)
    humansd.load_state_dict(shared, assign=True)
    networks = {"plain": plain, "humansd": humansd, "controlnet": controlnet, "adapter": adapter}
    return {name: network.eval().requires_grad_(False) for name, network in networks.items()}


def fill(network: torch.nn.Module) -> None:
    """Give a network of the meta device memory and numbers that neither vanish nor overflow."""
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        tensor.uniform_(-0.02, 0.02, generator=generator)


def count(network: torch.nn.Module) -> int:
    """Parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def steps(networks: dict[str, Any], side: int, suffix: str, repeats: int) -> list[Record]:
    """One noise prediction of HumanSD beside each other way, at latents of ``side`` squared."""
    x, t, text = torch.randn(1, 4, side, side), torch.tensor([501]), torch.randn(1, 77, 1024)
    pose, picture = torch.randn(1, 4, side, side), torch.rand(1, 3, 8 * side, 8 * side)
    plain, features = networks["plain"], networks["adapter"](picture)

    def humansd():
        return networks["humansd"](torch.cat([x, pose], 1), t, text).sample

    def controlled():
        down, middle = networks["controlnet"](x, t, text, picture, return_dict=False)
        return plain(
            x, t, text, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample

    def adapted():
        return plain(x, t, text, down_intrablock_additional_residuals=list(features)).sample

    def without():
        return plain(x, t, text).sample

    seconds = turns({"ours": humansd, PLAIN: without, CONTROLNET: controlled, ADAPTER: adapted}, repeats)
    names = {"step": PLAIN, "step_controlnet": CONTROLNET, "step_t2i_adapter": ADAPTER}
    return [
        record(name + suffix, seconds["ours"], seconds[other], other, "CPU s")
        for name, other in names.items()
    ]


def turns(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each way, taken in turn ``repeats`` times after a warm-up, to and fro."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, work in list(ways.items())[:: 1 if turn % 2 else -1]:
            start = time.process_time()
            work()
            if turn:
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
