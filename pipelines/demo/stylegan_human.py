"""StyleGAN-Human in the demo: tiny networks in the three released layouts, and a seed grid of each."""

import time
from pathlib import Path

import torch

from ..common.images import to_image, write_png
from ..common.opcodes import write_tensor
from ..common.progress import Progress
from ..stylegan_human.configs import Config, V2Config, tiny
from ..stylegan_human.generate import sample_ws, synthesize
from ..stylegan_human.grid import sheet
from ..stylegan_human.latents.edit import sefa_vector
from ..stylegan_human.loading import load_generator
from ..stylegan_human.networks.generator import Generator, build
from . import DemoResult
from .network_pickle import write_network

FOLDER = "stylegan_human"
FILES = {  # released names -> tiny networks of the same family
    "stylegan_human_v1_1024.pkl": tiny(1),
    "stylegan_human_v2_1024.pkl": tiny(2),
    "stylegan_human_v2_512.pkl": tiny(2, 32),
    "stylegan_human_v3_512.pkl": tiny(3),
}
MANNEQUINS = "stylegan_human_v2_1024.pkl"
FACES = {"ffhq.pkl": V2Config(32, square=True, z_dim=32, w_dim=32, channel_base=512, channel_max=24)}
DIRECTION = "stylegan_directions/sefa/upper_length.pt"  # as in the released folder latent_direction
SEEDS = list(range(1, 9))
SHIPPED = Path(__file__).parent / "models" / FOLDER


def write_models(models_dir: Path) -> None:
    """Write ``stylegan_human/*.pkl`` under ``models_dir``: released names and layouts; and a direction.

    The network that most workflows name is the one trained on mannequins, so that they show people; the
    others are tiny and random.
    """
    networks = {name: random_generator(config) for name, config in (FILES | FACES).items()}
    networks[MANNEQUINS] = load_generator(SHIPPED / "mannequins_64x32.safetensors").float()
    for name, generator in networks.items():
        path = models_dir / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_network(path, generator)
    write_tensor(models_dir / DIRECTION, sefa_vector(networks[MANNEQUINS].synthesis, 0)[None])


def random_generator(config: Config, seed: int = 0) -> Generator:
    """A generator with random weights, moved off the values that training starts from so that all of them
    count.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        generator = build(config)
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.normal_(std=0.05)
            elif name.endswith("bias"):
                parameter.add_(torch.randn_like(parameter) * 0.1)
        generator.mapping.w_avg.copy_(sample_ws(generator, range(64))[:, 0].mean(dim=0))
    return generator


def run(models_dir: Path, out: Path, progress: Progress) -> list[DemoResult]:
    """Load every file through the loader that users use, and draw a seed grid with each: the trained
    networks that the pack ships, then the released layouts.
    """
    results, networks = [], [*shipped(), *(models_dir / FOLDER / name for name in FILES)]
    for i, path in enumerate(networks):
        start, trained = time.perf_counter(), path.parent == SHIPPED
        generator = load_generator(path)
        pixels = synthesize(generator, sample_ws(generator, SEEDS, 0.8 if trained else 0.7))
        name = path.stem if trained else f"v{generator.version}_{generator.image_size[0]}"
        picture = out / f"stylegan_human_{name}.png"
        write_png(picture, sheet(to_image(pixels), [str(seed) for seed in SEEDS], columns=len(SEEDS))[0])
        seconds = time.perf_counter() - start
        word = "demo/" if trained else ""
        results.append(DemoResult(f"StyleGAN{generator.version} {word}{path.name}", seconds, picture))
        progress(i + 1, len(networks), pixels[0])
    return results


def shipped() -> list[Path]:
    """The trained networks that come with the pack, which loaders list as ``demo/…``."""
    return sorted(SHIPPED.glob("*.safetensors"))


def write_clip(path: Path) -> None:
    """A tiny CLIP, text and picture half, with random weights, as transformers saves one."""
    from safetensors.torch import save_file
    from transformers import CLIPConfig, CLIPModel

    half = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1}
    pictures = half | {"image_size": 32, "patch_size": 8}
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(CLIPConfig(text_config=half, vision_config=pictures, projection_dim=16))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file({name: tensor for name, tensor in state.items() if "position_ids" not in name}, path)
