"""A text encoder with only the words that are needed: CLIP's vocabulary is nine tenths of a small encoder.

In files the token embedding has one row per known token, and ``…token_embedding.rows`` names their ids. The
door for text weights (``ldm_text.text_names``) puts them back among 49,408 rows; unknown words are zeros.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from .ldm_text import ROWS, TOKENS
from .text import BOS, EOS, PAD, token_ids
from .weights import StateDict


def words_of(captions: Iterable[str], encoder: str) -> list[int]:
    """Ids of all tokens in some captions, and of start, end and padding, in rising order."""
    words = {word for caption in captions for word in caption.replace(",", " , ").split()}
    found = {BOS, EOS, PAD[encoder][1]}
    for word in words:
        found.update(token_ids(word, encoder))
    return sorted(found)


def compact(state: StateDict, ids: list[int] | None = None) -> StateDict:
    """Keep only some rows of the token embedding; without ``ids`` those that are not zero."""
    table = state[TOKENS]
    rows = torch.tensor(ids) if ids is not None else table.ne(0).any(1).nonzero().flatten()
    return state | {TOKENS: table[rows].clone(), ROWS: rows.to(torch.int32)}


class CompactText(nn.Module):
    """A transformers text encoder that is trained on few words: rows by their place, not by their id."""

    def __init__(self, encoder: nn.Module, ids: list[int]) -> None:
        """Args: encoder: with the whole vocabulary; not changed. ids: the tokens to keep, in rising order."""
        super().__init__()
        full: Any = encoder
        table = full.get_input_embeddings().weight.detach()
        few: Any = deepcopy(encoder).requires_grad_(True)
        few.set_input_embeddings(nn.Embedding.from_pretrained(table[ids].clone(), freeze=False))
        self.encoder = few
        lookup = torch.zeros(table.shape[0], dtype=torch.long)
        lookup[ids] = torch.arange(len(ids))
        self.lookup: Tensor
        self.register_buffer("lookup", lookup, persistent=False)
        self.ids = list(ids)

    def forward(self, ids: Tensor, **options: Any) -> Any:
        """Token ids [B, L] -> what the encoder returns. A word that is not kept reads as the first one."""
        return self.encoder(self.lookup[ids], **options)

    def whole(self, encoder: nn.Module) -> nn.Module:
        """A copy of ``encoder`` (whole vocabulary) with everything that was trained here."""
        full: Any = deepcopy(encoder)
        table = full.get_input_embeddings().weight.detach().clone()
        own: Any = self.encoder
        table[self.ids] = own.get_input_embeddings().weight.detach().cpu().to(table.dtype)
        name = next(n for n, _ in full.named_parameters() if n.endswith("token_embedding.weight"))
        state = {k: v.detach().cpu() for k, v in own.state_dict().items()} | {name: table}
        full.load_state_dict(state)
        return full
