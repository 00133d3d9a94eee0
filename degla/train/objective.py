"""The objectives: which terms with which weights, on embeddings. Knows neither models nor ranks' communication.

    degla     base + IGC + TGC + distillation
    clip      base without negatives
    negclip   base; one negative a caption
    ce_clip   base + cross-modal rank + intra-modal contrast
    fsc_clip  base without negatives + global and local hard-negative loss

The weights are `train.loss`, `train.ce_clip` and `train.fsc_clip`; a term of weight 0 is not computed. Shape letters as in
`degla.train.losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from degla.negative_types import NEGATIVE_TYPES
from degla.train import losses
from degla.train.config import TrainConfig
from degla.train.features import Features, Gather, alone


@dataclass(frozen=True)
class Losses:
    """The weighted total, and the unweighted terms by name."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class _Step:
    """What the terms of one step are made of: this rank's features, the global batch's, and the factor on the cosines."""

    student: Features
    teacher: Features | None
    everyone: Features
    first: int
    scale: Tensor


_Terms = dict[str, tuple[float, Callable[[], Tensor]]]
"""Name to weight and loss."""


class Objective:
    """The loss of a run, called once a step.

    Args:
        config: objective and weights.
        gather: how a rank gets the global batch, with gradient.
    """

    def __init__(self, config: TrainConfig, gather: Gather = alone) -> None:
        self._config, self._gather = config, gather
        self._terms = {"degla": self._degla, "ce_clip": self._ce_clip, "fsc_clip": self._fsc_clip}.get(
            config.objective, self._base
        )
        ranks = config.objective == "ce_clip" and config.ce_clip.cmr > 0
        self.memory: dict[str, Tensor] = {"rank_thresholds": torch.zeros(len(NEGATIVE_TYPES))} if ranks else {}
        """What a step hands to the next; the same on all ranks. Belongs into checkpoints."""

    @property
    def needs_teacher(self) -> bool:
        """Whether any term with a weight compares with the teacher."""
        return self._config.objective == "degla" and (self._config.loss.tgc > 0 or self._config.loss.distill > 0)

    @property
    def needs_local(self) -> bool:
        """Whether any term with a weight compares patches with tokens."""
        return self._config.objective == "fsc_clip" and self._config.fsc_clip.local_negatives > 0

    def __call__(self, student: Features, teacher: Features | None, scale: Tensor) -> Losses:
        """This rank's share: the mean over ranks of equal batches is the loss of the global batch, and so is the mean of
        the gradients.

        Args:
            student: embeddings with gradient.
            teacher: the teacher's embeddings of the same inputs; None where `needs_teacher` says so.
            scale: exponential of the logit scale; scalar.

        Returns:
            Total and named parts.
        """
        step = _Step(student, teacher, *self._gather(student), scale)
        terms = {name: (weight, loss()) for name, (weight, loss) in self._terms(step).items() if weight}
        self._remember(step)
        return Losses(sum(weight * part for weight, part in terms.values()), {name: part for name, (_, part) in terms.items()})

    def _base(self, step: _Step) -> _Terms:
        return {"contrastive": (1.0, lambda: _contrastive(step))}

    def _degla(self, step: _Step) -> _Terms:
        student, teacher, weights = step.student, step.teacher, self._config.effective_loss
        own = (student.negative_BKD, student.mask_BK)

        def text_grounded() -> Tensor:
            negatives = own
            if weights.tgc_negatives == "release":
                rows = len(student.caption_BD)
                negatives = losses.release_negatives(step.everyone.negative_BKD, step.everyone.mask_BK, step.first, rows)
            return losses.text_grounded(student.caption_BD, teacher.caption_BD, *negatives)

        def distillation() -> Tensor:
            mask_BT = student.text_mask_BT()
            return losses.distillation(student.image_BD, student.text_BTD(), teacher.image_BD, teacher.text_BTD(), mask_BT)

        return self._base(step) | {
            "image_grounded": (
                weights.igc,
                lambda: losses.image_grounded(student.image_BD, student.caption_BD, *own, step.scale),
            ),
            "text_grounded": (weights.tgc, text_grounded),
            "distillation": (weights.distill, distillation),
        }

    def _ce_clip(self, step: _Step) -> _Terms:
        student, everyone, weights = step.student, step.everyone, self._config.ce_clip

        def cross_modal_rank() -> Tensor:
            self.memory["rank_thresholds"] = self.memory["rank_thresholds"].to(student.image_BD)
            threshold_BK = self.memory["rank_thresholds"][student.type_BK.clamp(min=0).long()]
            pairs = (student.image_BD, student.caption_BD, student.negative_BKD, student.mask_BK)
            return losses.cross_modal_rank(*pairs, threshold_BK, step.scale)

        def intra_modal() -> Tensor:
            pairs = (student.image_BD, student.caption_BD, everyone.negative_BKD, everyone.mask_BK)
            return losses.intra_modal(*pairs, step.scale)

        return self._base(step) | {
            "cross_modal_rank": (weights.cmr, cross_modal_rank),
            "intra_modal": (weights.imc, intra_modal),
        }

    def _fsc_clip(self, step: _Step) -> _Terms:
        student, weights = step.student, self._config.fsc_clip
        focus = (weights.gamma, weights.smoothing)

        def global_hard_negative() -> Tensor:
            pairs = (student.image_BD, student.caption_BD, student.negative_BKD, student.mask_BK)
            return losses.global_hard_negative(*pairs, step.scale, *focus)

        def local_hard_negative() -> Tensor:
            local = student.local
            return losses.local_hard_negative(local.patch_BPD, local.token_BTLD, student.mask_BK, step.scale, *focus)

        return {
            "contrastive": (1.0, lambda: _contrastive(step, with_negatives=False)),
            "global_hard_negative": (weights.global_negatives, global_hard_negative),
            "local_hard_negative": (weights.local_negatives, local_hard_negative),
        }

    @torch.no_grad()
    def _remember(self, step: _Step) -> None:
        if "rank_thresholds" not in self.memory:
            return
        everyone = step.everyone
        gap_NK = losses.logit_gap(everyone.image_BD, everyone.caption_BD, everyone.negative_BKD, step.scale)
        self.memory["rank_thresholds"] = losses.rank_thresholds(gap_NK, everyone.type_BK, self.memory["rank_thresholds"])


def _contrastive(step: _Step, with_negatives: bool = True) -> Tensor:
    student, everyone = step.student, step.everyone
    count = everyone.negative_BKD.shape[1] if with_negatives else 0
    negatives = (everyone.negative_BKD[:, :count], everyone.mask_BK[:, :count])
    own, batch = (student.image_BD, student.caption_BD), (everyone.image_BD, everyone.caption_BD)
    return losses.contrastive(*own, *batch, *negatives, step.scale, step.first)
