"""open_clip's attention, QuickGELU and patch convolution as modules that compute the same faster, on the same parameters.

They own the parameters under open_clip's names, so state dicts are unchanged, and ZeRO 3, which gathers a parameter when
the module that owns it is called, works.
`degla.models.tree_encoding` gives attention a `Layout`.

Shape letters: T texts or images, L positions, Q positions that ask, W width, E width of a head; M nodes of trees.
"""

from __future__ import annotations

from typing import Protocol

import open_clip
import torch
from open_clip.transformer import Transformer, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from degla.models.fast_linear import Linear, linear
from degla.models.towers import Clip, is_plain, text_tower


class Layout(Protocol):
    """Where the packed states of an attention lie, and what each of them sees."""

    def rows(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As rows: (T, Q, W) and twice (T, L, W)."""

    def packed(self, attended_TQW: Tensor) -> Tensor:
        """Back to as many states as there were queries."""

    @property
    def seen_T1QL(self) -> Tensor:
        """Which keys a query sees; boolean."""


def make_fast(model: Clip) -> None:
    """Exchange the modules in place, if the towers are made of open_clip's plain blocks."""
    visual, text = model.visual, text_tower(model)
    if isinstance(visual, VisionTransformer):
        visual.conv1 = PatchEmbedding(visual.conv1)
    for transformer in (getattr(visual, "transformer", None), text.holder.transformer if text else None):
        if isinstance(transformer, Transformer) and is_plain(transformer):
            for block in transformer.resblocks:
                block.attn = Attention(block.attn)
                block.mlp.c_fc, block.mlp.c_proj = Linear(block.mlp.c_fc), Linear(block.mlp.c_proj)
                if isinstance(block.mlp.gelu, open_clip.transformer.QuickGELU):
                    block.mlp.gelu = QuickGelu()


class Attention(nn.Module):
    """Self-attention of `nn.MultiheadAttention` (batch first, without dropout), on its parameters."""

    def __init__(self, attention: nn.MultiheadAttention | Attention) -> None:
        super().__init__()
        self.num_heads: int = attention.num_heads
        self.in_proj_weight: nn.Parameter = attention.in_proj_weight
        self.in_proj_bias: nn.Parameter = attention.in_proj_bias
        self.out_proj: nn.Linear = Linear(attention.out_proj)

    def forward(
        self,
        query_TQW: Tensor,
        key_TLW: Tensor,
        value_TLW: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        layout: Layout | None = None,
    ) -> tuple[Tensor, None]:
        """Self-attention of some or all positions: `query_TQW` are positions of `key_TLW`, and `value_TLW` is it.

        Returns the attended (T, Q, W), and None in place of the weights. Masks as torch has them: True in
        `key_padding_mask` (T, L) is not seen, `attn_mask` (Q, L) is added. With a layout all states are packed, (M, W), and
        it says what is seen.
        """
        query, key, value = self.project(query_TQW, key_TLW)
        if layout is not None:
            query, key, value = layout.rows(query, key, value)
            attn_mask = layout.seen_T1QL
        elif key_padding_mask is not None:
            attn_mask = ~key_padding_mask[:, None, None, :]
        attended_THQE = attend(self._heads(query), self._heads(key), self._heads(value), attn_mask)
        attended_TQW = attended_THQE.transpose(1, 2).flatten(2)
        return self.out_proj(attended_TQW if layout is None else layout.packed(attended_TQW)), None

    def project(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of the first, keys and values of the second."""
        if query is key:
            queries, keys, values = linear(key, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
            return queries, keys, values
        width = key.shape[-1]
        (query_weight, other_weight), (query_bias, other_bias) = (
            parameter.split([width, 2 * width]) for parameter in (self.in_proj_weight, self.in_proj_bias)
        )
        keys, values = linear(key, other_weight, other_bias).chunk(2, dim=-1)
        return linear(query, query_weight, query_bias), keys, values

    def _heads(self, states_TLW: Tensor) -> Tensor:
        """As heads: (T, heads, L, E)."""
        return states_TLW.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def attend(query_THQE: Tensor, key_THLE: Tensor, value_THLE: Tensor, mask: Tensor | None) -> Tensor:
    """Attention; the mask is boolean (True is seen) or added, as torch has it."""
    if query_THQE.device.type != "cpu" or query_THQE.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(query_THQE, key_THLE, value_THLE, mask)
    # torch's own in bfloat16 on CPUs has a slow backward pass
    weight_THQL = query_THQE * query_THQE.shape[-1] ** -0.5 @ key_THLE.transpose(-2, -1)
    if mask is not None:
        weight_THQL = weight_THQL.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else weight_THQL + mask
    return weight_THQL.softmax(-1).to(value_THLE.dtype) @ value_THLE


class QuickGelu(nn.Module):
    """x sigmoid(1.702 x), as SiLU(1.702 x) / 1.702: fewer passes over the memory, and one tensor less for the backward pass."""

    def forward(self, hidden: Tensor) -> Tensor:
        """The same shape."""
        return functional.silu(1.702 * hidden) * (1 / 1.702)


class PatchEmbedding(nn.Module):
    """The convolution of patches that do not overlap as one matrix product, on its weight."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight = convolution.weight

    def forward(self, image_TCHW: Tensor) -> Tensor:
        """Embeddings of the patches: (T, W, rows, columns)."""
        height, width = self.weight.shape[2:]
        rows, columns = image_TCHW.shape[2] // height, image_TCHW.shape[3] // width
        patch = image_TCHW[:, :, : rows * height, : columns * width].unflatten(3, (columns, width)).unflatten(2, (rows, height))
        patch = patch.permute(0, 2, 4, 1, 3, 5).flatten(3)
        return linear(patch, self.weight.flatten(1)).permute(0, 3, 1, 2)
