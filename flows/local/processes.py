"""Background processes of this checkout: started in sessions of their own, found again by a mark in their environment.

A mark instead of a file with process ids: it cannot be stale, it goes over to children, so that leftovers of a killed
parent are found too, and a process without it is never touched. Linux only (`/proc`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "DEGLA_SERVICE_OF"
"""Environment variable that holds the Prefect home which a process serves."""


@dataclass(frozen=True)
class Found:
    """A running process that carries our mark."""

    pid: int
    command: tuple[str, ...]
    environment: Mapping[str, str]


def start(home: Path, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a background process of this Prefect home, with its output in `log`; it outlives this one."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**environment, MARK: str(home)},
            start_new_session=True,
            preexec_fn=_default_interrupt,
        )


def find(home: Path, *words: str) -> list[Found]:
    """The processes that carry our mark for this Prefect home and have these words in their command; not this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        environment = _strings(folder / "environ")
        command = _strings(folder / "cmdline")
        if f"{MARK}={home}" in environment and set(words) <= set(command):
            pairs = dict(item.split("=", 1) for item in environment if "=" in item)
            found.append(Found(int(folder.name), tuple(command), pairs))
    return found


def stop(processes: Iterable[Found], seconds: float) -> None:
    """End processes: SIGTERM, and SIGKILL for those that are still there after `seconds`."""
    pids = [process.pid for process in processes]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in filter(alive, pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _default_interrupt() -> None:
    # A shell starts background jobs with SIGINT ignored; Prefect's processes then cannot be stopped by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _strings(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:  # gone, or another user's
        return []
