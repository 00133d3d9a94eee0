"""JSON and JSONL of the field's benchmarks, with errors that name file and place. What people bring: `degla.sources`."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from degla.errors import DataError, MissingInputError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SHOWN = 80  # characters of a wrong value
_PLACE = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")


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


def read_json_lines(path: Path, growing: bool = False) -> list[tuple[str, Any]]:
    """The values of a JSONL file, each with its place for errors; blank lines are skipped. Raises as `read_json` does.

    Args:
        path: the file.
        growing: a process appends to it, or did when it was killed: it may not exist yet, and an unfinished last line is skipped.
    """
    text = "" if growing and not path.exists() else _text(path)
    if growing:
        text = text[: text.rfind("\n") + 1]
    lines = [(f"{path}, line {number}", line) for number, line in enumerate(text.split("\n"), start=1)]
    return [(where, _parse(line, where)) for where, line in lines if line.strip()]


def nearest_key(keys: Iterable[str], wanted: str, where: str) -> str:
    """`wanted`. Raises DataError, with the nearest key, if it is not among the keys."""
    known = list(keys)
    if wanted in known:
        return wanted
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known[:20])[:200] or 'none'}"
    raise DataError(f"{where} has no {wanted!r}; {hint}")


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
    """A field that is a list of at least `least` texts. Raises DataError naming `where` and the field."""
    value = entry.get(name)
    if not isinstance(value, list) or len(value) < least or not all(isinstance(text, str) and text.strip() for text in value):
        raise DataError(f"{where}: {name} is {shown(value)}, expected a list of {least} or more texts")
    return tuple(value)


def check_distinct(ids: Sequence[str], path: Path) -> None:
    """Raises DataError if an id is repeated; file and id are named."""
    twice = next((key for key, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{path}, item {twice!r}: its id is repeated; give each item its own")


def shown(value: Any) -> str:
    """A wrong value, shortened for an error."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def columns_of(text: str) -> list[str]:
    """The columns that a text names: itself, or with braces each name in them, as in `{type}_{subtype}` or `{id:0>12}.jpg`."""
    return [found[1] for found in _PLACE.finditer(text)] if "{" in text else [text]


def filled(text: str, value: Callable[[str], Any], where: str) -> str:
    """A text with columns (`columns_of`) filled with the values of a row, each in Python's format for it.

    Raises:
        DataError: a value is no text or number, or empty, or its format is none; names `where`.
    """

    def fill(column: str, form: str = "") -> str:
        found = value(column)
        if not isinstance(found, str | int) or not str(found).strip():
            raise DataError(f"{where}: {column!r} is {shown(found)}, expected a text")
        try:
            return format(str(found).strip(), form)
        except ValueError as error:
            raise DataError(f"{where}: {text!r}: {form!r} formats no text: {error}") from error

    return _PLACE.sub(lambda found: fill(found[1], found[2] or ""), text) if "{" in text else fill(text)


def not_text(path: Path, error: UnicodeDecodeError) -> DataError:
    """The error for a file in another encoding, or for a binary file."""
    return DataError(f"{path} is not UTF-8 text ({error.reason}). Is it the right file, and unpacked?")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, expected a file") from error
    except UnicodeDecodeError as error:
        raise not_text(path, error) from error


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text. Raises DataError naming `where`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from error


def _parse(text: str, where: str) -> Any:
    """The same; an unpaired surrogate is refused."""
    content = parse_json(text, where)
    try:
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.start + 20]
        raise DataError(f"{where}: {around!r} holds an unpaired surrogate: not valid Unicode") from error
    return content
