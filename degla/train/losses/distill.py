"""Self-distillation: the student stays close to its own moving average."""

from __future__ import annotations

import torch
from torch import Tensor


def distill(image_BD: Tensor, text_BTD: Tensor, teacher_image_BD: Tensor, teacher_text_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """1/N sum_i [ |v_i - v*_i|^2 + sum over the texts of i that exist |t - t*|^2 ].

    DeGLA, section 3 (arXiv 2504.16801), with one difference: the paper sums over the global batch, so that its weight
    0.005 grows with the batch; this is a mean per image. 0.005 on a sum over 256 images is 1.28 on this mean.

    Args:
        image_BD, text_BTD: the student's embeddings; T = 1 + K texts, the caption first.
        teacher_image_BD, teacher_text_BTD: the EMA teacher's; no gradient.
        mask_BT: which texts exist.
    """
    image_B = (image_BD - teacher_image_BD).square().sum(-1)
    text_BT = (text_BTD - teacher_text_BTD).square().sum(-1)
    return (image_B + torch.where(mask_BT, text_BT, 0.0).sum(1)).mean()
