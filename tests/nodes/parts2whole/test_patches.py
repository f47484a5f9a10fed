"""The references on ComfyUI's samplers: rows, LoRA, hooks, earlier patches, leaks, clashes, batches."""

import copy

import pytest
import torch

pytest.importorskip("comfy.samplers", reason="ComfyUI is not here (COMFYUI_PATH)")

import comfy.hooks
import comfy.model_management
import comfy.sample
import comfy.samplers
import node_helpers
from comfy_extras import nodes_custom_sampler, nodes_freelunch, nodes_pag, nodes_perpneg, nodes_sag
from comfyui_figura.nodes.parts2whole import bridge, gather
from comfyui_figura.nodes.parts2whole.patches import Strengths
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.demo import parts2whole as demo
from comfyui_figura.pipelines.parts2whole.parts import make_part

import nodes as stock

WIDTH, HEIGHT = 64, 96


@pytest.fixture(scope="module", autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """MODEL, CLIP, VAE, CLIP_VISION, bundle of the demo's tiny folder."""
    with torch.inference_mode(False):
        folder = tmp_path_factory.mktemp("models") / "Parts2Whole"
        with torch.random.fork_rng():
            torch.manual_seed(3)
            demo.write_folder(folder)
    return bridge.load(folder, torch.float32)


def parts(labels=("face", "upper body clothes"), masks=True, weights=(1.0, 1.0)):
    torch.manual_seed(5)
    found = []
    for i, label in enumerate(labels):
        mask = torch.zeros(1, HEIGHT, WIDTH)
        mask[:, 10 * i : 10 * i + 40, 10:40] = 1
        image = torch.rand(1, HEIGHT, WIDTH, 3)
        found.append(make_part(image, label, mask if masks else None, weights[i], index=i + 1))
    return found


def make_bank(loaded, compatible=False, size=(WIDTH, HEIGHT), **options):
    return bridge.encode(loaded[4], *loaded[1:4], parts(**options), *size, compatible)[0]


@pytest.fixture(scope="module")
def bank(loaded):
    return make_bank(loaded)


@pytest.fixture(scope="module")
def applied(loaded, bank):
    return bridge.apply(loaded[0], loaded[4], bank, Strengths())


def text(loaded, words):
    return [[bridge.encode_text(loaded[1], words), {}]]


def sample(
    loaded,
    model,
    prompt="a person",
    cfg=3.0,
    steps=2,
    batch=1,
    sampler="euler",
    scheduler="ddim_uniform",
    size=(WIDTH, HEIGHT),
):
    """KSampler's latents [batch, 4, 12, 8]."""
    latent = {"samples": torch.zeros(batch, 4, size[1] // 8, size[0] // 8)}
    positive = prompt if isinstance(prompt, list) else text(loaded, prompt)
    return stock.common_ksampler(
        model, 7, steps, cfg, sampler, scheduler, positive, text(loaded, ""), latent
    )[0]["samples"]  # fmt: skip


def differs(a, b):
    return (a - b).abs().max().item()


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


def lora(model, strength, part="to_k", seed=11):
    """A LoRA-type weight patch on every self-attention's to_k (or to_v)."""
    draw = torch.Generator().manual_seed(seed)
    patches = {}
    for name, tensor in model.model.state_dict().items():
        if name.endswith(f"attn1.{part}.weight"):
            difference = torch.randn(tensor.shape, generator=draw) * 0.3
            patches[name] = ("diff", (difference,))
    clone = model.clone()
    assert clone.add_patches(patches, strength)
    return clone


def full_formulation(loaded, bank, model, weights):
    """Sampling with attention as published: nothing dropped, nothing kept; projections by ``weights``."""
    from comfyui_figura.pipelines.parts2whole.attention import attend, attend_full, attend_rows

    clone = bridge.apply(model, loaded[4], bank, Strengths())
    replaced = clone.model_options["transformer_options"]["patches_replace"]["attn1"]
    for key, patch in list(replaced.items()):
        block, name = patch.applied.blocks[key[:2]], f"diffusion_model.{bridge.module_name(key[:2])}"

        def published(q, k, v, options, block=block, name=name, patch=patch):
            to_k, to_v = (weights[f"{name}.{which}.weight"] for which in ("to_k", "to_v"))
            features = [part.full(block).to(q) for part in bank.parts]
            keys = [(x @ to_k.T, x @ to_v.T) for x in features]
            heads = options["n_heads"]
            return attend_rows(
                (q, k, v), patch.applied.flags(options),
                lambda q, k, v, _: attend(q, k, v, heads),
                lambda q, k, v, _: attend_full(q, k, v, heads, keys),
            )  # fmt: skip

        clone.set_model_attn1_replace(published, *key)
    return sample(loaded, clone)


@pytest.mark.parametrize("part", ["to_k", "to_v"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_lora_on_self_attention_acts_on_the_references(loaded, bank, part, order):
    """The kept projections must be those of the patched weights; and gone when the LoRA is."""
    model = loaded[0]
    without = sample(loaded, bridge.apply(model, loaded[4], bank, Strengths()))
    pristine = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    if order == "before":
        patched = bridge.apply(lora(model, 1.0, part), loaded[4], bank, Strengths())
    else:
        patched = lora(bridge.apply(model, loaded[4], bank, Strengths()), 1.0, part)
    merged = lora(model, 1.0, part)
    changed = {name: pristine[name] + patch[0][1][1][0] for name, patch in merged.patches.items()}
    weights = pristine | changed
    wanted = full_formulation(loaded, bank, merged, weights)
    got = sample(loaded, patched)
    assert differs(got, wanted) <= 1e-4 * wanted.abs().max()  # several steps of 2e-6 each
    assert differs(got, without) > 1e-2
    unprojected = full_formulation(loaded, bank, merged, pristine)
    assert differs(wanted, unprojected) > 1e-3  # a bank without the LoRA would be seen
    assert torch.equal(sample(loaded, bridge.apply(model, loaded[4], bank, Strengths())), without)


def test_scheduled_lora_hook_is_followed(loaded, bank, applied):
    """A LoRA that comes in mid-run by a hook must not meet projections made before it."""
    draw = torch.Generator().manual_seed(2)
    difference = {
        name: ("diff", (torch.randn(tensor.shape, generator=draw) * 0.3,))
        for name, tensor in loaded[0].model.state_dict().items()
        if name.endswith(("attn1.to_k.weight", "attn1.to_v.weight"))
    }

    def hooked(strengths):
        hook = comfy.hooks.WeightHook(strength_model=1.0, strength_clip=0.0)
        hook.weights = difference
        hook.need_weight_init = False
        group = comfy.hooks.HookGroup()
        group.add(hook)
        keyframes = comfy.hooks.HookKeyframeGroup()
        for start, strength in strengths:
            keyframes.add(comfy.hooks.HookKeyframe(strength=strength, start_percent=start))
        group.set_keyframes_on_hooks(keyframes)
        positive = node_helpers.conditioning_set_values(text(loaded, "a person"), {"hooks": group})
        return sample(loaded, applied, positive, steps=4)

    results = [hooked([(0.0, 1.0)]), hooked([(0.0, 0.0)]), hooked([(0.0, 0.0), (0.4, 1.0)])]
    once, never, later = results
    assert min(differs(once, never), differs(once, later), differs(never, later)) > 1e-3
    patch = applied.model_options["transformer_options"]["patches_replace"]["attn1"][("middle", 0)]
    always_fresh, keep = [], bridge.Applied.references
    try:

        def anew(self, *args):
            self.now().projected.clear()
            return keep(self, *args)

        bridge.Applied.references = anew
        always_fresh = [hooked([(0.0, 1.0)]), hooked([(0.0, 0.0)]), hooked([(0.0, 0.0), (0.4, 1.0)])]
    finally:
        bridge.Applied.references = keep
    assert patch is not None
    for got, wanted in zip(results, always_fresh, strict=True):
        assert torch.equal(got, wanted)


def ip_adapter_like(weight, seen):
    draw = torch.Generator().manual_seed(1)

    def attention(q, k, v, options):
        seen.append(tuple(q.shape))
        extra = torch.randn(q.shape[-1], generator=draw.manual_seed(1)) * weight
        return bridge._plain_attention(q, k, v, options) + extra

    return attention


def test_earlier_attn2_replacement_is_chained(loaded, bank, applied):
    """An IP-Adapter-like patch before Apply acts as well; taking its effect away gives Apply alone."""
    seen = []
    model = loaded[0].clone()
    model.set_model_attn2_replace(ip_adapter_like(0.5, seen), "middle", 0)
    both = sample(loaded, bridge.apply(model, loaded[4], bank, Strengths()))
    assert seen
    alone = sample(loaded, applied)
    assert differs(both, alone) > 1e-3
    model = loaded[0].clone()
    model.set_model_attn2_replace(ip_adapter_like(0.0, seen), "middle", 0)
    neutral = sample(loaded, bridge.apply(model, loaded[4], bank, Strengths()))
    assert differs(neutral, alone) <= 1e-5 * alone.abs().max()


def test_adapter_that_adds_itself_later(loaded, bank):
    """IP-Adapter packs call ``add(callback, **settings)`` on whatever holds the place."""
    model = bridge.apply(loaded[0], loaded[4], bank, Strengths())
    base = sample(loaded, model)
    clone = model.clone()
    holder = clone.model_options["transformer_options"]["patches_replace"]["attn2"][("middle", 0)]
    holder = copy.deepcopy(holder)
    clone.set_model_attn2_replace(holder, "middle", 0)
    holder.add(lambda out, q, k, v, options, **_: out * 0.5, sigma_start=1e9, sigma_end=0.0)
    assert differs(sample(loaded, clone), base) > 1e-3
    assert torch.equal(sample(loaded, model), base)


def test_earlier_attn1_replacement_is_chained(loaded, bank, applied):
    """An earlier self-attention replacement sees its usual tensors, and its change stays."""
    shapes = []

    def doubled(scale):
        def attention(q, k, v, options):
            shapes.append((q.shape[1], k.shape[1]))
            return bridge._plain_attention(q, k, v, options) * scale

        return attention

    for index in (None, 0):
        model = loaded[0].clone()
        model.set_model_attn1_replace(doubled(1.0), "middle", 0, index)
        neutral = sample(loaded, bridge.apply(model, loaded[4], bank, Strengths()))
        alone = sample(loaded, applied)
        assert differs(neutral, alone) <= 2e-5 * alone.abs().max()
        model = loaded[0].clone()
        model.set_model_attn1_replace(doubled(3.0), "middle", 0, index)
        assert differs(sample(loaded, bridge.apply(model, loaded[4], bank, Strengths())), alone) > 1e-3
    assert all(q == k for q, k in shapes)


def node_output(result):
    return getattr(result, "result", result)[0]


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("guidance", ["pag", "sag"])
def test_guidance_that_takes_the_middle_block(loaded, caplog, order, guidance):
    """Perturbed- and self-attention guidance run with references, in either order; what is lost is told."""

    size = 128, 128  # SelfAttentionGuidance itself fails on a middle block of two tokens
    bank = make_bank(loaded, size=size)

    def guided(model):
        if guidance == "pag":
            return node_output(nodes_pag.PerturbedAttentionGuidance.execute(model, 3.0))
        return node_output(nodes_sag.SelfAttentionGuidance.execute(model, 0.8, 2.0))

    if order == "before":
        model = bridge.apply(guided(loaded[0]), loaded[4], bank, Strengths())
    else:
        model = guided(bridge.apply(loaded[0], loaded[4], bank, Strengths()))
    got = sample(loaded, model, size=size)
    assert torch.isfinite(got).all()
    assert (
        differs(got, sample(loaded, bridge.apply(loaded[0], loaded[4], bank, Strengths()), size=size)) > 1e-3
    )
    told = [record.message for record in caplog.records if "Parts2Whole" in record.message]
    if guidance == "pag":
        assert any("perturbed" in message for message in told)
    elif order == "after":
        assert any("middle 0" in message for message in told)
    else:
        assert not told


def test_freeu_controlnet_and_many_samplers(loaded, applied):
    free_u = nodes_freelunch.FreeU_V2
    apply = free_u.execute if hasattr(free_u, "execute") else free_u().patch
    freed = sample(loaded, node_output(apply(applied, 1.3, 1.4, 0.9, 0.2)))
    assert torch.isfinite(freed).all() and differs(freed, sample(loaded, applied)) > 1e-3
    for sampler, scheduler in (("dpmpp_2m", "karras"), ("euler_ancestral", "normal"), ("uni_pc", "simple")):
        assert torch.isfinite(sample(loaded, applied, sampler=sampler, scheduler=scheduler)).all()


def test_controlnet_residuals_are_independent(loaded, applied):
    """A control that adds residuals (as ControlNet does) changes the picture with references on."""

    class Control:
        previous_controlnet, extra_hooks, strength, multigpu_clones = None, None, 1.0, {}

        def __init__(self, size):
            self.size = size

        def get_control(self, x, *_):
            return {"input": [], "middle": [torch.full((x.shape[0], 1, 1, 1), self.size)], "output": []}

        def get_models(self):
            return []

        def inference_memory_requirements(self, dtype):
            return 0

        def pre_run(self, *_):
            pass

        def cleanup(self):
            pass

        def get_extra_hooks(self):
            return []

        def copy(self):
            return self

        def get_models_only_self(self):
            return []

    def controlled(size):
        values = {"control": Control(size), "control_apply_to_uncond": False}
        return sample(loaded, applied, node_helpers.conditioning_set_values(text(loaded, "a person"), values))

    assert differs(controlled(0.0), sample(loaded, applied)) <= 1e-5 * 33
    assert differs(controlled(2.0), controlled(0.0)) > 1e-3


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
