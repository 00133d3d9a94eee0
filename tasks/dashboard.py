"""What the dashboard shows of a stage: progress and losses while it runs, its report once it is finished, where it ended if it
failed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx

from degla.artifacts import Artifact
from degla.progress import Pace, ProgressRecord, duration, read_progress
from tasks import cards
from tasks.orders import impatient
from tasks.reports import LARGEST_BYTES, picture, prose, stage_report

logger = logging.getLogger(__name__)

LIVE_PICTURE = "losses.png"  # redrawn during training


def publish(artifact: Artifact, line: str, reused: bool) -> None:
    """Show the report of a finished stage. One that is reused and has been shown is not shown again: each time would add its
    pictures to the server's database.

    Args:
        artifact: of the stage.
        line: what it is, in a line.
        reused: whether this run only found it.
    """
    with _shown_or_logged():
        if not reused or cards.find(artifact.stage, artifact.path) is None:
            cards.put(artifact.stage, line, stage_report(artifact), artifact.path)
        cards.end_progress(artifact.stage)


class ProgressReporter:
    """Shows a running stage's `progress.json` in its card and as a ring in the run's graph, and its `losses.png`, if any, in the
    card; looks at most every `interval` seconds."""

    def __init__(self, stage: str, folder: Path, interval: float = 5.0) -> None:
        self._stage, self._folder, self._interval = stage, folder, interval
        self._card: UUID | None = None
        self._ring: UUID | None = None
        self._shown: ProgressRecord | None = None
        self._pace = Pace()
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
        with _shown_or_logged(), impatient():
            if record is not None and record != self._shown:
                self._show(record, time.monotonic())
            self._show_picture(self._folder / LIVE_PICTURE)

    def failed(self, message: str) -> None:
        """Show where the stage ended, and why."""
        record = read_progress(self._folder)
        where = f"did not end: {f'at {describe(record, None)}' if record else message.partition(chr(10))[0]}"
        with _shown_or_logged(), impatient():
            cards.put(self._stage, where, prose(message))
            if record:
                cards.put_progress(self._stage, where, 100 * record.fraction)

    def _show(self, record: ProgressRecord, now: float) -> None:
        if self._shown is not None and self._shown.what != record.what:
            self._pace = Pace()
        if record.steady:
            self._pace.see(now, record.done)
        line, percent = describe(record, self._pace.seconds_left(record.total - record.done)), 100 * record.fraction
        if self._card is None or self._ring is None:
            self._card = cards.put(self._stage, line)
            self._ring = cards.put_progress(self._stage, line, percent)
        else:
            cards.change(self._card, description=line)
            cards.change(self._ring, description=line, data=percent)
        self._shown = record

    def _show_picture(self, path: Path) -> None:
        drawn = path.stat().st_mtime_ns if path.exists() else 0
        if drawn == self._drawn or path.stat().st_size > LARGEST_BYTES:
            return
        self._card = self._card or cards.put(self._stage, "runs")
        cards.change(self._card, data=picture(path))
        self._drawn = drawn


def describe(record: ProgressRecord, seconds_left: float | None) -> str:
    """One line: progress, and the time left where it can be told."""
    line = f"{record.what}: {record.done:,} of {record.total:,} {record.unit} ({int(100 * record.fraction)} %)"
    if seconds_left is not None and record.done < record.total:
        line += f", about {duration(seconds_left)} left"
    return f"{line}, {record.note}" if record.note else line


@contextmanager
def _shown_or_logged() -> Iterator[None]:
    """A dashboard that does not answer ends no stage."""
    try:
        yield
    except httpx.HTTPError as error:
        logger.warning("the dashboard does not show it: %s", error)
