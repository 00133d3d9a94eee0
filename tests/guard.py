"""Ends what a test run started once the run is gone, so that Ctrl-C, SIGTERM or SIGKILL of pytest leaves no server behind.

A process of its own, which `tests/conftest.py` starts; it knows what belongs to the run by a variable in its environment.
"""

from __future__ import annotations

import os
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


if __name__ == "__main__":
    while os.getppid() == int(sys.argv[1]):
        time.sleep(0.2)
    end_all(sys.argv[1])
