"""CosmicMan against the released training code: UNets, captions, tokens and the HOLA loss.

Tolerances are those of the fixtures' README: fp32, the same sums in another order.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common import base_model
from comfyui_figura.pipelines.common.weights import load_state_dict
from comfyui_figura.pipelines.cosmicman import captions, checkpoint, hola

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "cosmicman"
KINDS = ("sd", "sdxl")
TOKENS = json.loads((DATA / "dataset_and_tokens.json").read_text())
CASES = json.loads((DATA / "loss_cases.json").read_text())


def relative(got, want):
    return ((got - want).norm() / want.norm()).item()


class Golden:
    """One kind's tensors, numbers and UNet (stored fp16, run in fp32)."""

    def __init__(self, kind):
        self.kind = kind
        self.numbers = json.loads((DATA / "hola.json").read_text())[kind]
        self.tensors = load_state_dict(DATA / f"hola_{kind}.safetensors")
        self.opened = checkpoint.open_unet(DATA / f"unet_{kind}_tiny")
        split, index = self.numbers["parse_split"], self.numbers["parse_index"]
        self.spans = [[tuple(s) if s else None for s in index[a:b]] for a, b in split]
        packed = self.tensors["parsing_mask_packed"]
        bits = packed[..., None] >> torch.arange(7, -1, -1, dtype=torch.uint8) & 1
        self.masks = bits.flatten(-2)[..., : self.numbers["image_w"]].float()

    def unet(self):
        return base_model.build_unet(self.opened.state, self.opened.config, "golden").float()

    def added(self):
        names = ("text_embeds", "time_ids")
        return {name: self.tensors[name] for name in names} if self.kind == "sdxl" else None

    def run(self, unet, latents):
        t = self.tensors
        return unet(
            latents, t["timesteps"], t["encoder_hidden_states"], added_cond_kwargs=self.added()
        ).sample


@pytest.fixture(scope="module", params=KINDS)
def golden(request):
    return Golden(request.param)


@torch.no_grad()
def test_unet_through_diffusers(golden):
    got = golden.run(golden.unet(), golden.tensors["noisy_latents"])
    torch.testing.assert_close(got, golden.tensors["sample"], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_unet_through_comfyui(golden):
    pytest.importorskip("comfy", reason="needs ComfyUI (COMFYUI_PATH)")
    from comfyui_figura.nodes import native
    from comfyui_figura.nodes.cosmicman.bridge import FAMILIES

    config = native.unet_config_from_diffusers(golden.opened.config)
    family = FAMILIES[golden.opened.variant]
    model = native.load_unet(golden.opened.state, config, family, dtype=torch.float32).model
    t, y = golden.tensors, None
    if golden.kind == "sdxl":
        sizes = zip(t["text_embeds"], t["time_ids"], strict=True)
        names = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")
        y = torch.cat(
            [
                model.encode_adm(pooled_output=pooled[None], **dict(zip(names, row.tolist(), strict=True)))
                for pooled, row in sizes
            ]
        )
    got = model.diffusion_model(
        t["noisy_latents"], t["timesteps"].float(), context=t["encoder_hidden_states"], y=y
    )
    torch.testing.assert_close(got, t["sample"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", TOKENS["token_groups"], ids=lambda case: case["caption"][:30] or "empty")
def test_captions_and_their_tokens(case):
    texts = captions.trim(case["groups_in"])
    texts += [""] * (len(case["groups_in"]) - len(texts))
    assert texts == case["groups_after_trim"]
    assert captions.join(texts) == case["caption"]
    assert len(captions.token_ids(case["caption"], "clip_g")) == case["n_tokens_with_bos_eos"]
    spans = captions.group_spans(case["caption"], texts)
    assert [list(span) if span else None for span in spans] == case["spans"]


def test_group_texts_of_the_label_records():
    records = {entry["path"]: entry for entry in json.loads((DATA / "dataset" / "records.json").read_text())}
    for sample in TOKENS["deterministic"]:
        record = records[sample["path"]]
        groups = [captions.group_text(i, entry) if entry else "" for i, entry in enumerate(record["aa_text"])]
        texts = [captions.SHOTS.get(record["person_type"], ""), *groups]
        assert texts == sample["texts"]
        assert captions.join(captions.trim(texts)) == sample["caption"]


@pytest.mark.parametrize("name", CASES)
def test_loss_alone(name):
    case, tensors = CASES[name], load_state_dict(DATA / "loss_cases.safetensors")
    maps = tensors[f"{name}.attention_maps"].clone().requires_grad_()
    masks = tensors[f"{name}.parsing_mask"].float()
    spans = [[tuple(s) if s else None for s in case["parse_index"][a:b]] for a, b in case["parse_split"]]
    height, width = masks.shape[-2:]
    used = hola.uses_layer(maps.shape[-2], maps.shape[-1], height, width)
    assert used == (case["result"] is not None)
    if not used:
        return
    targets = hola.layer_targets(masks, *hola.grid(height, width))
    rows = {}
    for row, own in enumerate(spans):
        if any(own):
            columns = maps[row][..., hola.tokens_of(own)]
            rows[row] = hola.sample_loss(columns, own, targets[row].flatten(1))
    merged = hola.merge([rows])
    if merged is None:
        assert case["result"]["merged"] == 0
        return
    assert merged.item() == pytest.approx(case["result"]["merged"], abs=1e-6)
    for row, want in enumerate(case["result"]["per_sample"]):
        if row in rows:
            torch.testing.assert_close(rows[row], torch.tensor(want), rtol=0, atol=1e-6)
    merged.backward()
    assert relative(maps.grad, tensors[f"{name}.grad"]) < 1e-5


def test_targets(golden):
    size = golden.tensors["targets"].shape[-2:]
    assert tuple(size) == hola.grid(golden.numbers["image_h"], golden.numbers["image_w"])
    torch.testing.assert_close(
        hola.layer_targets(golden.masks, *size), golden.tensors["targets"], rtol=0, atol=1e-6
    )


@pytest.fixture(scope="module")
def watched(golden):
    """One forward and backward of the map loss through our watch."""
    unet = golden.unet().requires_grad_(True)
    latents = golden.tensors["noisy_latents"].clone().requires_grad_()
    watch = hola.Watch(golden.masks, golden.spans, golden.numbers["attn_map_size"], keep_columns=True)
    with hola.watching(unet, watch):
        sample = golden.run(unet, latents)
    loss = watch.loss()
    noise = torch.nn.functional.mse_loss(sample, golden.tensors["target_noise"])
    wanted = [latents, *(p for p in unet.parameters())]
    grads = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
    names = ["noisy_latents", *(name for name, _ in unet.named_parameters())]
    total = torch.autograd.grad(loss + noise, latents)[0]
    return watch, loss, noise, dict(zip(names, grads, strict=True)), total


def test_layers_used_in_order(golden, watched):
    assert list(watched[0].layers) == golden.numbers["cross_layers_used"]


def test_columns_are_those_of_the_maps(golden, watched):
    for name, columns in watched[0].columns.items():
        maps = golden.tensors[f"attn.{name}"]
        for row, own in enumerate(golden.spans):
            tokens = hola.tokens_of(own)
            got = columns[row, ..., : len(tokens)]
            torch.testing.assert_close(got, maps[row][..., tokens], rtol=0, atol=1e-5)


def test_losses(golden, watched):
    watch, loss, noise, _, _ = watched
    assert loss.item() == pytest.approx(golden.numbers["map_loss"], abs=1e-6)
    assert noise.item() == pytest.approx(golden.numbers["noise_loss"], abs=2e-6)
    for name, rows in watch.layers.items():
        for row, values in rows.items():
            want = golden.tensors[f"loss_per_head.{name}.sample{row}"]
            torch.testing.assert_close(values.detach(), want, rtol=0, atol=1e-6)


def test_gradients(golden, watched):
    _, _, _, grads, total = watched
    prefix = "grad_map_loss."
    for key, want in golden.tensors.items():
        if key.startswith(prefix):
            assert relative(grads[key.removeprefix(prefix)], want) < 1e-4, key
    assert relative(total, golden.tensors["grad_total.noisy_latents"]) < 1e-4
    largest = max(norm for norm in golden.numbers["grad_norm_map_loss"].values() if norm is not None)
    for name, norm in golden.numbers["grad_norm_map_loss"].items():
        if norm is None:
            assert grads[name] is None or not grads[name].any(), name
        elif norm > 1e-6 * largest:  # below that a norm is rounding noise (the time embedding's)
            assert grads[name].norm().item() == pytest.approx(norm, rel=1e-4), name


def test_the_unet_is_left_as_it_was(golden):
    unet = golden.unet()
    before = [type(module.processor) for name, module in unet.named_modules() if name.endswith("attn2")]
    with (
        pytest.raises(ZeroDivisionError),
        hola.watching(unet, hola.Watch(golden.masks, golden.spans)),
    ):
        raise ZeroDivisionError
    after = [type(module.processor) for name, module in unet.named_modules() if name.endswith("attn2")]
    assert after == before


@torch.inference_mode()
def test_group_maps_through_comfyui(golden):
    """The maps that CosmicMan Attention Map reads are those of the released trainer, layer for layer."""
    pytest.importorskip("comfy", reason="needs ComfyUI (COMFYUI_PATH)")
    from comfyui_figura.nodes import native
    from comfyui_figura.nodes.cosmicman import attention_bridge, bridge
    from comfyui_figura.pipelines.cosmicman.attention import Maps

    config = native.unet_config_from_diffusers(golden.opened.config)
    family = bridge.FAMILIES[golden.opened.variant]
    model = native.load_unet(golden.opened.state, config, family, dtype=torch.float32)
    t = golden.tensors
    for row, spans in enumerate(golden.spans):
        if not any(spans):
            continue
        maps = Maps(spans)
        clone = attention_bridge.patched(model, attention_bridge.AttentionPatch(maps=maps))
        options = clone.model_options["transformer_options"] | {
            "cond_or_uncond": [0], "sigmas": torch.ones(1),
        }  # fmt: skip
        y = None
        if golden.kind == "sdxl":
            names = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")
            sizes = dict(zip(names, t["time_ids"][row].tolist(), strict=True))
            y = model.model.encode_adm(pooled_output=t["text_embeds"][row : row + 1], **sizes)
        model.model.diffusion_model(
            t["noisy_latents"][row : row + 1], t["timesteps"][row : row + 1].float(),
            context=t["encoder_hidden_states"][row : row + 1], y=y, transformer_options=options,
        )  # fmt: skip
        assert maps.count == len(golden.numbers["cross_layers_used"])
        (total,) = maps.total.values()
        torch.testing.assert_close(total / maps.count, t[f"group_maps.sample{row}"], rtol=0, atol=1e-5)
