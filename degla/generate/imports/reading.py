"""Reads imports: every negative of every file becomes rows of REWRITES, or a row of `imported_unmatched.parquet`.

Files are read in batches; a batch is a unit (`degla.units`) with two parts, its rows and its unmatched negatives.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from degla.catalog import paths_checksum
from degla.errors import DataError
from degla.files import write_text_atomic
from degla.generate.config import Import
from degla.generate.imports.matching import CaptionIndex, text_key
from degla.generate.imports.rows import ImportedRow, imported_rows
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import REWRITES, read_table, write_table
from degla.text.edit_types import type_of_edit
from degla.units import Units, join

logger = logging.getLogger(__name__)

SUMMARY, UNMATCHED = "imported.json", "imported_unmatched.parquet"
BATCH = 20_000
"""Negatives of a file in one part."""

NOT_ASKED = 0
"""The attempt of an imported row; generated rows start at 1, so their keys never collide."""

_BATCHES_PER_LINE = 10  # of the log
_UNMATCHED_PARTS = "imported_unmatched"
_PLACES = {name: place for place, name in enumerate(NEGATIVE_TYPES)}

UNMATCHED_SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # 1 is the first entry, or the first row below the header
        pa.field("image_id", pa.string()),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


@dataclass
class ImportSummary:
    """Counts of the imports; `read` = `matched` + `unmatched`, in negatives of the files."""

    read: int = 0
    matched: int = 0
    unmatched: int = 0
    rows: int = 0
    """Rows written; more than `matched` if several captions have the same text."""
    types: dict[str, int] = field(default_factory=dict)
    """Rows written by type."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Unmatched negatives by reason."""
    parts: list[str] = field(default_factory=list)
    """The files written, relative to the folder."""


def read_imports(imports: Sequence[Import], captions_path: Path, folder: Path) -> ImportSummary:
    """Write `rewrites/imported-*.parquet`, `imported_unmatched.parquet` and, last, `imported.json` below `folder`.

    A negative belongs to every caption with its caption's text (`degla.generate.imports.matching`). Rows keep the order of the
    files; candidates of a caption and type are numbered across all imports.

    Raises:
        MissingInputError: a file does not exist.
        ConfigError: the settings of an import are incomplete.
        DataError: a file is broken or holds no negatives; names file and row.
    """
    done = folder / SUMMARY
    unmatched = Units(folder / _UNMATCHED_PARTS, "{number:05d}.parquet")
    if done.is_file():
        unmatched.remove()
        return ImportSummary(**json.loads(done.read_text(encoding="utf-8")))
    index = CaptionIndex.load(captions_path)
    numbers = np.zeros((len(index), len(NEGATIVE_TYPES)), np.int32)  # candidates so far, by caption and type
    summary = ImportSummary()
    rows = Units(folder / "rewrites", "imported-{number:05d}.parquet")
    for each in imports:
        _read_import(each, index, numbers, rows, unmatched, summary)
    join(unmatched.paths(), folder / UNMATCHED, UNMATCHED_SCHEMA)
    summary.parts = [f"rewrites/{path.name}" for path in rows.paths()]
    write_text_atomic(done, json.dumps(asdict(summary), indent=2))
    unmatched.remove()
    return summary


def _read_import(
    each: Import, index: CaptionIndex, numbers: np.ndarray, rows: Units, unmatched: Units, summary: ImportSummary
) -> None:
    path = Path(each.path)
    matcher = _Matcher(path.name, each.name or path.stem, paths_checksum(each.files())[:16], index, numbers)
    before = (summary.read, summary.unmatched)
    for batch in _batches(imported_rows(each)):
        part, unmatched_part = rows.path(rows.add(len(batch))), unmatched.path(unmatched.add(len(batch)))
        if part.is_file():
            _count_candidates(part, index, numbers)
        else:
            matcher.write(batch, part, unmatched_part)
        _add(summary, len(batch), part, unmatched_part)
        if len(rows) % _BATCHES_PER_LINE == 0:
            logger.info("%s: %s negatives read", path.name, f"{summary.read - before[0]:,}")
    read, lost = summary.read - before[0], summary.unmatched - before[1]
    if read == 0:
        raise DataError(
            f"{path}: holds no negatives. Is it the right file? If so, name their columns: columns: {{negative: ...}}."
            f" `python -m degla.prepare sniff {path}` shows what is recognised."
        )
    logger.info("%s: %s of %s negatives match captions of the dataset", path.name, f"{read - lost:,}", f"{read:,}")
    if lost:
        logger.warning("%s: %s negatives match no caption; see %s", path.name, f"{lost:,}", UNMATCHED)


def _batches(rows: Iterable[ImportedRow]) -> Iterator[list[ImportedRow]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


@dataclass(frozen=True)
class _Matcher:
    """Turns the rows of one file into rewrites."""

    file: str
    name: str
    checksum: str
    index: CaptionIndex
    numbers: np.ndarray

    def write(self, batch: Sequence[ImportedRow], part: Path, unmatched_part: Path) -> None:
        """Write both parts of a batch; the rows come last, as their part says that the batch is done."""
        shared = {
            "status": "ok",
            "attempt": NOT_ASKED,
            "seed": 0,
            "generator": f"import:{self.name}",
            "model_sha": self.checksum,
        }
        rewrites: list[dict[str, Any]] = []
        unmatched: list[dict[str, Any]] = []
        for row in batch:
            places = self.index.find(row.image_id, row.caption)
            reason = self._why_not(row, places)
            if reason:
                unmatched.append(self._unmatched(row, reason))
            else:
                rewrites += [shared | named for named in self._named(row, places)]
        write_table(unmatched_part, pa.Table.from_pylist(unmatched, UNMATCHED_SCHEMA), UNMATCHED_SCHEMA)
        write_table(part, pa.Table.from_pylist(rewrites, REWRITES), REWRITES)

    def _named(self, row: ImportedRow, places: Sequence[int]) -> Iterator[dict[str, Any]]:
        text = " ".join(row.text.split())
        negative_type = row.type or type_of_edit(*self.index.words(places[0]), text)
        for place in places:
            number = int(self.numbers[place, _PLACES[negative_type]])
            self.numbers[place, _PLACES[negative_type]] += 1
            yield {
                "caption_id": int(self.index.caption_ids[place]),
                "type": negative_type,
                "candidate": number,
                "text": text,
            }

    def _why_not(self, row: ImportedRow, places: Sequence[int]) -> str | None:
        if not row.text.strip():
            return "the negative is empty"
        if _writable(row.text) != row.text:
            return "the negative is not Unicode text"
        if not text_key(row.caption):
            return "the caption is empty"
        if places:
            return None
        if row.image_id is not None and self.index.knows(row.image_id):
            return "the image has no such caption in the dataset"
        return "no caption of the dataset has this text"

    def _unmatched(self, row: ImportedRow, reason: str) -> dict[str, Any]:
        texts = {name: _writable(getattr(row, name)) for name in ("image_id", "caption", "text")}
        return {"file": self.file, "row": row.row, **texts, "reason": reason}


def _writable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode()


def _count_candidates(part: Path, index: CaptionIndex, numbers: np.ndarray) -> None:
    table = read_table(part, REWRITES, ["caption_id", "type"])
    by_id = np.argsort(index.caption_ids, kind="stable")
    places = by_id[np.searchsorted(index.caption_ids, table["caption_id"].to_numpy(), sorter=by_id)]
    types = np.array([_PLACES[name] for name in table["type"].to_pylist()], np.int64)
    np.add.at(numbers, (places, types), 1)


def _add(summary: ImportSummary, read: int, part: Path, unmatched_part: Path) -> None:
    types = read_table(part, REWRITES, ["type"])["type"].to_pylist()
    reasons = read_table(unmatched_part, UNMATCHED_SCHEMA, ["reason"])["reason"].to_pylist()
    summary.read += read
    summary.unmatched += len(reasons)
    summary.matched += read - len(reasons)
    summary.rows += len(types)
    summary.types = dict(Counter(summary.types) + Counter(types))
    summary.reasons = dict(Counter(summary.reasons) + Counter(reasons))
