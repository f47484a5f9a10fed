"""``figura cosmicman generate`` on tiny files in the released layouts: pictures, seeds, names, refusals."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common import base_model, ldm, picture_files
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.weights import load_state_dict, save_state_dict
from comfyui_figura.pipelines.cosmicman import checkpoint, generate
from comfyui_figura.pipelines.cosmicman.configs import GenerateConfig, with_defaults
from comfyui_figura.pipelines.demo import cosmicman as demo
from diffusers import UNet2DConditionModel
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    demo.write_models(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(models):
    """A command line on the tiny CosmicMan-SDXL."""
    return GenerateConfig(
        prompts=["a man"], unet_path=str(models / "diffusion_models" / "CosmicMan-SDXL"),
        base_path=str(models / "checkpoints" / demo.SDXL_BASE), steps=2, H=64, W=96, seed=7,
    )  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tiny):
    return generate.load(tiny)


def sd(tiny, models):
    return replace(
        tiny, variant="sd", unet_path=str(models / "diffusion_models" / "CosmicMan-SD"),
        base_path=str(models / "checkpoints" / demo.SD_BASE),
    )  # fmt: skip


def draw(model, seeds, words="a man"):
    return generate.draw(model, words, "", seeds, (64, 96))


def test_too_small_a_size_for_a_narrow_model(loaded):
    """One value per channel and one channel per group: torch's group norm cannot take that."""
    narrow = UNet2DConditionModel(
        block_out_channels=(32,) * 4, layers_per_block=1, cross_attention_dim=32,
        down_block_types=["DownBlock2D"] * 4, up_block_types=["UpBlock2D"] * 4,
    )  # fmt: skip
    for model in (replace(loaded, first=replace(loaded.first, unet=narrow)),
                  replace(loaded, second=replace(loaded.first, unet=narrow))):  # fmt: skip
        with pytest.raises(FiguraInputError, match="64 x 64 pixels.*at least 72 pixels"):
            generate.draw(model, "a man", "", [1], (64, 64))


@pytest.mark.parametrize("variant", ["sdxl", "sd"])
def test_each_prompt_becomes_numbered_files_with_their_seed(tiny, models, tmp_path, variant):
    config = tiny if variant == "sdxl" else sd(tiny, models)
    config = replace(config, prompts=["a/b  c", "x:y"], images=2, outdir=tmp_path / "new", a_prompt="sharp")
    paths = list(generate.run(config))
    assert [p.name for p in paths] == ["0000_a-b-c.png", "0001_a-b-c.png", "0002_x-y.png", "0003_x-y.png"]
    assert {p.name for p in (tmp_path / "new").iterdir()} == {p.name for p in paths}  # nothing half written
    for number, path in enumerate(paths):
        with Image.open(path) as picture:
            assert picture.size == (96, 64)
            assert f"Seed: {7 + number}," in picture.info["parameters"]
            assert picture.info["parameters"].startswith(("a/b  c, sharp", "x:y, sharp"))
    assert len({p.read_bytes() for p in paths}) == 4


def test_a_picture_depends_on_its_seed_alone(loaded):
    batch = draw(loaded, [7, 8, 9])
    assert batch.shape == (3, 64, 96, 3) and 0 <= batch.min() and batch.max() <= 1
    # another batch size sums in another order
    torch.testing.assert_close(batch[1:2], draw(loaded, [8]), rtol=0, atol=2e-4)
    assert not torch.allclose(batch[:1], batch[1:2], atol=1e-2)
    assert torch.equal(draw(loaded, [8]), draw(loaded, [8]))


def test_the_prompt_matters(loaded):
    assert not torch.allclose(draw(loaded, [7]), draw(loaded, [7], "a woman in red"), atol=1e-3)


def test_the_second_pass_is_seeded_and_counted(tiny):
    calls = []
    model = generate.load(replace(tiny, use_refiner=True, refiner_path="base"))

    def listen(done, total, preview=None):
        calls.append((done, total))

    one = generate.draw(model, "a man", "", [7], (64, 96), listen)
    assert calls == [(i + 1, 17) for i in range(17)]
    assert torch.equal(one, draw(model, [7]))
    model.second = None
    assert not torch.allclose(one, draw(model, [7]), atol=1e-3)


def test_a_real_refiner_reads_one_encoder_and_a_score(tiny, models, tmp_path):
    """A refiner has clip_g alone and five numbers of size conditioning; made here from the tiny base."""
    config = demo.SDXL_UNET | {
        "cross_attention_dim": 64, "projection_class_embeddings_input_dim": 64 + 5 * 256,
    }  # fmt: skip
    state = demo._prefixed(ldm.unet_to_ldm(demo._unet(config, 20), demo._sizes(config)), ldm.UNET_PREFIX)
    base = load_state_dict(models / "checkpoints" / demo.SDXL_BASE)
    for name, tensor in base.items():
        if name.startswith("first_stage_model."):
            state[name] = tensor
        if name.startswith("conditioner.embedders.1."):
            state[name.replace("embedders.1.", "embedders.0.")] = tensor
    save_state_dict(tmp_path / "refiner.safetensors", state)
    model = generate.load(replace(tiny, use_refiner=True, refiner_path=str(tmp_path / "refiner.safetensors")))
    assert model.second.sizes(64, 96).tolist() == [[64, 96, 0, 0, 6.0]]
    assert model.first.sizes(64, 96).tolist() == [[64, 96, 0, 0, 64, 96]]
    assert torch.isfinite(draw(model, [7])).all()


def test_a_diffusers_folder_serves_as_base(tiny, loaded, tmp_path):
    """The same base saved as diffusers and transformers save it gives the same picture."""
    base = loaded.first.base
    for name, module in (
        ("text_encoder", base.encoders["clip_l"]),
        ("text_encoder_2", base.encoders["clip_g"]),
    ):
        module.save_pretrained(tmp_path / name)
    base.vae.save_pretrained(tmp_path / "vae")
    other = generate.load(replace(tiny, base_path=str(tmp_path)))
    other.vae.register_to_config(scaling_factor=base.vae.config.scaling_factor)
    torch.testing.assert_close(draw(other, [7]), draw(loaded, [7]), rtol=0, atol=1e-5)


def test_an_interrupt_leaves_no_file(tiny, tmp_path):
    class Stop(Exception):
        pass

    def listen(done, total, preview=None):
        raise Stop

    with pytest.raises(Stop):
        list(generate.run(replace(tiny, outdir=tmp_path), listen))
    assert list(tmp_path.iterdir()) == []


def test_released_defaults():
    sdxl, sd15 = with_defaults(GenerateConfig()), with_defaults(GenerateConfig(variant="sd"))
    assert (sdxl.H, sdxl.W, sdxl.sampler, str(sdxl.outdir)) == (1024, 1024, "euler_a", "test_results")
    assert (sd15.H, sd15.W, sd15.sampler, sd15.outdir.as_posix()) == (768, 768, "ddim", "tmp/test")
    assert (sdxl.steps, sdxl.scale, sdxl.seed, sdxl.unet_path) == (50, 7.5, 17, "cosmicman/CosmicMan-SDXL")


def test_commas():
    assert generate.full_prompt("a man", "") == "a man"
    assert generate.full_prompt("a man", "sharp") == "a man, sharp"
    assert generate.full_prompt("a man", "", released_commas=True) == "a man, "


@pytest.mark.parametrize(
    "prompt", ["../../etc", 'a\\b:"c"', "x" * 500, "日本語" * 200, "\0nul", "..", "", "con."]
)
def test_file_names_are_safe(prompt):
    name = picture_files.file_name(3, prompt)
    assert name.startswith("0003_") and len(name.encode()) < 255
    assert not set(name) & set('/\\:*?"<>|\0') and Path(name).name == name


@pytest.mark.parametrize(
    "change, words",
    [
        ({"prompts": []}, "prompts"),
        ({"H": 100}, "H: got 100.*Take 96|Take 104"),
        ({"W": 8}, "W"),
        ({"W": 100_000}, "W"),
        ({"steps": 0}, "steps"),
        ({"images": 0}, "images"),
        ({"scale": -1.0}, "scale"),
        ({"sampler": "nonsense"}, "sampler"),
        ({"seed": -1}, "seed"),
        ({"unet_path": "no/such/folder"}, "unet-path"),
        ({"unet_path": "nobody/nothing-here"}, "hf download nobody/nothing-here"),
        ({"base_path": "missing.safetensors"}, "base-path.*sd_xl_base_1.0.safetensors"),
        ({"use_refiner": True, "refiner_path": "missing.safetensors"}, "refiner-path"),
        ({"variant": "sd"}, "one for|variant"),
    ],
)
def test_what_cannot_be_drawn_is_told(tiny, tmp_path, change, words):
    with pytest.raises(FiguraInputError, match=words):
        list(generate.run(replace(tiny, outdir=tmp_path / "out", **change)))
    assert not (tmp_path / "out").exists()


def test_a_base_of_the_other_variant_is_told(tiny, models):
    with pytest.raises(FiguraWeightsError, match="stable-diffusion-xl-base"):
        generate.load(replace(tiny, base_path=str(models / "checkpoints" / demo.SD_BASE)))
    with pytest.raises(FiguraInputError, match="use-refiner"):
        generate.load(replace(sd(tiny, models), use_refiner=True, refiner_path="base"))


def test_the_trainers_private_names_are_stripped():
    config = {"_class_name": "UNet2DConditionModel_New", "down_block_types": ["DownBlock2D", "X_New"], "n": 4}
    assert checkpoint.strip_suffix(config) == {
        "_class_name": "UNet2DConditionModel", "down_block_types": ["DownBlock2D", "X"], "n": 4,
    }  # fmt: skip


@pytest.mark.parametrize("preset, parameters", [("sd_config", 859_520_964), ("sdxl_config", 2_567_463_684)])
def test_released_sizes_are_known_without_config(preset, parameters):
    from diffusers import UNet2DConditionModel

    config = getattr(checkpoint, preset)()
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    assert sum(p.numel() for p in unet.parameters()) == parameters
    header = {name: (torch.float32, tuple(t.shape)) for name, t in unet.state_dict().items()}
    assert checkpoint._config_from(header, "", "x.safetensors") == config
    sizes = ldm.unet_config_from_diffusers(config)
    named = ldm.unet_to_ldm(unet.state_dict(), sizes)
    again = base_model.ldm_unet_config(named)
    assert {key: again[key] for key in config if key != "sample_size"} == {
        key: value for key, value in (config | {"attention_head_dim": again["attention_head_dim"]} | {
            "transformer_layers_per_block": again["transformer_layers_per_block"],
            "use_linear_projection": again["use_linear_projection"],
        }).items() if key in config and key != "sample_size"
    }  # fmt: skip


@pytest.mark.parametrize(
    "config, words",
    [
        ({"in_channels": 8}, "HumanSD"),
        ({"in_channels": 9}, "inpainting"),
        ({"use_linear_projection": True, "addition_embed_type": None}, "Stable Diffusion 2"),
    ],
)
def test_other_unets_are_named(config, words):
    with pytest.raises(FiguraWeightsError, match=words):
        checkpoint._variant(checkpoint.sd_config() | config, "file.safetensors")


def test_the_command_answers_without_torch():
    """``--help`` must be quick: it may not import torch. A bad size ends with one sentence and code 2."""
    code = (
        "import sys; from pipelines.cosmicman import commands; "
        "sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "cosmicman", "generate", "--prompts", "x", "--H", "99"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "multiple of 8" in done.stderr and "Traceback" not in done.stderr
