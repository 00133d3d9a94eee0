"""What names an image or a text in the store of features: its content, wherever it lies and whatever it is called."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from degla import checksums
from degla.evaluate.benchmark import STATUS_MISSING, BenchmarkImage, UnreadableImage

KEY_BYTES = 32


def text_keys(texts: Sequence[str]) -> list[bytes]:
    """SHA-256 of each text's UTF-8."""
    return [hashlib.sha256(text.encode()).digest() for text in texts]


def image_keys(images: Sequence[BenchmarkImage]) -> list[bytes | UnreadableImage]:
    """SHA-256 of each image's file or pixels, and of the part of it that is looked at; the problem where there is no file.

    A file's own sum comes from the memory of `degla.checksums` where the file is as it was.
    """
    paths = {image.source for image in images if isinstance(image.source, Path)}
    sums = checksums.of_files(sorted(filter(os.path.isfile, paths)))  # which takes any name, unlike Path.is_file
    return [_image_key(image, sums) for image in images]


def _image_key(image: BenchmarkImage, sums: dict[Path, str]) -> bytes | UnreadableImage:
    if isinstance(image.source, Path):
        if image.source not in sums:
            return UnreadableImage(STATUS_MISSING, f"{image.source}: no such file")
        content = bytes.fromhex(sums[image.source])
    elif isinstance(image.source, bytes):
        content = hashlib.sha256(image.source).digest()
    else:
        content = hashlib.sha256(f"{image.source.shape}".encode() + image.source.tobytes()).digest()
    return content if image.box is None else hashlib.sha256(content + f"{image.box}".encode()).digest()
