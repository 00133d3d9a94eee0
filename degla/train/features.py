"""What the objectives see of a batch: its embeddings. Knows neither models nor ranks' communication.

Shape letters as in `degla.train.losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LocalFeatures:
    """Float32 embeddings of patches and tokens in the joint space, for losses that compare them."""

    patch_BPD: Tensor
    """Not normalised."""
    token_BTLD: Tensor
    """L2-normalised; of captions and negatives, the caption first. Tokens that do not count (the start, the padding, those of
    a missing negative) are zero vectors."""


@dataclass(frozen=True)
class Features:
    """L2-normalised float32 embeddings of a batch: images (B, D), captions (B, D), negatives (B, K, D)."""

    image_BD: Tensor
    caption_BD: Tensor
    negative_BKD: Tensor
    type_BK: Tensor
    """The type of each negative as a number in `NEGATIVE_TYPES`; -1 where there is none."""
    local: LocalFeatures | None = None
    """Only where the objective asks for them."""

    @property
    def mask_BK(self) -> Tensor:
        """Which negatives exist."""
        return self.type_BK >= 0

    def text_BTD(self) -> Tensor:
        """Captions and negatives together, the caption first: (B, 1 + K, D)."""
        return torch.cat([self.caption_BD.unsqueeze(1), self.negative_BKD], dim=1)

    def text_mask_BT(self) -> Tensor:
        """Which of `text_BTD` exist; captions always do."""
        return torch.cat([self.mask_BK.new_ones(len(self.mask_BK), 1), self.mask_BK], dim=1)


Gather = Callable[[Features], tuple[Features, int]]
"""From a rank's features to those of the global batch, and the index of the rank's first row in them. Local features
stay where they are."""


def alone(features: Features) -> tuple[Features, int]:
    """The gather of a single rank."""
    return features, 0
