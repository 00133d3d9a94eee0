"""FSC-CLIP (arXiv 2410.05210): base without negatives + hard-negative losses by embeddings (global) and by patches and
tokens (local), both as focal, smoothed choices."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from degla.train.objective import Objective, Terms, View


class FscClip(Objective):
    """Weights of the `fsc_clip` objective beside the base term. 0 switches a term off."""

    global_negatives: float = Field(0.5, ge=0)
    """Weight of the choice between a caption and its negatives by the embeddings of image and texts."""

    local_negatives: float = Field(0.2, ge=0)
    """Weight of the same choice by patches and tokens. It takes longer: the last block of both towers is computed for all of
    them."""

    gamma: float = Field(2.0, ge=0)
    """Focus on choices that are not yet made rightly; 0 is cross-entropy."""

    smoothing: float = Field(0.02, ge=0, lt=1)
    """Share of the label that is spread evenly over caption and negatives."""

    @property
    def needs_local(self) -> bool:
        return self.local_negatives > 0

    def terms(self, view: View) -> Terms:
        from degla.train import losses

        student, focus = view.student, (self.gamma, self.smoothing)
        return {
            **super().terms(replace(view, everyone=view.everyone.without_negatives())),
            "global_negatives": lambda: losses.global_negatives(*student.own, view.scale, *focus),
            "local_negatives": lambda: losses.local_negatives(*student.parts, student.mask_BK, view.scale, *focus),
        }
