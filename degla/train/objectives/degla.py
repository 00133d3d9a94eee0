"""DeGLA (arXiv 2504.16801): base + IGC + TGC + self-distillation; `docs/method.md` has the equations."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from degla.train.objective import Objective, Terms, View

PAPER_BATCH = 256
"""The global batch that the paper's weights belong to."""


class Degla(Objective):
    """Weights of the `degla` objective (paper: section 3). 0 switches a term off."""

    section: ClassVar[str] = "loss"

    igc: float = Field(0.1, ge=0)
    """Weight of image-grounded contrast (IGC): the image against its caption and that caption's negatives."""

    tgc: float = Field(0.1, ge=0)
    """Weight of text-grounded contrast (TGC): the caption against the teacher's view of it and its negatives."""

    distill: float = Field(1.28, ge=0)
    """Weight of self-distillation, per image of the global batch. 1.28 equals the paper's 0.005 on a sum over 256 images."""

    tgc_negatives: Literal["paper", "release"] = "paper"
    """`paper`: a caption's own negatives. `release`: those that the mask of the authors' released code picks, mostly of other
    captions."""

    @property
    def needs_teacher(self) -> bool:
        return self.tgc > 0 or self.distill > 0

    def terms(self, view: View) -> Terms:
        from degla.train import losses

        student, everyone = view.student, view.everyone
        negatives = (student.negative_BKD, student.mask_BK)
        if self.tgc_negatives == "release":
            rows = len(student.caption_BD)
            negatives = losses.release_negatives(everyone.negative_BKD, everyone.mask_BK, view.first, rows)
        return {
            **super().terms(view),
            "igc": lambda: losses.igc(*student.own, view.scale),
            "tgc": lambda: losses.tgc(student.caption_BD, view.target.caption_BD, *negatives),
            "distill": lambda: losses.distill(*student.pooled, *view.target.pooled, student.text_mask_BT()),
        }

    def released(self, batch_size: int) -> Degla:
        """The released mask of TGC, and distillation as a sum over the batch: its weight grows with the batch."""
        return self.model_copy(update={"tgc_negatives": "release", "distill": self.distill * batch_size / PAPER_BATCH})
