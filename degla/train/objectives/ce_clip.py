"""CE-CLIP (arXiv 2306.08832): base + cross-modal rank (CMR) + intra-modal contrast (IMC)."""

from __future__ import annotations

from pydantic import Field

from degla.negative_types import NEGATIVE_TYPES
from degla.train.objective import Memory, Objective, Terms, View

MARGINS = "cmr_margins"
"""The memory: of each negative type the margin that the last batch left."""


class CeClip(Objective):
    """Weights of the `ce_clip` objective beside the base term. 0 switches a term off."""

    cmr: float = Field(0.4, ge=0)
    """Weight of the cross-modal rank loss (CMR): an image prefers its caption to its negatives by a margin per type."""

    imc: float = Field(0.2, ge=0)
    """Weight of intra-modal contrast (IMC): a caption is nearer to its image than to the negatives of the batch."""

    def terms(self, view: View) -> Terms:
        from degla.train import losses

        student, (*_, negative_NKD, mask_NK) = view.student, view.everyone.own
        type_BK = student.type_BK.clamp(min=0).long()
        return {
            **super().terms(view),
            "cmr": lambda: losses.cmr(*student.own, view.memory[MARGINS].to(student.image_BD)[type_BK], view.scale),
            "imc": lambda: losses.imc(student.image_BD, student.caption_BD, negative_NKD, mask_NK, view.scale),
        }

    def start(self) -> Memory:
        import torch

        return {MARGINS: torch.zeros(len(NEGATIVE_TYPES))} if self.cmr else {}

    def remember(self, view: View) -> Memory:
        from degla.train import losses

        if not self.cmr:
            return {}
        image_ND, caption_ND, negative_NKD, _ = view.everyone.own
        gap_NK = losses.logit_gap(image_ND, caption_ND, negative_NKD, view.scale).detach()
        return {MARGINS: losses.next_margins(gap_NK, view.everyone.type_BK, view.memory[MARGINS].to(gap_NK))}
