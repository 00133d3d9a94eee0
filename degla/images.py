"""How an image file becomes pixels, for the whole product; and the images of a dataset, one Arrow file that is read in place.

Every image is opened by `decode` or `open_image`: upright as its EXIF orientation says, which is what people see, and RGB.
`prepare` writes `images.arrow`, a row an image (`degla.schemas.IMAGES`). Filter and train map it into memory: any image is
read without a copy, and processes share the page cache.
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
from PIL import ExifTags, Image, UnidentifiedImageError

from degla.errors import DataError
from degla.files import atomic_path
from degla.schemas import IMAGES, check_columns, in_groups

IMAGES_FILE = "images.arrow"
Image.MAX_IMAGE_PIXELS = None  # `_check_size` limits every image that is opened here, before its pixels are decoded
_BATCH_ROWS = 500  # images in each record batch of a table: 25 MB of JPEG files, 130 MB of pixels
_RAW_HEADER = re.compile(rb"P6\n(\d+) (\d+)\n255\n")
_JPEG_START = b"\xff\xd8"
ARRAY_START = b"\x93NUMPY"
_EXIF_START = b"Exif\0\0"
_SCAN = b"\xda"  # the marker before the pixels
_TURN_NAMES = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
_TURNS = {orientation: Image.Transpose[name] for orientation, name in enumerate(_TURN_NAMES, start=2)}
"""EXIF orientation to what makes the image upright; any other value is upright."""
THUMBNAIL, _TINY = 160, 96  # pixels at the longer side
MAX_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb


def read_images(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The images table, mapped into memory: only the rows used are read.

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
    """Write an images table in pieces, whole or not at all; it is the same file however the rows are cut into pieces.

    Yields:
        A function that appends rows, of the schema IMAGES.
    """
    with (
        atomic_path(path) as temporary,
        pa.ipc.new_file(temporary, IMAGES) as writer,
        in_groups(writer.write_table, _BATCH_ROWS) as write,
    ):
        yield write


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
        """uint8 (height, width, 3), RGB. Raises ValueError if the image does not decode."""
        chunk = int(np.searchsorted(self._first, row, side="right")) - 1
        return decode(self._chunks[chunk][row - int(self._first[chunk])].as_buffer(), max_pixels=None)


class TooManyPixels(ValueError):
    """An image beyond the limit, which keeps a decompression bomb from filling the memory."""


def decode(data: bytes | memoryview | pa.Buffer, max_pixels: int | None = MAX_PIXELS) -> np.ndarray:
    """The pixels of an encoded image, uint8 (height, width, 3), RGB; they may lie in `data` and be read-only.

    Whatever Pillow reads, as `ImageOps.exif_transpose` and `Image.convert("RGB")` give it: upright, and without transparency (as
    in open_clip and torchvision). Greyscale of 16 bits keeps its upper 8, which Pillow would clip to white. Upright JPEG in grey
    or RGB is decoded by libjpeg-turbo without Pillow's detour, to the same values.

    Raises:
        TooManyPixels: it has more than `max_pixels`; None is no limit.
        ValueError: it does not decode, or has pixels of 32 bits.
    """
    view = memoryview(data).cast("B")  # Arrow calls its bytes signed
    if raw := _RAW_HEADER.match(view):
        width, height = int(raw[1]), int(raw[2])
        return np.frombuffer(view, np.uint8, height * width * 3, raw.end()).reshape(height, width, 3)
    if view[:2] == _JPEG_START:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(view)
        _check_size(width, height, max_pixels)
        if colours in ("YCbCr", "RGB", "Gray") and not _is_turned(view):
            return simplejpeg.decode_jpeg(view, "RGB")
    return np.asarray(open_image(view, max_pixels=max_pixels))


def open_image(data: bytes | memoryview, at_least: int | None = None, max_pixels: int | None = MAX_PIXELS) -> Image.Image:
    """A decoded image, upright and RGB; see `decode`.

    Args:
        data: the encoded file.
        at_least: pixels. A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if the shorter side stays at least this long.
        max_pixels: see `decode`.

    Raises:
        ValueError: see `decode`.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        _check_size(*image.size, max_pixels)
        if at_least:
            image.draft(None, (at_least, at_least))
        image.load()
    except TooManyPixels:
        raise
    except UnidentifiedImageError as error:
        raise ValueError("UnidentifiedImageError: unknown format") from error  # Pillow's own text holds an address in memory
    except Exception as error:  # Pillow's decoders raise errors of many types on broken files
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits (mode {image.mode}): their black and white are unknown. Convert them to 8 bits")
    if (turn := _turn(image)) is not None:
        image = image.transpose(turn)  # not ImageOps.exif_transpose, which also writes the metadata anew and may fail at that
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def decode_array(data: bytes, channels: str, max_pixels: int | None = MAX_PIXELS) -> np.ndarray:
    """The pixels of an image that is a NumPy array (`.npy`), uint8 (height, width, 3), RGB.

    Args:
        data: the file.
        channels: its order of colours, `rgb` or `bgr` (OpenCV's); the file does not say it.
        max_pixels: see `decode`.

    Raises:
        TooManyPixels: it has more than `max_pixels`.
        ValueError: it is no array of uint8 (height, width, 3).
    """
    pixels = np.load(io.BytesIO(data), allow_pickle=False)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"an array of {pixels.dtype} {pixels.shape}, expected uint8 (height, width, 3)")
    _check_size(pixels.shape[1], pixels.shape[0], max_pixels)
    return np.ascontiguousarray(pixels[:, :, ::-1] if channels == "bgr" else pixels)


def _is_turned(jpeg: memoryview) -> bool:
    """Whether a JPEG has an EXIF orientation other than upright."""
    return _has_exif(jpeg) and _turn(Image.open(io.BytesIO(jpeg))) is not None


def _has_exif(jpeg: bytes | memoryview) -> bool:
    """Whether a segment before the pixels is EXIF. 5 us; Pillow's header takes 60, decoding 640 x 480 pixels 400."""
    start = 2
    while jpeg[start : start + 1] == b"\xff" and jpeg[start + 1 : start + 2] != _SCAN:
        if jpeg[start + 4 : start + 10] == _EXIF_START:
            return True
        is_fill = jpeg[start + 1 : start + 2] == b"\xff"
        start += 1 if is_fill else 2 + int.from_bytes(jpeg[start + 2 : start + 4])
    return False


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # metadata that Pillow cannot parse (errors of many types) turns nothing
        return None


def _check_size(width: int, height: int, max_pixels: int | None) -> None:
    if max_pixels is not None and width * height > max_pixels:
        raise TooManyPixels(f"{width} x {height} pixels are more than {max_pixels:,}")


def thumbnail(image: Image.Image) -> bytes:
    """A small picture for pages, as WebP: at most `THUMBNAIL` pixels long, a few kilobytes."""
    small = image.convert("RGB")
    tiny = max(small.size) <= _TINY  # shown enlarged
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "webp", quality=85 if tiny else 60)
    return buffer.getvalue()


def as_raw(pixels_HW3: np.ndarray) -> bytes:
    """uint8 pixels as an uncompressed image (binary PPM), which `decode` gives back without a copy."""
    height, width, _ = pixels_HW3.shape
    return b"P6\n%d %d\n255\n" % (width, height) + pixels_HW3.tobytes()
