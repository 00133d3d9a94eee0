"""Encode texts as prefix trees: the embeddings of plain encoding, each different beginning computed once.

Layer norms, projections and MLPs run on the packed nodes of all trees. Attention runs on rows of slots, a tree a row, where a
node sees itself and those above it; a node's position is its depth. Of the last block only the texts' last tokens are
computed.

Shape letters: as in `degla.models.trees`; S slots of a tree, P places of its texts, W width, D joint space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from degla.models.encoding import project_text
from degla.models.towers import Clip, TextTower, is_plain, text_tower
from degla.models.trees import TextTrees


def obstacle(tower: TextTower | None) -> str:
    """Why a text tower cannot encode trees, in words; empty if it can."""
    if tower is None:
        return "the text tower is not open_clip's plain transformer (CoCa's ends its texts with a class token)"
    if tower.holder.attn_mask is None:
        return "the text tower is not causal"
    if not tower.pools_at_end:
        return f"the text tower pools its texts by {tower.pool_type!r}, not at their end"
    if not is_plain(tower.holder.transformer):
        return "the text tower is not made of open_clip's plain blocks"
    return ""


def encode_trees(model: Clip, trees: TextTrees) -> Tensor:
    """Embeddings (T, D) of the texts of a batch of trees (as tensors), not normalised; see `obstacle`.

    The blocks' attention is of `degla.models.fast_modules`.
    """
    tower = text_tower(model)
    assert tower is not None
    text, transformer = tower.holder, tower.holder.transformer
    dtype = transformer.get_cast_dtype()
    position_MW = functional.embedding(trees.depth_M, text.positional_embedding)
    hidden_MW = text.token_embedding(trees.token_M).to(dtype) + position_MW.to(dtype)
    nodes, ends = _layouts(trees)
    again = transformer.grad_checkpointing and torch.is_grad_enabled()
    for block in transformer.resblocks[:-1]:
        arguments = (block, hidden_MW, nodes)
        hidden_MW = checkpoint(_block, *arguments, use_reentrant=False) if again else _block(*arguments)
    return project_text(tower, text.ln_final(_last_block(transformer.resblocks[-1], hidden_MW, trees.end_T, ends)))


def _block(block: ResidualAttentionBlock, hidden_MW: Tensor, layout: _Layout) -> Tensor:
    normed_MW = block.ln_1(hidden_MW)
    hidden_MW = hidden_MW + block.ls_1(block.attn(normed_MW, normed_MW, normed_MW, layout=layout)[0])
    return hidden_MW + block.ls_2(block.mlp(block.ln_2(hidden_MW)))


def _last_block(block: ResidualAttentionBlock, hidden_MW: Tensor, end_T: Tensor, layout: _Layout) -> Tensor:
    """Its output at the ends: (T, W)."""
    normed_MW = block.ln_1(hidden_MW)
    attended_TW = block.attn(normed_MW[end_T], normed_MW, normed_MW, layout=layout)[0]
    pooled_TW = hidden_MW[end_T] + block.ls_1(attended_TW)
    return pooled_TW + block.ls_2(block.mlp(block.ln_2(pooled_TW)))


@dataclass(frozen=True)
class _Layout:
    """Rows of slots for keys and values, and rows for the queries: the same slots, or places of texts."""

    slot_M: Tensor
    place_Q: Tensor
    num_rows: int
    num_slots: int
    num_places: int
    seen_T1QL: Tensor

    def rows(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        key, value = (self._spread(part, self.slot_M, self.num_slots) for part in (key, value))
        return self._spread(query, self.place_Q, self.num_places), key, value

    def packed(self, attended_TQW: Tensor) -> Tensor:
        return _Take.apply(attended_TQW.flatten(0, 1), self.place_Q)

    def _spread(self, states: Tensor, place: Tensor, length: int) -> Tensor:
        rows = states.new_zeros(self.num_rows * length, states.shape[-1])
        return rows.index_copy_(0, place, states).unflatten(0, (self.num_rows, length))


def _layouts(trees: TextTrees) -> tuple[_Layout, _Layout]:
    """For the queries of all nodes, and for those of the texts' ends."""
    rows, slots, places = len(trees.nodes_B), trees.num_slots, trees.num_places
    slot_S = torch.arange(slots, device=trees.token_M.device)
    last_BS = (slot_S + 1).repeat(rows, 1)  # an empty slot is seen by itself alone: a query that sees nothing has no softmax
    last_BS.view(-1)[trees.slot_M] = trees.last_M
    end_BP = slot_S.new_zeros(rows * places)
    end_BP[trees.place_T] = trees.slot_M[trees.end_T] % slots
    shared = (rows, slots)
    nodes = _Layout(trees.slot_M, trees.slot_M, *shared, slots, _seen(slot_S.expand(rows, -1), last_BS))
    return nodes, _Layout(trees.slot_M, trees.place_T, *shared, places, _seen(end_BP.view(rows, places), last_BS))


def _seen(asking_BQ: Tensor, last_BS: Tensor) -> Tensor:
    """Which slots are a query's own node or above it, (B, 1, Q, S)."""
    slot_S = torch.arange(last_BS.shape[1], device=last_BS.device)
    asking_B1Q1 = asking_BQ[:, None, :, None]
    return (slot_S <= asking_B1Q1) & (asking_B1Q1 < last_BS[:, None, None, :])


class _Take(torch.autograd.Function):
    """Rows at places that differ from each other: the gradient is copied back, not added up."""

    @staticmethod
    def forward(context: Any, rows: Tensor, place: Tensor) -> Tensor:
        context.save_for_backward(place)
        context.length = len(rows)
        return rows.index_select(0, place)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (place,) = context.saved_tensors
        return gradient.new_zeros(context.length, gradient.shape[1]).index_copy_(0, place, gradient), None
