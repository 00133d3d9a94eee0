"""The DeGLA objective: its terms with their weights, on embeddings. Knows neither models nor ranks' communication.

Shape letters as in `degla.train.losses`. Called by `degla.train.worker`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from degla.train import losses
from degla.train.config import LossConfig


@dataclass(frozen=True)
class Features:
    """L2-normalised float32 embeddings of a batch: images (B, D), captions (B, D), negatives (B, K, D), mask (B, K)."""

    image_BD: Tensor
    caption_BD: Tensor
    negative_BKD: Tensor
    mask_BK: Tensor

    def text_BTD(self) -> Tensor:
        """Captions and negatives together, the caption first: (B, 1 + K, D)."""
        return torch.cat([self.caption_BD.unsqueeze(1), self.negative_BKD], dim=1)

    def text_mask_BT(self) -> Tensor:
        """Which of `text_BTD` exist; captions always do."""
        return torch.cat([self.mask_BK.new_ones(len(self.mask_BK), 1), self.mask_BK], dim=1)


@dataclass(frozen=True)
class Losses:
    """The weighted total, and the unweighted terms by name."""

    total: Tensor
    parts: dict[str, Tensor]


Gather = Callable[[Features], tuple[Features, int]]
"""From a rank's features to those of the global batch, and the index of the rank's first row in them."""


def alone(features: Features) -> tuple[Features, int]:
    """The gather of a single rank."""
    return features, 0


def needs_teacher(weights: LossConfig) -> bool:
    """Whether any term with a weight compares with the teacher."""
    return weights.tgc > 0 or weights.distill > 0


def objective(student: Features, teacher: Features | None, scale: Tensor, weights: LossConfig, gather: Gather = alone) -> Losses:
    """base + igc * IGC + tgc * TGC + distill * distillation, as this rank's share.

    The mean over ranks of equal batches is the loss of the global batch, and so is the mean of the gradients.

    Args:
        student: embeddings with gradient.
        teacher: the EMA teacher's embeddings of the same inputs; None where `needs_teacher` says so.
        scale: exponential of the logit scale; scalar.
        weights: of the terms; a term of weight 0 is not computed.
        gather: how the rank gets the global batch, with gradient.

    Returns:
        Total and named parts.
    """
    everyone, first = gather(student)
    parts = {
        "contrastive": losses.contrastive(
            student.image_BD,
            student.caption_BD,
            everyone.image_BD,
            everyone.caption_BD,
            everyone.negative_BKD,
            everyone.mask_BK,
            scale,
            first,
        )
    }
    total = parts["contrastive"]
    if weights.igc:
        parts["image_grounded"] = losses.image_grounded(
            student.image_BD, student.caption_BD, student.negative_BKD, student.mask_BK, scale
        )
        total = total + weights.igc * parts["image_grounded"]
    if weights.tgc:
        parts["text_grounded"] = _text_grounded(student, teacher, everyone, first, weights)
        total = total + weights.tgc * parts["text_grounded"]
    if weights.distill:
        parts["distillation"] = losses.distillation(
            student.image_BD, student.text_BTD(), teacher.image_BD, teacher.text_BTD(), student.text_mask_BT()
        )
        total = total + weights.distill * parts["distillation"]
    return Losses(total, parts)


def _text_grounded(student: Features, teacher: Features, everyone: Features, first: int, weights: LossConfig) -> Tensor:
    negative_BKD, mask_BK = student.negative_BKD, student.mask_BK
    if weights.tgc_negatives == "release":
        rows = len(student.caption_BD)
        negative_BKD, mask_BK = losses.release_negatives(everyone.negative_BKD, everyone.mask_BK, first, rows)
    return losses.text_grounded(student.caption_BD, teacher.caption_BD, negative_BKD, mask_BK)
