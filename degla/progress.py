"""Progress of long work: a log line every few seconds for people, `progress.json` in the artifact for programs."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from degla.files import write_text_atomic

logger = logging.getLogger(__name__)

FILE_NAME = "progress.json"

_LEAST_SEEN, _MOST_SEEN = 4, 64
_LEAST_SECONDS = 10.0
_STEADY = 1.5


@dataclass(frozen=True)
class ProgressRecord:
    """How far a stage is: `done` of `total` items, which `unit` names, and a note for people."""

    what: str
    done: int
    total: int
    unit: str
    note: str = ""
    steady: bool = True
    """Whether `done` grows with the work, so that a time left can be told from it."""

    @property
    def fraction(self) -> float:
        """Share done, in [0, 1]; 1 if there is nothing to do."""
        return min(1.0, self.done / self.total) if self.total else 1.0


@dataclass
class Pace:
    """How fast work goes, and how long the rest takes once that can be told.

    The first items come late, with the start of workers or models, and the first of many in flight at once come together: a
    time left is told only when the two halves of the work so far, of ten seconds at least, went equally fast within a factor
    of 1.5.
    """

    _seen: list[tuple[float, int]] = field(default_factory=list)
    """Moments and the items done by then; of long work every second one, then every fourth, ..."""
    _every: float = 1.0

    def see(self, now: float, done: int) -> None:
        """Record that `done` items were finished at the moment `now`, in seconds."""
        if len(self._seen) == 1 and done == self._seen[0][1]:
            self._seen = []  # nothing has finished so far: the start is no part of the pace
        if self._seen and now - self._seen[-1][0] < self._every:
            return
        self._seen.append((now, done))
        if len(self._seen) > _MOST_SEEN:
            del self._seen[1::2]
            self._every *= 2

    def seconds_left(self, left: int) -> float | None:
        """Seconds that `left` items will take, or None while that is a guess."""
        if len(self._seen) < _LEAST_SEEN:
            return None
        (begun, none), (now, done) = self._seen[0], self._seen[-1]
        middle, half = min(self._seen, key=lambda each: abs(each[0] - (begun + now) / 2))
        if now - begun < _LEAST_SECONDS or not begun < middle < now or half == none or done == half:
            return None
        earlier, later = (half - none) / (middle - begun), (done - half) / (now - middle)
        steady = max(earlier, later) <= _STEADY * min(earlier, later)
        return left / later if steady else None


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
        self._pace = Pace()
        self._last_file = self._last_log = float("-inf")
        if done:
            logger.info("%s: %s of %s %s were finished before; continuing", what, f"{done:,}", f"{total:,}", unit)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more finished items."""
        self.to(self._done + count, note)

    def to(self, done: int, note: str = "", steady: bool = True) -> None:
        """Set the number of finished items; `steady`: see `ProgressRecord`."""
        finished = self._done < self._total <= done
        self._done = done
        now = time.monotonic()
        if steady:
            self._pace.see(now, done)
        if done >= self._total or now - self._last_file >= self._interval:
            self._last_file = now
            record = ProgressRecord(self._what, done, self._total, self._unit, note, steady)
            write_text_atomic(self._folder / FILE_NAME, json.dumps(asdict(record)))
        if finished or now - self._last_log >= 5 * self._interval:
            self._last_log = now
            logger.info("%s", self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        rate = (self._done - self._resumed) / max(now - self._start, 1e-9)
        percent = 100 * self._done // max(self._total, 1)
        timing = f", {rate:,.0f}/s" if rate >= 10 else f", {rate:.2f}/s" if rate else ""
        left = self._pace.seconds_left(self._total - self._done) if self._done < self._total else None
        line = f"{self._what}: {self._done:,}/{self._total:,} {self._unit} ({percent} %){timing}"
        line += f", about {duration(left)} left" if left is not None else ""
        return f"{line}, {note}" if note else line


def read_progress(folder: Path) -> ProgressRecord | None:
    """The last record a stage left in its folder, or None."""
    try:
        return ProgressRecord(**json.loads((folder / FILE_NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def duration(seconds: float) -> str:
    """A length of time in words, no more exact than an estimate is."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
