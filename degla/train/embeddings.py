"""From what the towers return to what the objectives see of a batch. Knows neither models nor communication between ranks.

Shape letters as in `degla.train.losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Encoded(NamedTuple):
    """What a CLIP returns for a batch of images and its T texts; nothing is normalised. A named tuple, because DeepSpeed looks
    for tensors in tuples to hook them."""

    image_BD: Tensor
    text_TD: Tensor
    scale: Tensor
    """The factor on the cosines, (1,): the exponential of the logit scale."""
    patch_BPD: Tensor | None = None
    """Patches and tokens only if the objective compares them (`needs_local`)."""
    token_TLD: Tensor | None = None

    def present(self) -> dict[str, Tensor]:
        """The tensors that there are, by name."""
        return {name: tensor for name, tensor in self._asdict().items() if tensor is not None}


@dataclass(frozen=True)
class LocalEmbeddings:
    """Float32 embeddings of patches and tokens in the joint space, for losses that compare them."""

    patch_BPD: Tensor
    """Not normalised."""
    token_BTLD: Tensor
    """L2-normalised; of captions and negatives, the caption first. Tokens that do not count (the start, the padding, those of
    a missing negative) are zero vectors."""


@dataclass(frozen=True)
class Embeddings:
    """L2-normalised float32 embeddings of a batch: images (B, D), captions (B, D), negatives (B, K, D)."""

    image_BD: Tensor
    caption_BD: Tensor
    negative_BKD: Tensor
    type_BK: Tensor
    """The type of each negative as a number in `NEGATIVE_TYPES`; -1 for a missing one."""
    local: LocalEmbeddings | None = None

    @property
    def mask_BK(self) -> Tensor:
        """Which negatives exist."""
        return self.type_BK >= 0

    @property
    def own(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image, caption, the caption's negatives, and which of them exist."""
        return self.image_BD, self.caption_BD, self.negative_BKD, self.mask_BK

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        """Patches and tokens; only if the objective needs them."""
        assert self.local is not None
        return self.local.patch_BPD, self.local.token_BTLD

    def without_negatives(self) -> Embeddings:
        """The same with K = 0."""
        return replace(self, negative_BKD=self.negative_BKD[:, :0], type_BK=self.type_BK[:, :0])

    @property
    def pooled(self) -> tuple[Tensor, Tensor]:
        """Images, and captions and negatives together (B, 1 + K, D), the caption first."""
        return self.image_BD, torch.cat([self.caption_BD.unsqueeze(1), self.negative_BKD], dim=1)

    def text_mask_BT(self) -> Tensor:
        """Which texts of `pooled` exist; captions always do."""
        return torch.cat([self.mask_BK.new_ones(len(self.mask_BK), 1), self.mask_BK], dim=1)


Gather = Callable[[Embeddings], tuple[Embeddings, int]]
"""From a rank's embeddings to those of the global batch, and the index of the rank's first row in them. Local embeddings
stay on their rank."""


def alone(own: Embeddings) -> tuple[Embeddings, int]:
    """The gather of a single rank."""
    return own, 0


def embed(encoded: Encoded, slot_T: Tensor, type_BK: Tensor) -> Embeddings:
    """Normalise in float32 and put every text into its place; missing negatives become zero vectors.

    Args:
        encoded: of student or teacher.
        slot_T: the place of each text in (B, 1 + K): the caption first, then its negatives.
        type_BK: the type of each negative; -1 for a missing one.
    """
    places = (len(type_BK), 1 + type_BK.shape[1])
    text_BTD = _in_place(_normalised(encoded.text_TD), slot_T, places)
    local = None
    if encoded.patch_BPD is not None and encoded.token_TLD is not None:
        token_BTLD = _in_place(_normalised(encoded.token_TLD), slot_T, places)
        local = LocalEmbeddings(full_precision(encoded.patch_BPD), token_BTLD)
    return Embeddings(_normalised(encoded.image_BD), text_BTD[:, 0], text_BTD[:, 1:], type_BK, local)


def full_precision(tensor: Tensor) -> Tensor:
    """In float32 if it was in less: bfloat16 has 8 bits, and the losses multiply cosines by 100."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _normalised(tensor: Tensor) -> Tensor:
    return functional.normalize(full_precision(tensor), dim=-1)


def _in_place(text: Tensor, slot_T: Tensor, places: tuple[int, int]) -> Tensor:
    """Rows of T texts in (B, 1 + K) places."""
    rows = text.new_zeros(places[0] * places[1], *text.shape[1:])
    return rows.index_copy_(0, slot_T, text).unflatten(0, places)
