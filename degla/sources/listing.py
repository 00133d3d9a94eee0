"""The images of a source, each with all its captions, grouped out of core: an Arrow file that any process reads in ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from degla.database import connect
from degla.errors import DataError
from degla.files import atomic_path
from degla.sources.folders import ImageFolders
from degla.sources.records import CellBytes, FileBytes, ImageBytes, Record, is_one_image
from degla.sources.source import Source

_PLACE = [
    pa.field("path", pa.string()),  # of the file that has the image's bytes
    pa.field("column", pa.string()),  # of Parquet; null in other files
    pa.field("place", pa.int64()),  # offset in bytes, or row of Parquet
    pa.field("size", pa.int64()),
]
_ROWS = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("image", pa.string()),
        pa.field("name", pa.string()),
        pa.field("caption", pa.string()),
        *_PLACE,
    ]
)
_LISTED = pa.schema(
    [
        pa.field("image", pa.string()),
        pa.field("name", pa.string()),
        pa.field("captions", pa.list_(pa.string())),
        *_PLACE,
        pa.field("problem", pa.string()),
    ]
)
_BY_IMAGE = (
    "copy (select rows.* from read_parquet({rows}) as rows"
    " join (select image, min(row) as first from read_parquet({rows}) group by image) using (image)"
    " order by first, row) to {out} (format parquet)"
)
_BATCH = 20_000
_MEMORY = "500MB"  # of DuckDB, which then sorts on disk


@dataclass(frozen=True)
class ListedImage:
    """An image with all its captions in order. `bytes` is None if there are captions only, or if it is missing: see `problem`."""

    image: str
    name: str
    captions: list[str]
    bytes: ImageBytes | None
    problem: str


class Listing:
    """The images of a source by number. Mapped into memory: processes share it.

    Args:
        path: what `write_listing` wrote.
    """

    def __init__(self, path: Path) -> None:
        self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()

    def __len__(self) -> int:
        return len(self._table)

    @property
    def has_bytes(self) -> bool:
        """Whether it knows where the bytes of any image are."""
        return self._table["path"].null_count < len(self._table)

    def read(self, start: int, stop: int) -> Iterator[ListedImage]:
        """The images [start, stop)."""
        for row in self._table.slice(start, stop - start).to_pylist():
            yield ListedImage(row["image"], row["name"], row["captions"], _bytes(row), row["problem"] or "")


def write_listing(source: Source, folders: ImageFolders | None, path: Path) -> int:
    """Group the captions of a source by image, in order of appearance, and write them.

    Args:
        source: read to its end; needs memory for none of it.
        folders: where images lie that the source's own files do not hold; None for captions only.
        path: the file to write.

    Returns:
        How many captions repeat one of their image.

    Raises:
        DataError: the source is broken, has no caption, or an id is of two images; a name is of a file outside the folders.
    """
    rows, ordered = path.with_suffix(".rows"), path.with_suffix(".ordered")
    repeated = 0
    try:
        _write(rows, _ROWS, _rows(source))
        if not pq.read_metadata(rows).num_rows:
            others = ", ".join(f"{name} {count:,}" for name, count in source.left_out.items())
            splits = f" Other splits: {others}; set splits." if others else ""
            raise DataError(f"{source.recognised.files[0]}: no caption is left.{splits}")
        with connect(memory_limit=_MEMORY, spill_dir=path.parent / "spill") as database:
            names = {"rows": database.literal(str(rows)), "out": database.literal(str(ordered))}
            database.execute(_BY_IMAGE.format(**names))
        with atomic_path(path) as temporary, pa.ipc.new_file(temporary, _LISTED) as writer:
            for batch in _in_batches(_grouped(ordered, folders)):
                repeated += sum(len(row["captions"]) - len(set(row["captions"])) for row in batch)
                writer.write_table(pa.Table.from_pylist(batch, _LISTED))
    finally:
        rows.unlink(missing_ok=True)
        ordered.unlink(missing_ok=True)
    return repeated


def _write(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> None:
    with pq.ParquetWriter(path, schema) as writer:
        for batch in _in_batches(rows):
            writer.write_table(pa.Table.from_pylist(batch, schema))


def _in_batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _rows(source: Source) -> Iterator[dict[str, Any]]:
    number = 0
    named = source.recognised.options.image_column
    for record in source:
        if not record.image and named != "" and record.captions:
            raise DataError(f"{record.where}: {named!r} is empty, expected an image's name or number")
        shared = {"image": record.image or str(number), "name": record.file or record.image, **_place(record)}
        for caption in record.captions:
            yield {"row": number, "caption": caption, **shared}
            number += 1


def _place(record: Record) -> dict[str, Any]:
    match record.inside:
        case FileBytes(path, offset, size):
            return {"path": str(path), "place": offset, "size": size}
        case CellBytes(path, column, row):
            return {"path": str(path), "column": column, "place": row}
    return {}


def _bytes(row: dict[str, Any]) -> ImageBytes | None:
    if row["path"] is None:
        return None
    if row["column"] is not None:
        return CellBytes(Path(row["path"]), row["column"], row["place"])
    return FileBytes(Path(row["path"]), row["place"], row["size"])


def _grouped(ordered: Path, folders: ImageFolders | None) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(ordered) as file:
        rows = (row for batch in file.iter_batches(_BATCH) for row in batch.to_pylist())
        for _, own in groupby(rows, lambda row: row["image"]):
            yield _image(list(own), folders)


def _image(rows: list[dict[str, Any]], folders: ImageFolders | None) -> dict[str, Any]:
    first = rows[0]
    for row in rows[1:]:
        if not is_one_image(_bytes(row), _bytes(first)):
            raise DataError(
                f"image {first['image']!r} is in two places: {_named(first)} and {_named(row)}. Give each image its own id."
            )
    listed = {name: first[name] for name in ("image", "name", *(field.name for field in _PLACE))}
    listed["captions"] = [row["caption"] for row in rows]
    if folders is not None and first["path"] is None:
        found, listed["problem"] = folders.find(first["name"])
        if found:
            listed |= {"path": str(found), "place": 0, "size": -1}
    return listed


def _named(row: dict[str, Any]) -> str:
    place = f"row {row['place'] + 1}" if row["column"] else f"byte {row['place']}"
    return f"{row['path']}, {place}"
