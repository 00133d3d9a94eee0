"""What the formats share: the row they give, how images are named, and reading JSON lists and delimited text piece by piece.

Files are larger than memory may be, and come from others: nothing is evaluated, and what is wrong is named with its row.
Called by the formats (`degla`, `negclip`, and the table of `degla.generate.imports`).
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degla.errors import DataError

_PIECE = 1 << 20  # characters read at once
_BETWEEN = re.compile(r"[\s,]*")
_NUMBERED = re.compile(r"(?:COCO_\w+_)?0*(\d+)")
_LONGEST_ENTRY = 8 << 20  # characters; a JSON entry that has not ended by then is broken


@dataclass(frozen=True)
class ImportedRow:
    """One negative as the file has it."""

    row: int
    """1 is the file's first entry, or its first row below the header; several negatives may share it."""
    image_id: str | None
    caption: str
    text: str
    type: str | None = None


def image_key(image_id: str) -> str:
    """What is the same in all ways to name an image: `coco/val2014/COCO_val2014_000000184613.jpg` is `184613`."""
    name = image_id.replace("\\", "/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    number = _NUMBERED.fullmatch(stem)
    return number[1] if number else stem.casefold()


def stream_json_list(path: Path) -> Iterator[tuple[int, Any]]:
    """The entries of a JSON list with their numbers from 1, one at a time.

    Raises:
        DataError: the file is not such a list, or breaks off; says at which entry.
    """
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig") as file:
        text = _read(file, path).lstrip()
        if not text.startswith("["):
            found = f"it begins with {text[:20]!r}" if text else "it is empty"
            raise DataError(f"{path}: expected a JSON list, but {found}")
        place, number = 1, 1
        while True:
            place = _BETWEEN.match(text, place).end()  # type: ignore[union-attr]
            if text.startswith("]", place):
                return
            try:
                entry, end = decoder.raw_decode(text, place)
            except (ValueError, RecursionError) as error:
                more = _read(file, path)
                if not more or len(text) - place > _LONGEST_ENTRY:
                    raise DataError(f"{path}: entry {number} is not JSON, or breaks off: {str(error)[:200]}") from error
                text, place = text[place:] + more, 0
                continue
            yield number, entry
            place, number = end, number + 1


def stream_delimited(
    path: Path, delimiter: str, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, list[str]]]:
    """The named columns of a CSV or TSV file, row by row with their numbers from 1; then the optional ones, empty where the file
    does not have them. Quoted fields may hold line breaks.

    Raises:
        DataError: the file is empty or no text, a column is missing (the nearest is named), or a row has too few or too
            many fields.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        number = 0
        try:
            header = next(reader, None)
            if not header:
                raise DataError(f"{path}: is empty; expected a header line")
            places = [header.index(nearest_key(header, name, f"{path}: the header")) for name in columns]
            more = [header.index(name) if name in header else None for name in optional]
            for number, fields in enumerate(reader, 1):
                if len(fields) != len(header):
                    raise DataError(
                        f"{path}: row {number} (line {reader.line_num}) has {len(fields)} fields, the header has"
                        f" {len(header)}. Mend or remove it."
                    )
                yield number, ["" if place is None else fields[place] for place in (*places, *more)]
        except UnicodeDecodeError as error:
            raise _no_text(path, error) from error
        except csv.Error as error:
            raise DataError(f"{path}: row {number + 1} (line {reader.line_num}) is broken: {error}") from error


def nearest_key(keys: Iterable[str], wanted: str, where: str) -> str:
    """`wanted`. Raises DataError naming the nearest key where it is not among the keys."""
    known = list(keys)
    if wanted in known:
        return wanted
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known[:20]) or 'none'}"
    raise DataError(f"{where} has no {wanted!r}; {hint}")


def _read(file: Any, path: Path) -> str:
    try:
        return file.read(_PIECE)
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error


def _no_text(path: Path, error: UnicodeDecodeError) -> DataError:
    return DataError(f"{path}: is not UTF-8 text ({error.reason}). Is it the right file, and unpacked?")
