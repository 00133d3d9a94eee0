"""FSC-CLIP's local hard-negative loss: the same choice by how well a text's tokens find their patches in the image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from degla.train.losses.focal import focal_choice


def local_negatives(
    patch_BPD: Tensor,
    token_BTLD: Tensor,
    mask_BK: Tensor,
    scale: Tensor,
    gamma: float,
    smoothing: float,
) -> Tensor:
    """`focal_choice` of the scores S(i, text) = log sum_w exp( s cos(u_w, t_w) ) over the tokens w of a text, where

        u_w = sum_p a_wp v_p,   a_wp = t_w . v_p - min_q t_w . v_q, no gradient through a

    is the view that token w has of the image's patches v_p. FSC-CLIP (arXiv 2410.05210), local HN loss; its min-max
    normalisation and the division by the sum cancel in the cosine. A token that likes all patches alike sees their mean.

    Local: a row needs nothing of other rows. A row without negatives adds 0.

    Args:
        patch_BPD: patches of each image in the joint space, not normalised.
        token_BTLD: tokens of the T = 1 + K texts of each row, L2-normalised, the caption first; those that do not count are
            zero vectors, and every text that exists has one that counts.
        mask_BK: which negatives exist.
        scale: s, the exponential of the logit scale; scalar.
        gamma, smoothing: see `focal_choice`.
    """
    score_BT = local_scores(patch_BPD, token_BTLD, scale)
    return focal_choice(score_BT[:, 0], score_BT[:, 1:], mask_BK, gamma, smoothing)


def local_scores(patch_BPD: Tensor, token_BTLD: Tensor, scale: Tensor) -> Tensor:
    """S(i, text), (B, T); the lowest finite number for a text without tokens."""
    weight_BTLP = torch.einsum("btld,bpd->btlp", token_BTLD, patch_BPD).detach()
    weight_BTLP = weight_BTLP - weight_BTLP.amin(-1, keepdim=True)
    weight_BTLP = torch.where(weight_BTLP.amax(-1, keepdim=True) > 0, weight_BTLP, 1.0)
    view_BTLD = functional.normalize(torch.einsum("btlp,bpd->btld", weight_BTLP, patch_BPD), dim=-1)
    cosine_BTL = (view_BTLD * token_BTLD).sum(-1)
    counts_BTL = token_BTLD.any(-1)
    return (scale * cosine_BTL).masked_fill(~counts_BTL, torch.finfo(cosine_BTL.dtype).min).logsumexp(-1)
