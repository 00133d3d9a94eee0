"""FSC-CLIP's global hard-negative loss: an image chooses its caption among that and the caption's own negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from degla.train.losses.focal import focal_choice


def global_negatives(
    image_BD: Tensor,
    caption_BD: Tensor,
    negative_BKD: Tensor,
    mask_BK: Tensor,
    scale: Tensor,
    gamma: float,
    smoothing: float,
) -> Tensor:
    """`focal_choice` of the logits s v_i . {t_i, n_i1 .. n_iK}. FSC-CLIP (arXiv 2410.05210), global HN loss.

    Local: a row needs nothing of other rows. With gamma 0 and smoothing 0 it is `igc`.

    Args:
        image_BD, caption_BD: embeddings v_i, t_i.
        negative_BKD: embeddings n_ik of each row's own negatives.
        mask_BK: which of them exist.
        scale: s, the exponential of the logit scale; scalar.
        gamma, smoothing: see `focal_choice`.
    """
    positive_B = scale * (image_BD * caption_BD).sum(-1)
    negative_BK = scale * torch.einsum("bd,bkd->bk", image_BD, negative_BKD)
    return focal_choice(positive_B, negative_BK, mask_BK, gamma, smoothing)
