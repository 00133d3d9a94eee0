"""Run a command so that none of its processes outlives the task that started it. A script: `python supervisor.py COMMAND ...`.

Standard input is a pipe that is never written. It closes when the task closes it (cancelled, timed out) or when the task's
process ends in any way, kill -9 included. Then the command's process group gets SIGTERM and, 20 s later, SIGKILL. Processes that
the command leaves behind are killed too. If this script itself is killed, the kernel sends the command SIGTERM. The exit code is
the command's, or 128 + n if signal n ended it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_SECONDS = 20.0  # for a last checkpoint; Prefect kills a cancelled flow after 30 s, so the stage must end before


def main(command: list[str]) -> int:
    """Run `command` in its own process group, of this script's session; returns the exit code to pass on."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with_parent)
    threading.Thread(target=_stop_at_end_of_input, args=(process.pid,), daemon=True).start()
    code = process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop_at_end_of_input(group: int) -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock would block the interpreter's exit
        pass
    _signal_group(group, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
