"""Prompts to embeddings: CLIP's tokenizer without network, encoders from either layout."""

import pytest
import torch
from comfyui_figura.pipelines.common import ldm_text, text
from comfyui_figura.pipelines.common.errors import FiguraWeightsError


def clip(width=64, layers=3, act="quick_gelu", projection=False):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(5)
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, hidden_act=act, projection_dim=width, bos_token_id=49406,
        eos_token_id=49407,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def test_known_token_ids():
    # "a photo of a cat" in OpenAI's CLIP, as published in many places.
    assert text.token_ids("a photo of a cat") == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert len(text.tokenizer().get_vocab()) == 49408


@pytest.mark.parametrize(
    "words", ["", "Naïve café — 漢字 🙂 12345", "a  b\n c", "O'Neil's (weighted:1.2) <x>"]
)
def test_tokens_are_those_of_comfyui(words):
    comfy = pytest.importorskip("comfy.sd1_clip")
    tokens = comfy.SDTokenizer().tokenizer(words)["input_ids"]
    assert text.token_ids(words) == tokens


def test_an_exclamation_mark_is_the_second_encoders_padding():
    assert text.token_ids("red !", "clip_g")[-2] == 0
    assert text.token_ids("red !", "clip_l")[-2] != 0
    assert text.padded_ids(["red"], "clip_g")[0, -1] == 0
    assert text.padded_ids(["red"], "clip_l")[0, -1] == text.EOS


def test_a_long_prompt_is_cut_with_a_warning(caplog):
    ids = text.padded_ids(["word " * 100])
    assert ids.shape == (1, 77) and ids[0, -1] == text.EOS
    assert "102 tokens; the last 25 are not read" in caplog.text


@pytest.mark.parametrize("name", ["clip_l", "clip_h", "clip_g"])
def test_encoder_built_from_its_weights_gives_the_same(name):
    source = clip(act="quick_gelu" if name == "clip_l" else "gelu", projection=name == "clip_g")
    built = text.text_encoder(source.state_dict(), name)
    ids = text.padded_ids(["two people dancing"], name)
    torch.testing.assert_close(built(ids)[0], source(ids)[0], rtol=0, atol=0)


def test_openclip_names_go_there_and_back():
    state = ldm_text.text_names(clip(projection=True).state_dict())
    back = ldm_text.openclip_to_transformers(ldm_text.openclip_from_transformers(state))
    assert set(back) == set(state)
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_sd2_reads_the_penultimate_layer_through_the_final_norm():
    source = clip(128, layers=4, act="gelu")
    short = ldm_text.drop_last_layer(ldm_text.text_names(source.state_dict()))
    got = text.encode({"clip_h": text.text_encoder(short, "clip_h")}, ["a man"]).embeds
    output = source(text.padded_ids(["a man"], "clip_h"), output_hidden_states=True)
    norm = getattr(source, "text_model", source).final_layer_norm
    torch.testing.assert_close(got, norm(output.hidden_states[-2]), rtol=1e-5, atol=1e-6)


def test_sdxl_joins_both_encoders_and_the_refiner_reads_one():
    one, two = clip(), clip(128, act="gelu", projection=True)
    both = text.encode({"clip_l": one, "clip_g": two}, ["a", "b"])
    assert both.embeds.shape == (2, 77, 192) and both.pooled.shape == (2, 128)
    alone = text.encode({"clip_g": two}, ["a", "b"])
    torch.testing.assert_close(alone.embeds, both.embeds[..., 64:])


def test_an_incomplete_encoder_is_refused():
    state = dict(clip().state_dict())
    state.pop(next(name for name in state if name.endswith("layers.1.mlp.fc2.bias")))
    with pytest.raises(FiguraWeightsError, match="1 tensors missing"):
        text.text_encoder(state, "clip_l", what="base.safetensors")
    with pytest.raises(FiguraWeightsError):
        text.text_encoder({"weight": torch.zeros(1)}, "clip_l")
