"""What every format gives: captions of an image with their negatives, and where the image's bytes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from degla.sources.tables import image_cell


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
class CellBytes:
    """A cell of a Parquet or Arrow column that holds encoded images."""

    path: Path
    column: str
    row: int

    def read(self) -> bytes:
        """The encoded image; empty if the cell is null. Raises DataError if the file is damaged."""
        return image_cell(self.path, self.column, self.row)


ImageBytes = FileBytes | CellBytes


def is_one_image(one: ImageBytes | None, other: ImageBytes | None) -> bool:
    """Whether two records of one id have the same image. Rows of a table may repeat one, byte for byte."""
    return one == other or (isinstance(one, CellBytes) and isinstance(other, CellBytes) and one.read() == other.read())


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
