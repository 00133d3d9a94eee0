"""Parquet and Arrow files as one kind of table: its columns, batches of rows, and single cells that hold images.

Parquet is read by row groups. Arrow (a file or a stream, as Hugging Face's `save_to_disk` and caches are) is mapped into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from degla.errors import DataError

PARQUET_START = b"PAR1"
ARROW_STARTS = (b"ARROW1", b"\xff\xff\xff\xff")
"""Of a file and of a stream."""
_STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"


def schema_of(path: Path) -> pa.Schema:
    """The columns and their types. Raises DataError if the file is neither, or damaged."""
    if _is_arrow(path):
        return _arrow(path).schema
    with _parquet(path) as file:
        return file.schema_arrow


def batches_of(path: Path, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of some columns, in order. Of images in structs the `path` alone is read, other images are left out.

    Args:
        path: the file.
        names: of the columns.
        rows: of a batch, at most.

    Raises:
        DataError: the file cannot be opened.
        OSError, pa.ArrowInvalid: a later part of it is damaged.
    """
    schema = schema_of(path)
    names = [name for name in names if not holds_bytes(schema.field(name).type) or _has_path(schema.field(name).type)]
    if not _is_arrow(path):
        with _parquet(path) as file:
            leaves = [f"{name}.path" if holds_bytes(schema.field(name).type) else name for name in names]
            yield from file.iter_batches(rows, columns=leaves)
        return
    for batch in _arrow(path).select(names).to_batches(max_chunksize=rows):
        yield pa.RecordBatch.from_arrays([_without_bytes(batch[name]) for name in names], names)


def image_cell(path: Path, column: str, row: int) -> bytes:
    """The encoded image of a cell: its bytes, or those of Hugging Face's struct of bytes and path; empty if it is null.

    Raises:
        DataError: the file is damaged.
    """
    if _is_arrow(path):
        value = _arrow(path)[column][row].as_py()
    else:
        starts = _group_starts(path)
        group = int(np.searchsorted(starts, row, side="right")) - 1
        value = _group(path, column, group)[row - int(starts[group])].as_py()
    return (value.get("bytes") if isinstance(value, dict) else value) or b""


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type holds encoded images."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _has_path(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and kind.get_field_index("path") >= 0


def _without_bytes(column: pa.Array) -> pa.Array:
    if not holds_bytes(column.type):
        return column
    return pa.StructArray.from_arrays([pc.struct_field(column, "path")], ["path"])


def _is_arrow(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(6).startswith(ARROW_STARTS)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


@lru_cache(64)
def _arrow(path: Path) -> pa.Table:
    try:
        mapped = pa.memory_map(str(path))
        if mapped.read(6) == ARROW_STARTS[0]:
            return pa.ipc.open_file(mapped).read_all()
        mapped.seek(mapped.size() - len(_STREAM_END))
        if mapped.read() != _STREAM_END:  # without it a stream that was cut between two batches would be read as whole
            raise DataError(f"{path}: an Arrow stream without its end: the file was cut. Get it again.")
        mapped.seek(0)
        return pa.ipc.open_stream(mapped).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Arrow file: {error}") from error


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


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
