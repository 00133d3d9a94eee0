"""Format `degla`: the file that DeGLA's authors released, a JSON list of `{image_id, original, enhanced}`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from degla.errors import DataError
from degla.released.rows import ImportedRow, stream_json_list
from degla.text_files import nearest_key


def read_degla(path: Path) -> Iterator[ImportedRow]:
    """A row for each text in `enhanced`. Raises DataError at an entry of another form."""
    for number, entry in stream_json_list(path):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict):
            raise DataError(f"{where} is no object; expected {{image_id, original, enhanced}}")
        image_id, original, enhanced = (entry[nearest_key(entry, key, where)] for key in ("image_id", "original", "enhanced"))
        _check(where, image_id, original, enhanced)
        for text in enhanced:
            yield ImportedRow(number, str(image_id), original, text)


def _check(where: str, image_id: Any, original: Any, enhanced: Any) -> None:
    if isinstance(image_id, bool) or not isinstance(image_id, int | str):
        raise DataError(f"{where}: `image_id` is {image_id!r}, expected a number or a name")
    if not isinstance(original, str):
        raise DataError(f"{where}: `original` is {original!r}, expected a text")
    if not isinstance(enhanced, list) or not all(isinstance(text, str) for text in enhanced):
        raise DataError(f"{where}: `enhanced` is {str(enhanced)[:100]}, expected a list of texts")
