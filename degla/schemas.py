"""The tables that stages hand over, as Arrow schemas. A stage writes exactly these columns, the next one reads them.

`prepare`  -> `captions.parquet` (CAPTIONS), `images.arrow` (IMAGES; read by `degla.images`), and `scenes.parquet` (SCENES) for
              the mini world
`generate` -> `rewrites/*.parquet` (REWRITES)
`filter`   -> `training.parquet` (TRAINING), `rejected.parquet` (REJECTED), and `veto.parquet` (GAPS) where a CLIP looked
`evaluate` -> `scores.parquet` (SCORES), and for the report's page `shown/*.parquet` (SHOWN) and `pictures.parquet` (PICTURES)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from degla.errors import DataError
from degla.files import atomic_path

ImageStatus = Literal["ok", "missing", "undecodable"]

RewriteStatus = Literal["ok", "inapplicable", "abstained", "repeated", "copied", "failed"]
"""`ok`: there is a text. `inapplicable`: the caption cannot have this type or cannot be sent, so nobody was asked. `abstained`:
the generator found no rewrite. `repeated`: it gave the caption again. `copied`: it gave an exemplar of its prompt. `failed`: an
error came back (column `error`)."""

CAPTIONS = pa.schema(
    [
        pa.field("caption_id", pa.int64(), nullable=False),  # 0..n-1 in the order of the source
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),  # whitespace runs folded to one space, ends stripped
        pa.field("tokens", pa.list_(pa.string()), nullable=False),  # degla.text.tokens of the caption
        pa.field("tags", pa.list_(pa.string()), nullable=False),  # part of speech of each token, BNC C5 (NN1, AJ0, ...)
        pa.field("lemmas", pa.list_(pa.string()), nullable=False),
    ]
)

IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # file name in the source
        pa.field("status", pa.string(), nullable=False),  # ImageStatus
        pa.field("error", pa.string()),
        pa.field("width", pa.int32()),  # of the stored image, pixels
        pa.field("height", pa.int32()),
        pa.field("image", pa.large_binary()),  # encoded file (JPEG, PNG, raw PPM, ...); null unless status is ok
    ]
)

SCENES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),  # JSON of degla.miniworld.scenes.Scene
    ]
)

REWRITES = pa.schema(
    [
        pa.field("caption_id", pa.int64(), nullable=False),
        pa.field("type", pa.string(), nullable=False),  # degla.negative_types.NegativeType
        pa.field("candidate", pa.int32(), nullable=False),  # 0, 1, ...: which rewrite of this type for this caption
        pa.field("status", pa.string(), nullable=False),  # RewriteStatus
        pa.field("text", pa.string()),  # null unless status is ok
        pa.field("finish", pa.string()),  # why generation stopped: stop, length; null for rules
        pa.field("mean_logprob", pa.float64()),  # mean log-probability per generated token, where the generator knows it
        pa.field("lm_gap", pa.float64()),  # nats: log p(caption) - log p(text) by the generator's model, without the prompt
        pa.field("error", pa.string()),  # why there is no text, in words
        pa.field("attempt", pa.int32(), nullable=False),  # 1, 2, ...: each attempt is a row of its own; 0: imported
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("generator", pa.string(), nullable=False),  # rules, vllm:<model>, import:<name>, ...
        pa.field("model_sha", pa.string(), nullable=False),  # fingerprint of the generator's weights or lexicon
        pa.field("prompt_sha", pa.string()),  # fingerprint of the prompt; null for rules
    ]
)

_LINEAGE = ("text", "type", "generator", "candidate", "attempt", "seed", "model_sha", "prompt_sha")

NEGATIVE = pa.struct([REWRITES.field(name).with_nullable(name == "prompt_sha") for name in _LINEAGE])
"""A kept rewrite with all that says where it came from."""

TRAINING = pa.schema(
    [
        pa.field("caption_id", pa.int64(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("negatives", pa.list_(NEGATIVE), nullable=False),  # may be empty: the caption still trains
    ]
)

REJECTED = pa.schema([*REWRITES, pa.field("rule", pa.string(), nullable=False)])  # the first rule that refused the row

GAPS = pa.schema(
    [
        *(REWRITES.field(name) for name in ("caption_id", "type", "candidate", "attempt")),
        pa.field("gap", pa.float64()),  # logits: the image with the negative minus with the caption; null: no usable image
    ]
)

SCORES = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),  # path: miniworld_composition/swap_obj/accuracy
        pa.field("model", pa.string(), nullable=False),  # before, after, difference (after minus before), or another's name
        pa.field("value", pa.float64(), nullable=False),  # share in [0, 1]; a difference in [-1, 1]
        pa.field("low", pa.float64(), nullable=False),  # 95 % interval, paired for a difference
        pa.field("high", pa.float64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("items_missing", pa.int64(), nullable=False),  # left out: image missing or undecodable, or not in the files
        pa.field("incomplete", pa.bool_(), nullable=False),  # items are missing, so the value is not the benchmark's
        pa.field("chance", pa.float64()),  # null for a difference
        pa.field("note", pa.string(), nullable=False),
    ]
)

SHOWN = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),  # as in the items of the set, whatever their kind
        pa.field("texts", pa.list_(pa.string()), nullable=False),  # the right ones first; of classes none
        pa.field("right", pa.int32(), nullable=False),  # how many of the texts are right
        pa.field("images", pa.list_(pa.string()), nullable=False),  # ids; of a match as many as texts, in their order
    ]
)

PICTURES = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),  # id, as in SHOWN
        pa.field("picture", pa.binary(), nullable=False),  # WebP, degla.images.THUMBNAIL pixels at the longer side
    ]
)

INTERVALS_NOTE = "Intervals are of the items, also of those that share an image; the seeds of training are not in them."
"""What every table of scores says beside it."""

ROW_GROUP_SIZE = 16_384  # rows


def write_table(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write a Parquet file whole or not at all. Raises DataError where the table is not of the schema."""
    with table_writer(path, schema) as write:
        write(table)


@contextmanager
def table_writer(path: Path, schema: pa.Schema, group_size: int = ROW_GROUP_SIZE) -> Iterator[Callable[[pa.Table], None]]:
    """Write a Parquet file in pieces, whole or not at all; it is the same file however the rows are cut into pieces.

    Args:
        path: the file.
        schema: of every piece.
        group_size: rows in each of its row groups but the last.

    Yields:
        A function that appends the rows of a table. It raises DataError where the table is not of the schema.
    """
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        in_groups(writer.write_table, group_size) as write,
    ):
        yield lambda table: write(_of_schema(path, table, schema))


@contextmanager
def in_groups(write: Callable[[pa.Table], None], size: int) -> Iterator[Callable[[pa.Table], None]]:
    """Pass rows on in groups of `size`, the last one with what is left, however they are cut into pieces.

    Args:
        write: takes a group, in one chunk.
        size: rows.

    Yields:
        A function that takes the rows of a table.
    """
    held: list[pa.Table] = []

    def append(table: pa.Table) -> None:
        held.append(table)
        if sum(piece.num_rows for piece in held) < size:
            return
        rows = pa.concat_tables(held)
        whole = rows.num_rows - rows.num_rows % size
        for start in range(0, whole, size):
            write(rows.slice(start, size).combine_chunks())
        held[:] = [rows.slice(whole)]

    yield append
    if sum(piece.num_rows for piece in held):
        write(pa.concat_tables(held).combine_chunks())


def _of_schema(path: Path, table: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        table = table.select(schema.names).cast(schema)
        table.validate(full=True)
    except (KeyError, pa.ArrowInvalid, ValueError) as error:
        raise DataError(f"{path.name}: the table is not of its schema: {error}") from error
    return table


def check_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> None:
    """Raises DataError where the file is missing or truncated, or lacks a column or has it with another type."""
    try:
        found = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from error
    check_columns(path, found, schema, columns)


def check_columns(path: Path, found: pa.Schema, schema: pa.Schema, columns: list[str] | None = None) -> None:
    """Raises DataError where a table that was found lacks a column of `schema` or has it with another type."""
    for name in columns or schema.names:
        if name not in found.names:
            raise DataError(f"{path}: column {name!r} is missing; found {', '.join(found.names)}")
        if not _compatible(found.field(name).type, schema.field(name).type):
            raise DataError(f"{path}: column {name!r} is {found.field(name).type}, expected {schema.field(name).type}")


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file of this schema. Raises DataError as `check_table` does."""
    check_table(path, schema, columns)
    try:
        return pq.read_table(path, columns=columns or schema.names)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from error


def check_pages(path: Path) -> None:
    """Read the whole file, a row group at a time. Raises DataError where a page of it is damaged."""
    try:
        parquet = pq.ParquetFile(path)
        for group in range(parquet.num_row_groups):
            parquet.read_row_group(group)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: not a readable Parquet file: {error}. Delete its folder and run the stage again.")


def _compatible(found: pa.DataType, expected: pa.DataType) -> bool:
    return found == expected or str(found).replace(" not null", "") == str(expected).replace(" not null", "")
