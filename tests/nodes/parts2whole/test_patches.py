"""The references on ComfyUI's samplers: what acts on which rows, leaks, batches, guiders, sizes."""

import copy

import pytest
import torch

pytest.importorskip("comfy.samplers", reason="ComfyUI is not here (COMFYUI_PATH)")

import comfy.hooks
import comfy.model_management
import comfy.sample
import comfy.samplers
import node_helpers
from comfy_extras import nodes_custom_sampler, nodes_perpneg
from comfyui_figura.nodes.parts2whole import bridge, gather
from comfyui_figura.nodes.parts2whole.patches import Strengths
from comfyui_figura.pipelines.common.errors import FiguraInputError
from parts_graph import HEIGHT, WIDTH, differs, make_bank, parts, sample, text

import nodes as stock


@pytest.fixture(scope="module", autouse=True)
def inference():
    with torch.inference_mode():
        yield


def test_prompt_labels_and_masks_act(loaded, applied):
    base = sample(loaded, applied)
    assert differs(base, sample(loaded, applied, "a dog")) > 1e-2

    def other(**options):
        return sample(loaded, bridge.apply(loaded[0], loaded[4], make_bank(loaded, **options), Strengths()))

    assert differs(base, other()) == 0  # the comparison below is not noise
    assert differs(base, other(labels=("face", "shoes"))) > 1e-4
    assert differs(base, other(masks=False)) > 1e-3
    assert differs(base, other(weights=(1.0, 0.5))) > 1e-3


def test_masks_change_only_conditional_rows(loaded, bank):
    context = bridge.encode_text(loaded[1], "a person").repeat(2, 1, 1)
    x = torch.randn(1, 4, HEIGHT // 8, WIDTH // 8).repeat(2, 1, 1, 1)

    def predict(model):
        comfy.model_management.load_models_gpu([model])
        options = {**model.model_options["transformer_options"], "cond_or_uncond": [1, 0]}
        times = torch.full((2,), 500.0)
        return model.model.diffusion_model(x, timesteps=times, context=context, transformer_options=options)

    plain, masked, unmasked = (
        predict(loaded[0]),
        predict(bridge.apply(loaded[0], loaded[4], bank, Strengths())),
        predict(bridge.apply(loaded[0], loaded[4], make_bank(loaded, masks=False), Strengths())),
    )
    assert differs(masked[0], unmasked[0]) == 0
    assert differs(masked[1], unmasked[1]) > 1e-3
    assert differs(masked[0], plain[0]) <= 1e-5  # rounding of another batch size


def test_weight_zero_is_a_part_not_given(loaded):
    with_zero = bridge.apply(loaded[0], loaded[4], make_bank(loaded, weights=(1.0, 0.0)), Strengths())
    without = bridge.apply(loaded[0], loaded[4], make_bank(loaded, labels=("face",)), Strengths())
    a, b = sample(loaded, with_zero), sample(loaded, without)
    assert differs(a, b) <= 1e-5 * b.abs().max()


def test_all_strengths_zero_is_the_plain_model(loaded, bank):
    pose = torch.randn(1, 32, HEIGHT // 8, WIDTH // 8)
    off = bridge.apply(loaded[0], loaded[4], bank, Strengths(reference=0, image=0, pose=0), pose)
    plain = sample(loaded, loaded[0])
    assert differs(sample(loaded, off), plain) <= 1e-5 * plain.abs().max()


def test_start_and_end_percent(loaded, bank):
    plain, full = sample(loaded, loaded[0], steps=6), None
    results = {}
    for start, end in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)):
        model = bridge.apply(loaded[0], loaded[4], bank, Strengths(start=start, end=end))
        results[start, end] = sample(loaded, model, steps=6)
    full = results[0.0, 1.0]
    assert differs(results[1.0, 1.0], plain) <= 1e-5 * plain.abs().max()
    assert differs(results[0.0, 0.5], full) > 1e-3 and differs(results[0.5, 1.0], full) > 1e-3
    assert differs(results[0.0, 0.5], plain) > 1e-3 and differs(results[0.5, 1.0], plain) > 1e-3


def test_model_passed_on_unpatched_is_untouched(loaded, bank):
    model = loaded[0]
    before = sample(loaded, model)
    options, patches = copy.deepcopy(model.model_options), dict(model.patches)
    weights = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    sample(loaded, bridge.apply(model, loaded[4], bank, Strengths()))
    assert model.model_options == options and model.patches == patches
    assert not model.wrappers.get("outer_sample") and not model.callbacks.get("on_apply_hooks")
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.model.state_dict().items())
    assert torch.equal(sample(loaded, model), before)


def test_two_applies_do_not_stack(loaded, bank, applied):
    pose = torch.randn(1, 32, HEIGHT // 8, WIDTH // 8)
    first = bridge.apply(loaded[0], loaded[4], make_bank(loaded, labels=("shoes", "face")), Strengths(), pose)
    twice = bridge.apply(first, loaded[4], bank, Strengths())
    assert torch.equal(sample(loaded, twice), sample(loaded, applied))


def test_nothing_is_kept_between_runs(loaded, applied):
    first = sample(loaded, applied)
    patch = applied.model_options["transformer_options"]["patches_replace"]["attn1"][("middle", 0)]
    assert patch.applied.run is None and not patch.applied.outside.projected
    assert torch.equal(sample(loaded, applied), first)


def test_an_interrupted_run_leaves_nothing(loaded, applied):
    wanted = sample(loaded, applied)

    class Stop(BaseException):
        pass

    def stop(step, *_):
        raise Stop

    with pytest.raises(Stop):
        comfy.sample.sample(
            applied, torch.randn(1, 4, HEIGHT // 8, WIDTH // 8), 3, 3.0, "euler", "normal", text(loaded, "a"),
            text(loaded, ""), torch.zeros(1, 4, HEIGHT // 8, WIDTH // 8), callback=stop,
        )  # fmt: skip
    patch = applied.model_options["transformer_options"]["patches_replace"]["attn1"][("middle", 0)]
    assert patch.applied.run is None
    assert torch.equal(sample(loaded, applied), wanted)


def test_rows_of_a_batch_agree_with_single_pictures(loaded, applied):
    latent = torch.zeros(2, 4, HEIGHT // 8, WIDTH // 8)
    noise = comfy.sample.prepare_noise(latent, 7)

    def run(rows):
        return comfy.sample.sample(
            applied, noise[rows], 3, 3.0, "euler", "normal", text(loaded, "a"), text(loaded, ""), latent[rows]
        )

    both = run([0, 1])
    for row in (0, 1):
        assert differs(run([row])[0], both[row]) <= 1e-5 * both.abs().max()


def test_cfg_one_skips_the_unconditional_half(loaded, applied):
    assert torch.isfinite(sample(loaded, applied, cfg=1.0)).all()


def test_dual_cfg_gives_references_to_its_first_conditioning(loaded, applied):
    """There index 0 is the negative and 2 the positive: positives are told by identity, not by index."""
    seen = []
    patch = applied.model_options["transformer_options"]["patches_replace"]["attn1"][("middle", 0)]
    flags = patch.applied.flags

    def spy(options):
        found = flags(options)
        seen.append(list(zip(options["cond_or_uncond"], found, strict=True)))
        return found

    guider = nodes_custom_sampler.Guider_DualCFG(applied)
    guider.set_conds(text(loaded, "one"), text(loaded, "two"), text(loaded, ""))
    guider.set_cfg(3.0, 2.0)
    latent = torch.zeros(1, 4, HEIGHT // 8, WIDTH // 8)
    sigmas = comfy.samplers.calculate_sigmas(applied.get_model_object("model_sampling"), "normal", 2)
    patch.applied.flags = spy
    try:
        guider.sample(torch.randn_like(latent), latent, comfy.samplers.sampler_object("euler"), sigmas)
    finally:
        del patch.applied.flags
    assert seen and all(flag == (index == 2) for rows in seen for index, flag in rows)


def test_perp_neg_and_regional_prompts(loaded, applied):
    guider = nodes_perpneg.Guider_PerpNeg(applied)
    guider.set_conds(text(loaded, "one"), text(loaded, "two"), text(loaded, ""))
    guider.set_cfg(3.0, 1.0)
    latent = torch.zeros(1, 4, HEIGHT // 8, WIDTH // 8)
    sigmas = comfy.samplers.calculate_sigmas(applied.get_model_object("model_sampling"), "normal", 2)
    out = guider.sample(torch.randn_like(latent), latent, comfy.samplers.sampler_object("euler"), sigmas)
    assert torch.isfinite(out).all()
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, :, :32] = 1
    left = node_helpers.conditioning_set_values(text(loaded, "left"), {"mask": mask, "mask_strength": 1.0})
    both = left + text(loaded, "right")
    assert torch.isfinite(sample(loaded, applied, both)).all()
    area = node_helpers.conditioning_set_values(text(loaded, "left"), {"area": (8, 4, 0, 0), "strength": 1.0})
    assert torch.isfinite(sample(loaded, applied, area + text(loaded, "right"))).all()


def test_area_prompt_with_a_pose_is_refused_readably(loaded, bank):
    model = bridge.apply(loaded[0], loaded[4], bank, Strengths(), torch.zeros(1, 32, HEIGHT // 8, WIDTH // 8))
    area = node_helpers.conditioning_set_values(text(loaded, "left"), {"area": (8, 4, 0, 0), "strength": 1.0})
    with pytest.raises(FiguraInputError, match="pose cannot follow"):
        sample(loaded, model, area + text(loaded, "right"))


def test_latent_of_another_size_names_both(loaded, applied):
    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    with pytest.raises(FiguraInputError, match=r"64x64 pixels.*64x96 pixels"):
        stock.common_ksampler(
            applied, 1, 2, 3.0, "euler", "normal", text(loaded, "a"), text(loaded, ""), latent
        )


def test_compatible_bank_ignores_prompt_masks_and_later_labels(loaded):
    def compatible(prompt="a person", **options):
        model = bridge.apply(loaded[0], loaded[4], make_bank(loaded, compatible=True, **options), Strengths())
        return sample(loaded, model, prompt)

    base = compatible()
    assert torch.equal(base, compatible("a dog"))
    assert torch.equal(base, compatible(masks=False))
    assert torch.equal(base, compatible(labels=("face", "shoes")))
    assert differs(base, compatible(labels=("shoes", "upper body clothes"))) > 1e-3
    long = "a person " * 100  # more than 77 tokens: several chunks of text
    assert differs(base, compatible(long)) <= 1e-5 * base.abs().max()


def test_tokens_in_the_text_instead_of_their_own_attention(loaded, bank, applied):
    joined = sample(loaded, bridge.apply(loaded[0], loaded[4], bank, Strengths(), decoupled=False))
    assert torch.isfinite(joined).all() and differs(joined, sample(loaded, applied)) > 1e-3


def test_one_and_six_references(loaded):
    labels = ("face", "shoes", "hair or headwear", "upper body clothes", "lower body clothes", "face")
    for count in (1, 6):
        bank = make_bank(loaded, labels=labels[:count], weights=(1.0,) * 6)
        assert torch.isfinite(sample(loaded, bridge.apply(loaded[0], loaded[4], bank, Strengths()))).all()
    with pytest.raises(FiguraInputError, match="references: got 7"):
        gather.append(
            parts(labels, weights=(1.0,) * 6), torch.rand(1, 8, 8, 3), "face", None, 1.0, "stretch", False
        )


def test_poses_per_picture(loaded, bank):
    poses = torch.randn(2, 32, HEIGHT // 8, WIDTH // 8)
    both = sample(loaded, bridge.apply(loaded[0], loaded[4], bank, Strengths(), poses), batch=2)
    one = sample(loaded, bridge.apply(loaded[0], loaded[4], bank, Strengths(), poses[:1]), batch=2)
    assert differs(both[0], one[0]) <= 1e-5 * one.abs().max() and differs(both[1], one[1]) > 1e-3
    with pytest.raises(FiguraInputError, match="poses"):
        sample(
            loaded, bridge.apply(loaded[0], loaded[4], bank, Strengths(), torch.randn(3, 32, 12, 8)), batch=2
        )


def test_model_of_another_shape_is_refused(loaded, bank):
    wide = copy.copy(bank)
    first = copy.copy(bank.parts[0])
    first.kept = {block: torch.cat([x, x], -1) for block, x in first.kept.items()}
    wide = type(bank)((first,), bank.image_tokens, bank.label_embeds, WIDTH, HEIGHT)
    with pytest.raises(FiguraInputError, match="model"):
        bridge.apply(loaded[0], loaded[4], wide, Strengths())
