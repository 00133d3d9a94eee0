"""What a run shows in the dashboard: progress while a stage runs, tables, text and plots when it is finished.

Reads the artifact's own files and draws nothing but the loss curve. Called by `tasks.stage`.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from degla.artifacts import Artifact
from degla.progress import ProgressRecord, read_progress

logger = logging.getLogger(__name__)

IMAGE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
LARGEST_BYTES = 300_000  # dashboard artifacts lie in the server's database
LONGEST_TABLE = 200


def publish(artifact: Artifact) -> None:
    """Show a finished artifact: its counts, and every table, text and plot in its top folder that is small enough."""
    create_table_artifact(key=f"{artifact.stage}-counts", table=_counts_table(artifact), description=f"`{artifact.path}`")
    for name in artifact.manifest.files:
        path = artifact.path / name
        if "/" not in name and path.stat().st_size <= LARGEST_BYTES:
            _publish_file(artifact.stage, path)


class ProgressReporter:
    """Carries a running stage's `progress.json` into a Prefect progress artifact, at most every `interval` seconds."""

    def __init__(self, stage: str, folder: Path, interval: float = 5.0) -> None:
        self._stage, self._folder, self._interval = stage, folder, interval
        self._artifact: UUID | None = None
        self._shown: ProgressRecord | None = None
        self._first: ProgressRecord | None = None
        self._begun = self._last = time.monotonic()

    def __call__(self) -> None:
        """Look once. A server that does not answer stops no stage: the next look tries again."""
        now = time.monotonic()
        if now - self._last < self._interval:
            return
        self._last = now
        record = read_progress(self._folder)
        if record is None or record == self._shown:
            return
        try:
            self._show(record, now)
        except httpx.HTTPError as error:
            logger.warning("progress is not shown: %s", error)

    def _show(self, record: ProgressRecord, now: float) -> None:
        if self._first is None or self._first.what != record.what:
            self._first, self._begun = record, now
        text = describe(record, self._first, now - self._begun)
        if self._artifact is None:
            self._artifact = create_progress_artifact(100 * record.fraction, f"{self._stage}-progress", text)
        else:
            update_progress_artifact(self._artifact, 100 * record.fraction, text)
        self._shown = record


def describe(record: ProgressRecord, first: ProgressRecord, seconds: float) -> str:
    """A line for people: how far, and how long it will take at the pace since `first`, which was `seconds` ago."""
    line = f"{record.what}: {record.done:,} of {record.total:,} {record.unit} ({100 * record.fraction:.0f} %)"
    gained = record.done - first.done
    if gained > 0 and record.done < record.total:
        left = seconds / gained * (record.total - record.done)
        line += f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"
    return f"{line}, {record.note}" if record.note else line


def _counts_table(artifact: Artifact) -> list[dict[str, Any]]:
    return [{"what": name.replace("_", " "), "count": value} for name, value in artifact.counts.items()]


def _publish_file(stage: str, path: Path) -> None:
    key = f"{stage}-{path.stem}".lower().replace("_", "-").replace(".", "-")
    if path.suffix in IMAGE_TYPES:
        data = base64.b64encode(path.read_bytes()).decode()
        create_image_artifact(f"data:{IMAGE_TYPES[path.suffix]};base64,{data}", key=key, description=path.stem)
    elif path.suffix == ".md":
        create_markdown_artifact(path.read_text(encoding="utf-8"), key=key, description=path.stem)
    elif path.suffix == ".json":
        rows = as_table(json.loads(path.read_text(encoding="utf-8")))
        if rows:
            create_table_artifact(rows, key=key, description=path.stem)


def as_table(value: Any) -> list[dict[str, Any]] | None:
    """A JSON value as rows where it is a table: a list of flat mappings, or a mapping of them (their key goes first)."""
    if isinstance(value, Mapping) and value and all(isinstance(row, Mapping) for row in value.values()):
        value = [{"": key, **row} for key, row in value.items()]
    if not isinstance(value, list) or not value or len(value) > LONGEST_TABLE:
        return None
    flat = all(isinstance(row, Mapping) and not any(isinstance(cell, (Mapping, list)) for cell in row.values()) for row in value)
    return [dict(row) for row in value] if flat else None
