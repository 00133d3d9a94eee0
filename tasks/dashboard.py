"""The dashboard's artifacts: progress and losses while a stage runs; tables, texts and plots once it is finished.

Reads the files of the stage's artifact and draws nothing.
"""

from __future__ import annotations

import base64
import json
import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from socket import gethostname
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from degla.artifacts import Artifact
from degla.progress import Pace, ProgressRecord, duration, read_progress
from tasks.orders import impatient

logger = logging.getLogger(__name__)

IMAGE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
LARGEST_BYTES = 300_000  # dashboard artifacts are stored in the server's database
PAGES = {
    "page.html": "The whole run on one page, with a browser of every item that the models have right or wrong.",
    "gallery.html": "Images with their captions and negatives, kept and rejected.",
}
"""Pages for a browser: a file of an artifact, and what it shows."""
LIVE_PICTURE = "losses.png"  # redrawn during training


def publish(artifact: Artifact) -> None:
    """Show a finished artifact: its counts, tables, and the texts and plots in its top folder."""
    table("counts", artifact, [{"what": _words(name), "count": value} for name, value in artifact.counts.items()])
    if artifact.has("tables.json"):
        for name, rows in _read(artifact, "tables.json").items():
            table(name, artifact, rows)
    if artifact.has("generation.json"):
        table("rows", artifact, generation_rows(_read(artifact, "generation.json")["types"]))
    if artifact.stage == "evaluate":
        table("scores", artifact, score_rows(_read(artifact, "scores.json")))
    for name in artifact.manifest.files:
        path = artifact.path / name
        if name in PAGES:
            create_markdown_artifact(page_link(path), key=_key(artifact.stage, path), description=PAGES[name])
        if "/" not in name and path.stat().st_size <= LARGEST_BYTES:
            _publish_file(artifact, path)


def table(name: str, artifact: Artifact, rows: list[dict[str, Any]]) -> None:
    """A table artifact `<stage>-<name>`, with the artifact's folder above it."""
    create_table_artifact(rows, key=f"{artifact.stage}-{name}", description=f"`{artifact.path}`")


def generation_rows(types: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per negative type: requested rewrites, what became of them, and who wrote them at which attempt."""
    return [
        {
            "type": name,
            "rows": counts["rows"],
            "texts": counts["by_status"].get("ok", 0),
            "without text": _list({key: value for key, value in counts["by_status"].items() if key != "ok"}),
            "by generator": _list(counts["by_generator"]),
            "by attempt": _list(counts["by_attempt"]),
        }
        for name, counts in types.items()
    ]


def score_rows(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per metric and model, in per cent, with the 95 % interval."""
    return [
        {
            "metric": row["metric"],
            "model": row["model"],
            "score, %": round(100 * row["value"], 1),
            "interval": f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
            "items": row["items"],
        }
        for row in scores
    ]


class ProgressReporter:
    """Shows a running stage's `progress.json` as a progress artifact and its `losses.png`, if any, as a picture; looks at most
    every `interval` seconds."""

    def __init__(self, stage: str, folder: Path, interval: float = 5.0) -> None:
        self._stage, self._folder, self._interval = stage, folder, interval
        self._artifact: UUID | None = None
        self._shown: ProgressRecord | None = None
        self._pace = Pace()
        self._picture: UUID | None = None
        self._drawn = 0
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Look, if `interval` seconds have passed."""
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            self.look()

    def look(self) -> None:
        """Look once. If the server does not answer, the stage continues and the next look tries again."""
        record = read_progress(self._folder)
        try:
            with impatient():
                if record is not None and record != self._shown:
                    self._show(record, time.monotonic())
                self._show_picture(self._folder / LIVE_PICTURE)
        except httpx.HTTPError as error:
            logger.warning("progress is not shown: %s", error)

    def _show(self, record: ProgressRecord, now: float) -> None:
        if self._shown is not None and self._shown.what != record.what:
            self._pace = Pace()
        if record.steady:
            self._pace.see(now, record.done)
        text = describe(record, self._pace.seconds_left(record.total - record.done))
        if self._artifact is None:
            created = create_progress_artifact(100 * record.fraction, f"{self._stage}-progress", text)
            self._artifact = cast(UUID, created)  # a coroutine only in asynchronous code
        else:
            update_progress_artifact(self._artifact, 100 * record.fraction, text)
        self._shown = record

    def _show_picture(self, path: Path) -> None:
        drawn = path.stat().st_mtime_ns if path.exists() else 0
        if drawn == self._drawn or path.stat().st_size > LARGEST_BYTES:
            return
        if self._picture is None:
            created = create_markdown_artifact(_picture(path), key=_key(self._stage, path), description=f"`{path}`")
            self._picture = cast(UUID, created)
        else:
            get_client(sync_client=True).update_artifact(self._picture, ArtifactUpdate(data=_picture(path)))
        self._drawn = drawn


def describe(record: ProgressRecord, seconds_left: float | None) -> str:
    """One line: progress, and the time left where it can be told."""
    line = f"{record.what}: {record.done:,} of {record.total:,} {record.unit} ({int(100 * record.fraction)} %)"
    if seconds_left is not None and record.done < record.total:
        line += f", about {duration(seconds_left)} left"
    return f"{line}, {record.note}" if record.note else line


def page_link(path: Path) -> str:
    """How to open a page: as a link where the browser may follow one to a file, as a path, and from another machine."""
    megabytes = path.stat().st_size / 1e6
    return (
        f"[{path.name}]({path.as_uri()}), {megabytes:.1f} MB, one file that loads nothing from elsewhere.\n\n"
        f"Browsers do not follow links from a server to a file: open this path (Ctrl-O):\n\n```\n{path}\n```\n\n"
        f"If it lies on another machine, copy it first:\n\n```\nscp {gethostname()}:{shlex.quote(str(path))} .\n```\n"
    )


def _publish_file(artifact: Artifact, path: Path) -> None:
    key = _key(artifact.stage, path)
    if path.suffix in IMAGE_TYPES:
        create_markdown_artifact(_picture(path), key=key, description=f"`{path}`")
    elif path.suffix == ".md":
        create_markdown_artifact(path.read_text(encoding="utf-8"), key=key, description=f"`{path}`")


def _key(stage: str, path: Path) -> str:
    return f"{stage}-{path.stem}".lower().replace("_", "-")


def _picture(path: Path) -> str:
    """The picture as Markdown. (Below an image artifact the dashboard would print its address, which is all its bytes.)"""
    return f"![{path.stem}](data:{IMAGE_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()})"


def _read(artifact: Artifact, name: str) -> Any:
    return json.loads(artifact.file(name).read_text(encoding="utf-8"))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{_words(name)} {count:,}" for name, count in counts.items() if count)
