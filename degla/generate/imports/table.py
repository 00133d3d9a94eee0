"""Format `table`: any Parquet, CSV or TSV file; the settings map its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from degla.errors import ConfigError, DataError
from degla.generate.config import ImportColumn
from degla.negative_types import NEGATIVE_TYPES, unknown_type
from degla.released.rows import ImportedRow
from degla.text_files import nearest_key, stream_delimited

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
_PARQUET = (".parquet", ".pq")
_BATCH_ROWS = 8192


def read_table_rows(path: Path, columns: Mapping[ImportColumn, str]) -> Iterator[ImportedRow]:
    """A row for each negative; in Parquet the column `negative` may hold lists of them.

    Args:
        path: the file; its ending decides how it is read.
        columns: ours (`caption`, `negative`, `image_id`, `type`) to the file's.

    Raises:
        ConfigError: the ending is unknown, or `caption` or `negative` is not named.
        DataError: a column is missing or has the wrong type, a negative type is unknown, or the file cannot be read.
    """
    lacking = [name for name in ("caption", "negative") if name not in columns]
    if lacking:
        raise ConfigError(f"{path}: generate.imports.columns lacks {lacking[0]!r}; name the file's column")
    names = list(columns.values())
    suffix = path.suffix.lower()
    rows: Iterator[tuple[int, Sequence[object]]]
    if suffix in _PARQUET:
        rows = _parquet_rows(path, names)
    elif suffix in _DELIMITERS:
        rows = stream_delimited(path, _DELIMITERS[suffix], names)
    else:
        raise ConfigError(f"{path}: unknown ending {suffix!r}; expected one of {', '.join((*_PARQUET, *_DELIMITERS))}")
    for number, values in rows:
        yield from _imported(number, dict(zip(columns, values, strict=True)), f"{path}: row {number}")


def _imported(number: int, row: Mapping[str, object], where: str) -> Iterator[ImportedRow]:
    image_id = row.get("image_id")
    negatives = row["negative"] if isinstance(row["negative"], list) else [row["negative"]]
    negative_type = _type(row.get("type"), where)
    for text in negatives:
        known_image = str(image_id) if image_id not in (None, "") else None
        yield ImportedRow(number, known_image, str(row["caption"] or ""), str(text or ""), negative_type)


def _type(value: object, where: str) -> str | None:
    if value is None or value == "":
        return None
    if value not in NEGATIVE_TYPES:
        raise DataError(f"{where}: {unknown_type(value)} Leave it empty to infer the type from the edit.")
    return str(value)


def _parquet_rows(path: Path, names: list[str]) -> Iterator[tuple[int, list[object]]]:
    try:
        with pq.ParquetFile(path) as file:
            for name in names:
                _check_kind(file.schema_arrow, name, path)
            number = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=sorted(set(names))):
                for values in zip(*(batch[name].to_pylist() for name in names), strict=True):
                    number += 1
                    yield number, list(values)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


def _check_kind(schema: pa.Schema, name: str, path: Path) -> None:
    found = schema.field(nearest_key(schema.names, name, f"{path}: the table")).type
    inner = found.value_type if pa.types.is_list(found) or pa.types.is_large_list(found) else found
    if not (pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_integer(inner)):
        raise DataError(f"{path}: column {name!r} is {found}, expected text")
