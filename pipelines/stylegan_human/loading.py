"""Opens a generator from any released file: .pkl of v1, v2 and v3, pivotal-tuning .pkl, our own
.safetensors.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..common.errors import FiguraWeightsError
from ..common.identify import require
from ..common.network_pickle import NetworkRecord, TFNetworkRecord, load_stylegan_pickle
from ..common.weights import FileKind, load_state_dict, read_metadata, save_state_dict, sniff
from . import checkpoint
from .configs import Config, version
from .networks.generator import Generator, build

WANTED = "a StyleGAN network .pkl (v1, v2 or v3), or a .safetensors that figura converted from one"


@dataclass(frozen=True)
class GeneratorFile:
    """What a file holds: the config, and the generator's tensors under our names."""

    config: Config
    state: dict[str, Tensor]


def load_generator(path: str | Path) -> Generator:
    """The generator (its moving average) in ``path``, in float32 on the CPU, in evaluation mode.

    Raises FiguraWeightsError, naming what the file is and what was wanted, for anything else.
    """
    path = Path(path)
    return assemble(read_generator(path), path.name)


def assemble(file: GeneratorFile, name: str = "network") -> Generator:
    """Build the generator and give it the file's tensors, which must fit exactly."""
    generator = build(file.config)
    checkpoint.check_state(file.state, {k: tuple(v.shape) for k, v in generator.state_dict().items()}, name)
    generator.load_state_dict(file.state)  # copies, and so keeps the layout of the weights in memory
    return generator.eval()


def read_generator(path: str | Path, network: str = "G_ema") -> GeneratorFile:
    """Config and tensors of the generator in ``path``, in whichever format it is.

    ``network``: which one of a pickle: ``G_ema``, the average that makes the better pictures, or ``G``.
    """
    path = Path(path)
    if path.is_file() and sniff(path) is not FileKind.PICKLE:
        require(path, "stylegan1", "stylegan2", "stylegan3")
        return _from_safetensors(path)
    records = load_stylegan_pickle(path, keys=(network,))
    if network not in records:
        raise FiguraWeightsError(path.name, f"a pickle without {network}", WANTED)
    record = records[network]
    if isinstance(record, TFNetworkRecord):
        return _from_tensorflow(record, path.name)
    return _from_torch(record, path.name)


def _from_torch(record: NetworkRecord, name: str) -> GeneratorFile:
    kwargs = {**record.attributes, **record.init_kwargs}
    if record.class_name != "Generator" or "img_resolution" not in kwargs or "z_dim" not in kwargs:
        raise FiguraWeightsError(name, f"a network of class {record.class_name}", WANTED)
    try:
        config = checkpoint.config_from_kwargs(kwargs, record.shapes)
    except (TypeError, ValueError) as error:
        raise FiguraWeightsError(
            name, f"constructor arguments that make no generator ({error})", WANTED
        ) from error
    return GeneratorFile(config, record.tensors)


def _from_tensorflow(record: TFNetworkRecord, name: str) -> GeneratorFile:
    variables = record.flat()
    if "G_synthesis/4x4/Const/const" not in variables:
        raise FiguraWeightsError(
            name, f"a TensorFlow network '{record.name}' that is no StyleGAN1 generator", WANTED
        )
    config = checkpoint.config_from_variables(record.static_kwargs, variables)
    return GeneratorFile(config, checkpoint.state_from_variables(variables, config))


def _from_safetensors(path: Path) -> GeneratorFile:
    config = checkpoint.from_metadata(read_metadata(path))
    if config is None:
        raise FiguraWeightsError(
            path.name, "StyleGAN tensors without the config that figura writes into the metadata", WANTED,
            "Convert the original .pkl with: figura stylegan convert",
        )  # fmt: skip
    return GeneratorFile(config, load_state_dict(path))


def save_generator(path: str | Path, generator: Generator, half: bool = False) -> None:
    """Write a generator as .safetensors that ``load_generator`` reads back, whole or not at all.

    ``half``: weights and noise in float16, which halves the file; what frequencies are made of stays.
    """
    state = generator.state_dict()
    if half:
        small = {name for name, _ in generator.named_parameters()} | {n for n in state if "noise_const" in n}
        state = {name: value.half() if name in small else value for name, value in state.items()}
    save_state_dict(path, state, checkpoint.to_metadata(generator.config))


def describe(generator: Generator) -> dict[str, str]:
    """What a user wants to know of a network, as words."""
    config = generator.config
    height, width = generator.image_size
    return {
        "version": f"StyleGAN{version(config)}",
        "picture": f"{height} x {width} (height x width)",
        "z, w": f"{config.z_dim}, {config.w_dim}",
        "rows of ws": str(config.num_ws),
        "labels": str(config.c_dim) if config.c_dim else "none",
        "parameters": f"{sum(p.numel() for p in generator.parameters()):,}",
        "steps": ", ".join(slot.name for slot in generator.synthesis.slots),
    }
