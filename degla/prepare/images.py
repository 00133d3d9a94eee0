"""Makes an image ready for the image table: decoded, to be sure that it can be, and scaled down if it is large."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from degla.images import MAX_PIXELS, TooManyPixels, as_raw, open_image
from degla.prepare.config import ImageFormat

JPEG_QUALITY = 90
_JPEG_SIDE = 65_500  # pixels; libjpeg's limit
_DRAFT = 2  # a JPEG is decoded at 1/2, 1/4 or 1/8 if that is still this many times the stored size


@dataclass(frozen=True)
class StoredImage:
    """An encoded image as it is stored, and its size in pixels."""

    data: bytes
    width: int
    height: int


def store_image(data: bytes, short_side: int, image_format: ImageFormat = "jpeg", max_pixels: int = MAX_PIXELS) -> StoredImage:
    """Decode an image and encode it for storage.

    Args:
        data: the encoded file.
        short_side: images with a longer shorter side are scaled down to it (bicubic, aspect kept); others keep their pixels.
            0 scales none.
        image_format: `jpeg` stores what was scaled as JPEG of quality 90 with halved colour (4:2:0) and keeps the bytes of
            what was not; `raw` stores the pixels of all.
        max_pixels: of the encoded image.

    Raises:
        ValueError: the image does not decode, see `degla.images.open_image`, or is too long for a JPEG.
    """
    try:
        whole = open_image(data, _DRAFT * short_side, max_pixels)
    except TooManyPixels as error:
        raise ValueError(f"{error}; raise prepare.max_pixels if the file is sound") from error
    image = _scaled(whole, short_side)
    if image_format == "raw":
        return StoredImage(as_raw(np.asarray(image)), *image.size)
    if image is whole:
        return StoredImage(data, *image.size)
    if max(image.size) > _JPEG_SIDE:
        raise ValueError(f"{whole.width} x {whole.height} pixels are too long for a JPEG with a short side of {short_side}")
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=JPEG_QUALITY, subsampling="4:2:0")
    return StoredImage(buffer.getvalue(), *image.size)


def _scaled(image: Image.Image, short_side: int) -> Image.Image:
    shorter = min(image.size)
    if not short_side or shorter <= short_side:
        return image
    width, height = (max(1, round(side * short_side / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)
