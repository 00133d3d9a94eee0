"""Format `parquet`: img2dataset's and LAION's tables, Hugging Face's dataset folders, degla's exports.

Read by row groups. An image column of bytes, or of Hugging Face's structs, is left where it is until an image is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from degla.errors import DataError
from degla.sources.columns import RowReader, choose_columns
from degla.sources.format import Format, Head, split_of
from degla.sources.options import Column, SourceOptions
from degla.sources.records import ParquetBytes, Record, Skipped

_BATCH_ROWS = 4096
_SAMPLE_ROWS = 500
_IMG2DATASET = {"key", "url", "status"}


def _claims(head: Head) -> bool:
    return head.start.startswith(b"PAR1")


def _complete(head: Head) -> tuple[SourceOptions, list[str]]:
    schema = _schema(head.path)
    names: list[Column] = list(schema.names)
    with _open(head.path) as file:
        batch = next(file.iter_batches(_SAMPLE_ROWS, columns=_leaves(schema, names)), None)
    rows = batch.to_pylist() if batch is not None else []
    return choose_columns(names, rows, head.options, str(head.path))


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        yield from _records(path, options)


def _records(path: Path, options: SourceOptions) -> Iterator[Record | Skipped]:
    schema, reader, number = _schema(path), RowReader(options), 0
    names, split = _wanted(schema, options, path), split_of(path)
    in_folder = options.image_column == "key" and set(schema.names) >= _IMG2DATASET
    in_cells = _holds_images(path, options)
    try:
        with _open(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=_leaves(schema, names)):
                for row in batch.to_pylist():
                    number += 1
                    where = f"{path}, row {number}"
                    if in_folder and row.get("status", "success") != "success":
                        yield Skipped(where, str(row["key"]), "was not downloaded")
                        continue
                    image = f"{path.stem}/{row['key']}" if in_folder else None  # img2dataset's folder beside the table
                    inside = ParquetBytes(path, str(options.image_column), number - 1) if in_cells else None
                    if in_cells:
                        image = (row.get(str(options.image_column)) or {}).get("path") or f"{path.name}/{number - 1}"
                    if record := reader.record(row, number, where, image, inside):
                        yield record if record.split else record._replace(split=split)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: row {number + 1} cannot be read: {error}") from error


def _wanted(schema: pa.Schema, options: SourceOptions, path: Path) -> list[Column]:
    """The columns to read. Raises DataError if one that has texts is not there."""
    texts = (*options.caption_columns(), *options.negative_columns())
    lacking = next((name for name in texts if name not in schema.names), None)
    if lacking is not None:
        raise DataError(f"{path} has no column {lacking!r}, which the other files have")
    others = (options.image_column, options.split_column, options.type_column, "generator", "status")
    wanted = {*texts, *others, *options.where, *options.more_columns}
    return [name for name in schema.names if name in wanted]


def _holds_images(path: Path, options: SourceOptions) -> bool:
    schema = _schema(path)
    return options.image_column in schema.names and _has_bytes(schema.field(str(options.image_column)).type)


def _schema(path: Path) -> pa.Schema:
    with _open(path) as file:
        return file.schema_arrow


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


def _leaves(schema: pa.Schema, names: Sequence[Column]) -> list[str]:
    """The columns to read: of an image column its path alone, or nothing."""
    leaves = []
    for name in map(str, names):
        kind = schema.field(name).type
        if not _has_bytes(kind):
            leaves.append(name)
        elif pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
            leaves.append(f"{name}.path")
    return leaves


def _has_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


PARQUET = Format("parquet", "Parquet: img2dataset, Hugging Face, degla's exports", _claims, _complete, _read, _holds_images)
