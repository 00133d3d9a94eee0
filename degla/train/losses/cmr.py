"""Cross-modal rank (CMR): an image must prefer its caption to each of its negatives by a margin that grows with what the
model can already tell apart."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_MARGIN = 10.0
"""Bound of the margins, in logits."""


def cmr(image_BD: Tensor, caption_BD: Tensor, negative_BKD: Tensor, mask_BK: Tensor, margin_BK: Tensor, scale: Tensor) -> Tensor:
    """Mean over i and the K places of relu( th_ik + s v_i . n_ik - s v_i . t_i ); a missing negative adds 0.

    CE-CLIP (arXiv 2306.08832), cross-modal rank loss. Local: a row needs nothing of other rows.

    Args:
        image_BD, caption_BD: embeddings v_i, t_i.
        negative_BKD: embeddings n_ik of each row's own negatives; K may be 0.
        mask_BK: which of them exist.
        margin_BK: th_ik, the margin of each negative's type; no gradient (`next_margins`).
        scale: s, the exponential of the logit scale; scalar.
    """
    gap_BK = logit_gap(image_BD, caption_BD, negative_BKD, scale)
    loss_BK = torch.where(mask_BK, (margin_BK - gap_BK).relu(), 0.0)
    return loss_BK.sum() / max(1, loss_BK.numel())


def logit_gap(image_BD: Tensor, caption_BD: Tensor, negative_BKD: Tensor, scale: Tensor) -> Tensor:
    """By how much an image prefers its caption to each of its negatives: s v_i . t_i - s v_i . n_ik, (B, K)."""
    positive_B1 = (image_BD * caption_BD).sum(-1, keepdim=True)
    return scale * (positive_B1 - torch.einsum("bd,bkd->bk", image_BD, negative_BKD))


@torch.no_grad()
def next_margins(gap_NK: Tensor, type_NK: Tensor, previous_C: Tensor) -> Tensor:
    """The next step's margins: per type the batch's mean of `logit_gap`, clamped to [0, 10].

    Args:
        gap_NK: of the global batch.
        type_NK: each negative's type, counted from 0; -1 where there is none.
        previous_C: margins of this step; a type that the batch has not keeps its own.

    Returns:
        Margins of the C types, without gradient.
    """
    is_type_CNK = type_NK == torch.arange(len(previous_C), device=type_NK.device).view(-1, 1, 1)
    count_C = is_type_CNK.sum((1, 2))
    mean_C = torch.where(is_type_CNK, gap_NK, 0.0).sum((1, 2)) / count_C.clamp(min=1)
    return torch.where(count_C > 0, mean_C.to(previous_C.dtype).clamp(0, MAX_MARGIN), previous_C)
