"""A CLIP as the trainer holds it: one forward for images and texts, and the logit scale as a vector of one.

DeepSpeed cannot broadcast 0-d parameters, so the scale has shape (1,) here and () again when exported. Student and
teacher are both of this class and compute in eval mode, so that equal weights give equal features. Knows no DeepSpeed.
"""

from __future__ import annotations

import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional

from degla.models.encoding import encode_image, encode_text
from degla.train.objective import Features

SCALARS = ("logit_scale", "logit_bias")


class TrainingClip(nn.Module):
    """`clip` with its scalar parameters reshaped to (1,)."""

    def __init__(self, clip: open_clip.CLIP) -> None:
        super().__init__()
        self.clip = clip
        for name in SCALARS:
            if getattr(clip, name) is not None:
                setattr(clip, name, nn.Parameter(getattr(clip, name).detach().reshape(1)))

    def forward(self, image_BCHW: Tensor, text_TL: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image features (B, D), text features (T, D), neither normalised, and the factor on the
        cosines (1,), the exponential of the logit scale."""
        return encode_image(self.clip, image_BCHW), encode_text(self.clip, text_TL), self.clip.logit_scale.float().exp()


def features(image_BD: Tensor, text_TD: Tensor, slot_T: Tensor, mask_BK: Tensor) -> Features:
    """Normalise in float32 and put every text into its place; missing negatives become zero vectors.

    Args:
        image_BD: image features.
        text_TD: features of the B captions and of the negatives that exist.
        slot_T: the place of each text in captions followed by (B, K) negatives.
        mask_BK: which negatives exist.
    """
    batch, num_negatives = mask_BK.shape
    image_BD = functional.normalize(image_BD.float(), dim=-1)
    text_TD = functional.normalize(text_TD.float(), dim=-1)
    width = text_TD.shape[1]
    flat_SD = text_TD.new_zeros(batch * num_negatives, width)
    flat_SD = flat_SD.index_copy(0, slot_T[batch:] - batch, text_TD[batch:])
    return Features(image_BD, text_TD[:batch], flat_SD.view(batch, num_negatives, width), mask_BK)


class ImageNormaliser:
    """From uint8 (B, H, W, 3) to what the model wants: float32 (B, 3, H, W), `(x / 255 - mean) / std`."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    def __call__(self, image_BHW3: Tensor) -> Tensor:
        return (image_BHW3.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std
