"""Formats `json_lines` and `json_rows`: objects of one form, one a line or in a JSON list or object: Hugging Face's
`metadata.jsonl`, BLIP's lists of captions, SugarCrepe's and DeGLA's JSON, whatever names an image, captions and negatives. Lists
in place of objects (COLA, What'sUp) are rows without a header, their columns numbers from 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from degla.errors import DataError
from degla.sources.columns import RowReader, choose_columns, is_image_value
from degla.sources.format import Format, Head, entries_of, with_encoding
from degla.sources.json_entries import Entry
from degla.sources.options import SourceOptions
from degla.sources.records import Record, Skipped
from degla.text_files import shown


def _claims_lines(head: Head) -> bool:
    return head.json_shape == "lines"


def _claims_rows(head: Head) -> bool:
    return bool(head.json_shape)


def _complete(head: Head) -> tuple[SourceOptions, list[str]]:
    options, said = with_encoding(head)
    rows = [_row(entry) for entry in head.entries if isinstance(entry.value, dict | list)]
    if not head.entries:
        return options, said
    if not rows:
        raise DataError(f"{head.path}: expected JSON objects with an image and a caption, found {shown(head.entries[0].value)}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    options, columns = choose_columns(names, rows, options, str(head.path))
    return options, said + columns


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        reader = RowReader(options)
        for number, entry in enumerate(entries_of(path, options), 1):
            if isinstance(entry.value, dict | list):
                if record := reader.record(_row(entry), number, entry.where):
                    yield record
            elif entry.number:
                raise DataError(f"{entry.where} is {shown(entry.value)}, expected an object")
            else:
                yield Skipped(entry.where, "", "is no object")


def _row(entry: Entry) -> dict[Any, Any]:
    """The object, with the key that it stands under as its image or id; or the list, by number from 1."""
    if isinstance(entry.value, list):
        return dict(enumerate(entry.value, 1))
    if is_image_value(entry.key):
        return {"image": entry.key, **entry.value}
    return entry.value if entry.number else {"id": entry.key, **entry.value}


JSON_LINES = Format("json_lines", "objects, one a line (JSONL)", _claims_lines, _complete, _read)
JSON_ROWS = Format("json_rows", "a JSON list or object of objects, or a list of lists", _claims_rows, _complete, _read)
