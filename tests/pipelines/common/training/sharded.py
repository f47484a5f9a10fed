"""Train a sharded network (FSDP2) in two processes, save, restore into a fresh one, and compare; a program.

accelerate shards on GPUs only, so the network is sharded here by torch's own call, which accelerate makes.
"""

import copy
import sys
from pathlib import Path

import a_pack  # noqa: F401
import torch
from accelerate import Accelerator
from comfyui_figura.pipelines.common.training import checkpoint
from comfyui_figura.pipelines.common.training.averages import update_average
from regression import Regression
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard


class Sharded(Regression):
    """One network in shards, its average whole in every process."""

    def __init__(self) -> None:
        super().__init__()
        network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        self.averages = {"one": copy.deepcopy(network)}
        self.modules = {"one": fully_shard(network, mesh=init_device_mesh("cpu", (2,)))}
        self.optimizers = {"one": torch.optim.AdamW(network.parameters(), 1e-2)}
        self.schedules = {}

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last):
            x = torch.sin(torch.arange(8.0).reshape(2, 4) * (step + 1))
            (self.modules["one"](x) - x.sum(1, keepdim=True)).square().mean().backward()
            self.optimizers["one"].step()
            self.optimizers["one"].zero_grad()
            update_average(self.averages["one"], self.modules["one"], 0.9)


def main(folder: Path) -> None:
    accelerator = Accelerator(cpu=True)
    whole = Sharded()
    whole.steps(0, 4)
    tensors, state = checkpoint.collect(whole, accelerator, {})
    if accelerator.is_main_process:
        assert tensors["weights.safetensors"]["one.0.weight"].shape == (8, 4), (
            "a shard was saved, not the whole"
        )
        checkpoint.write(folder, 4, tensors, state)
    accelerator.wait_for_everyone()
    again = Sharded()
    checkpoint.restore(folder / "step_00000004", again, accelerator)
    for task in (whole, again):
        task.steps(4, 8)
    ends = [checkpoint.collect(task, accelerator, {})[0] for task in (whole, again)]
    for name, saved in ends[0].items():
        assert all(torch.equal(tensor, ends[1][name][key]) for key, tensor in saved.items()), name
    kept, weight = whole.averages["one"][0].weight, whole.modules["one"][0].weight.full_tensor()
    assert kept.shape == weight.shape and not torch.equal(kept, weight)
    print("same", sum(map(len, ends[0].values())), "tensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
