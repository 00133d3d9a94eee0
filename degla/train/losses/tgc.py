"""Text-grounded contrast (TGC): a caption against the teacher's view of it and its negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from degla.train.losses.igc import first_of_choices

SCALE = 10.0
"""The fixed factor on the cosines."""


def tgc(caption_BD: Tensor, teacher_caption_BD: Tensor, negative_BKD: Tensor, mask_BK: Tensor) -> Tensor:
    """Mean over i of CE( 10 t_i . {t*_i, n_i1 .. n_iK} -> t*_i ). DeGLA, section 3 (arXiv 2504.16801).

    Local: a row needs nothing of other rows. A row without negatives adds 0.

    Args:
        caption_BD: the student's captions t_i.
        teacher_caption_BD: the EMA teacher's t*_i; no gradient.
        negative_BKD: the student's negatives n_ik.
        mask_BK: which of them exist.
    """
    positive_B1 = (caption_BD * teacher_caption_BD).sum(-1, keepdim=True)
    negative_BK = torch.einsum("bd,bkd->bk", caption_BD, negative_BKD)
    return first_of_choices(SCALE * positive_B1, SCALE * negative_BK, mask_BK)


def release_negatives(
    negative_NKD: Tensor, mask_NK: Tensor, first: int = 0, num_rows: int | None = None
) -> tuple[Tensor, Tensor]:
    """The negatives that the authors' released code compares a row with in TGC: row i gets number kN + i of the global
    batch's negatives counted row by row (its mask uses `repeat` where the order needs `repeat_interleave`). All but K of
    the N*K pairs are then a caption with another caption's negative.

    Args:
        negative_NKD: the global batch's negatives.
        mask_NK: which of them exist.
        first: index of this rank's first row in the global batch.
        num_rows: B, the rows of this rank; N where not given.

    Returns:
        Negatives (B, K, D) and mask (B, K).
    """
    num_captions, num_negatives, width = negative_NKD.shape
    rows = slice(first, first + (num_captions if num_rows is None else num_rows))
    negative_KND = negative_NKD.reshape(num_negatives, num_captions, width)
    mask_KN = mask_NK.reshape(num_negatives, num_captions)
    return negative_KND[:, rows].transpose(0, 1), mask_KN[:, rows].T
