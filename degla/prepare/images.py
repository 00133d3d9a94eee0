"""One image on its way into the image table: decoded once to know that it can be, scaled down where it is large."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image

JPEG_QUALITY = 95


@dataclass(frozen=True)
class StoredImage:
    """An encoded image as it is stored, and its size in pixels."""

    data: bytes
    width: int
    height: int


def store_image(data: bytes, short_side: int) -> StoredImage:
    """Decode an image and give it as it shall be stored.

    Args:
        data: the encoded file.
        short_side: images with a longer shorter side are scaled down to it (bicubic, aspect kept) and stored as JPEG;
            others keep their bytes. 0 keeps all.

    Raises:
        ValueError: the image does not decode, or has no pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            image.load()
    except Exception as error:  # Pillow's decoders raise errors of many types on broken files
        raise ValueError(f"{type(error).__name__}: {error}") from error
    shorter = min(image.size)
    if not short_side or shorter <= short_side:
        return StoredImage(data, *image.size)
    size = tuple(max(1, round(side * short_side / shorter)) for side in image.size)
    scaled = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    scaled.save(buffer, "jpeg", quality=JPEG_QUALITY)
    return StoredImage(buffer.getvalue(), *scaled.size)
