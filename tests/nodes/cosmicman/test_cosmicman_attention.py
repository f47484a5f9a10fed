"""CosmicMan Attention Map and Refocus on the tiny SDXL: masks steer, clones stay apart, bad input is told."""

import pytest
import torch

pytest.importorskip("comfy", reason="needs ComfyUI (COMFYUI_PATH)")

from comfyui_figura.nodes import native
from comfyui_figura.nodes.cosmicman import attention_bridge
from comfyui_figura.nodes.cosmicman.attention import FiguraCosmicManAttentionMap, FiguraCosmicManRefocus
from comfyui_figura.nodes.cosmicman.bridge import FAMILIES
from comfyui_figura.nodes.cosmicman.prompts import FiguraCosmicManPrompt
from comfyui_figura.nodes.cosmicman.sampler import FiguraCosmicManSampler
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.cosmicman import attention
from comfyui_figura.pipelines.demo import cosmicman as demo

import nodes as stock


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def setting():
    """(model, positive, negative, caption): the tiny SDXL, its cross-attention sharpened so that it looks."""
    with torch.inference_mode():
        state = demo._unet(demo.SDXL_UNET, 1)
        state = {n: t * 4 if ".attn2.to_q" in n or ".attn2.to_k" in n else t for n, t in state.items()}
        config = native.unet_config_from_diffusers(demo.SDXL_UNET)
        model = native.load_unet(state, config, FAMILIES["sdxl"])
        _, caption = FiguraCosmicManPrompt.execute(gender="woman", hair="long hair", tops="red shirt").result
        rng = torch.Generator().manual_seed(0)
        words = [
            [[torch.randn(1, 77, 128, generator=rng), {"pooled_output": torch.randn(1, 64, generator=rng)}]]
            for _ in range(2)
        ]
        return model, *words, caption


def latent(batch=1):
    return {"samples": torch.zeros(batch, 4, 16, 16)}


def sample(setting, model=None, batch=1):
    return FiguraCosmicManSampler.execute(
        model or setting[0], setting[1], setting[2], latent(batch), 3, 3
    ).result[0]["samples"]


def maps(setting, model=None):
    done = {"samples": torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(9))}
    return FiguraCosmicManAttentionMap.execute(model or setting[0], setting[1], setting[3], done).result


def left(size=32):
    mask = torch.zeros(1, size, size)
    mask[..., : size // 2] = 1
    return mask


def test_one_map_per_group(setting):
    masks, image = maps(setting)
    groups = setting[3].groups
    assert masks.shape == (len(groups), 128, 128) and image.shape == (len(groups), 128, 128, 3)
    assert masks.min() >= 0 and masks.max() <= 1
    assert all(torch.equal(a, b) for a, b in zip((masks, image), maps(setting), strict=True))
    assert not torch.allclose(masks[1], masks[2])


def test_a_heavier_focus_draws_the_group_further(setting):
    """Attention of the group's words inside the mask, as a share, grows with the weight."""
    shares = []
    spans = [group.span for group in setting[3].groups]
    which = [group.name for group in setting[3].groups].index("tops")
    for weight in (0.0, 1.0, 2.0, 4.0):
        focus = attention_bridge.focus(setting[0], spans[which], left(), weight, 0.0, 1.0)
        bias = attention.focus_bias([focus], 5.0, 8, 8, 77)
        rng = torch.Generator().manual_seed(4)
        query, key = torch.randn(1, 2, 64, 16, generator=rng), torch.randn(1, 2, 77, 16, generator=rng)
        full = attention.biased_attention(query, key, torch.eye(77).expand(1, 2, 77, 77), bias)
        own = full[..., slice(*spans[which])].mean(dim=(0, 1, 3)).reshape(8, 8)
        shares.append((own[:, :4].sum() / own.sum()).item())
    assert shares == sorted(shares) and shares[0] == pytest.approx(0.5, abs=0.15) and shares[-1] > 0.99


def test_focus_changes_the_picture_and_weight_zero_does_not(setting):
    plain = sample(setting)
    focused = FiguraCosmicManRefocus.execute(setting[0], setting[3], "tops", left(), 4.0).result[0]
    moved = sample(setting, focused)
    assert ((moved - plain).norm() / plain.norm()).item() > 1e-3
    still = FiguraCosmicManRefocus.execute(setting[0], setting[3], "tops", left(), 0.0).result[0]
    torch.testing.assert_close(sample(setting, still), plain, rtol=1e-4, atol=1e-3)
    assert torch.equal(sample(setting), plain)  # the model given in was not touched


def test_focuses_add_up_and_batches_may_have_a_mask_each(setting):
    one = FiguraCosmicManRefocus.execute(setting[0], setting[3], "red shirt", left(), 3.0).result[0]
    two = FiguraCosmicManRefocus.execute(one, setting[3], "hair", 1 - left(), 3.0).result[0]
    assert not torch.allclose(sample(setting, one), sample(setting, two))
    each = torch.cat([left(), 1 - left()])
    both = FiguraCosmicManRefocus.execute(setting[0], setting[3], "tops", each, 3.0).result[0]
    batch = sample(setting, both, batch=2)
    torch.testing.assert_close(batch[:1], sample(setting, FiguraCosmicManRefocus.execute(
        setting[0], setting[3], "tops", left(), 3.0).result[0]), rtol=1e-4, atol=2e-2)  # fmt: skip


def test_it_goes_with_stock_ksampler(setting):
    focused = FiguraCosmicManRefocus.execute(setting[0], setting[3], "tops", left(), 4.0).result[0]
    (out,) = stock.KSampler().sample(focused, 3, 3, 7.5, "euler", "normal", *setting[1:3], latent())
    assert torch.equal(out["samples"], sample(setting, focused))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"group": "wings"}, "wings.*hair"),
        ({"mask": torch.zeros(0, 8, 8)}, "mask"),
        ({"mask": torch.zeros(8)}, "mask"),
        ({"mask": torch.full((1, 8, 8), float("nan"))}, "NaN"),
    ],
)
def test_bad_focus_is_told(setting, change, words):
    arguments = {"group": "tops", "mask": left()} | change
    with pytest.raises(FiguraInputError, match=words):
        FiguraCosmicManRefocus.execute(setting[0], setting[3], **arguments)


def test_a_group_without_a_place_is_told(setting):
    _, caption = FiguraCosmicManPrompt.execute(gender="man", hair="red", tops="red shirt").result
    with pytest.raises(FiguraInputError, match="exactly once"):
        FiguraCosmicManRefocus.execute(setting[0], caption, "hair", left())


def test_training_layers_of_the_released_sizes():
    """Layers as training used them: 10 for SDXL, 5 for SD1.5, under ComfyUI's block numbers."""
    from comfyui_figura.pipelines.cosmicman.checkpoint import sd_config, sdxl_config

    sdxl = attention.watched_blocks(native.unet_config_from_diffusers(sdxl_config()))
    assert sdxl == [
        *(("input", n, layer) for n in (4, 5) for layer in (0, 1)),
        *(("output", n, layer) for n in (3, 4, 5) for layer in (0, 1)),
    ]
    sd = attention.watched_blocks(native.unet_config_from_diffusers(sd_config()))
    assert sd == [("input", 4, 0), ("input", 5, 0), ("output", 6, 0), ("output", 7, 0), ("output", 8, 0)]
