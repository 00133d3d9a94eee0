"""Intra-modal contrast (IMC): a caption must be nearer to its image than to any negative caption of the batch."""

from __future__ import annotations

from torch import Tensor

from degla.train.losses.igc import first_of_choices


def imc(image_BD: Tensor, caption_BD: Tensor, negative_NKD: Tensor, mask_NK: Tensor, scale: Tensor) -> Tensor:
    """Mean over the rows of this rank of CE( {s v_i . t_i, s t_i . all valid n_jk} -> s v_i . t_i ).

    The mean of this over ranks of equal size is the loss of the global batch. CE-CLIP (arXiv 2306.08832), intra-modal
    contrastive loss. A missing negative is no column at all; a batch without negatives gives 0.

    Args:
        image_BD, caption_BD: embeddings v_i, t_i of this rank's rows.
        negative_NKD: embeddings n_jk of the global batch's negatives.
        mask_NK: which of them exist.
        scale: s, the exponential of the logit scale; scalar.
    """
    positive_B1 = (image_BD * caption_BD).sum(-1, keepdim=True)
    negative_BM = caption_BD @ negative_NKD.flatten(0, 1).T
    return first_of_choices(scale * positive_B1, scale * negative_BM, mask_NK.flatten().expand(len(caption_BD), -1))
