"""A CLIP as the trainer holds it: one forward for images and texts, and the logit scale as a vector of one.

DeepSpeed cannot broadcast 0-d parameters, so the scale has shape (1,) here and () again when exported. Student and
teacher are both of this class and compute in eval mode, so that equal weights give equal features. Knows no DeepSpeed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from degla.models.encoding import encode_image, encode_image_parts, encode_text, encode_text_parts
from degla.models.fast_modules import make_fast
from degla.models.towers import Clip
from degla.models.tree_encoding import encode_trees
from degla.models.trees import TextTrees
from degla.train.embeddings import Encoded, full_precision

SCALARS = ("logit_scale", "logit_bias")


class TrainingClip(nn.Module):
    """`clip` with its scalar parameters reshaped to (1,), and attention and patches computed by faster modules.

    Args:
        clip: the model.
        local: whether to return patches and tokens too.
    """

    def __init__(self, clip: Clip, local: bool = False) -> None:
        super().__init__()
        self.clip, self._local = clip, local
        make_fast(clip)
        for name in SCALARS:
            if getattr(clip, name) is not None:
                setattr(clip, name, nn.Parameter(getattr(clip, name).detach().reshape(1)))

    def forward(self, image_BCHW: Tensor, text: Tensor | TextTrees) -> Encoded:
        """Encode images, and texts given as token rows or trees; patches and tokens (of token rows) only if `local`."""
        scale = full_precision(self.clip.logit_scale).exp()
        if isinstance(text, TextTrees):
            return Encoded(encode_image(self.clip, image_BCHW), encode_trees(self.clip, text), scale)
        if not self._local:
            return Encoded(encode_image(self.clip, image_BCHW), encode_text(self.clip, text), scale)
        image_BD, patch_BPD = encode_image_parts(self.clip, image_BCHW)
        text_TD, token_TLD = encode_text_parts(self.clip, text)
        return Encoded(image_BD, text_TD, scale, patch_BPD, token_TLD)


class ImageNormaliser:
    """From uint8 (B, H, W, 3) to the model's input: float32 (B, 3, H, W), `(x / 255 - mean) / std`."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    def __call__(self, image_BHW3: Tensor) -> Tensor:
        return (image_BHW3.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std
