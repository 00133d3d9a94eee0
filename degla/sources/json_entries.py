"""JSON larger than memory, entry by entry: lists, objects, objects of lists, and JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from degla.errors import DataError
from degla.sources.text import lines_of, opened
from degla.text_files import parse_json

_PIECE = 1 << 20  # characters read at once
_SPACE = re.compile(r"[\s]*")
_DECODER = json.JSONDecoder()


class Entry(NamedTuple):
    """An element of a JSON file."""

    key: str
    """The key at the top under which it stands; empty in a list and in JSON lines."""
    number: int
    """From 1 in a list or in lines; 0 if it is the value of the key itself."""
    value: Any
    where: str


def stream_json(path: Path, encoding: str, max_text: int) -> Iterator[Entry]:
    """The elements of a top-level list, or of each list in a top-level object and the other values of it.

    Raises:
        DataError: the file is not JSON, or breaks off; names the entry. An entry is longer than `max_text` characters.
    """
    with opened(path, encoding) as file:
        text = _Text(file, path, max_text)
        opening = text.take()
        if opening == "[":
            yield from _elements(text, "", path)
        elif opening == "{":
            yield from _members(text, path)
        else:
            raise DataError(f"{path}: expected a JSON list or object, found {opening!r}")
        if rest := text.peek():
            raise DataError(f"{path}: {rest!r} follows the end of the JSON. Is it JSON lines? Then set format: json_lines.")


def stream_json_lines(path: Path, encoding: str, max_text: int) -> Iterator[Entry]:
    """The value of each line; blank lines are passed over. Raises DataError as `stream_json` does, naming the line."""
    for number, line in enumerate(lines_of(path, encoding, max_text), 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield Entry("", number, parse_json(line, where), where)


def _members(text: _Text, path: Path) -> Iterator[Entry]:
    while (found := text.peek()) != "}":
        if found == ",":
            text.take()
            continue
        key = text.value(f"{path}: a key")
        if not isinstance(key, str) or text.take() != ":":
            raise DataError(f"{path}: expected a key and a colon, found {str(key)[:40]!r}")
        if text.peek() == "[":
            text.take()
            yield from _elements(text, key, path)
        else:
            yield Entry(key, 0, text.value(f"{path}: {key}"), f"{path}: {key}")
    text.take()


def _elements(text: _Text, key: str, path: Path) -> Iterator[Entry]:
    number = 0
    while (found := text.peek()) != "]":
        if found == ",":
            text.take()
            continue
        number += 1
        where = f"{path}: {key}[{number - 1}]" if key else f"{path}: entry {number}"
        yield Entry(key, number, text.value(where), where)
    text.take()


class _Text:
    """A window on a file of JSON."""

    def __init__(self, file: TextIO, path: Path, max_text: int) -> None:
        self._file, self._path, self._max_text = file, path, max_text
        self._text, self._place = "", 0

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        self._place = _SPACE.match(self._text, self._place).end()  # type: ignore[union-attr]
        while self._place == len(self._text) and self._more():
            self._place = _SPACE.match(self._text, self._place).end()  # type: ignore[union-attr]
        return self._text[self._place : self._place + 1]

    def take(self) -> str:
        """The next character that is no white space, passed over. Raises DataError at the end of the file."""
        found = self.peek()
        if not found:
            raise DataError(f"{self._path}: the JSON breaks off, or the file is empty")
        self._place += 1
        return found

    def value(self, where: str) -> Any:
        """The value that begins here. Raises DataError naming `where`."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._place)
                if end < len(self._text) or not self._more():  # a number may go on in the next piece
                    break
                continue
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._place > self._max_text:
                    raise DataError(
                        f"{where}: is not JSON, or is longer than max_text = {self._max_text:,} characters: {error}"
                    ) from error
                if not self._more():
                    raise DataError(f"{where}: is not JSON, or breaks off: {str(error)[:200]}") from error
        self._place = end
        return value

    def _more(self) -> bool:
        try:
            piece = self._file.read(max(_PIECE, len(self._text) - self._place))  # of a long entry, twice as much each time
        except UnicodeError as error:
            raise DataError(f"{self._path}: not {self._file.encoding} ({error}); set encoding") from error
        if not piece:
            return False
        self._text, self._place = self._text[self._place :] + piece, 0
        return True
