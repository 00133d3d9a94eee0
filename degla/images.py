"""The images of a dataset as the stages share them: one Arrow file, read in place, and how an entry of it becomes pixels.

`prepare` writes `images.arrow`, a row an image (`degla.schemas.IMAGES`). Filter and train map it into memory: any image is
reached at once, nothing is copied, and processes share what the system keeps in its cache.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image, UnidentifiedImageError

from degla.errors import DataError
from degla.files import atomic_path
from degla.schemas import IMAGES, check_columns

IMAGES_FILE = "images.arrow"
_RAW_HEADER = re.compile(rb"P6\n(\d+) (\d+)\n255\n")
_JPEG_START = b"\xff\xd8"
_MOST_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb


def read_images(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The images table, mapped into memory: only what is looked at is read.

    Raises:
        DataError: the file is missing, truncated or not an Arrow file, or a column is missing or has another type.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        check_columns(path, reader.schema, IMAGES, columns)
        return reader.read_all().select(columns or IMAGES.names)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Arrow file: {error}. Delete its folder and run prepare again.") from error


@contextmanager
def images_writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """Write an images table in pieces, whole or not at all.

    Yields:
        A function that appends rows, of the schema IMAGES.
    """
    with atomic_path(path) as temporary, pa.ipc.new_file(temporary, IMAGES) as writer:
        yield writer.write_table


class ImageStore:
    """The stored images by row. Safe to read from several threads.

    Args:
        path: `images.arrow`.

    Raises:
        DataError: see `read_images`.
    """

    def __init__(self, path: Path) -> None:
        self._chunks = read_images(path, ["image"])["image"].chunks
        self._first = np.cumsum([0, *map(len, self._chunks)])

    def pixels(self, row: int) -> np.ndarray:
        """uint8 (height, width, 3), RGB. Raises ValueError where the image does not decode."""
        chunk = int(np.searchsorted(self._first, row, side="right")) - 1
        return decode(self._chunks[chunk][row - int(self._first[chunk])].as_buffer())


def decode(data: bytes | memoryview | pa.Buffer) -> np.ndarray:
    """The pixels of an encoded image, uint8 (height, width, 3), RGB; they may lie in `data` and be read-only.

    Whatever Pillow reads, as `Image.convert("RGB")` gives it: an EXIF orientation is not applied, and transparency is dropped
    (open_clip and torchvision do the same). Greyscale of 16 bits keeps its upper 8, which Pillow would clip to white. JPEG in
    grey or RGB is decoded by libjpeg-turbo without Pillow's detour, to the same values.

    Raises:
        ValueError: it does not decode, is of more than 89 million pixels (a decompression bomb), or of 32-bit pixels.
    """
    view = memoryview(data).cast("B")  # Arrow calls its bytes signed
    if raw := _RAW_HEADER.match(view):
        width, height = int(raw[1]), int(raw[2])
        return np.frombuffer(view, np.uint8, height * width * 3, raw.end()).reshape(height, width, 3)
    if view[:2] == _JPEG_START:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(view)
        _check_size(width, height)
        if colours in ("YCbCr", "RGB", "Gray"):
            return simplejpeg.decode_jpeg(view, "RGB")
    return np.asarray(open_image(view))


def open_image(data: bytes | memoryview, at_least: int | None = None) -> Image.Image:
    """A decoded RGB image; see `decode`.

    Args:
        data: the encoded file.
        at_least: pixels: a JPEG may be decoded at a half, a quarter or an eighth of its size, whose shorter side is no less.

    Raises:
        ValueError: see `decode`.
    """
    try:
        image = Image.open(io.BytesIO(data))
        _check_size(*image.size)
        if at_least:
            image.draft(None, (at_least, at_least))
        image.load()
    except UnidentifiedImageError as error:
        raise ValueError("UnidentifiedImageError: of no known format") from error  # its own text is another one each time
    except Exception as error:  # Pillow's decoders raise errors of many types on broken files
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits (mode {image.mode}): what is black and white in them is not known")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _check_size(width: int, height: int) -> None:
    if width * height > _MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels: too many")


def as_raw(pixels_HW3: np.ndarray) -> bytes:
    """uint8 pixels as an uncompressed image (binary PPM), which `decode` gives back without a copy."""
    height, width, _ = pixels_HW3.shape
    return b"P6\n%d %d\n255\n" % (width, height) + pixels_HW3.tobytes()
