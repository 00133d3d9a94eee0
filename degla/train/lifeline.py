"""Processes that do not outlive their parent, and `python -m degla.train.lifeline`, which runs DeepSpeed's launcher so.

The kernel sends the signal when the parent ends, however it ended. Linux only; elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Have the kernel send this signal to this process when its parent ends.

    Args:
        number: the signal.
        parent: process id of the parent, where known: if it is gone already, this process exits.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)  # the launcher passes it on to its ranks
    runpy.run_module("deepspeed.launcher.launch", run_name="__main__", alter_sys=True)
