"""The chunk list: which units of work are done, taken or free, in a folder that any number of workers share.

A part that exists is done. A claim says that somebody works on a unit; it is advice, not a lock: two workers on one unit
write the same bytes. So it needs no coordinator and no locks, on one machine or on many with shared storage. Knows nothing
of what a unit holds.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

_TOUCH_EVERY = 20.0  # seconds
_STALE_AFTER = 180.0  # seconds without a touch, as the file system's clock counts them
_POLL = 1.0  # seconds


class Units:
    """The units of one artifact in the making, as one worker sees them. Use as a context manager.

    Args:
        folder: the artifact's folder; claims lie in `claims/` below it.
        parts: the parts, relative to the folder; unit `k` makes `parts[k]`.
        stale_after: seconds without a sign of life after which another worker's claim counts for nothing.
    """

    def __init__(self, folder: Path, parts: Sequence[str], stale_after: float = _STALE_AFTER) -> None:
        self._folder, self._parts, self._stale_after = folder, parts, stale_after
        self._claims = folder / "claims"
        self._mine: set[int] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._name = f"{socket.gethostname()} {os.getpid()}"

    def __enter__(self) -> Units:
        self._claims.mkdir(exist_ok=True)
        threading.Thread(target=self._stay_alive, daemon=True, name="claims").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        for unit in list(self._mine):
            self.release(unit)

    def path(self, unit: int) -> Path:
        """Where a unit's part goes."""
        return self._folder / self._parts[unit]

    def missing(self) -> list[int]:
        """The units whose part does not exist."""
        return [unit for unit in range(len(self._parts)) if not self.path(unit).is_file()]

    def claim_free(self) -> Iterator[int]:
        """Claim and yield units, one at a time as they are asked for, until none is free."""
        for unit in self.missing():
            if self._claim(unit) and not self.path(unit).is_file():
                yield unit

    def release(self, unit: int) -> None:
        """Give a unit up, done or not."""
        with self._lock:
            self._mine.discard(unit)
        self._file(unit).unlink(missing_ok=True)

    def wait(self) -> bool:
        """Wait while others work on all that is missing; returns whether something may be free again."""
        while self.missing():
            if any(not self._file(unit).exists() or self._is_stale(self._file(unit)) for unit in self.missing()):
                return True
            time.sleep(_POLL)
        return False

    def _file(self, unit: int) -> Path:
        return self._claims / f"{unit:05d}"

    def _claim(self, unit: int) -> bool:
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
        """Whether the claim's owner is gone: its process on this machine, or on any its signs of life."""
        try:
            host, _, pid = file.read_text().rpartition(" ")
            age = self._now() - file.stat().st_mtime
        except OSError:
            return False  # released just now
        return age > self._stale_after or (host == socket.gethostname() and not _runs(int(pid)))

    def _now(self) -> float:
        """The file system's clock: another machine's may be ahead or behind."""
        probe = self._claims / f".{socket.gethostname()}-{os.getpid()}"
        probe.touch()
        return probe.stat().st_mtime

    def _stay_alive(self) -> None:
        while not self._ended.wait(_TOUCH_EVERY):
            with self._lock:
                mine = list(self._mine)
            for unit in mine:
                if self._file(unit).exists():
                    os.utime(self._file(unit))


def _runs(pid: int) -> bool:
    """Whether a process of this machine is at work; one that was killed and not yet collected is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
