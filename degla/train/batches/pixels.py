"""From a stored image to the model's pixels: one crop, scaled as for its evaluation, by PyTorch's vectorised filters.

The bicubic filter is Pillow's (antialiased, on bytes) and four times as fast; `docs/training.md` has the difference. Normalising
is left to the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from degla.models.claims import Preprocessing
from degla.train.batches.streams import Stream, stream

_RATIO = 4 / 3  # of a crop's width and height, at most; its logarithm is uniform
_TRIES = 10


@dataclass(frozen=True)
class Crop:
    """RandomResizedCrop of what the model is evaluated on, or all of that where `scale` is (1, 1).

    Evaluation looks at the centre (`shortest`), at the whole image with its sides scaled apart (`squash`), or at the whole image
    with borders (`longest`). Random crops are of the image, of the squashed image, or of the image with its borders.
    The crop's place is drawn as a share of width and height, so that it is the same part of an image stored at any size.

    Args:
        size: height and width of the result, pixels.
        scale: share of the image's area.
        seed: of the crops.
        resize_mode: open_clip's, of the model's preprocessing.
        interpolation: `bicubic` or `bilinear`.
        fill_color: of the borders, 0 to 255.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    seed: int
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    fill_color: int = 0

    @classmethod
    def of(cls, preprocessing: Preprocessing, scale: tuple[float, float], seed: int) -> Crop:
        """The crops of a model."""
        modes = preprocessing.resize_mode, preprocessing.interpolation, preprocessing.fill_color
        return cls(preprocessing.height_width, scale, seed, *modes)

    def __call__(self, pixels_HW3: np.ndarray, epoch: int, caption_id: int) -> np.ndarray:
        """The crop of a caption's image (uint8) in an epoch: uint8 (height, width, 3)."""
        if self.resize_mode == "longest":
            pixels_HW3 = with_borders(pixels_HW3, self.size, self.fill_color)
        height, width, _ = pixels_HW3.shape
        if self.scale == (1.0, 1.0):
            top, left, bottom, right = self.evaluated_box(height, width)
        else:
            top, left, bottom, right = self.random_box(height, width, stream(self.seed, Stream.CROP, epoch, caption_id))
        return resize(pixels_HW3[top:bottom, left:right], self.size, self.interpolation)

    def evaluated_box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of what evaluation looks at."""
        return (0, 0, height, width) if self.resize_mode == "squash" else centre_box(height, width, self.size)

    def random_box(self, height: int, width: int, random: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of a crop; what evaluation looks at if the image is too long for any."""
        least, most = self.scale
        seen = self.size if self.resize_mode == "squash" else (height, width)
        stretch = (height / seen[0], width / seen[1])
        for area_at, ratio_at, top_at, left_at in random.random((_TRIES, 4)).tolist():
            area = seen[0] * seen[1] * (least + area_at * (most - least))
            ratio = _RATIO ** (2 * ratio_at - 1)
            exact = math.sqrt(area / ratio), math.sqrt(area * ratio)
            if exact[0] <= seen[0] and exact[1] <= seen[1]:
                crop_height, crop_width = (max(1, round(side * by)) for side, by in zip(exact, stretch, strict=True))
                top, left = int(top_at * (height - crop_height + 1)), int(left_at * (width - crop_width + 1))
                return top, left, top + crop_height, left + crop_width
        return self.evaluated_box(height, width)


def centre_box(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of the largest centred part of the result's shape."""
    shrink = min(height / size[0], width / size[1])
    used_height, used_width = (max(1, round(side * shrink)) for side in size)
    top, left = (height - used_height) // 2, (width - used_width) // 2
    return top, left, top + used_height, left + used_width


def with_borders(pixels_HW3: np.ndarray, size: tuple[int, int], fill_color: int) -> np.ndarray:
    """The image in the middle of the smallest canvas of the result's shape."""
    height, width, _ = pixels_HW3.shape
    factor = max(height / size[0], width / size[1])
    canvas_height, canvas_width = max(height, round(size[0] * factor)), max(width, round(size[1] * factor))
    canvas = np.full((canvas_height, canvas_width, 3), fill_color, np.uint8)
    top, left = (canvas_height - height) // 2, (canvas_width - width) // 2
    canvas[top : top + height, left : left + width] = pixels_HW3
    return canvas


def resize(pixels_HW3: np.ndarray, size: tuple[int, int], interpolation: str = "bicubic") -> np.ndarray:
    """Pixels (uint8) scaled to a height and width, antialiased."""
    if pixels_HW3.shape[:2] == size:
        return pixels_HW3  # the filters would give the same, in half of the time that it takes to make a small image ready
    if not pixels_HW3.flags.writeable:
        pixels_HW3 = pixels_HW3.copy()  # PyTorch warns about read-only memory
    pixels_13HW = torch.from_numpy(pixels_HW3).unsqueeze(0).permute(0, 3, 1, 2)  # in this order: channels last for PyTorch
    scaled_13HW = functional.interpolate(pixels_13HW, size, mode=interpolation, antialias=True)
    return scaled_13HW.squeeze(0).permute(1, 2, 0).numpy()
