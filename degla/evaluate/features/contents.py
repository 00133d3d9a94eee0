"""Content hashes used as feature keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from degla import checksums
from degla.evaluate.benchmark import BenchmarkImage, UnreadableImage
from degla.outcomes.items import STATUS_MISSING

KEY_BYTES = 32


def text_keys(texts: Sequence[str]) -> list[bytes]:
    """SHA-256 of each text's UTF-8."""
    return [hashlib.sha256(text.encode()).digest() for text in texts]


def token_keys(token_TL: np.ndarray) -> list[bytes]:
    """SHA-256 of each row of token ids."""
    return [hashlib.sha256(row.tobytes()).digest() for row in token_TL.astype(np.int64)]


def image_keys(images: Sequence[BenchmarkImage]) -> list[bytes | UnreadableImage]:
    """SHA-256 of each image's file or pixels, of its box, and of an array's order of colours; an UnreadableImage if it does
    not exist.

    The sum of an unchanged file comes from the memory of `degla.checksums`.
    """
    paths = {image.source for image in images if isinstance(image.source, Path)}
    sums = checksums.of_files(sorted(filter(os.path.isfile, paths)))  # which takes any name, unlike Path.is_file
    return [_image_key(image, sums) for image in images]


def _image_key(image: BenchmarkImage, sums: dict[Path, str]) -> bytes | UnreadableImage:
    if isinstance(image.source, Path):
        if image.source not in sums:
            return UnreadableImage(STATUS_MISSING, f"{image.source}: file does not exist")
        content = bytes.fromhex(sums[image.source])
    elif isinstance(image.source, np.ndarray):
        content = hashlib.sha256(f"{image.source.shape}".encode() + image.source.tobytes()).digest()
    else:
        content = hashlib.sha256(image.encoded()).digest()
    seen_as = f"{image.box or ''}{image.channels}".encode()
    return hashlib.sha256(content + seen_as).digest() if seen_as else content
