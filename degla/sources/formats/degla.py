"""Format `degla`: what DeGLA's authors released and degla exports, a JSON list of `{image_id, original, enhanced}`."""

from __future__ import annotations

from degla.sources.format import Format, Head
from degla.sources.formats.json_rows import JSON_ROWS
from degla.sources.options import SourceOptions

_COLUMNS = {"image_column": "image_id", "caption_column": "original", "negative_column": "enhanced"}


def _claims(head: Head) -> bool:
    rows = [entry.value for entry in head.entries[:1]] if head.json_shape == "list" else []
    return any(isinstance(row, dict) and row.keys() >= {"image_id", "original", "enhanced"} for row in rows)


def _complete(head: Head) -> tuple[SourceOptions, list[str]]:
    given = head.options.model_dump(exclude_unset=True)
    return JSON_ROWS.complete(Head(head.path, SourceOptions(**(_COLUMNS | given))))


DEGLA = Format("degla", "DeGLA's released JSON, and degla's export of it", _claims, _complete, JSON_ROWS.read)
