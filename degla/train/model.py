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
from degla.models.fast_modules import make_fast
from degla.models.tree_encoding import encode_trees
from degla.models.trees import TextTrees
from degla.train.features import Features, LocalFeatures

SCALARS = ("logit_scale", "logit_bias")


class TrainingClip(nn.Module):
    """`clip` with its scalar parameters reshaped to (1,), and attention and patches computed by faster modules.

    Args:
        clip: the model.
        local: whether patches and tokens are wanted too; raises ModelError where the towers do not have them.
    """

    def __init__(self, clip: open_clip.CLIP, local: bool = False) -> None:
        super().__init__()
        self.clip, self._local = clip, local
        make_fast(clip)
        if local:
            check_gives_parts(clip)
        for name in SCALARS:
            if getattr(clip, name) is not None:
                setattr(clip, name, nn.Parameter(getattr(clip, name).detach().reshape(1)))

    def forward(self, image_BCHW: Tensor, text: Tensor | TextTrees) -> tuple[Tensor, ...]:
        """Image features (B, D) and features of the T texts of token rows (T, L) or trees, (T, D), neither normalised; where they
        are wanted, patches (B, P, D) and tokens (T, L, D), of token rows; and the factor on the cosines (1,), the exponential of
        the logit scale."""
        scale = full_precision(self.clip.logit_scale).exp()
        if self._local:
            image_BD, patch_BPD = encode_image_parts(self.clip, image_BCHW)
            text_TD, token_TLD = encode_text_parts(self.clip, text)
            return image_BD, text_TD, patch_BPD, token_TLD, scale
        encode = encode_trees if isinstance(text, TextTrees) else encode_text
        return encode_image(self.clip, image_BCHW), encode(self.clip, text), scale


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
        slot_T: the place of each text in (B, 1 + K): captions first, then negatives.
        type_BK: the type of each negative; -1 where there is none.
        image_BD: image features.
        text_TD: features of the captions and of the negatives that exist.
        patch_BPD: patches.
        token_TLD: tokens of the texts.
    """
    places = (len(type_BK), 1 + type_BK.shape[1])
    text_BTD = _in_place(normalised(text_TD), slot_T, places)
    local = None
    if token_TLD is not None:
        local = LocalFeatures(full_precision(patch_BPD), _in_place(normalised(token_TLD), slot_T, places))
    return Features(normalised(image_BD), text_BTD[:, 0], text_BTD[:, 1:], type_BK, local)


def normalised(features: Tensor) -> Tensor:
    """Of norm 1, in full precision."""
    return functional.normalize(full_precision(features), dim=-1)


def full_precision(features: Tensor) -> Tensor:
    """In float32, where they were in less."""
    return features.to(torch.promote_types(features.dtype, torch.float32))


def _in_place(texts: Tensor, slot_T: Tensor, places: tuple[int, int]) -> Tensor:
    """Texts, whatever is known of each, in (B, 1 + K) places."""
    rows = texts.new_zeros(places[0] * places[1], *texts.shape[1:])
    return rows.index_copy_(0, slot_T, texts).unflatten(0, places)


class ImageNormaliser:
    """From uint8 (B, H, W, 3) to what the model wants: float32 (B, 3, H, W), `(x / 255 - mean) / std`."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    def __call__(self, image_BHW3: Tensor) -> Tensor:
        return (image_BHW3.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std
