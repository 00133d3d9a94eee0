"""Format `flickr`: the token files of Flickr8k and Flickr30k: `667626_18933d.jpg#0`, a tab, a caption; quotes are text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from degla.errors import DataError
from degla.sources.format import Format, Head, with_encoding
from degla.sources.options import SourceOptions
from degla.sources.records import Record, Skipped
from degla.sources.text import lines_of

_LINE = re.compile(r"(?P<image>[^\t#]+)#\d+\t(?P<caption>.*)", re.DOTALL)


def _claims(head: Head) -> bool:
    lines = head.start.decode(head.encoding, errors="replace").lstrip("\ufeff").splitlines()[:20]
    return bool(lines) and sum(_LINE.fullmatch(line) is not None for line in lines) > len(lines) // 2


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        for number, line in enumerate(lines_of(path, options.encoding, options.max_text), 1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            if found := _LINE.fullmatch(line):
                yield Record(where, number, found["image"], (found["caption"],), file=found["image"])
            elif options.broken_rows == "skip":
                yield Skipped(where, "", "expected name#number, a tab and a caption")
            else:
                raise DataError(f"{where}: expected name#number, a tab and a caption. Fix it, or set broken_rows: skip.")


FLICKR = Format("flickr", "Flickr8k's and Flickr30k's token files: name#number, tab, caption", _claims, with_encoding, _read)
