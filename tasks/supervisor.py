"""Run a command so that nothing of it outlives the process that asked for it. A script, not to be imported.

`tasks.child` starts it as `python supervisor.py COMMAND ...` with a pipe as standard input into which nobody writes.
The pipe closes when the task closes it (a cancelled run, a timeout) and also when the task's process is gone, however
it went (kill -9). Then the command's whole process group is asked to stop and, after a while, killed. Workers that the
command leaves behind are killed too. The exit code is the command's; 128 + n where signal n ended it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

GRACE_SECONDS = 20.0  # for a last checkpoint; Prefect kills a cancelled flow after 30 s, so the stage has to be gone before


def main(command: list[str]) -> int:
    """Run `command` in a process group of its own and wait for it; returns the exit code to pass on."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_stop_at_end_of_input, args=(process.pid,), daemon=True).start()
    code = process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _stop_at_end_of_input(group: int) -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock would be in the way when the process ends
        pass
    _signal_group(group, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
