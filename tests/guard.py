"""Ends what a test run started once the run is gone, so that Ctrl-C, SIGTERM or SIGKILL of pytest leaves no server behind.

A process of its own, which `tests/conftest.py` starts; it knows what belongs to the run by a variable in its environment. A
worker of pytest-xdist would finish its test although its controller is gone: it is ended too.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

import psutil

MARK = "DEGLA_TEST_RUN"
"""Environment variable that holds the process id of pytest."""


def end_all(run: str) -> None:
    """Kill every process of the run, and those that they start meanwhile."""
    while found := [each for each in psutil.process_iter(["environ"]) if (each.info["environ"] or {}).get(MARK) == run]:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.2)


def goes_on(run: int, controller: int | None) -> bool:
    """Whether pytest lives, and, if it is a worker, its controller."""
    return os.getppid() == run and (controller is None or psutil.Process(run).ppid() == controller)


if __name__ == "__main__":
    run, controller = int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else None
    while goes_on(run, controller):
        time.sleep(0.2)
    if os.getppid() == run:
        os.kill(run, signal.SIGKILL)
    end_all(sys.argv[1])
