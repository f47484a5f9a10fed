"""A run of the trainer under FSDP2 as accelerate sets it up, in processes of their own; a program.

accelerate shards where it finds GPUs. All that is done here by hand is to tell it, once it has looked, that
sharding is on; everything after that is its own code and the trainer's.
"""

import json
import sys
from pathlib import Path

import a_pack  # noqa: F401
from accelerate import Accelerator, FullyShardedDataParallelPlugin, PartialState
from accelerate.utils import DistributedType
from comfyui_figura.pipelines.common.training import loop
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from regression import Regression
from torch.distributed.tensor import DTensor

unsharded = loop._accelerator


def sharding(config: TrainerConfig) -> Accelerator:
    accelerator = unsharded(config)
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=2)
    return accelerator


def main() -> None:
    settings = json.loads(sys.argv[1])
    loop._accelerator = sharding
    task = Regression()
    loop.train(task, TrainerConfig(**{**settings, "out": Path(settings["out"]), "cpu": True}))
    for name, module in task.modules.items():
        assert all(isinstance(parameter, DTensor) for parameter in module.parameters()), name


if __name__ == "__main__":
    main()
