"""Long work cut into units, so that a killed stage continues where it stopped.

A unit is done if its part exists: parts are written beside their place and moved into it (`degla.files`), then joined in the
order of the units. Several workers, on one machine or many, share the units of a folder through `Claims`. Knows nothing of what
a unit holds.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import psutil
import pyarrow as pa

from degla.progress import Progress
from degla.schemas import read_table, table_writer

logger = logging.getLogger(__name__)

_TOUCH_EVERY = 20.0  # seconds
_STALE_AFTER = 180.0  # seconds without a touch by the file system's clock: nine missed touches
_POLL = 1.0  # seconds


class Unit(NamedTuple):
    """The items [start, stop) of the work."""

    number: int
    start: int
    stop: int


def cut(total: int, size: int) -> list[Unit]:
    """Units of `size` items, the last one with what is left."""
    return [Unit(number, start, min(start + size, total)) for number, start in enumerate(range(0, total, size))]


class Units:
    """The units of one piece of work and their parts.

    Args:
        folder: where the parts lie.
        part: name of the part that says a unit is done, formatted with the unit: `part-{number:05d}.parquet`. If the size of
            units has no effect on the result, `{start}` and `{stop}` must be in it: another size then makes other parts.
        units: in order; `add` appends more while the work is read.
        joined: the file into which the parts are joined: once it exists all units are done, and the parts can go.
    """

    def __init__(self, folder: Path, part: str, units: Iterable[Unit] = (), joined: Path | None = None) -> None:
        self.folder, self._part, self._units, self._joined = folder, part, list(units), joined

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)

    @property
    def total(self) -> int:
        """Number of items."""
        return self._units[-1].stop if self._units else 0

    def add(self, size: int) -> Unit:
        """Append a unit of the next `size` items."""
        unit = Unit(len(self), self.total, self.total + size)
        self._units.append(unit)
        return unit

    def path(self, unit: Unit, part: str = "") -> Path:
        """The part of a unit, or another file of it with a name of the same form."""
        return self.folder / (part or self._part).format(**unit._asdict())

    def paths(self, part: str = "") -> list[Path]:
        """The parts of all units, or other files of them."""
        return [self.path(unit, part) for unit in self]

    def missing(self) -> list[Unit]:
        """The units that are not done."""
        if self._joined is not None and self._joined.is_file():
            return []
        found = set(os.listdir(self.folder)) if self.folder.is_dir() else set()
        return [unit for unit in self if self.path(unit).name not in found]

    def num_done(self) -> int:
        """Number of items in units that are done."""
        return self.total - sum(unit.stop - unit.start for unit in self.missing())

    def progress(self, artifact_dir: Path, what: str, items: str) -> Progress:
        """Progress over the items, the done ones counted."""
        return Progress(artifact_dir, what, self.total, items, self.num_done())

    def remove(self) -> None:
        """Delete the folder of the parts, if there is one."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)


def join(parts: Iterable[Path], path: Path, schema: pa.Schema) -> None:
    """Write the rows of Parquet parts, in order, as one file: whole or not at all, one part in memory at a time."""
    with table_writer(path, schema) as write:
        for part in parts:
            write(read_table(part, schema))


class Claims:
    """Divides units among workers. Use as a context manager.

    A claim says that a worker is busy with a unit. It is advice, not a lock: two workers on one unit write the same bytes, so a
    lost claim costs time and nothing else. No coordinator is needed, on one machine or on many with shared storage.

    Args:
        units: of all workers.
        folder: where the claims lie.
        stale_after: seconds without a touch after which another worker's claim is void.
        touch_every: seconds between touches of this worker's claims.
    """

    def __init__(self, units: Units, folder: Path, stale_after: float = _STALE_AFTER, touch_every: float = _TOUCH_EVERY) -> None:
        self._units, self._folder, self._stale_after, self._touch_every = units, folder, stale_after, touch_every
        self._mine: set[Unit] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._name = f"{socket.gethostname()} {os.getpid()}"

    def __enter__(self) -> Claims:
        self._folder.mkdir(exist_ok=True)
        threading.Thread(target=self._stay_alive, daemon=True, name="claims").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        for unit in list(self._mine):
            self.release(unit)

    def free(self) -> Iterator[Unit]:
        """Claim and yield units, one at a time as they are asked for, until none is free."""
        for unit in self._units.missing():
            if self._claim(unit) and not self._units.path(unit).is_file():
                yield unit

    def release(self, unit: Unit) -> None:
        """Give a unit up, done or not."""
        with self._lock:
            self._mine.discard(unit)
        self._file(unit).unlink(missing_ok=True)

    def wait(self) -> bool:
        """Wait while others are busy with all missing units; returns whether one may be free again."""
        while missing := self._units.missing():
            if any(not self._file(unit).exists() or self._is_stale(self._file(unit)) for unit in missing):
                return True
            time.sleep(_POLL)
        return False

    def _file(self, unit: Unit) -> Path:
        return self._folder / f"{unit.number:05d}"

    def _claim(self, unit: Unit) -> bool:
        file = self._file(unit)
        if self._is_stale(file):
            file.unlink(missing_ok=True)
        try:
            with file.open("x") as claim:
                claim.write(self._name)
        except FileExistsError:
            return False
        with self._lock:
            self._mine.add(unit)
        return True

    def _is_stale(self, file: Path) -> bool:
        """Whether the owner is gone: its process does not run on this machine, or it has not touched the claim for long."""
        try:
            host, _, pid = file.read_text().rpartition(" ")
            age = self._now() - file.stat().st_mtime
        except OSError:
            return False  # released just now
        return age > self._stale_after or (host == socket.gethostname() and not _runs(int(pid)))

    def _now(self) -> float:
        """The file system's clock: another machine's may be ahead or behind."""
        probe = self._folder / f".{socket.gethostname()}-{os.getpid()}"
        probe.touch()
        return probe.stat().st_mtime

    def _stay_alive(self) -> None:
        while not self._ended.wait(self._touch_every):
            with self._lock:
                mine = list(self._mine)
            for unit in mine:
                self._touch(self._file(unit))

    def _touch(self, file: Path) -> None:
        """Survives every failure: without touches others would take up units that this worker still makes."""
        try:
            os.utime(file)
        except FileNotFoundError:
            pass  # released since, or taken over by a worker that thought this one dead
        except OSError as error:  # shared storage that fails now may work again at the next touch
            logger.warning("cannot touch the claim %s: %s", file, error)


def _runs(pid: int) -> bool:
    """Whether a process of this machine is at work; one that was killed and not yet collected is not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
