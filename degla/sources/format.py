"""What a format of `degla.sources.formats` is, and what it is asked to look at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

from degla.errors import DataError
from degla.sources.json_entries import Entry, stream_json, stream_json_lines
from degla.sources.options import SourceOptions
from degla.sources.records import Record, Skipped
from degla.sources.text import encoding_of

_START = 1 << 16  # bytes
_ENTRIES = 200
_SPLIT = re.compile(r"(train|restval|validation|valid|val|dev|test)(?=[-_.]|$)", re.IGNORECASE)

JsonShape = Literal["lines", "list", "object", ""]


@dataclass(frozen=True)
class Head:
    """The beginning of a file, or a folder."""

    path: Path
    options: SourceOptions

    @cached_property
    def start(self) -> bytes:
        """The first bytes; none of a folder."""
        if self.path.is_dir():
            return b""
        with self.path.open("rb") as file:
            return file.read(_START)

    @property
    def encoding(self) -> str:
        """That which is set, else what the file's mark says, else UTF-8."""
        return encoding_of(self.start, self.options.encoding)

    @cached_property
    def json_shape(self) -> JsonShape:
        """What the file is as JSON; empty if it is none."""
        text = self.start.decode(self.encoding, errors="replace").lstrip("\ufeff").lstrip()
        if text[:1] not in ("{", "["):
            return ""
        if self.options.format == "json_lines" or (self.options.format != "json_rows" and self._has_lines(text)):
            return "lines"
        return "list" if text[0] == "[" else "object"

    def _has_lines(self, text: str) -> bool:
        """Whether each line is a value: by the file's ending, if its first line is more than a brace, or by the first two."""
        named = self.path.suffix.lower() in (".jsonl", ".ndjson") and text[0] == "{" and text.partition("\n")[0].strip() != "{"
        return named or len(list(_whole_lines(text))) > 1

    @cached_property
    def entries(self) -> list[Entry]:
        """The first entries of a JSON file; empty if it is none. Raises DataError if it is broken."""
        if not self.json_shape:
            return []
        stream = stream_json_lines if self.json_shape == "lines" else stream_json
        return list(islice(stream(self.path, self.encoding, self.options.max_text), _ENTRIES))


def _whole_lines(text: str) -> Iterator[object]:
    """The JSON values of the first two lines that are one each."""
    for line in filter(str.strip, text.split("\n")[:3]):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            return


@dataclass(frozen=True)
class Format:
    """A format by name."""

    name: str
    about: str
    """What it is, in a line."""
    claims: Callable[[Head], bool]
    """Whether a file or folder is of the format, as far as its beginning tells."""
    complete: Callable[[Head], tuple[SourceOptions, list[str]]]
    """All options that reading needs, recognised if they are not set; and what is to be said of them."""
    read: Callable[[Sequence[Path], SourceOptions, frozenset[str]], Iterator[Record | Skipped]]
    """The records of files of the format. The last argument names the options that were recognised and not set."""
    holds_images: Callable[[Path, SourceOptions], bool] = lambda path, options: False
    """Whether the images are in the files themselves, as these options read them."""


def split_of(path: Path) -> str:
    """The split that a file's name begins with, as Hugging Face names its parts (`train-00000-of-00002.parquet`), or that its
    folder is called (`train/data-00000-of-00001.arrow`)."""
    found = _SPLIT.match(path.name) or _SPLIT.fullmatch(path.parent.name)
    return found[1] if found else ""


def with_encoding(head: Head) -> tuple[SourceOptions, list[str]]:
    """The options of a format that needs no more than the encoding."""
    said = [f"the encoding is {head.encoding}"] if head.encoding not in ("utf-8", "utf-8-sig") else []
    return head.options.model_copy(update={"encoding": head.encoding}), said


def entries_of(path: Path, options: SourceOptions) -> Iterator[Entry]:
    """All entries of a JSON or JSON lines file."""
    shape = Head(path, options).json_shape
    if not shape:
        raise DataError(f"{path}: expected JSON, found another file")
    return (stream_json_lines if shape == "lines" else stream_json)(path, options.encoding, options.max_text)
