"""Prompts to embeddings: CLIP's tokenizer, shipped with the pack, and the text encoders of Stable Diffusion.

Encoders are transformers modules called as ComfyUI calls them: ``clip_l`` (SD1.5, SDXL), ``clip_h`` (SD2.1),
``clip_g`` (SDXL). Nothing is downloaded.
"""

import gzip
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from . import ldm_text
from .errors import FiguraWeightsError
from .weights import StateDict

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

log = logging.getLogger(__name__)
MERGES = Path(__file__).parent / "clip_vocab" / "merges.txt.gz"
MAX_TOKENS = 77  # one window of CLIP, its start and end token counted
BOS, EOS = 49406, 49407
PAD = {"clip_l": ("<|endoftext|>", EOS), "clip_h": ("!", 0), "clip_g": ("!", 0)}


@dataclass(frozen=True)
class PromptEmbeds:
    """What a UNet is conditioned on: ``embeds`` [B, 77, C], and SDXL's ``pooled`` [B, P] or None."""

    embeds: Tensor
    pooled: Tensor | None = None


@lru_cache(maxsize=2)
def tokenizer(pad: str = "<|endoftext|>") -> "CLIPTokenizer":
    """CLIP's tokenizer with OpenAI's vocabulary (49,408 entries), rebuilt from the merges shipped with us.

    SD2's and SDXL's second tokenizer pad with ``"!"``, which makes every "!" of a text that one token too.
    """
    from transformers import CLIPTokenizer

    merges = gzip.decompress(MERGES.read_bytes()).decode().split("\n")
    letters = _byte_letters()
    words = letters + [f"{letter}</w>" for letter in letters] + [merge.replace(" ", "") for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = {word: index for index, word in enumerate(words)}
        (Path(folder) / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        header = "#version: 0.2\n"
        (Path(folder) / "merges.txt").write_text(header + "\n".join(merges) + "\n", encoding="utf-8")
        settings = {"model_max_length": MAX_TOKENS, "pad_token": pad}
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True, **settings)


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in byte-level BPE: printable ones for themselves."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(hidden))]


def token_ids(text: str, encoder: str = "clip_l") -> list[int]:
    """Token ids of one text, start and end token included, however long it is."""
    return tokenizer(PAD[encoder][0])(text, truncation=False, verbose=False)["input_ids"]


def token_count(text: str) -> int:
    """Tokens of one text, start and end token counted; CLIP reads at most 77."""
    return len(token_ids(text))


def padded_ids(texts: Sequence[str], encoder: str = "clip_l", length: int = MAX_TOKENS) -> Tensor:
    """Token ids [B, length]; a text that is too long is cut with a warning that says how much was lost."""
    rows = []
    for text in texts:
        ids = token_ids(text, encoder)
        if len(ids) > length:
            log.warning("the prompt has %d tokens; the last %d are not read", len(ids), len(ids) - length)
            ids = [*ids[: length - 1], EOS]
        rows.append(ids + [PAD[encoder][1]] * (length - len(ids)))
    return torch.tensor(rows)


def text_encoder(
    state: StateDict, name: str, config: Mapping[str, Any] | None = None, what: str = "text encoder"
) -> nn.Module:
    """Build a transformers text encoder from weights under transformers' names, on the CPU.

    Args:
        state: weights; those of ``clip_h`` are without OpenCLIP's last layer, as diffusers folders hold them.
        name: ``clip_l``, ``clip_h`` or ``clip_g``.
        config: transformers' config.json where there is one; read from the shapes otherwise.
        what: the file's name, for messages.
    """
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    state = ldm_text.text_names(state)
    sizes = ldm_text.text_config_from_shapes(state, name)
    for key in ("num_attention_heads", "hidden_act"):
        sizes[key] = (config or sizes).get(key, sizes[key])
    kind = CLIPTextModelWithProjection if name == "clip_g" else CLIPTextModel
    with torch.device("meta"):
        model = kind(CLIPTextConfig(**sizes))
    return fill(model, state, what)


def fill(model: nn.Module, state: StateDict, what: str) -> nn.Module:
    """Put text weights into a module made on the meta device; names with or without ``text_model.`` fit."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    renamed = {}
    for name, tensor in state.items():
        name = name if name in expected else name.removeprefix("text_model.")
        if name in expected:
            renamed[name] = tensor
    wrong = [
        name for name, shape in expected.items() if name not in renamed or tuple(renamed[name].shape) != shape
    ]
    if wrong:
        raise FiguraWeightsError(
            what, f"{len(wrong)} tensors missing or of another shape ({', '.join(wrong[:5])})",
            f"the {len(expected)} tensors of this text encoder", "The file is incomplete; download it again.",
        )  # fmt: skip
    model.load_state_dict(renamed, assign=True)
    _fill_buffers(model)
    return model.eval().requires_grad_(False)


def _fill_buffers(model: nn.Module) -> None:
    """Give values to the position counters, which are not in files and were made on the meta device."""
    for module in model.modules():
        ids = getattr(module, "position_ids", None)
        if isinstance(ids, Tensor) and ids.is_meta:
            module.register_buffer("position_ids", torch.arange(ids.shape[-1])[None], persistent=False)


@torch.no_grad()
def encode(encoders: Mapping[str, nn.Module], texts: Sequence[str]) -> PromptEmbeds:
    """Encode prompts [B] as Stable Diffusion does.

    SD1.5 and SD2 take the last states after the final norm (SD2's encoder lacks its last layer, so these are
    OpenCLIP's penultimate ones); SDXL takes the last but one of both encoders, and clip_g's projected vector.
    """
    if "clip_g" not in encoders:
        ((name, encoder),) = encoders.items()
        return PromptEmbeds(encoder(_ids(encoder, name, texts)).last_hidden_state)
    states = []
    pooled = None
    for name in ("clip_l", "clip_g"):
        if name not in encoders:  # SDXL's refiner reads clip_g alone
            continue
        output = encoders[name](_ids(encoders[name], name, texts), output_hidden_states=True)
        states.append(output.hidden_states[-2])
        pooled = output.text_embeds if name == "clip_g" else pooled
    return PromptEmbeds(torch.cat(states, dim=-1), pooled)


def _ids(encoder: nn.Module, name: str, texts: Sequence[str]) -> Tensor:
    return padded_ids(texts, name).to(next(encoder.parameters()).device)
