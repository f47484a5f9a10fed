"""Training steps of StyleGAN2 against the published loss and networks, on one CPU thread.

``FIGURA_REFERENCE`` names a checkout of stylegan-human/StyleGAN-Human (networks), ``FIGURA_REFERENCE_LOSS``
one of NVlabs/stylegan2-ada-pytorch beside it (``loss.py``); both run on their plain PyTorch operations.
Each side does what a step does: all phases that are due, Adam, moving average; 16 updates hold R1 once and
path lengths four times. ``python -m benchmarks.stylegan_training peak <ours|reference> <network>``
prints peak memory in MiB.
"""

import importlib.util
import os
import subprocess
import sys
import warnings
from pathlib import Path

import torch
from accelerate import Accelerator

from pipelines.common.training.configs import TrainerConfig
from pipelines.common.training.step import Step
from pipelines.stylegan_human.training.configs import TrainConfig
from pipelines.stylegan_human.training.presets import Recipe, recipe
from pipelines.stylegan_human.training.starting import fresh_networks
from pipelines.stylegan_human.training.task import GanTask, ema_beta

from .measure import Record, compare, record

REFERENCE = os.environ.get("FIGURA_REFERENCE")
LOSS = os.environ.get("FIGURA_REFERENCE_LOSS")


def _config(**flags) -> TrainConfig:
    return TrainConfig(Path("data"), aug="noaug", fp32=True, **flags)


NETWORKS = {  # name: (settings, height)
    "tiny_64x32_b16": (_config(cfg="tiny"), 64),
    "shhq_128x64_b8": (_config(cfg="shhq", cbase=8192, cmax=128, batch=8), 128),
    "shhq_256x128_b4": (_config(cfg="shhq", batch=4), 256),
}


class Pictures:
    """Random pictures in memory."""

    labels = None

    def __init__(self, count: int, height: int) -> None:
        source = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(
            0, 256, (count, 3, height, height // 2), generator=source, dtype=torch.uint8
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: list[int]) -> dict[str, torch.Tensor]:
        return {"pixels": self.pixels[indices]}


class Ours:
    """Updates of our task."""

    def __init__(self, settled: Recipe, height: int) -> None:
        self.data = Pictures(settled.batch, height)
        self.task = GanTask(settled, fresh_networks(settled, 0), self.data)  # type: ignore[arg-type]
        self.config = TrainerConfig(Path(), batch=settled.batch, cpu=True)
        self.accelerator = Accelerator(cpu=True)

    def update(self, number: int) -> None:
        step = Step(number, self.task, self.config, self.accelerator)
        self.task.update(self.data.batch(list(range(len(self.data)))), step)


class Theirs:
    """Updates with the published loss and networks, arranged as the published loop arranges them."""

    def __init__(self, settled: Recipe, height: int) -> None:
        self.settled, self.pixels = settled, Pictures(settled.batch, height).pixels
        self.g, self.d, self.average = _reference_networks(settled)
        losses = settled.losses
        self.loss = _module("reference_loss", Path(str(LOSS)) / "training" / "loss.py").StyleGAN2Loss(
            torch.device("cpu"), **_players(self.g, self.d), r1_gamma=losses.r1_gamma,
            style_mixing_prob=losses.style_mixing_prob, pl_weight=losses.pl_weight,
        )  # fmt: skip
        adams = {
            "G": settled.g_adam.slowed(settled.g_interval),
            "D": settled.d_adam.slowed(settled.d_interval),
        }
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=adam.lr, betas=adam.betas, eps=adam.eps)
            for (name, adam), network in zip(adams.items(), (self.g, self.d), strict=True)
        }

    def update(self, number: int) -> None:
        real = self.pixels.to(torch.float32) / 127.5 - 1
        for name, network, interval in self._phases():
            if number % interval == 0:
                self._phase(name, network, interval, real)
        beta = ema_beta(self.settled.batch, self.settled.ema_kimg, None, 0)
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.g.parameters(), strict=True):
                kept.copy_(new.lerp(kept, beta))
            for kept, new in zip(self.average.buffers(), self.g.buffers(), strict=True):
                kept.copy_(new)

    def _phases(self):
        lazy = self.settled.g_interval
        yield "Gboth" if lazy is None else "Gmain", "G", 1
        if lazy is not None:
            yield "Greg", "G", lazy
        yield "Dmain", "D", 1
        yield "Dreg", "D", self.settled.d_interval

    def _phase(self, name: str, network: str, interval: int, real: torch.Tensor) -> None:
        module, optimizer = {"G": self.g, "D": self.d}[network], self.optimizers[network]
        optimizer.zero_grad(set_to_none=True)
        module.requires_grad_(True)
        labels = torch.zeros(len(real), 0)
        z = torch.randn(len(real), self.settled.generator.z_dim)
        self.loss.accumulate_gradients(
            phase=name, real_img=real, real_c=labels, gen_z=z, gen_c=labels, sync=True, gain=interval
        )
        module.requires_grad_(False)
        for parameter in module.parameters():
            if parameter.grad is not None:
                torch.nan_to_num(parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad)
        optimizer.step()


def _players(generator, discriminator) -> dict:
    return {
        "G_mapping": generator.mapping, "G_synthesis": generator.synthesis, "D": discriminator,
    }  # fmt: skip


def _module(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _reference_networks(settled: Recipe):
    root = Path(str(REFERENCE))
    sys.path.insert(0, str(root))
    networks = _module("reference_sg2", root / "training_scripts/sg2/training/networks.py")
    ours, d = settled.generator, settled.discriminator
    common = {"img_resolution": ours.resolution, "img_channels": 3, "c_dim": 0, "square": False}
    sizes = {
        "channel_base": ours.channel_base,
        "channel_max": ours.channel_max,
        "num_fp16_res": 0,
        "conv_clamp": None,
    }

    def generator():
        return networks.Generator(
            z_dim=ours.z_dim, w_dim=ours.w_dim, mapping_kwargs={"num_layers": ours.mapping_layers},
            synthesis_kwargs=sizes, **common,
        )  # fmt: skip

    discriminator = networks.Discriminator(
        **common, **sizes, epilogue_kwargs={"mbstd_group_size": d.mbstd_group_size}
    )
    return (
        generator().train().requires_grad_(False),
        discriminator.train().requires_grad_(False),
        generator().eval(),
    )


def _settled(name: str) -> tuple[Recipe, int]:
    config, height = NETWORKS[name]
    return recipe(config, height, 0), height


def run() -> list[Record]:
    """Time every network, then its peak memory. Without the reference there is nothing to compare with."""
    warnings.filterwarnings("ignore")
    if not REFERENCE or not LOSS:
        raise SystemExit("Set FIGURA_REFERENCE and FIGURA_REFERENCE_LOSS to checkouts of the published code.")
    wanted = os.environ.get("FIGURA_BENCH", "")  # part of a name, to measure a few
    names = [name for name in NETWORKS if wanted in name]
    return [entry for name in names for entry in (*_timed(name), _peak(name))]


def _timed(name: str) -> list[Record]:
    """CPU seconds of a mean update, from an ordinary one, one with R1 and one with path lengths."""
    settled, height = _settled(name)
    ours, theirs = Ours(settled, height), Theirs(settled, height)
    lazy = settled.g_interval
    plain = compare("plain", lambda: ours.update(1), lambda: theirs.update(1), "", 5)
    both = compare("both", lambda: ours.update(0), lambda: theirs.update(0), "", 3)
    parts = [(plain.ours, both.ours), (plain.other, both.other)]
    if lazy is not None:
        path = compare("path", lambda: ours.update(lazy), lambda: theirs.update(lazy), "", 3)
        means = [(12 * p + 3 * q + b) / 16 for (p, b), q in zip(parts, (path.ours, path.other), strict=True)]
    else:
        means = [(15 * p + b) / 16 for p, b in parts]
    seconds = record(f"train_{name}", means[0], means[1], "reference, CPU ref ops", "CPU s per update")
    speed = [settled.batch / mean for mean in means]
    print(f"{name}: {speed[0]:.1f} against {speed[1]:.1f} samples per CPU second", flush=True)
    return [seconds]


def _peak(name: str) -> Record:
    def measured(side: str) -> float:
        command = [sys.executable, "-m", "benchmarks.stylegan_training", "peak", side, name]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])

    return record(f"peak_{name}", measured("ours"), measured("reference"), "reference, CPU ref ops", "MiB")


def peak(side: str, name: str) -> float:
    """Peak resident memory, in MiB, of a process that runs two updates with every phase."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    made = (Ours if side == "ours" else Theirs)(*_settled(name))
    for number in (0, 0):
        made.update(number)
    status = Path("/proc/self/status").read_text()  # unlike getrusage, it forgets the process that forked us
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    print(peak(sys.argv[2], sys.argv[3]))
