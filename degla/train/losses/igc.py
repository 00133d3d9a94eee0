"""Image-grounded contrast (IGC): an image against its caption and the negatives of that caption alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def igc(image_BD: Tensor, caption_BD: Tensor, negative_BKD: Tensor, mask_BK: Tensor, scale: Tensor) -> Tensor:
    """Mean over i of CE( s v_i . {t_i, n_i1 .. n_iK} -> t_i ). DeGLA, section 3 (arXiv 2504.16801).

    Local: a row needs nothing of other rows. A row without negatives adds 0.

    Args:
        image_BD, caption_BD: embeddings v_i, t_i.
        negative_BKD: embeddings n_ik of each row's own negatives.
        mask_BK: which of them exist.
        scale: s, the exponential of the logit scale; scalar.
    """
    positive_B1 = (image_BD * caption_BD).sum(-1, keepdim=True)
    negative_BK = torch.einsum("bd,bkd->bk", image_BD, negative_BKD)
    return first_of_choices(scale * positive_B1, scale * negative_BK, mask_BK)


def first_of_choices(positive_B1: Tensor, negative_BK: Tensor, mask_BK: Tensor) -> Tensor:
    """Mean cross-entropy of choosing the positive among itself and the negatives that exist; logits in, a scalar out.

    Not `logsumexp - positive`: at logits of 100 that leaves multiples of 8e-6 of a loss near 0.
    """
    logits_BT = torch.cat([positive_B1, negative_BK.masked_fill(~mask_BK, float("-inf"))], dim=1)
    return functional.cross_entropy(logits_BT, logits_BT.new_zeros(len(logits_BT), dtype=torch.long))
