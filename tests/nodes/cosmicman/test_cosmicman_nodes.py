"""CosmicMan's nodes on tiny files in the released layouts, with ComfyUI's own nodes around them."""

import logging
import math
import shutil

import pytest
import torch

pytest.importorskip("comfy", reason="needs ComfyUI (COMFYUI_PATH)")

import folder_paths
from comfy import supported_models
from comfyui_figura.nodes import native
from comfyui_figura.nodes.cosmicman import bridge
from comfyui_figura.nodes.cosmicman.loaders import FiguraCosmicManCheckpointLoader, FiguraCosmicManLoader
from comfyui_figura.nodes.cosmicman.prompts import FiguraCosmicManPrompt
from comfyui_figura.nodes.cosmicman.sampler import FiguraCosmicManSampler
from comfyui_figura.pipelines.common import base_model, base_parts, diffusion
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.text import PromptEmbeds
from comfyui_figura.pipelines.common.weights import load_state_dict, save_state_dict
from comfyui_figura.pipelines.cosmicman import checkpoint
from comfyui_figura.pipelines.demo import cosmicman as demo
from diffusers import UNet2DConditionModel

import nodes as stock

KINDS = ("diffusion_models", "checkpoints", "loras", "controlnet")
MANNEQUINS = "demo/mannequins-sd15"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The demo's files, in a folder that ComfyUI looks into for the time of these tests."""
    folder = tmp_path_factory.mktemp("models")
    demo.write_models(folder)
    before = {kind: folder_paths.folder_names_and_paths[kind] for kind in KINDS}
    for kind in KINDS:
        folder_paths.folder_names_and_paths[kind] = ([str(folder / kind)], set(before[kind][1]))
    folder_paths.filename_list_cache.clear()
    yield folder
    folder_paths.folder_names_and_paths.update(before)
    folder_paths.filename_list_cache.clear()


@pytest.fixture(autouse=True)
def inference():
    """As ComfyUI runs nodes."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def sdxl(models):
    """(model, clip, vae, base_model) of the tiny CosmicMan-SDXL."""
    with torch.inference_mode():
        return FiguraCosmicManCheckpointLoader.execute("CosmicMan-SDXL", "auto", demo.SDXL_BASE, True).result


@pytest.fixture(scope="module")
def prompts(sdxl):
    with torch.inference_mode():
        return [stock.CLIPTextEncode().encode(sdxl[1], words)[0] for words in ("a fit man in a coat", "")]


def empty(batch=1, height=16, width=12):
    return {"samples": torch.zeros(batch, 4, height, width)}


def sample(sdxl, prompts, latent=None, seed=5, steps=3, **more):
    latent = empty() if latent is None else latent
    out = FiguraCosmicManSampler.execute(sdxl[0], *prompts, latent, seed, steps, **more).result[0]
    return out["samples"]


def close(got, want):
    return ((got - want).norm() / want.norm()).item()


def test_hub_folders_are_offered_by_their_own_name(models):
    assert bridge.unet_names() == ["CosmicMan-SD", "CosmicMan-SDXL", MANNEQUINS]
    assert bridge.base_names() == [demo.SDXL_BASE, demo.SD_BASE, MANNEQUINS]


@pytest.mark.parametrize("name, family", [("CosmicMan-SDXL", "SDXL"), ("CosmicMan-SD", "SD15")])
def test_the_loader_gives_an_ordinary_model(models, name, family, caplog):
    with caplog.at_level(logging.WARNING):
        (model,) = FiguraCosmicManLoader.execute(name).result
    assert type(model.model.model_config).__name__ == family
    assert "label_emb" not in caplog.text


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_the_users_dtype_is_kept(models, dtype):
    (model,) = FiguraCosmicManLoader.execute("CosmicMan-SD", "SD", dtype).result
    weight = model.model.diffusion_model.input_blocks[0][0].weight
    assert weight.dtype == native.DTYPES[dtype]


def test_trainers_private_names_and_single_files_load(models):
    folder = models / "diffusion_models" / "own"
    shutil.copytree(models / "diffusion_models" / "CosmicMan-SD", folder)
    config = folder / "config.json"
    words = config.read_text().replace("CrossAttnDownBlock2D", "CrossAttnDownBlock2D_New")
    config.write_text(words.replace("UNet2DConditionModel", "UNet2DConditionModel_New"))
    shutil.copy(models / "checkpoints" / demo.SD_BASE, models / "diffusion_models" / "whole.safetensors")
    folder_paths.filename_list_cache.clear()
    try:
        assert FiguraCosmicManLoader.execute("own").result[0] is not None
        (whole,) = FiguraCosmicManLoader.execute("whole.safetensors", "SD").result
        assert whole.model.diffusion_model.num_heads == 8
    finally:
        shutil.rmtree(folder)
        (models / "diffusion_models" / "whole.safetensors").unlink()
        folder_paths.filename_list_cache.clear()


def test_one_pass_is_ksampler_to_the_bit(sdxl, prompts):
    ours = sample(sdxl, prompts)
    (theirs,) = stock.KSampler().sample(sdxl[0], 5, 3, 7.5, "euler", "normal", *prompts, empty())
    assert torch.equal(ours, theirs["samples"])


def test_two_passes_are_two_ksamplers(sdxl, prompts):
    ours = sample(sdxl, prompts, refiner_model=sdxl[3], refine_steps=3)
    (first,) = stock.KSampler().sample(sdxl[0], 5, 3, 7.5, "euler", "normal", *prompts, empty())
    (second,) = stock.KSampler().sample(
        sdxl[3], 5 + 2**32, 3, 5.0, "euler", "normal", *prompts, first, denoise=0.3
    )
    assert torch.equal(ours, second["samples"])
    assert not torch.equal(ours, first["samples"])


@pytest.mark.parametrize(
    "name", ["euler", "euler_ancestral", "dpmpp_2m_sde", "dpmpp_sde", "lcm", "ddim", "uni_pc"]
)
def test_a_picture_does_not_depend_on_its_batch(sdxl, prompts, name):
    batch = sample(sdxl, prompts, empty(3), seed=5, sampler_name=name)
    alone = sample(sdxl, prompts, empty(1), seed=6, sampler_name=name)
    # fp32 sums in another order for another batch size
    assert close(batch[1:2], alone) < 1e-4
    assert close(batch[:1], alone) > 0.1


def test_batch_index_keeps_its_seeds(sdxl, prompts):
    picked = empty(1) | {"batch_index": [2]}
    assert torch.equal(sample(sdxl, prompts, picked), sample(sdxl, prompts, seed=7))


def test_the_same_seed_gives_the_same_and_inputs_stay(sdxl, prompts):
    latent = empty()
    before = [entry[0].clone() for entry in prompts[0]]
    assert torch.equal(sample(sdxl, prompts, latent), sample(sdxl, prompts, latent))
    assert not torch.equal(sample(sdxl, prompts, latent), sample(sdxl, prompts, latent, seed=6))
    assert latent["samples"].count_nonzero() == 0
    assert all(torch.equal(a, entry[0]) for a, entry in zip(before, prompts[0], strict=True))


def test_stock_lora_changes_the_picture(sdxl, prompts):
    model, clip = stock.LoraLoader().load_lora(sdxl[0], sdxl[1], demo.LORA, 1.0, 1.0)
    assert len(model.patches) == 2  # both layers of the file found their place
    with_lora = sample((model, *sdxl[1:]), prompts)
    assert close(with_lora, sample(sdxl, prompts)) > 1e-3


def test_stock_controlnet_changes_the_picture(sdxl, prompts):
    (net,) = stock.ControlNetLoader().load_controlnet(demo.CONTROLNET)
    hint = torch.rand(1, 128, 96, 3, generator=torch.Generator().manual_seed(0))
    posed = stock.ControlNetApplyAdvanced().apply_controlnet(*prompts, net, hint, 1.0, 0.0, 1.0)
    with_pose = sample(sdxl, posed)
    assert torch.isfinite(with_pose).all()
    assert close(with_pose, sample(sdxl, prompts)) > 1e-3


def test_vae_decodes_to_the_size(sdxl):
    (image,) = stock.VAEDecode().decode(sdxl[2], empty(2))
    assert image.shape == (2, 128, 96, 3)
    assert 0 <= image.min() and image.max() <= 1


@pytest.mark.parametrize("name, base", [("CosmicMan-SDXL", demo.SDXL_BASE), ("CosmicMan-SD", demo.SD_BASE)])
def test_saved_as_an_ordinary_checkpoint(models, name, base, tmp_path, monkeypatch):
    from comfy_extras.nodes_model_merging import CheckpointSave

    parts = FiguraCosmicManCheckpointLoader.execute(name, "auto", base).result
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    saver = CheckpointSave()
    if isinstance(saver, object) and hasattr(saver, "output_dir"):
        saver.output_dir = str(tmp_path)
    saver.save(*parts[:3], "whole")
    (file,) = tmp_path.glob("*.safetensors")
    whole = base_parts.open_file(file, unet=True)
    assert set(whole.encoders) == ({"clip_l", "clip_g"} if "XL" in name else {"clip_l"})
    saved = load_state_dict(file)
    unet = parts[0].model.diffusion_model.state_dict()
    assert all(torch.equal(saved[f"model.diffusion_model.{key}"], value) for key, value in unet.items())


def standalone(models, sdxl, prompts, spacing):
    """The command line's path: diffusers' UNet and Euler, our loop, on the same weights and embeddings."""
    opened = checkpoint.open_unet(models / "diffusion_models" / "CosmicMan-SDXL")
    unet = base_model.build_unet(opened.state, opened.config, "unet").float()
    rows = [PromptEmbeds(entry[0][0], entry[0][1]["pooled_output"]) for entry in prompts]
    ids = torch.tensor([[128.0, 96, 0, 0, 128, 96]])
    predict = diffusion.guided(unet, rows[0], rows[1], 7.5, time_ids=ids)
    scheduler = diffusion.make_scheduler("euler", diffusion.STABLE_DIFFUSION | {"timestep_spacing": spacing})
    latents = diffusion.sample(predict, scheduler, (4, 16, 12), [5, 6], 6)
    return latents, scheduler


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
def test_standalone_and_comfyui_agree(models, sdxl, prompts, spacing):
    """The same weights, noise and prompt embedding through both: 1e-4 relative in fp32."""
    import comfy.sample
    import comfy.samplers
    from comfyui_figura.pipelines.common.seeds import noise

    want, scheduler = standalone(models, sdxl, prompts, spacing)
    sigmas = scheduler.sigmas.clone()
    start = noise((4, 16, 12), [5, 6])
    # At the first step one scales noise by sigma, the other by sqrt(sigma^2 + 1), and they differ on when.
    sampling = sdxl[0].get_model_object("model_sampling")
    from_max = math.isclose(sampling.sigma_max, sigmas[0], rel_tol=1e-5)
    theirs = sampling.noise_scaling(sigmas[0], torch.ones(1), torch.zeros(1), from_max)
    start = start * scheduler.init_noise_sigma / theirs
    sampler = comfy.samplers.sampler_object("euler")
    sizes = [[[entry[0][0], entry[0][1] | {"width": 96, "height": 128}]] for entry in prompts]
    got = comfy.sample.sample_custom(sdxl[0], start, 7.5, sampler, sigmas, *sizes, empty(2)["samples"])
    # ComfyUI hands out latents divided by the VAE's scale.
    assert close(got * sdxl[0].model.latent_format.scale_factor, want) < 1e-4


GOOD = {"unet": "CosmicMan-SDXL", "variant": "auto", "base": demo.SDXL_BASE, "weight_dtype": "auto"}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"unet": "no_such"}, "not in models/diffusion_models"),
        ({"unet": "../../etc/passwd"}, "not in models/diffusion_models"),
        ({"unet": bridge.NO_UNET}, "models/diffusion_models"),
        ({"variant": "SD"}, "variant|one for"),
        ({"variant": "SD3"}, "variant"),
        ({"weight_dtype": "int4"}, "weight_dtype"),
        ({"base": "no_such"}, "not in models/checkpoints"),
        ({"base": bridge.NO_BASE}, "sd_xl_base_1.0.safetensors"),
        ({"base": demo.SD_BASE}, "sd_xl_base_1.0.safetensors"),
        ({"unet": "CosmicMan-SD"}, "v1-5-pruned"),
    ],
)
def test_bad_choices_are_told(models, change, words):
    with pytest.raises(FiguraInputError, match=words):
        FiguraCosmicManCheckpointLoader.execute(**(GOOD | change))


def wrong_files():
    unet = {"conv_in.weight": torch.zeros(32, 8, 3, 3)}
    return {
        "truncated": None,
        "page": b"<!DOCTYPE html><html>login</html>",
        "empty": b"",
        "text": b"hello",
        "other tensors": {"weight": torch.zeros(3)},
        "unknown size": unet,
    }


@pytest.mark.parametrize("kind", wrong_files())
def test_wrong_files_are_told(models, kind):
    path = models / "diffusion_models" / "bad.safetensors"
    content = wrong_files()[kind]
    good = models / "diffusion_models" / "CosmicMan-SD" / "diffusion_pytorch_model.safetensors"
    if isinstance(content, dict):
        save_state_dict(path, content)
    else:
        path.write_bytes(good.read_bytes()[:5000] if content is None else content)
    folder_paths.filename_list_cache.clear()
    try:
        with pytest.raises(FiguraWeightsError, match="bad.safetensors|UNet|tensors") as told:
            FiguraCosmicManLoader.execute("bad.safetensors")
        assert str(models) not in str(told.value)
    finally:
        path.unlink()
        folder_paths.filename_list_cache.clear()


@pytest.mark.parametrize("config", ["{", "[]", '{"in_channels": 8, "block_out_channels": [32]}'])
def test_a_wrong_config_is_told(models, config):
    folder = models / "diffusion_models" / "odd"
    shutil.copytree(models / "diffusion_models" / "CosmicMan-SD", folder)
    (folder / "config.json").write_text(config)
    folder_paths.filename_list_cache.clear()
    try:
        with pytest.raises(FiguraWeightsError):
            FiguraCosmicManLoader.execute("odd")
    finally:
        shutil.rmtree(folder)
        folder_paths.filename_list_cache.clear()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"latent_image": {"samples": torch.zeros(0, 4, 8, 8)}}, "latent_image"),
        ({"latent_image": {"samples": torch.zeros(4, 8, 8)}}, "latent_image"),
        ({"latent_image": {}}, "latent_image"),
        ({"latent_image": {"samples": torch.full((1, 4, 8, 8), float("nan"))}}, "NaN"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"steps": 0}, "steps"),
        ({"sampler_name": "nonsense"}, "sampler_name"),
        ({"scheduler": "nonsense"}, "scheduler"),
        ({"refiner_model": True, "refine_denoise": 0.0}, "denoise"),
        ({"refiner_model": True, "refine_steps": 0}, "steps"),
    ],
)
def test_bad_sampling_is_told_before_it_starts(sdxl, prompts, change, words):
    arguments = {"latent_image": empty(), "seed": 1, "steps": 2} | change
    if arguments.pop("refiner_model", None):
        arguments["refiner_model"] = sdxl[3]
    with pytest.raises(FiguraInputError, match=words):
        FiguraCosmicManSampler.execute(sdxl[0], *prompts, **arguments)
    assert torch.equal(sample(sdxl, prompts), sample(sdxl, prompts))  # and the next run is as always


def test_latents_too_small_for_a_narrow_model(prompts):
    config = {
        "in_channels": 4, "out_channels": 4, "block_out_channels": [32] * 4, "layers_per_block": 1,
        "attention_head_dim": 8, "cross_attention_dim": 64, "down_block_types": ["CrossAttnDownBlock2D"] * 4,
        "up_block_types": ["CrossAttnUpBlock2D"] * 4,
    }  # fmt: skip
    state = dict(UNet2DConditionModel(**config).state_dict())
    model = native.load_unet(state, native.unet_config_from_diffusers(config), supported_models.SD15)
    with pytest.raises(FiguraInputError, match="64 x 64 pixels.*at least 72 pixels"):
        FiguraCosmicManSampler.execute(model, *prompts, empty(1, 8, 8), 1, 1)


def test_an_interrupt_stops_within_a_step(sdxl, prompts, monkeypatch):
    import comfy.model_management as management

    seen = []

    def prepare(model, steps):
        def callback(step, x0, x, total):
            seen.append(step)
            if step == 1:
                management.interrupt_current_processing(True)
            management.throw_exception_if_processing_interrupted()

        return callback

    monkeypatch.setattr(bridge.latent_preview, "prepare_callback", prepare)
    with pytest.raises(management.InterruptProcessingException):
        sample(sdxl, prompts, steps=8, refiner_model=sdxl[3])
    assert seen == [0, 1]


def test_the_prompt_keeps_the_training_order():
    text, caption = FiguraCosmicManPrompt.execute(
        "upper_body", "film grain,", shoes="leather boots", hair="black  hair", gender="woman", age="elderly",
        ethnicity="asian", body="fit", background="a park, ",
    ).result  # fmt: skip
    assert (
        text == "a upper body shot, a asian elderly woman, fit, a park, black hair, leather boots, film grain"
    )
    names = ["shot", "subject", "body shape", "background", "hair", "shoes", "extra"]
    assert [group.name for group in caption.groups] == names
    assert all(group.span for group in caption.groups)


def test_the_prompt_counts_and_warns():
    shown = FiguraCosmicManPrompt.execute("(none)", "very " * 90, gender="man")
    assert "Too long by" in str(shown.ui.as_dict()) and shown.result[1].tokens > 77
    assert "of 77 tokens" in str(FiguraCosmicManPrompt.execute("(none)", gender="man").ui.as_dict())


def test_the_prompt_needs_a_noun():
    with pytest.raises(FiguraInputError, match="gender"):
        FiguraCosmicManPrompt.execute("full_body", age="young")
    with pytest.raises(FiguraInputError, match="shot"):
        FiguraCosmicManPrompt.execute("worm's eye")
