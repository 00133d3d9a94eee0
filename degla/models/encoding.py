"""Encode images and texts with the least work that gives the same embeddings.

Two savings, both exact. In a causal text tower the embedding at the end-of-text token depends on no later position, so
padding behind the longest text of a batch is cut off. And of the last block of a tower only the pooled token is read, so
only that token's query and MLP are computed, on the keys and values of all. Towers that pool otherwise are computed
whole. Called by `degla.train` and `degla.models.features`.
"""

from __future__ import annotations

import open_clip
import torch
from open_clip.transformer import ResidualAttentionBlock, Transformer, VisionTransformer, text_global_pool
from torch import Tensor


def used_lengths(model: open_clip.CLIP, text_TL: Tensor) -> Tensor:
    """How many leading positions of each token row matter, int64 (T,): up to its end-of-text token.

    The whole context where the tower is not causal or pools otherwise than at the end of the text.
    """
    if not _pools_at_end(model):
        return torch.full((len(text_TL),), text_TL.shape[1])
    return _end_of_text(model, text_TL) + 1


def used_length(model: open_clip.CLIP, text_TL: Tensor) -> int:
    """How many leading positions of these token rows matter; see `used_lengths`."""
    return int(used_lengths(model, text_TL).max()) if len(text_TL) else text_TL.shape[1]


def encode_text(model: open_clip.CLIP, text_TL: Tensor) -> Tensor:
    """`model.encode_text` for token rows that may be shorter than the context (see `used_length`).

    Args:
        model: the CLIP.
        text_TL: int64 token ids of T texts, L at most the context length.

    Returns:
        Embeddings (T, D), not normalised.
    """
    length, dtype = text_TL.shape[1], model.transformer.get_cast_dtype()
    mask = None if model.attn_mask is None else model.attn_mask[:length, :length]
    hidden_TLW = model.token_embedding(text_TL).to(dtype) + model.positional_embedding[:length].to(dtype)
    if _pools_at_end(model) and _is_plain(model.transformer):
        pooled_TW = model.ln_final(_pooled(model.transformer, hidden_TLW, _end_of_text(model, text_TL), mask))
    else:
        hidden_TLW = model.ln_final(model.transformer(hidden_TLW, attn_mask=mask))
        pooled_TW = text_global_pool(hidden_TLW, text_TL, model.text_pool_type, eos_token_id=model.text_eos_id)
    if isinstance(model.text_projection, torch.nn.Linear):
        return model.text_projection(pooled_TW)
    return pooled_TW if model.text_projection is None else pooled_TW @ model.text_projection


def encode_image(model: open_clip.CLIP, image_BCHW: Tensor) -> Tensor:
    """`model.encode_image`: embeddings (B, D), not normalised."""
    visual = model.visual
    if not _pools_class_token(visual):
        return model.encode_image(image_BCHW)
    hidden_BLW = visual._embeds(image_BCHW)
    pooled_BW = visual.ln_post(_pooled(visual.transformer, hidden_BLW, hidden_BLW.new_zeros(len(hidden_BLW)).long(), None))
    return pooled_BW if visual.proj is None else pooled_BW @ visual.proj


def _pooled(transformer: Transformer, hidden_TLW: Tensor, position_T: Tensor, mask_LL: Tensor | None) -> Tensor:
    """The last block's output at one position of each row: (T, W). With a mask, that position sees none behind it."""
    for block in transformer.resblocks[:-1]:
        hidden_TLW = block(hidden_TLW, attn_mask=mask_LL)
    block, rows = transformer.resblocks[-1], torch.arange(len(hidden_TLW), device=hidden_TLW.device)
    behind_TL = None
    if mask_LL is not None:
        behind_TL = torch.arange(hidden_TLW.shape[1], device=hidden_TLW.device) > position_T.unsqueeze(1)
    normed_TLW = block.ln_1(hidden_TLW)
    query_T1W = normed_TLW[rows, position_T].unsqueeze(1)
    attended_T1W = block.attn(query_T1W, normed_TLW, normed_TLW, key_padding_mask=behind_TL, need_weights=False)[0]
    pooled_TW = hidden_TLW[rows, position_T] + block.ls_1(attended_T1W.squeeze(1))
    return pooled_TW + block.ls_2(block.mlp(block.ln_2(pooled_TW)))


def _end_of_text(model: open_clip.CLIP, text_TL: Tensor) -> Tensor:
    """The position of each row's end-of-text token: (T,)."""
    if model.text_pool_type == "eos":
        return (text_TL == model.text_eos_id).int().argmax(dim=-1)
    return text_TL.argmax(dim=-1)


def _pools_at_end(model: open_clip.CLIP) -> bool:
    return model.attn_mask is not None and model.text_pool_type in ("argmax", "eos")


def _pools_class_token(visual: torch.nn.Module) -> bool:
    plain = isinstance(visual, VisionTransformer) and visual.attn_pool is None and not visual.output_tokens
    return plain and visual.pool_type == "tok" and _is_plain(visual.transformer)


def _is_plain(transformer: Transformer) -> bool:
    blocks = transformer.resblocks
    return transformer.batch_first and len(blocks) > 0 and all(type(block) is ResidualAttentionBlock for block in blocks)
