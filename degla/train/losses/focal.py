"""The focal, smoothed choice among a caption and its negatives, with which FSC-CLIP tempers its hard-negative losses."""

from __future__ import annotations

import torch
from torch import Tensor


def focal_choice(positive_B: Tensor, negative_BK: Tensor, mask_BK: Tensor, gamma: float, smoothing: float) -> Tensor:
    """Mean over i of sum_c y_ic (1 - p_ic)^gamma (-log p_ic), p_i the softmax over the choices of row i that exist.

    FSC-CLIP (arXiv 2410.05210), selective calibrated regularisation. Choice 0 is right: y_i0 = 1 - e + e / C_i and
    y_ic = e / C_i for the others, with C_i = 1 + the negatives that row i has. A row without negatives adds 0.

    The authors' public code keeps a missing negative as a choice of logit 0; here it is no choice. With all K negatives
    present the two are equal.

    Args:
        positive_B: logit of the right choice.
        negative_BK: logits of the negatives.
        mask_BK: which of them exist.
        gamma: focus; 0 is cross-entropy.
        smoothing: e, the share of the label that is spread evenly over the choices.
    """
    exists_BC = torch.cat([mask_BK.new_ones(len(mask_BK), 1), mask_BK], dim=1)
    logits_BC = torch.cat([positive_B.unsqueeze(1), negative_BK], dim=1).masked_fill(~exists_BC, float("-inf"))
    log_p_BC = logits_BC.log_softmax(1).masked_fill(~exists_BC, 0.0)
    label_BC = exists_BC.to(log_p_BC) * smoothing / exists_BC.sum(1, keepdim=True)
    label_BC[:, 0] += 1 - smoothing
    # at p = 1 the gradient of a power below 1 is not finite; the bound keeps it 0
    focus_BC = (1 - log_p_BC.exp()).clamp(min=torch.finfo(log_p_BC.dtype).tiny) ** gamma
    return -(label_BC * focus_BC * log_p_BC).sum(1).mean()
