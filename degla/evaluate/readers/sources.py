"""What the readers of tables share: records of `degla.sources`, cells by the names that a card gives, and the images."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from degla.catalog import Card
from degla.errors import DataError
from degla.evaluate.benchmark import BenchmarkImage
from degla.sources.folders import ImageFolders
from degla.sources.formats.tables import ARROW, PARQUET
from degla.sources.options import Column, SourceOptions
from degla.sources.records import CellBytes, Record
from degla.sources.source import Source, open_source
from degla.sources.tables import schema_of
from degla.text_files import filled, nearest_key

KARPATHYS_TEST = ("test",)
"""The split of Karpathy's files that models are scored on."""


_URL = re.compile(r"https?://[^?#]*/")


def open_files(card: Card, role: str, options: SourceOptions, **named: object) -> Source:
    """The records of a card's file or folder of captions.

    Args:
        card: names the file.
        role: of the file.
        options: of the reader; those that are its own are left out.
        named: options under other names of the reader.
    """
    given = {name: getattr(options, name) for name in options.model_fields_set & SourceOptions.model_fields.keys()}
    named = {name: value for name, value in named.items() if value}
    source = open_source(card.file(role), SourceOptions.model_validate({**given, **named}))
    if source.recognised.format.name == "karpathy":
        source.preferred = KARPATHYS_TEST
    return source


def left_out(source: Source) -> list[str]:
    """Notes on what a source left out."""
    reasons = Counter(each.reason for each in source.skipped)
    notes = [f"{count:,} left out: {reason}" for reason, count in reasons.most_common()]
    if source.left_out:
        notes.append(f"splits: {', '.join(filter(None, source.splits))}")
    return notes


def check_columns(source: Source, columns: Iterable[Column]) -> None:
    """Raises DataError if columns of Parquet or Arrow are given by number."""
    number = next((column for column in columns if str(column).isdecimal()), None)
    recognised = source.recognised
    if number is not None and recognised.format in (PARQUET, ARROW):
        what = recognised.format.name
        raise DataError(f"{recognised.files[0]}: column {number}: columns of {what} files have names; give them")


def cell(record: Record, column: Column) -> Any:
    """A cell of the record's row, by its column's name or number from 1. Raises DataError if there is no such column."""
    if column in record.fields:
        return record.fields[column]
    names = list(record.fields)
    if str(column).isdecimal() and 1 <= int(column) <= len(names):
        return record.fields[names[int(column) - 1]]
    return record.fields[nearest_key(map(str, names), str(column), record.where)]


def row_text(text: str, record: Record, image: str = "") -> str:
    """A column's text, or a text with columns (`degla.text_files.filled`), in which `{image}` stands for `image` if that is not
    empty. Raises DataError if a column does not exist or is empty."""
    return filled(text, lambda column: image if column == "image" and image else cell(record, column), record.where)


def image_records(record: Record, columns: Sequence[Column], name: str = "") -> list[Record]:
    """A record for each of a row's images, the first of which is the row's own.

    Args:
        record: the row; opened with the first column as its image, and the others among `more_columns`.
        columns: of the images.
        name: the file's name as a text with columns (`row_text`), in which `{image}` is the cell of the image's own column, of a
            URL its last part; empty takes the cell.

    Raises:
        DataError: a column does not exist or is empty.
    """
    if isinstance(record.inside, CellBytes):
        return [_in_table(record, str(column), record.inside) for column in columns]
    found = []
    for column in columns:
        value = _URL.sub("", row_text(str(column), record))
        image = row_text(name, record, value) if name else value
        found.append(record._replace(image=image, file=image))
    return found


def _in_table(record: Record, column: str, first: CellBytes) -> Record:
    nearest_key(schema_of(first.path).names, column, str(first.path))
    value = record.fields.get(column)
    path = value.get("path") if isinstance(value, Mapping) else None
    image = path or f"{first.path.name}/{first.row}/{column}"
    return record._replace(image=image, inside=CellBytes(first.path, column, first.row))


def record_images(card: Card, records: Sequence[Record]) -> tuple[tuple[BenchmarkImage, ...], list[int]]:
    """The distinct images of records, and for each record the index of its image. Of images inside of files the name may be
    `image.png` in every row: those of one name are told apart by their content.

    Args:
        card: names the folder of the images.
        records: of the images.

    Raises:
        MissingInputError: the images lie in a folder, which is not there.
        DataError: a name is of a file outside the folder.
    """
    counts = Counter(record.image for record in records if record.inside)
    keys = [(record.image, _content(record) if counts[record.image] > 1 else b"") for record in records]
    first = dict(reversed(list(zip(keys, enumerate(records, 1), strict=True))))
    order = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    folders = None if all(record.inside for record in records) else ImageFolders([card.file("images")])
    taken: set[str] = set()
    images = []
    for key in order:
        number, record = first[key]
        images.append(_image(record, f"{record.image}#{number}" if record.image in taken else record.image, folders))
        taken.add(record.image)
    return tuple(images), [order[key] for key in keys]


def _content(record: Record) -> bytes:
    return b"" if record.inside is None else hashlib.blake2b(record.inside.read(), digest_size=16).digest()


def _image(record: Record, name: str, folders: ImageFolders | None) -> BenchmarkImage:
    if record.inside is not None:
        return BenchmarkImage(name, record.inside)
    assert folders is not None
    return BenchmarkImage(record.file, folders.path(record.file))
