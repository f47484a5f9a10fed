"""nodes/native.py against diffusers and transformers: tiny random networks, same numbers, strict names."""

import pytest
import torch

pytest.importorskip("comfy", reason="needs ComfyUI (COMFYUI_PATH)")

from comfy import supported_models
from comfyui_figura.nodes import native
from comfyui_figura.pipelines.common import ldm, ldm_text
from comfyui_figura.pipelines.common.errors import FiguraWeightsError

RELATIVE = 2e-5  # fp32, the same sums in another order through some fifty layers


def close(a, b):
    return ((a - b).norm() / b.norm()).item()


def unet(levels=(32, 64, 64), cross=(True, True, False), **more):
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=levels,
        layers_per_block=1,
        cross_attention_dim=48,
        norm_num_groups=32,
        down_block_types=["CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross],
        up_block_types=["CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(cross)],
        **more,
    ).eval()


SDXL_LIKE = {
    "attention_head_dim": [1, 2, 2],
    "use_linear_projection": True,
    "transformer_layers_per_block": [1, 2, 3],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 64,
    "cross": (False, True, True),
}
UNETS = {
    "sd15": (supported_models.SD15, {"attention_head_dim": 4}),
    "sd20": (supported_models.SD20, {"attention_head_dim": [1, 2, 2], "use_linear_projection": True}),
    "sdxl": (supported_models.SDXL, SDXL_LIKE),
    "one level": (supported_models.SD15, {"levels": (32,), "cross": (True,), "attention_head_dim": 2}),
}


@pytest.fixture(params=UNETS)
def pair(request):
    """A diffusers UNet, and the MODEL built from its weights."""
    family, settings = UNETS[request.param]
    source = unet(**settings)
    patcher = native.load_unet(
        source.state_dict(), native.unet_config_from_diffusers(dict(source.config)), family
    )
    return source, patcher


@torch.inference_mode()
def test_unet_equals_diffusers(pair):
    source, patcher = pair
    generator = torch.Generator().manual_seed(1)
    x, t = torch.randn(2, 4, 16, 24, generator=generator), torch.tensor([3.0, 900.0])
    context = torch.randn(2, 77, 48, generator=generator)
    added, y = None, None
    if source.config.addition_embed_type:
        time_ids = torch.tensor([[128.0, 192, 0, 0, 128, 192]]).repeat(2, 1)
        pooled = torch.randn(2, 64 - 6 * 8, generator=generator)
        added = {"text_embeds": pooled, "time_ids": time_ids}
        y = patcher.model.encode_adm(pooled_output=pooled, height=128, width=192)
    want = source(x, t, context, added_cond_kwargs=added).sample
    got = patcher.model.diffusion_model(x, t, context=context, y=y)
    assert close(got, want) < RELATIVE


def test_unet_names_go_there_and_back(pair):
    source, _ = pair
    config = native.unet_config_from_diffusers(dict(source.config))
    names = ldm.unet_to_ldm(source.state_dict(), config)
    assert all(
        name.startswith(("input_blocks", "middle_block", "output_blocks", "time_embed", "label_emb", "out"))
        for name in names
    )
    assert set(ldm.unet_to_diffusers(names, config)) == set(source.state_dict())


def test_config_read_from_ldm_shapes_is_the_same(pair):
    source, patcher = pair
    config = native.unet_config_from_diffusers(dict(source.config))
    state = ldm.unet_to_ldm(source.state_dict(), config)
    found = native.unet_config_from_ldm(state, type(patcher.model.model_config))
    # Heads and SDXL's embedding width leave no trace in shapes.
    hidden = {"num_heads", "num_head_channels", "addition_time_embed_dim", "image_size", "use_checkpoint"}
    assert {k: v for k, v in found.items() if k not in hidden} == {
        k: v for k, v in config.items() if k not in hidden
    }


def test_missing_unknown_and_misshapen_tensors_are_named():
    source = unet(attention_head_dim=4)
    config = native.unet_config_from_diffusers(dict(source.config))
    state = dict(source.state_dict())
    state["conv_out.weight"] = state["conv_out.weight"][:3]
    state["mid_block.resnets.0.intruder"] = torch.zeros(1)
    del state["conv_in.bias"], state["conv_out.bias"]
    with pytest.raises(
        FiguraWeightsError, match="2 tensors missing.*1 tensors unknown.*1 tensors of another"
    ):
        native.load_unet(state, config, supported_models.SD15, what="broken.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"norm_num_groups": 16},
        {"act_fn": "gelu"},
        {"block_out_channels": (24, 48, 48)},
        {"down_block_types": None},
    ],
)
def test_configurations_without_ldm_words_are_refused(change):
    config = dict(unet(attention_head_dim=4).config) | change
    config = {key: value for key, value in config.items() if value is not None}
    with pytest.raises(FiguraWeightsError):
        native.unet_config_from_diffusers(config)


def test_base_model_prediction_and_dtype_are_the_callers():
    from comfy.model_base import BaseModel, ModelType

    class Own(BaseModel):
        pass

    source = unet(attention_head_dim=4)
    patcher = native.load_unet(
        source.state_dict(),
        native.unet_config_from_diffusers(dict(source.config)),
        supported_models.SD20,
        base_model=Own,
        v_prediction=True,
        dtype=torch.bfloat16,
    )
    assert type(patcher.model) is Own
    assert patcher.model.model_type is ModelType.V_PREDICTION
    assert patcher.model.diffusion_model.input_blocks[0][0].weight.dtype == torch.bfloat16


def text_model(width=64, layers=3, act="quick_gelu", projection=False):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(2)
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, hidden_act=act, projection_dim=width, bos_token_id=49406,
        eos_token_id=49407,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def ids(clip, text, key):
    return torch.tensor([[token for token, _ in clip.tokenize(text)[key][0]]])


@torch.inference_mode()
def test_clip_l_equals_transformers():
    source = text_model()
    clip = native.load_clip({"clip_l": source.state_dict()}, supported_models.SD15, dtype=torch.float32)
    tokens = clip.tokenize("a tall woman in a red coat")
    got = clip.encode_from_tokens(tokens)
    want = source(ids(clip, "a tall woman in a red coat", "l")).last_hidden_state
    assert close(got, want) < RELATIVE


@torch.inference_mode()
def test_clip_h_gives_penultimate_states_with_final_norm_from_either_layout():
    source = text_model(128, layers=4, act="gelu")
    openclip = ldm_text.openclip_from_transformers(source.state_dict())
    found = ldm_text.text_encoders({f"cond_stage_model.model.{k}": v for k, v in openclip.items()})
    clip = native.load_clip(found, supported_models.SD20, dtype=torch.float32)
    got = clip.encode_from_tokens(clip.tokenize("two people dancing"))
    hidden = source(ids(clip, "two people dancing", "h"), output_hidden_states=True).hidden_states[-2]
    norm = source.text_model.final_layer_norm if hasattr(source, "text_model") else source.final_layer_norm
    assert close(got, norm(hidden)) < RELATIVE
    # diffusers' folder stores one layer less: the same states come out.
    short = ldm_text.drop_last_layer(ldm_text.text_names(source.state_dict()))
    other = native.load_clip(
        {"clip_h": ldm_text.repeat_last_layer(short)}, supported_models.SD20, dtype=torch.float32
    )
    assert torch.equal(other.encode_from_tokens(other.tokenize("two people dancing")), got)


@torch.inference_mode()
def test_sdxl_pair_equals_transformers():
    small, big = text_model(), text_model(128, act="gelu", projection=True)
    clip = native.load_clip(
        {"clip_l": small.state_dict(), "clip_g": big.state_dict()}, supported_models.SDXL, dtype=torch.float32
    )
    got, pooled = clip.encode_from_tokens(clip.tokenize("a man"), return_pooled=True)
    one = small(ids(clip, "a man", "l"), output_hidden_states=True).hidden_states[-2]
    two = big(ids(clip, "a man", "g"), output_hidden_states=True)
    assert close(got, torch.cat([one, two.hidden_states[-2]], dim=-1)) < RELATIVE
    assert close(pooled, two.text_embeds) < RELATIVE


def test_a_missing_text_encoder_is_named():
    with pytest.raises(FiguraWeightsError, match="clip_g"):
        native.load_clip({"clip_l": text_model().state_dict()}, supported_models.SDXL)


@pytest.mark.parametrize("widths", [(32, 32, 64, 64), (32, 64)])
@torch.inference_mode()
def test_vae_equals_diffusers(widths):
    from diffusers import AutoencoderKL

    torch.manual_seed(3)
    source = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * len(widths),
        up_block_types=["UpDecoderBlock2D"] * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=4,
    ).eval()
    vae = native.load_vae(source.state_dict(), dtype=torch.float32)
    image = torch.rand(1, 32, 48, 3, generator=torch.Generator().manual_seed(4))
    latents = vae.encode(image)
    factor = 2 ** (len(widths) - 1)
    assert latents.shape == (1, 4, 32 // factor, 48 // factor)
    mean = source.encode(image.movedim(-1, 1) * 2 - 1).latent_dist.mean
    assert close(latents, mean) < RELATIVE
    pixels = source.decode(mean).sample
    want = ((pixels + 1) / 2).clamp(0, 1).movedim(1, -1)
    assert close(vae.decode(mean), want) < RELATIVE


def test_vae_of_something_else_is_refused():
    with pytest.raises(FiguraWeightsError):
        native.load_vae({"encoder.weight": torch.zeros(1)})
