"""The negatives of an import, one by one, whatever the format of its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from degla.errors import DataError
from degla.generate.config import Import
from degla.negative_types import NEGATIVE_TYPES, unknown_type
from degla.sources.source import open_source


@dataclass(frozen=True)
class ImportedRow:
    """One negative as the file has it."""

    row: int
    """1 is the file's first entry, or its first row below the header; several negatives may share it."""
    image_id: str | None
    caption: str
    text: str
    type: str | None = None


def imported_rows(each: Import) -> Iterator[ImportedRow]:
    """The negatives of an import in the order of its files.

    Raises:
        InputError: see `degla.sources.source.open_source`.
        DataError: a type is none of ours, or negatives stand beside several captions; names the row.
    """
    for record, caption, negative in open_source(each.files(), each.source_options()).pairs():
        of_type = _type(negative.type, record.where)
        yield ImportedRow(record.number, record.image or None, caption, negative.text, of_type)


def _type(value: str | None, where: str) -> str | None:
    if value is None or value in NEGATIVE_TYPES:
        return value
    raise DataError(f"{where}: {unknown_type(value)} Leave it empty to infer the type from the edit.")
