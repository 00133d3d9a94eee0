"""Formats `parquet` and `arrow`: img2dataset's and LAION's tables, Hugging Face's dataset folders, degla's exports.

Read in batches. An image column of bytes, or of Hugging Face's structs, is left where it is until an image is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from degla.errors import DataError
from degla.sources.columns import RowReader, choose_columns
from degla.sources.format import Format, Head, split_of
from degla.sources.options import Column, SourceOptions
from degla.sources.records import CellBytes, Record, Skipped
from degla.sources.tables import ARROW_STARTS, PARQUET_START, batches_of, holds_bytes, schema_of

_BATCH_ROWS = 4096
_SAMPLE_ROWS = 500
_IMG2DATASET = {"key", "url", "status"}


def _complete(head: Head) -> tuple[SourceOptions, list[str]]:
    names = schema_of(head.path).names
    batch = next(batches_of(head.path, names, _SAMPLE_ROWS), None)
    rows = batch.to_pylist() if batch is not None else []
    return choose_columns(names, rows, head.options, str(head.path))


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        yield from _records(path, options)


def _records(path: Path, options: SourceOptions) -> Iterator[Record | Skipped]:
    schema, reader, number = schema_of(path), RowReader(options), 0
    names, split = _wanted(schema, options, path), split_of(path)
    in_folder = options.image_column == "key" and set(schema.names) >= _IMG2DATASET
    in_cells = _holds_images(path, options)
    try:
        for batch in batches_of(path, names, _BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                where = f"{path}, row {number}"
                if in_folder and row.get("status", "success") != "success":
                    yield Skipped(where, str(row["key"]), "was not downloaded")
                    continue
                image = f"{path.stem}/{row['key']}" if in_folder else None  # img2dataset's folder beside the table
                inside = CellBytes(path, str(options.image_column), number - 1) if in_cells else None
                if in_cells:
                    image = (row.get(str(options.image_column)) or {}).get("path") or f"{path.name}/{number - 1}"
                if record := reader.record(row, number, where, image, inside):
                    yield record if record.split else record._replace(split=split)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: row {number + 1} cannot be read: {error}") from error


def _wanted(schema: pa.Schema, options: SourceOptions, path: Path) -> list[str]:
    """The columns to read. Raises DataError if one that has texts is not there."""
    texts: tuple[Column, ...] = (*options.caption_columns(), *options.negative_columns())
    lacking = next((name for name in texts if name not in schema.names), None)
    if lacking is not None:
        raise DataError(f"{path} has no column {lacking!r}, which the other files have")
    others = (options.image_column, options.split_column, options.type_column, "generator", "status")
    wanted = {*texts, *others, *options.where, *options.more_columns}
    return [name for name in schema.names if name in wanted]


def _holds_images(path: Path, options: SourceOptions) -> bool:
    schema = schema_of(path)
    return options.image_column in schema.names and holds_bytes(schema.field(str(options.image_column)).type)


PARQUET = Format(
    "parquet",
    "Parquet: img2dataset, Hugging Face, degla's exports",
    lambda head: head.start.startswith(PARQUET_START),
    _complete,
    _read,
    _holds_images,
)
ARROW = Format(
    "arrow",
    "Arrow: Hugging Face's save_to_disk and caches",
    lambda head: head.start.startswith(ARROW_STARTS),
    _complete,
    _read,
    _holds_images,
)
