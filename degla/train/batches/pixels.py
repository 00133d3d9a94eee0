"""From a stored image to the model's pixels: one crop, scaled by PyTorch's vectorised bicubic filter.

The filter is Pillow's (antialiased, on bytes) and four times as fast; `docs/training.md` has the difference. Normalising is
left to the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from degla.train.batches.streams import Stream, stream

_RATIO = 4 / 3  # of a crop's width and height, at most; its logarithm is uniform
_TRIES = 10


@dataclass(frozen=True)
class Crop:
    """RandomResizedCrop; the evaluation's resize and centre crop if `scale` is (1, 1).

    The crop's place is drawn as a share of width and height, so that it is the same part of an image stored at any size.

    Args:
        size: height and width of the result, pixels.
        scale: share of the image's area.
        seed: of the crops.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    seed: int

    def __call__(self, pixels_HW3: np.ndarray, epoch: int, caption_id: int) -> np.ndarray:
        """The crop of a caption's image (uint8) in an epoch: uint8 (height, width, 3)."""
        height, width, _ = pixels_HW3.shape
        if self.scale == (1.0, 1.0):
            top, left, bottom, right = centre_box(height, width, self.size)
        else:
            top, left, bottom, right = self.random_box(height, width, stream(self.seed, Stream.CROP, epoch, caption_id))
        return resize(pixels_HW3[top:bottom, left:right], self.size)

    def random_box(self, height: int, width: int, random: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of a crop; the centre crop if the image is too long for any."""
        least, most = self.scale
        for area_at, ratio_at, top_at, left_at in random.random((_TRIES, 4)).tolist():
            area = height * width * (least + area_at * (most - least))
            ratio = _RATIO ** (2 * ratio_at - 1)
            exact = math.sqrt(area / ratio), math.sqrt(area * ratio)
            if exact[0] <= height and exact[1] <= width:
                crop_height, crop_width = (max(1, round(side)) for side in exact)
                top, left = int(top_at * (height - crop_height + 1)), int(left_at * (width - crop_width + 1))
                return top, left, top + crop_height, left + crop_width
        return centre_box(height, width, self.size)


def centre_box(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of the largest centred part of the result's shape."""
    shrink = min(height / size[0], width / size[1])
    used_height, used_width = (max(1, round(side * shrink)) for side in size)
    top, left = (height - used_height) // 2, (width - used_width) // 2
    return top, left, top + used_height, left + used_width


def resize(pixels_HW3: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels (uint8) scaled to a height and width, bicubic and antialiased."""
    if not pixels_HW3.flags.writeable:
        pixels_HW3 = pixels_HW3.copy()  # PyTorch warns about read-only memory
    pixels_13HW = torch.from_numpy(pixels_HW3).unsqueeze(0).permute(0, 3, 1, 2)  # in this order: channels last for PyTorch
    scaled_13HW = functional.interpolate(pixels_13HW, size, mode="bicubic", antialias=True)
    return scaled_13HW.squeeze(0).permute(1, 2, 0).numpy()
