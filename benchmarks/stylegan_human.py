"""Full-size StyleGAN generators against the reference implementation, both with the same random weights.

``FIGURA_REFERENCE`` names a checkout of stylegan-human/StyleGAN-Human; its CPU reference operations are used.
Without it our own plain path (the one that records gradients) is the other side, and the records say so.
``python -m benchmarks.stylegan_human peak <ours|reference> <model>`` prints one peak memory figure, in MiB.
"""

import importlib.util
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from pipelines.stylegan_human.configs import V2Config, V3Config, stylegan2_human, stylegan3_r
from pipelines.stylegan_human.generate import sample_ws, synthesize
from pipelines.stylegan_human.networks.generator import Generator, build

from .measure import Record, compare, record

MODELS = {
    "v2_512x256": stylegan2_human(512),
    "v2_1024x512": stylegan2_human(1024),
    "v3t_512x256": V3Config(),
    "v3r_512x256": stylegan3_r(512),
}
RUNS = [
    ("v2_512x256", 1, 5),
    ("v2_512x256", 4, 3),
    ("v2_1024x512", 1, 5),
    ("v2_1024x512", 4, 3),
    ("v3t_512x256", 1, 1),
    ("v3r_512x256", 1, 1),
]
REFERENCE = os.environ.get("FIGURA_REFERENCE")


def run() -> list[Record]:
    """Time every model, then its peak memory."""
    torch.set_grad_enabled(False)
    warnings.filterwarnings("ignore")
    if not REFERENCE:
        print("FIGURA_REFERENCE is not set: measuring against our own plain path only.")
    wanted = os.environ.get("FIGURA_BENCH", "")  # part of a name, to measure a few
    records = [
        _timed(model, batch, repeats) for model, batch, repeats in RUNS if wanted in f"{model}_b{batch}"
    ]
    if REFERENCE:
        records += [_peak(model) for model in MODELS if wanted in f"{model}_peak"]
    return records


def _timed(model: str, batch: int, repeats: int) -> Record:
    torch.manual_seed(0)
    generator = build(MODELS[model])
    seeds = list(range(batch))
    other, other_is = _other_side(generator, seeds)

    def ours() -> torch.Tensor:
        return synthesize(generator, sample_ws(generator, seeds))

    pixels = ours()
    difference, scale = (pixels - other()).abs().max().item(), pixels.abs().max().item()
    if not difference <= 1e-4 * max(scale, 1):
        raise RuntimeError(f"{model}: the two sides differ by {difference:.2e} at size {scale:.2e}")
    print(f"{model} batch {batch}: agree to {difference:.1e} (pictures reach {scale:.1f})", flush=True)
    return compare(f"generate_{model}_b{batch}", ours, other, other_is, repeats, warm=True)


def _other_side(generator: Generator, seeds: list[int]) -> tuple[Callable[[], torch.Tensor], str]:
    if REFERENCE:
        reference = _reference(generator)
        return lambda: _run_reference(reference, generator.config.z_dim, seeds), "reference, CPU ref ops"

    def plain() -> torch.Tensor:
        with torch.enable_grad():
            return generator.synthesis(sample_ws(generator, seeds)).detach()

    return plain, "own plain path"


def _run_reference(reference, z_dim: int, seeds: list[int]) -> torch.Tensor:
    from pipelines.stylegan_human.latents.latents import seeds_to_z

    ws = reference.mapping(seeds_to_z(seeds, z_dim).float(), torch.zeros(len(seeds), 0))
    return reference.synthesis(ws, noise_mode="const", force_fp32=True)


def _reference(generator: Generator):
    """The reference's network with our weights."""
    reference = _build_reference(generator.config)
    reference.load_state_dict(generator.state_dict())
    return reference


def _build_reference(config: V2Config | V3Config):
    root = Path(str(REFERENCE))
    sys.path.insert(0, str(root))
    third = isinstance(config, V3Config)
    path = "sg3/training/networks_stylegan3.py" if third else "sg2/training/networks.py"
    spec = importlib.util.spec_from_file_location("reference_networks", root / "training_scripts" / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference_networks"] = module
    spec.loader.exec_module(module)
    synthesis = {
        name: getattr(config, name) for name in ("channel_base", "channel_max", "num_fp16_res", "conv_clamp")
    }
    if third:
        synthesis |= {"conv_kernel": config.conv_kernel, "use_radial_filters": config.use_radial_filters}
    return module.Generator(
        z_dim=config.z_dim, c_dim=0, w_dim=config.w_dim, img_resolution=config.resolution, square=False,
        img_channels=3, mapping_kwargs={"num_layers": config.mapping_layers},
        **(synthesis if third else {"synthesis_kwargs": synthesis}),
    ).eval()  # fmt: skip


def _peak(model: str) -> Record:
    def measured(side: str) -> float:
        command = [sys.executable, "-m", "benchmarks.stylegan_human", "peak", side, model]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])

    return record(
        f"peak_{model}_b1", measured("ours"), measured("reference"), "reference, CPU ref ops", "MiB"
    )


def peak(side: str, model: str) -> float:
    """Peak resident memory, in MiB, of a process that builds one network and makes one picture."""
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    config = MODELS[model]
    if side == "ours":
        generator = build(config)
        synthesize(generator, sample_ws(generator, [0]))
    else:
        _run_reference(_build_reference(config), config.z_dim, [0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(peak(sys.argv[2], sys.argv[3]))
