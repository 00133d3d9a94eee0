"""Progress of long work: a log line every few seconds for people, `progress.json` in the artifact for programs."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from degla.files import write_text_atomic

logger = logging.getLogger(__name__)

FILE_NAME = "progress.json"


@dataclass(frozen=True)
class ProgressRecord:
    """How far a stage is: `done` of `total` items, which `unit` names, and a note for people."""

    what: str
    done: int
    total: int
    unit: str
    note: str = ""

    @property
    def fraction(self) -> float:
        """Share done, in [0, 1]; 1 if there is nothing to do."""
        return min(1.0, self.done / self.total) if self.total else 1.0


class Progress:
    """Counts finished items of one piece of work and reports them.

    Args:
        folder: the artifact in the making, for `progress.json`.
        what: what is being done: `tagging captions`.
        total: number of items.
        unit: name of the items, plural: `captions`.
        done: items that an earlier, killed run finished.
        interval: seconds between writes of `progress.json`; a log line comes every fifth.
    """

    def __init__(self, folder: Path, what: str, total: int, unit: str, done: int = 0, interval: float = 2.0) -> None:
        self._folder, self._what, self._total, self._unit, self._interval = folder, what, total, unit, interval
        self._done = self._resumed = done
        self._start = time.monotonic()
        self._last_file = self._last_log = float("-inf")
        if done:
            logger.info("%s: %s of %s %s were finished before; continuing", what, f"{done:,}", f"{total:,}", unit)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more finished items."""
        self.to(self._done + count, note)

    def to(self, done: int, note: str = "") -> None:
        """Set the number of finished items."""
        self._done = done
        now = time.monotonic()
        finished = done >= self._total
        if finished or now - self._last_file >= self._interval:
            self._last_file = now
            record = ProgressRecord(self._what, done, self._total, self._unit, note)
            write_text_atomic(self._folder / FILE_NAME, json.dumps(asdict(record)))
        if finished or now - self._last_log >= 5 * self._interval:
            line = self._line(now, note, first=self._last_log == float("-inf"))
            self._last_log = now
            logger.info("%s", line)

    def _line(self, now: float, note: str, first: bool) -> str:
        rate = (self._done - self._resumed) / max(now - self._start, 1e-9)
        left = (self._total - self._done) / rate if rate else float("inf")
        percent = 100 * self._done / max(self._total, 1)
        timing = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2f}/s"
        unknown = first or left == float("inf")  # the first items include start-up: their rate predicts nothing
        eta = "" if self._done >= self._total or unknown else f", {_duration(left)} left"
        return f"{self._what}: {self._done:,}/{self._total:,} {self._unit} ({percent:.0f} %), {timing}{eta}" + (
            f", {note}" if note else ""
        )


def read_progress(folder: Path) -> ProgressRecord | None:
    """The last record a stage left in its folder, or None."""
    try:
        return ProgressRecord(**json.loads((folder / FILE_NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
