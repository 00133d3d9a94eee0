"""Who a process started, and who of them is still there: for tests that kill."""

from __future__ import annotations

import time
from pathlib import Path


def descendants(pid: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found |= {int(path.parent.name)} | descendants(int(path.parent.name))
    return found


def alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(pid)
        except OSError:
            continue
    return found


def left_of(pids: set[int], seconds: float = 15) -> set[int]:
    """Who of them is still there when they have had time to end."""
    deadline = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive(pids)


def workers_among(pids: set[int]) -> set[int]:
    """The processes that multiprocessing started to work, without its own helpers."""
    return {pid for pid in alive(pids) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}
