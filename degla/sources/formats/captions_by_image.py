"""Format `captions_by_image`: a JSON object from image to caption, or to a list of captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from degla.errors import DataError
from degla.sources.columns import is_column_name
from degla.sources.format import Format, Head, entries_of, with_encoding
from degla.sources.options import SourceOptions
from degla.sources.records import Record, Skipped
from degla.text_files import shown


def _claims(head: Head) -> bool:
    entries = head.entries if head.json_shape == "object" else []
    return bool(entries) and all(
        entry.key and isinstance(entry.value, str | None) and not is_column_name(entry.key) for entry in entries
    )


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        for number, entry in enumerate(entries_of(path, options), 1):
            if not isinstance(entry.value, str | None):
                raise DataError(f"{entry.where} is {shown(entry.value)}, expected a caption or a list of captions")
            yield Record(entry.where, number, entry.key, (entry.value or "",), file=entry.key)


CAPTIONS_BY_IMAGE = Format("captions_by_image", "a JSON object from image to its captions", _claims, with_encoding, _read)
