"""The base term: CLIP's contrastive loss, with every negative caption of the batch as a further wrong answer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def contrastive(
    image_BD: Tensor,
    caption_BD: Tensor,
    image_ND: Tensor,
    caption_ND: Tensor,
    negative_NKD: Tensor,
    mask_NK: Tensor,
    scale: Tensor,
    first: int = 0,
) -> Tensor:
    """Mean over the rows of this rank of

        1/2 [ CE( s v_i . {t_1 .. t_N, all valid n_jk} -> t_i ) + CE( s t_i . {v_1 .. v_N} -> v_i ) ]

    The mean of this over ranks of equal size is the loss of the global batch. DeGLA, section 3 (base term of CLIP with
    hard negatives; arXiv 2504.16801). A missing negative is no column at all.

    Args:
        image_BD, caption_BD: embeddings v_i, t_i of this rank's rows.
        image_ND, caption_ND: those of the global batch; row `first + i` there is row i here.
        negative_NKD: embeddings n_jk of the global batch's negatives; K may be 0.
        mask_NK: which of them exist.
        scale: s, the exponential of the logit scale; scalar.
        first: index of this rank's first row in the global batch.
    """
    target_B = torch.arange(first, first + len(image_BD), device=image_BD.device)
    image_logits = scale * image_BD @ torch.cat([caption_ND, negative_NKD.flatten(0, 1)]).T
    is_text = torch.cat([mask_NK.new_ones(len(caption_ND)), mask_NK.flatten()])
    image_logits = image_logits.masked_fill(~is_text, float("-inf"))
    caption_logits = scale * caption_BD @ image_ND.T
    to_caption = functional.cross_entropy(image_logits, target_B)
    to_image = functional.cross_entropy(caption_logits, target_B)
    return (to_caption + to_image) / 2
