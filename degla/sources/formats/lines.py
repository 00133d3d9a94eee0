"""Format `lines`: a text file with a caption on each line and no images. Never recognised, so that no table is taken for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from degla.sources.columns import is_column_name
from degla.sources.format import Format, Head, with_encoding
from degla.sources.options import SourceOptions
from degla.sources.records import Record, Skipped
from degla.sources.text import lines_of


def _claims(head: Head) -> bool:
    return False


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        for number, line in enumerate(lines_of(path, options.encoding, options.max_text), 1):
            where = f"{path}, line {number}"
            if number == 1 and is_column_name(line.strip()):
                yield Skipped(where, "", f"{line.strip()!r} is the name of a column and no caption")
            elif line.strip():
                yield Record(where, number, "", (line,))


LINES = Format("lines", "a caption on each line, no images", _claims, with_encoding, _read)
