"""HumanSD through ComfyUI's own samplers, and through our one-node sampler, on a tiny checkpoint."""

import comfy.sample
import comfy.sd
import comfy.utils
import pytest
import torch
from comfyui_figura.nodes.humansd import bridge
from comfyui_figura.nodes.humansd.loaders import FiguraHumanSDFromSD21
from comfyui_figura.nodes.humansd.sampling import FiguraHumanSDSampler
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.seeds import MAX_SEED
from comfyui_figura.pipelines.demo import humansd as demo


def ksampler(
    model, applied, latent=None, *, seed=1, steps=3, name="euler", scheduler="normal", denoise=1.0, mask=None
):
    """What KSampler does; returns latents."""
    positive, negative, empty = applied
    samples = (latent or empty)["samples"]
    noise = comfy.sample.prepare_noise(samples, seed)
    return comfy.sample.sample(
        model, noise, steps, 4.0, name, scheduler, positive, negative, samples, denoise=denoise,
        noise_mask=mask, seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("euler", "normal"),
        ("dpmpp_2m", "karras"),
        ("uni_pc", "simple"),
        ("ddim", "ddim_uniform"),
        ("lcm", "sgm_uniform"),
    ],
)
def test_stock_samplers_follow_the_skeleton(loaded, apply, skeleton, name, scheduler):
    with_pose = ksampler(loaded[0], apply(), name=name, scheduler=scheduler)
    without = ksampler(loaded[0], apply(torch.zeros_like(skeleton)), name=name, scheduler=scheduler)
    assert torch.isfinite(with_pose).all()
    assert (with_pose - without).abs().max() > 1e-3


def test_strength_nought_is_the_empty_skeleton(loaded, apply, skeleton):
    nought = ksampler(loaded[0], apply(strength=0.0))
    empty = ksampler(loaded[0], apply(torch.zeros_like(skeleton)))
    torch.testing.assert_close(nought, empty, rtol=0, atol=1e-4)


def test_range_of_all_steps_is_no_range(loaded, apply):
    assert torch.equal(
        ksampler(loaded[0], apply()), ksampler(loaded[0], apply(start_percent=0.0, end_percent=1.0))
    )


def test_a_step_on_the_boundary_falls_into_one_range_only(loaded, apply, skeleton, monkeypatch):
    """``normal`` with 3 steps has a step at exactly half of the schedule."""
    seen = []
    original = bridge.HumanSDModel.apply_model

    def spy(self, x, t, **conds):
        seen.append((float(t[0]), x.shape[0]))
        return original(self, x, t, **conds)

    monkeypatch.setattr(bridge.HumanSDModel, "apply_model", spy)
    ksampler(loaded[0], apply(start_percent=0.5), steps=3)
    assert [rows for _, rows in seen] == [2, 2, 2], "positive and negative once in each step"


def test_start_percent_ends_between_with_and_without(loaded, apply, skeleton):
    ends = ksampler(loaded[0], apply(torch.zeros_like(skeleton))), ksampler(loaded[0], apply())
    between = ksampler(loaded[0], apply(start_percent=0.5))
    assert all((between - end).abs().max() > 1e-4 for end in ends)


@pytest.mark.parametrize("side", [0, 1])
def test_missing_skeleton_is_an_error(loaded, apply, prompts, side):
    """Never the sampler's own latent instead, as ComfyUI's concatenation would take it."""
    applied = list(apply())
    applied[side] = prompts[side]
    with pytest.raises(FiguraInputError, match="HumanSD Apply Skeleton"):
        ksampler(loaded[0], applied)
    assert torch.isfinite(ksampler(loaded[0], apply())).all(), "the model is usable afterwards"


def test_ready_made_noise_concat_is_taken(loaded, apply, prompts):
    """Other nodes may set ComfyUI's ``noise_concat`` (already scaled)."""
    latents = 0.18215 * apply()[0][0][1][bridge.SKELETON]
    conds = [[[side[0][0], {"noise_concat": latents}]] for side in prompts]
    torch.testing.assert_close(ksampler(loaded[0], [*conds, apply()[2]]), ksampler(loaded[0], apply()))


def test_lora_changes_the_picture(loaded, apply, models_dir):
    lora = comfy.utils.load_torch_file(str(models_dir / "loras" / demo.LORA))
    model, _ = comfy.sd.load_lora_for_models(loaded[0], loaded[1], lora, 1.0, 1.0)
    plain = ksampler(loaded[0], apply())
    assert (ksampler(model, apply()) - plain).abs().max() > 1e-3
    assert torch.equal(ksampler(loaded[0], apply()), plain), "the LoRA stays out of the original"


def test_image_to_image_keeps_the_picture(loaded, apply):
    start = {"samples": torch.randn(1, 4, 24, 16, generator=torch.Generator().manual_seed(5)) * 5}
    little = ksampler(loaded[0], apply(), start, denoise=0.1, steps=2)
    much = ksampler(loaded[0], apply(), start, denoise=0.9, steps=2)
    assert (little - start["samples"]).std() < (much - start["samples"]).std()


def test_inpainting_leaves_the_rest(loaded, apply):
    start = {"samples": torch.randn(1, 4, 24, 16, generator=torch.Generator().manual_seed(5))}
    mask = torch.zeros(1, 24, 16)
    mask[:, 12:] = 1
    painted = ksampler(loaded[0], apply(), start, mask=mask)
    torch.testing.assert_close(painted[:, :, :12], start["samples"][:, :, :12], rtol=0, atol=1e-4)
    assert (painted[:, :, 12:] - start["samples"][:, :, 12:]).abs().max() > 0.1


def test_regions(loaded, apply, prompts, skeleton):
    """Two areas with two skeletons: the skeleton of the lower area must not move the upper one."""
    text = prompts[0][0][0]

    def regions(lower):
        top = apply(positive=[[text, {"area": (12, 16, 0, 0), "strength": 1.0}]])
        below = apply(lower, positive=[[text, {"area": (12, 16, 12, 0), "strength": 1.0}]])
        return [top[0] + below[0], top[1], top[2]]

    first, second = (
        ksampler(loaded[0], regions(one), steps=1) for one in (skeleton, torch.zeros_like(skeleton))
    )
    assert (first[:, :, 13:] - second[:, :, 13:]).abs().max() > 1e-3
    torch.testing.assert_close(first[:, :, :11], second[:, :, :11], rtol=0, atol=1e-4)


def test_one_skeleton_for_a_batch(loaded, apply):
    two = ksampler(loaded[0], apply(batch_size=2))
    assert two.shape[0] == 2
    assert (two[0] - two[1]).abs().max() > 1e-2


def test_a_skeleton_each(loaded, apply, skeleton):
    """Row i of the batch follows skeleton i."""
    both = torch.cat([skeleton, torch.zeros_like(skeleton)])
    mixed, same = ksampler(loaded[0], apply(both)), ksampler(loaded[0], apply(skeleton, batch_size=2))
    follows, others = (mixed[0] - same[0]).abs().max(), (mixed[1] - same[1]).abs().max()
    assert follows < 5e-3 < 2e-2 < others  # batches of another make-up round otherwise


def test_skeletons_that_do_not_fit_the_batch(loaded, apply, skeleton):
    positive, negative, latent = apply(skeleton.expand(3, -1, -1, -1))
    two = {"samples": latent["samples"][:2]}
    with pytest.raises(FiguraInputError, match="3 skeletons for 2 pictures"):
        ksampler(loaded[0], (positive, negative, two))


def test_latent_of_another_size(loaded, apply):
    """A second pass on an enlarged latent: the skeleton's latent follows."""
    large = {"samples": torch.zeros(1, 4, 36, 24)}
    assert ksampler(loaded[0], apply(), large).shape == (1, 4, 36, 24)


def test_widened_sd21_ignores_the_skeleton(apply, skeleton, models_dir):
    model = FiguraHumanSDFromSD21.execute(demo.PLAIN).result[0]
    first, second = (ksampler(model, apply(one)) for one in (skeleton, torch.zeros_like(skeleton)))
    assert torch.equal(first, second)


@pytest.fixture
def paint(loaded, skeleton):
    """Our sampler with changes to its defaults, at 2 steps."""

    def run(**changes):
        given = {
            "model": loaded[0], "clip": loaded[1], "vae": loaded[2], "skeleton": skeleton,
            "prompt": "two dancers", "negative_prompt": "blurry", "seed": 7, "steps": 2, "cfg": 4.0,
        }  # fmt: skip
        return FiguraHumanSDSampler.execute(**{**given, **changes}).result

    return run


def test_one_node(paint):
    image, latent = paint()
    assert image.shape == (1, 192, 128, 3) and latent["samples"].shape == (1, 4, 24, 16)
    assert image.min() >= 0 and image.max() <= 1
    assert torch.equal(paint()[0], image), "same seed, same picture"


def test_a_picture_depends_on_its_own_seed_alone(paint):
    batch, third = paint(batch_size=3)[1]["samples"], paint(seed=9)[1]["samples"]
    torch.testing.assert_close(batch[2], third[0], rtol=0, atol=1e-4)  # batched sums round otherwise
    assert (batch[0] - batch[1]).abs().max() > 1e-2


def test_every_setting_counts(paint, skeleton):
    plain = paint()[1]["samples"]
    image = torch.rand(1, 100, 80, 3)
    changes = {
        "seed": {"seed": 8}, "cfg": {"cfg": 1.0}, "steps": {"steps": 4}, "prompt": {"prompt": "a lone boxer"},
        "negative": {"negative_prompt": ""}, "added": {"added_prompt": ""}, "pose": {"pose_strength": 0.5},
        "schedule": {"schedule": "legacy_49"}, "skeleton": {"skeleton": skeleton.flip(2)},
        "image": {"image": image, "strength": 0.5},
    }  # fmt: skip
    for what, change in changes.items():
        assert (paint(**change)[1]["samples"] - plain).abs().max() > 1e-4, f"{what} has no effect"


def test_largest_seed(paint):
    assert torch.isfinite(paint(seed=MAX_SEED, batch_size=2)[0]).all()


def test_a_picture_with_full_strength_is_ignored(paint):
    assert torch.equal(paint(image=torch.rand(1, 64, 64, 3))[0], paint()[0])


BAD = {
    "no such schedule": {"schedule": "49"},
    "no steps": {"steps": 0},
    "too many steps": {"steps": 2000},
    "strength of nothing": {"strength": 0.0},
    "strength of no whole step": {"strength": 0.3, "image": torch.rand(1, 64, 64, 3)},
    "strength without a picture": {"strength": 0.5},
    "negative seed": {"seed": -1},
    "seed too large": {"seed": MAX_SEED + 1},
    "no pictures": {"batch_size": 0},
    "NaN skeleton": {"skeleton": torch.full((1, 64, 64, 3), float("nan"))},
    "NaN picture": {"image": torch.full((1, 64, 64, 3), float("nan")), "strength": 0.5},
    "empty skeleton batch": {"skeleton": torch.zeros(0, 64, 64, 3)},
    "no CLIP": {"clip": None},
    "no VAE": {"vae": None},
    "no model": {"model": None},
    "pose strength": {"pose_strength": -1.0},
    "guidance NaN": {"cfg": float("nan")},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(paint, case):
    with pytest.raises(FiguraInputError) as caught:
        paint(**BAD[case])
    assert caught.value.what and caught.value.got and caught.value.wanted


def test_bad_input_leaves_nothing_behind(paint):
    before = paint()[0]
    for case in ("NaN skeleton", "strength without a picture"):
        with pytest.raises(FiguraInputError):
            paint(**BAD[case])
    assert torch.equal(paint()[0], before)


def test_a_model_of_another_kind(paint, models_dir):
    from comfy import supported_models
    from comfyui_figura.nodes import native
    from comfyui_figura.pipelines.common import ldm

    state = ldm.strip_prefix(demo.checkpoint_state(4, seed=2), ldm.UNET_PREFIX)
    config = native.unet_config_from_ldm(state, supported_models.SD20)
    plain = native.load_unet(state, config, supported_models.SD20, v_prediction=False)
    with pytest.raises(FiguraInputError, match="HumanSD Loader"):
        paint(model=plain)
