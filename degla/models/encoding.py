"""Encode texts only as far as their longest: the same embeddings with less work.

In a causal text tower the embedding at the end-of-text token depends on no later position, so padding behind the
longest text of a batch can be cut off. Called by `degla.train`.
"""

from __future__ import annotations

import open_clip
import torch
from open_clip.transformer import text_global_pool
from torch import Tensor


def used_length(model: open_clip.CLIP, text_TL: Tensor) -> int:
    """How many leading positions of these token rows matter: up to the last end-of-text token.

    The whole context where the tower is not causal or pools otherwise than at the end of the text.
    """
    if model.attn_mask is None or model.text_pool_type not in ("argmax", "eos") or not len(text_TL):
        return text_TL.shape[1]
    if model.text_pool_type == "eos":
        text_TL = text_TL == model.text_eos_id
    return int(text_TL.to(torch.int64).argmax(dim=-1).max()) + 1


def encode_text(model: open_clip.CLIP, text_TL: Tensor) -> Tensor:
    """`model.encode_text` for token rows that may be shorter than the context (see `used_length`).

    Args:
        model: the CLIP.
        text_TL: int64 token ids of T texts, L at most the context length.

    Returns:
        Embeddings (T, D), not normalised.
    """
    length = text_TL.shape[1]
    mask = None if model.attn_mask is None else model.attn_mask[:length, :length]
    dtype = model.transformer.get_cast_dtype()
    hidden_TLW = model.token_embedding(text_TL).to(dtype) + model.positional_embedding[:length].to(dtype)
    hidden_TLW = model.ln_final(model.transformer(hidden_TLW, attn_mask=mask))
    pooled_TW = text_global_pool(hidden_TLW, text_TL, model.text_pool_type, eos_token_id=model.text_eos_id)
    if isinstance(model.text_projection, torch.nn.Linear):
        return model.text_projection(pooled_TW)
    return pooled_TW if model.text_projection is None else pooled_TW @ model.text_projection
