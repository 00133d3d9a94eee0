"""The towers of open_clip's models, whichever class keeps them (`CLIP`, `CustomTextCLIP`, `CoCa`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import open_clip
from open_clip.transformer import ResidualAttentionBlock, TextTransformer, Transformer
from torch import nn

Clip: TypeAlias = open_clip.CLIP | open_clip.CustomTextCLIP | open_clip.CoCa


@dataclass(frozen=True)
class TextTower:
    """open_clip's text transformer, wherever a model keeps it."""

    holder: open_clip.CLIP | TextTransformer
    """Has `transformer`, `token_embedding`, `positional_embedding`, `ln_final`, `text_projection` and `attn_mask`."""
    pool_type: str
    eos_id: int

    @property
    def pools_at_end(self) -> bool:
        """Whether a text's embedding is that of its end, and depends on nothing behind it."""
        return self.holder.attn_mask is not None and self.pool_type in ("argmax", "eos")


def text_tower(model: Clip) -> TextTower | None:
    """The text tower; None if it is another than open_clip's plain transformer."""
    if isinstance(model, open_clip.CLIP):
        return TextTower(model, model.text_pool_type, model.text_eos_id)
    return text_tower_of(model.text)


def text_tower_of(text: nn.Module) -> TextTower | None:
    """The same of a text module by itself."""
    if not isinstance(text, TextTransformer) or text.cls_emb is not None or text.use_pad_mask or text.output_tokens:
        return None
    return TextTower(text, text.pool_type, text.eos_id)


def is_plain(transformer: Transformer) -> bool:
    """Whether a transformer is made of open_clip's plain blocks, batch first."""
    blocks = transformer.resblocks
    return transformer.batch_first and len(blocks) > 0 and all(type(block) is ResidualAttentionBlock for block in blocks)
