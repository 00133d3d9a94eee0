"""Worker processes that never outlive the process that started them."""

from __future__ import annotations

import ctypes
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Ask the kernel to end this process when the thread that started it ends, also by `kill -9`. Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of fresh processes (spawned, so that no thread or lock is copied) that die with this one."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=die_with_parent)


def worker_count(asked: int, units: int) -> int:
    """Processes to start: `asked`, or every core where it is 0, and never more than there are units."""
    return max(1, min(asked or os.cpu_count() or 1, units))
