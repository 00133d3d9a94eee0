"""Encode images and texts with the least work that gives the same embeddings.

Two savings, both exact. In a causal text tower the embedding at the end-of-text token depends on no later position, so
padding behind the longest text of a batch is cut off. And of the last block of a tower only the pooled token is read, so
only that token's query and MLP are computed, on the keys and values of all. Towers that pool otherwise are computed
whole, and so are those whose patches and tokens are asked for. Text towers that are not open_clip's plain transformer (CoCa's
with a class token, transformers') are called as they are.
"""

from __future__ import annotations

import torch
from open_clip.transformer import Transformer, VisionTransformer, text_global_pool
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from degla.models.towers import Clip, TextTower, is_plain, text_tower


def used_lengths(model: Clip, text_TL: Tensor) -> Tensor:
    """How many leading positions of each token row matter, int64 (T,): up to its end-of-text token.

    The whole context if the tower is not causal or does not pool at the end of the text.
    """
    tower = text_tower(model)
    if tower is None or not tower.pools_at_end:
        return torch.full((len(text_TL),), text_TL.shape[1])
    return _end_of_text(tower, text_TL) + 1


def used_length(model: Clip, text_TL: Tensor) -> int:
    """How many leading positions of these token rows matter; see `used_lengths`."""
    return int(used_lengths(model, text_TL).max()) if len(text_TL) else text_TL.shape[1]


def encode_text(model: Clip, text_TL: Tensor) -> Tensor:
    """`model.encode_text` for token rows that may be shorter than the context (see `used_length`).

    Args:
        model: the CLIP.
        text_TL: int64 token ids of T texts, L at most the context length.

    Returns:
        Embeddings (T, D), not normalised.
    """
    tower = text_tower(model)
    if tower is None:
        return model.encode_text(text_TL, normalize=False)
    hidden_TLW, mask = _embed_text(tower, text_TL)
    text = tower.holder
    if tower.pools_at_end and is_plain(text.transformer):
        pooled_TW = text.ln_final(_pooled(text.transformer, hidden_TLW, _end_of_text(tower, text_TL), mask))
    else:
        hidden_TLW = text.ln_final(text.transformer(hidden_TLW, attn_mask=mask))
        pooled_TW = text_global_pool(hidden_TLW, text_TL, tower.pool_type, eos_token_id=tower.eos_id)
    return project_text(tower, pooled_TW)


def encode_image(model: Clip, image_BCHW: Tensor) -> Tensor:
    """`model.encode_image`: embeddings (B, D), not normalised."""
    visual = model.visual
    if not _pools_class_token(visual):
        return model.encode_image(image_BCHW, normalize=False)
    hidden_BLW = visual._embeds(image_BCHW)
    pooled_BW = visual.ln_post(_pooled(visual.transformer, hidden_BLW, hidden_BLW.new_zeros(len(hidden_BLW)).long(), None))
    return pooled_BW if visual.proj is None else pooled_BW @ visual.proj


def encode_image_parts(model: Clip, image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """`encode_image`, and the patches in the same space, (B, P, D); see `degla.models.architecture.parts_obstacle`."""
    visual = model.visual
    hidden_BLW = visual.ln_post(visual.transformer(visual._embeds(image_BCHW)))
    embedding_BLD = hidden_BLW if visual.proj is None else hidden_BLW @ visual.proj
    return embedding_BLD[:, 0], embedding_BLD[:, 1:]


def encode_text_parts(model: Clip, text_TL: Tensor) -> tuple[Tensor, Tensor]:
    """`encode_text`, and the tokens in the same space, (T, L, D), with the start and the padding as zero vectors; see
    `degla.models.architecture.parts_obstacle`."""
    tower = text_tower(model)
    assert tower is not None
    hidden_TLW, mask = _embed_text(tower, text_TL)
    embedding_TLD = project_text(tower, tower.holder.ln_final(tower.holder.transformer(hidden_TLW, attn_mask=mask)))
    end_T = _end_of_text(tower, text_TL)
    position_L = torch.arange(text_TL.shape[1], device=text_TL.device)
    counts_TL = (position_L > 0) & (position_L <= end_T.unsqueeze(1))
    pooled_TD = embedding_TLD[torch.arange(len(text_TL), device=text_TL.device), end_T]
    return pooled_TD, torch.where(counts_TL.unsqueeze(-1), embedding_TLD, 0.0)


def _embed_text(tower: TextTower, text_TL: Tensor) -> tuple[Tensor, Tensor | None]:
    """The text transformer's input, and its attention mask for this length."""
    text, length = tower.holder, text_TL.shape[1]
    dtype = text.transformer.get_cast_dtype()
    mask = None if text.attn_mask is None else text.attn_mask[:length, :length]
    return text.token_embedding(text_TL).to(dtype) + text.positional_embedding[:length].to(dtype), mask


def project_text(tower: TextTower, hidden: Tensor) -> Tensor:
    """From the text tower's width (last dimension) to the joint space."""
    projection = tower.holder.text_projection
    if isinstance(projection, torch.nn.Linear):
        return projection(hidden)
    return hidden if projection is None else hidden @ projection


def _pooled(transformer: Transformer, hidden_TLW: Tensor, position_T: Tensor, mask_LL: Tensor | None) -> Tensor:
    """The last block's output at one position of each row: (T, W). With a mask, that position sees none behind it."""
    again = transformer.grad_checkpointing and torch.is_grad_enabled()
    for block in transformer.resblocks[:-1]:
        arguments = (hidden_TLW, None, None, mask_LL)
        hidden_TLW = checkpoint(block, *arguments, use_reentrant=False) if again else block(*arguments)
    block, rows = transformer.resblocks[-1], torch.arange(len(hidden_TLW), device=hidden_TLW.device)
    behind_TL = None
    if mask_LL is not None:
        behind_TL = torch.arange(hidden_TLW.shape[1], device=hidden_TLW.device) > position_T.unsqueeze(1)
    normed_TLW = block.ln_1(hidden_TLW)
    query_T1W = normed_TLW[rows, position_T].unsqueeze(1)
    attended_T1W = block.attn(query_T1W, normed_TLW, normed_TLW, key_padding_mask=behind_TL, need_weights=False)[0]
    pooled_TW = hidden_TLW[rows, position_T] + block.ls_1(attended_T1W.squeeze(1))
    return pooled_TW + block.ls_2(block.mlp(block.ln_2(pooled_TW)))


def _end_of_text(tower: TextTower, text_TL: Tensor) -> Tensor:
    """The position of each row's end-of-text token: (T,)."""
    if tower.pool_type == "eos":
        return (text_TL == tower.eos_id).int().argmax(dim=-1)
    return text_TL.argmax(dim=-1)


def _pools_class_token(visual: torch.nn.Module) -> bool:
    plain = isinstance(visual, VisionTransformer) and visual.attn_pool is None and not visual.output_tokens
    return plain and visual.pool_type == "tok" and is_plain(visual.transformer)
