"""Background processes of this checkout: started in their own sessions, found again by a mark in their environment.

A mark, unlike a file with process ids, cannot be stale, and children inherit it: what a killed parent leaves is found too. A
process without the mark is never touched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "DEGLA_SERVICE_OF"
"""Environment variable that holds the Prefect home which a process serves."""


def start(home: Path, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a background process for this Prefect home, with its output in `log`; it outlives this process."""
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


def find(home: Path, *words: str) -> list[psutil.Process]:
    """The processes with our mark for this Prefect home and these words in their command, without this one; `info` holds the
    environment."""
    return [
        process
        for process in psutil.process_iter(["environ", "cmdline"])  # None for a process of another user, or one that is gone
        if process.pid != os.getpid()
        and (process.info["environ"] or {}).get(MARK) == str(home)
        and set(words) <= set(process.info["cmdline"] or ())
    ]


def stop(processes: Collection[psutil.Process], seconds: float) -> None:
    """End processes: SIGTERM, then SIGKILL for those that still run after `seconds`."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    deadline = time.monotonic() + seconds  # psutil.wait_procs would wait for zombies, which a container may never reap
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in filter(alive, processes):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def alive(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _default_interrupt() -> None:
    # A shell starts background jobs with SIGINT ignored; Prefect's processes then cannot be stopped by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
