"""The references beside others' patches: LoRA, hooks, adapters, middle-block guidance, ControlNet, FreeU."""

import copy

import pytest
import torch

pytest.importorskip("comfy.samplers", reason="ComfyUI is not here (COMFYUI_PATH)")

import comfy.hooks
import comfy.model_management
import comfy.sample
import comfy.samplers
import node_helpers
from comfy_extras import nodes_freelunch, nodes_pag, nodes_sag
from comfyui_figura.nodes.parts2whole import bridge
from comfyui_figura.nodes.parts2whole.patches import Strengths
from parts_graph import differs, make_bank, sample, text


@pytest.fixture(scope="module", autouse=True)
def inference():
    with torch.inference_mode():
        yield


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
