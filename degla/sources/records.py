"""What every format gives: captions of an image with their negatives, and where the image's bytes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from degla.errors import DataError


@dataclass(frozen=True)
class FileBytes:
    """A file, or a range of one: an image inside a tar."""

    path: Path
    offset: int = 0
    size: int = -1
    """Bytes; -1 reads to the end."""

    def read(self) -> bytes:
        """The encoded image. Raises OSError if the file cannot be read."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class ParquetBytes:
    """A cell of a Parquet column that holds encoded images: bytes, or Hugging Face's struct of bytes and path."""

    path: Path
    column: str
    row: int

    def read(self) -> bytes:
        """The encoded image; empty if the cell is null. Raises DataError if the file is damaged."""
        starts = _group_starts(self.path)
        group = int(np.searchsorted(starts, self.row, side="right")) - 1
        value = _group(self.path, self.column, group)[self.row - int(starts[group])].as_py()
        return (value.get("bytes") if isinstance(value, dict) else value) or b""


@lru_cache(64)
def _group_starts(path: Path) -> np.ndarray:
    metadata = pq.read_metadata(path)
    return np.cumsum([0, *(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))])


@lru_cache(1)  # rows are read in order; a group of images may be 100 MB
def _group(path: Path, column: str, group: int) -> pa.ChunkedArray:
    try:
        with pq.ParquetFile(path) as file:
            return file.read_row_group(group, [column])[column]
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: row group {group} cannot be read: {error}") from error


ImageBytes = FileBytes | ParquetBytes


def is_one_image(one: ImageBytes | None, other: ImageBytes | None) -> bool:
    """Whether two records of one id have the same image. Rows of Parquet may repeat one, byte for byte."""
    return one == other or (isinstance(one, ParquetBytes) and isinstance(other, ParquetBytes) and one.read() == other.read())


class Negative(NamedTuple):
    """A text that does not describe the image."""

    text: str
    type: str | None = None
    generator: str | None = None


class Record(NamedTuple):
    """Captions of an image, from one entry or row."""

    where: str
    """File and line, entry or row, for errors."""
    number: int
    """Of the entry in its file: 1 is the first, or the first row below the header."""
    image: str
    """Id of the image; empty if the format names none. Equal ids in other Unicode forms are the same."""
    captions: tuple[str, ...]
    negatives: tuple[Negative, ...] = ()
    split: str = ""
    file: str = ""
    """The image's file name below the image folders; empty if `inside` has it or there is none."""
    inside: ImageBytes | None = None
    """The image if the captions' own files hold it."""
    fields: Mapping[Any, Any] = MappingProxyType({})
    """All that the entry has, by name, in formats of rows."""


class Skipped(NamedTuple):
    """A caption or entry that was left out, and why."""

    where: str
    image_id: str
    reason: str
