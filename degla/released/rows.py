"""What the formats share: the row they give, how images are named, and reading JSON lists piece by piece.

Files are larger than memory may be, and come from others: nothing is evaluated, and what is wrong is named with its row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degla.errors import DataError
from degla.text_files import not_text

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


def _read(file: Any, path: Path) -> str:
    try:
        return file.read(_PIECE)
    except UnicodeDecodeError as error:
        raise not_text(path, error) from error
