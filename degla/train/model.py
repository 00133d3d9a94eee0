"""A CLIP as the trainer holds it: one forward for images and texts, and the logit scale as a vector of one.

DeepSpeed cannot broadcast 0-d parameters, so the scale has shape (1,) here and () again when exported. Student and
teacher are both of this class and compute in eval mode, so that equal weights give equal features. Knows no DeepSpeed.
"""

from __future__ import annotations

import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional

from degla.models.encoding import check_gives_parts, encode_image, encode_image_parts, encode_text, encode_text_parts
from degla.train.features import Features, LocalFeatures

SCALARS = ("logit_scale", "logit_bias")


class TrainingClip(nn.Module):
    """`clip` with its scalar parameters reshaped to (1,).

    Args:
        clip: the model.
        local: whether patches and tokens are wanted too; raises ModelError where the towers do not have them.
    """

    def __init__(self, clip: open_clip.CLIP, local: bool = False) -> None:
        super().__init__()
        self.clip, self._local = clip, local
        if local:
            check_gives_parts(clip)
        for name in SCALARS:
            if getattr(clip, name) is not None:
                setattr(clip, name, nn.Parameter(getattr(clip, name).detach().reshape(1)))

    def forward(self, image_BCHW: Tensor, text_TL: Tensor) -> tuple[Tensor, ...]:
        """Image features (B, D) and text features (T, D), neither normalised; where they are wanted, patches (B, P, D) and
        tokens (T, L, D); and the factor on the cosines (1,), the exponential of the logit scale."""
        scale = self.clip.logit_scale.float().exp()
        if not self._local:
            return encode_image(self.clip, image_BCHW), encode_text(self.clip, text_TL), scale
        image_BD, patch_BPD = encode_image_parts(self.clip, image_BCHW)
        text_TD, token_TLD = encode_text_parts(self.clip, text_TL)
        return image_BD, text_TD, patch_BPD, token_TLD, scale


def features(
    slot_T: Tensor,
    type_BK: Tensor,
    image_BD: Tensor,
    text_TD: Tensor,
    patch_BPD: Tensor | None = None,
    token_TLD: Tensor | None = None,
) -> Features:
    """Normalise in float32 and put every text into its place; missing negatives become zero vectors.

    Args:
        slot_T: the place of each text in captions followed by (B, K) negatives.
        type_BK: the type of each negative; -1 where there is none.
        image_BD: image features.
        text_TD: features of the B captions and of the negatives that exist.
        patch_BPD: patches.
        token_TLD: tokens of the texts.
    """
    batch, num_negatives = type_BK.shape
    image_BD = functional.normalize(image_BD.float(), dim=-1)
    text_TD = functional.normalize(text_TD.float(), dim=-1)
    width = text_TD.shape[1]
    flat_SD = text_TD.new_zeros(batch * num_negatives, width)
    flat_SD = flat_SD.index_copy(0, slot_T[batch:] - batch, text_TD[batch:])
    local = None if token_TLD is None else _local_features(slot_T, type_BK, patch_BPD, token_TLD)
    return Features(image_BD, text_TD[:batch], flat_SD.view(batch, num_negatives, width), type_BK, local)


def _local_features(slot_T: Tensor, type_BK: Tensor, patch_BPD: Tensor, token_TLD: Tensor) -> LocalFeatures:
    batch, num_negatives = type_BK.shape
    token_TLD = functional.normalize(token_TLD.float(), dim=-1)
    negative_T = slot_T[batch:] - batch
    row_T = torch.cat([slot_T[:batch] * (1 + num_negatives), negative_T + negative_T // max(1, num_negatives) + 1])
    flat_SLD = token_TLD.new_zeros(batch * (1 + num_negatives), *token_TLD.shape[1:]).index_copy(0, row_T, token_TLD)
    return LocalFeatures(patch_BPD.float(), flat_SLD.unflatten(0, (batch, 1 + num_negatives)))


class ImageNormaliser:
    """From uint8 (B, H, W, 3) to what the model wants: float32 (B, 3, H, W), `(x / 255 - mean) / std`."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    def __call__(self, image_BHW3: Tensor) -> Tensor:
        return (image_BHW3.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std
