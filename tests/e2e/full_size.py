"""Full-size files in the released layouts, through the loaders and shipped workflows of a real ComfyUI.

``python tests/e2e/full_size.py FOLDER [--steps 2]`` writes random weights of the released sizes into FOLDER
(about 7 GB, kept for the next call), starts a server on them, runs the workflows and prints, for each, the
seconds and the server's peak memory. Steps and pictures are cut down only where the table says so.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "e2e")]

import conftest  # noqa: E402, F401  loads the pack under its name
import torch  # noqa: E402
from harness import graphs, install, models, pack, server  # noqa: E402
from harness.client import Client  # noqa: E402

SD15_UNET = {
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "layers_per_block": 2,
    "sample_size": 64,
}
UNET, BASE = "CosmicMan-SD/diffusion_pytorch_model.safetensors", "v1-5-pruned.safetensors"
NETWORKS = {"stylegan_human_v2_1024.pkl": (2, 1024), "stylegan_human_v3_512.pkl": (3, 512)}


def write_files(folder: Path) -> None:
    """Write what is not there yet: UNet by diffusers (fp32), base checkpoint (fp16), two network pickles."""
    torch.manual_seed(0)
    if not (folder / "diffusion_models" / UNET).exists():
        write_unet(folder / "diffusion_models" / "CosmicMan-SD")
    if not (folder / "checkpoints" / BASE).exists():
        write_base(folder / "checkpoints" / BASE)
    for name, (number, resolution) in NETWORKS.items():
        if not (folder / "stylegan_human" / name).exists():
            write_network(folder / "stylegan_human" / name, number, resolution)


def new_unet() -> torch.nn.Module:
    """An SD1.5 UNet, 859.5 M parameters, as diffusers initialises it."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return UNet2DConditionModel(**SD15_UNET)


def write_unet(folder: Path) -> None:
    """Save the UNet as the hub repository has it: config.json and one fp32 file, written by diffusers."""
    unet = new_unet()
    print(f"UNet: {sum(p.numel() for p in unet.parameters()):,} parameters")
    unet.save_pretrained(folder)


def write_base(path: Path) -> None:
    """Save a whole SD1.5 checkpoint under LDM names: UNet, VAE and CLIP-L, all of full size, in fp16."""
    from comfyui_figura.pipelines.common import ldm, ldm_text, ldm_vae
    from comfyui_figura.pipelines.common.weights import save_state_dict
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    config = json.loads((path.parent.parent / "diffusion_models/CosmicMan-SD/config.json").read_text())
    unet = ldm.unet_to_ldm(half(new_unet()), ldm.unet_config_from_diffusers(config))
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072,
        num_hidden_layers=12, num_attention_heads=12,
    ))  # fmt: skip
    state = {ldm.UNET_PREFIX + name: tensor for name, tensor in unet.items()}
    state |= {ldm_vae.VAE_PREFIX + name: tensor for name, tensor in ldm_vae.vae_to_ldm(half(vae)).items()}
    names = ldm_text.text_names(half(text))
    state |= {f"cond_stage_model.transformer.{name}": tensor for name, tensor in names.items()}
    save_state_dict(path, state)


def half(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A module's tensors in fp16; whole numbers stay."""
    state = module.state_dict()
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items()}


def write_network(path: Path, number: int, resolution: int) -> None:
    """Write one generator of the released size as the released kind of pickle."""
    from comfyui_figura.pipelines.demo.network_pickle import write_network as write
    from comfyui_figura.pipelines.demo.stylegan_human import random_generator
    from comfyui_figura.pipelines.stylegan_human import configs

    preset = configs.stylegan2_human if number == 2 else configs.stylegan3_r
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, random_generator(preset(resolution)))


def jobs(steps: int) -> list[tuple[str, dict]]:
    """The shipped graphs, with the full-size files chosen in their loaders."""
    listed = []
    for name, graph in ((name, graphs.load(name)) for name in graphs.names()):
        kinds = {node["class_type"] for node in graph.values()}
        if name == "stylegan_generate":
            listed += [(f"{name}, {file}", chosen(graph, "FiguraStyleGANLoader", file)) for file in NETWORKS]
        elif name == "cosmicman_text_to_image" and "FiguraCosmicManCheckpointLoader" in kinds:
            listed.append((f"{name}, SD1.5, 512x512, {steps} steps", small(graph, steps)))
    return listed


def chosen(graph: dict, loader: str, file: str) -> dict:
    """The graph with ``file`` in its loader's first model combo."""
    for node in graph.values():
        if node["class_type"] == loader:
            key = next(key for key, value in node["inputs"].items() if isinstance(value, str))
            node["inputs"][key] = file
    return json.loads(json.dumps(graph))


def small(graph: dict, steps: int) -> dict:
    """CosmicMan-SD and its base in place of SDXL, at 512x512 and few steps: a CPU's patience."""
    for node in graph.values():
        inputs = node["inputs"]
        wanted = {"unet": "CosmicMan-SD", "base": BASE, "width": 512, "height": 512, "steps": steps}
        inputs |= {key: value for key, value in wanted.items() if key in inputs}
    return graph


def peak_megabytes(pid: int) -> int:
    """The most memory the process ever held (Linux)."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) // 1024


def main(folder: Path, steps: int) -> None:
    """Write, start, run, print one line per workflow."""
    write_files(folder / "models")
    running = server.Server(install.find(), folder)
    shutil.rmtree(folder / "custom_nodes", ignore_errors=True)
    running.make_folders()
    pack.copy_pack(folder / "custom_nodes")
    pack.link_requirements(running.install.python, folder / "packages")
    models.write_pictures(folder / "input", [graphs.load(name) for name in graphs.names()])
    for label, graph in jobs(steps):
        try:  # a server each, so that the peak is the workflow's own
            running.start(folder / "packages")
            idle = peak_megabytes(running.process.pid)
            run = Client(running.url).run(graph, limit=3000)
            assert run.end == "execution_success", run.error
            peak = peak_megabytes(running.process.pid)
            print(f"| {label} | {run.seconds:.1f} s | {peak:,} MB ({idle:,} before) |", flush=True)
            client = Client(running.url)
            for index, (_, file) in enumerate(run.files()):
                (folder / f"{label.split(',')[0]}_{label.split('.')[0][-6:]}_{index}.png").write_bytes(
                    client.view(file)
                )
        finally:
            running.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2)
    arguments = parser.parse_args()
    main(arguments.folder, arguments.steps)
