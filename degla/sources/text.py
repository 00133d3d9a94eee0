"""Text files that others wrote: their encoding, and what is no text in them, named by line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from degla.errors import ConfigError, DataError

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_RAW_BYTE = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of a byte that does not decode


def encoding_of(start: bytes, given: str = "") -> str:
    """The encoding that is given, else the one that the first bytes of a file tell, else UTF-8.

    Raises:
        ConfigError: there is no encoding of the given name.
    """
    if not given:
        return next((name for mark, name in _BOMS.items() if start.startswith(mark)), "utf-8")
    try:
        "a".encode(given)
    except LookupError as error:
        raise ConfigError(f"encoding: there is no {given!r}; known are utf-8, latin-1, cp1252, utf-16, gb18030 ...") from error
    return given


def opened(path: Path, encoding: str, errors: str = "strict") -> TextIO:
    """The file as text, line ends as they are. Raises DataError if it is a folder, or cannot be opened."""
    try:
        return path.open(encoding=encoding, errors=errors, newline="")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def lines_of(path: Path, encoding: str, max_text: int) -> Iterator[str]:
    """The lines of a text file with their ends.

    Raises:
        DataError: a line is not of the encoding, holds a NUL, or is longer than `max_text`; names the line and the setting.
    """
    with opened(path, encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict") as file:
        number = 0
        try:
            while line := file.readline(max_text + 1):
                number += 1
                problem = _problem(line, max_text)
                if problem:
                    raise DataError(f"{path}, line {number}: {problem}")
                yield line
        except UnicodeError as error:
            raise DataError(f"{path}, after line {number}: not {encoding} ({error}); set encoding") from error


def _problem(line: str, max_text: int) -> str:
    if len(line) > max_text:
        return f"is longer than max_text = {max_text:,} characters. Raise it, or set quoting if a quote does not close."
    if "\0" in line:
        return "holds a NUL: UTF-16 without its mark (set encoding: utf-16-le or utf-16-be), or a damaged file"
    if not line.isascii() and (raw := _RAW_BYTE.search(line)):
        return f"byte 0x{ord(raw[0]) - 0xDC00:02x} is not UTF-8. Set encoding: cp1252 or latin-1 (Western), gb18030, ..."
    return ""
