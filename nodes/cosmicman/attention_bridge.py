"""Hangs reading and refocusing of body groups on the cross-attention of a MODEL."""

import logging
from dataclasses import dataclass, field

import comfy.sample
import comfy.samplers
import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

from ...pipelines.common.seeds import generator
from ...pipelines.cosmicman import attention
from ...pipelines.cosmicman.attention import Focus, Maps

log = logging.getLogger(__name__)


@dataclass
class AttentionPatch:
    """The function that ComfyUI calls in place of a layer's cross-attention. Reads, refocuses, or both."""

    focuses: tuple[Focus, ...] = ()
    maps: Maps | None = field(default=None)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
        """q [B, N, heads * d], k, v [B, keys, heads * d], projected; returns the same shape as q."""
        heads, (rows, columns) = options["n_heads"], options["activations_shape"][-2:]
        prompts = _prompt_rows(q.shape[0], options["cond_or_uncond"])
        query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
        if self.maps is not None and prompts:
            self.maps.see(query[prompts], key[prompts], rows, columns)
        sigma = float(options["sigmas"][0])
        bias = attention.focus_bias(self.focuses, sigma, rows, columns, k.shape[1])
        out = optimized_attention(q, k, v, heads)
        if bias is not None and prompts:
            own = attention.biased_attention(query[prompts], key[prompts], value[prompts], bias)
            out = out.index_copy(0, torch.tensor(prompts, device=q.device), own.transpose(1, 2).flatten(2))
        return out


def _prompt_rows(batch: int, kinds: list[int]) -> list[int]:
    """Rows of the batch that belong to the positive prompt: ComfyUI joins chunks, kind 0 is positive."""
    size = batch // len(kinds)
    return [
        row
        for chunk, kind in enumerate(kinds)
        if kind == 0
        for row in range(chunk * size, (chunk + 1) * size)
    ]


def patched(model, patch: AttentionPatch):
    """A clone with the patch on training's layers; an earlier refocus stays, any other patch gives way."""
    clone = model.clone()
    blocks = attention.watched_blocks(model.model.model_config.unet_config)
    there = clone.model_options.get("transformer_options", {}).get("patches_replace", {}).get("attn2", {})
    for block in blocks:
        before = there.get(block)
        if isinstance(before, AttentionPatch):
            own = AttentionPatch((*before.focuses, *patch.focuses), patch.maps)
        else:
            own = patch
        if before is not None and own is patch:
            log.warning("CosmicMan: another node's attention patch on block %s gives way", block)
        clone.set_model_attn2_replace(own, *block)
    return clone


def focus(model, span, mask: Tensor, weight: float, start: float, end: float) -> Focus:
    """A focus acting between two shares of the sampling, as ComfyUI counts them (0 the start)."""
    sampling = model.get_model_object("model_sampling")
    return Focus(span, mask, weight, sampling.percent_to_sigma(start), sampling.percent_to_sigma(end))


def read_maps(model, positive, samples: Tensor, spans, seed: int, noise_level: float) -> Tensor:
    """Noise finished latents to a share of the schedule, run the UNet once, and return the maps [G, h, w]."""
    maps = Maps(spans)
    clone = patched(model, AttentionPatch(maps=maps))
    sigma = float(model.get_model_object("model_sampling").percent_to_sigma(1 - noise_level))
    noise = torch.stack([torch.randn(one.shape, generator=generator(seed)) for one in samples])
    sampler = comfy.samplers.sampler_object("euler")
    sigmas = torch.tensor([sigma, 0.0])
    comfy.sample.sample_custom(
        clone, noise, 1.0, sampler, sigmas, positive, positive, samples, disable_pbar=True, seed=seed
    )
    return maps.mean()
