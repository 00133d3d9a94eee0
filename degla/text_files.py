"""JSON, JSONL and delimited text that others wrote, whole, with errors that name file and place.

Called by the readers of `degla.prepare` and `degla.evaluate`, and by the filter's audit command.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from degla.errors import DataError, MissingInputError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SHOWN = 80  # characters of a wrong value


def read_json(path: Path, kind: type | tuple[type, ...]) -> Any:
    """The content of a JSON file whose outermost value is of `kind`, or of one of several.

    Raises:
        MissingInputError: the file is not there.
        DataError: it is not JSON, or the outermost value is another one.
    """
    content = _parse(_text(path), str(path))
    if not isinstance(content, kind):
        names = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
        raise DataError(f"{path}: expected a JSON {names} at the top, found {type(content).__name__}")
    return content


def read_json_lines(path: Path) -> list[tuple[str, Any]]:
    """The values of a JSONL file, each with its place for errors; blank lines are passed over. Raises as `read_json` does."""
    lines = [(f"{path}, line {number}", line) for number, line in enumerate(_text(path).split("\n"), start=1)]
    return [(where, _parse(line, where)) for where, line in lines if line.strip()]


def read_delimited(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str | None]]]:
    """The rows of a CSV file, or a TSV file where its name ends so, with a header; each with its place for errors.

    Raises:
        MissingInputError: the file is not there.
        DataError: its header lacks one of `columns`, or it is no such file.
    """
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), delimiter="\t" if path.suffix == ".tsv" else ",")
    try:
        rows = [(f"{path}, line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a table: {error}") from error
    header = list(reader.fieldnames or ())
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise DataError(f"{path}: column {lacking[0]!r} is missing; found {', '.join(header)[:200] or 'nothing'}")
    return rows


def text_fields(entry: Any, names: Sequence[str], where: str) -> list[str]:
    """The non-empty texts of an object under these names. Raises DataError naming `where` and the field."""
    if not isinstance(entry, Mapping):
        raise DataError(f"{where}: expected an object with {', '.join(names)}, found {type(entry).__name__}")
    for name in names:
        value = entry.get(name)
        if not isinstance(value, str) or not value.strip():
            found = f"is {shown(value)}, expected a text" if name in entry else f"is missing; found {shown(list(entry))}"
            raise DataError(f"{where}: {name} {found}")
    return [entry[name] for name in names]


def text_list(entry: Mapping[str, Any], name: str, where: str, least: int = 1) -> tuple[str, ...]:
    """The list of at least so many texts of an object under this name. Raises DataError naming `where` and the field."""
    value = entry.get(name)
    if not isinstance(value, list) or len(value) < least or not all(isinstance(text, str) and text.strip() for text in value):
        raise DataError(f"{where}: {name} is {shown(value)}, expected a list of {least} or more texts")
    return tuple(value)


def check_distinct(ids: Sequence[str], path: Path) -> None:
    """Raises DataError where an id comes more than once; file and id are named."""
    twice = next((key for key, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{path}, item {twice!r}: its id comes more than once; give each item its own")


def shown(value: Any) -> str:
    """A wrong value as errors show it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, expected a file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason}). Is it the right file, and unpacked?") from error


def _parse(text: str, where: str) -> Any:
    try:
        content = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.start + 20]
        raise DataError(f"{where}: {around!r} holds half of a character, which no text can") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    return content
