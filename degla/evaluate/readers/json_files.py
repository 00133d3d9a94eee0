"""Opening the JSON files that benchmarks come in, with errors that name file and place. Called by the readers beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from degla.errors import DataError, MissingInputError


def read_json(path: Path, kind: type | tuple[type, ...]) -> Any:
    """The content of a JSON file whose outermost value is of `kind`, or of one of several.

    Raises:
        MissingInputError: the file is not there.
        DataError: it is not JSON, or the outermost value is another one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} does not exist") from error
    except ValueError as error:
        raise DataError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, kind):
        names = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
        raise DataError(f"{path}: expected a JSON {names} at the top, found {type(content).__name__}")
    return content


def text_fields(entry: Any, names: Sequence[str], where: str) -> list[str]:
    """The non-empty texts of a JSON object under these names. Raises DataError naming `where` and the field."""
    if not isinstance(entry, Mapping):
        raise DataError(f"{where}: expected an object with {', '.join(names)}, found {type(entry).__name__}")
    for name in names:
        value = entry.get(name)
        if not isinstance(value, str) or not value.strip():
            found = "is missing" if name not in entry else f"is {value!r}"
            raise DataError(f"{where}: {name} {found}, expected a text")
    return [entry[name] for name in names]
