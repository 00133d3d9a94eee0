"""Run a command as a child process: stream its lines, watch it, and leave no process behind.

Knows neither Prefect nor stages. Call it in the flow's main thread, where Prefect raises the exceptions that cancel or time out a
task.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.supervisor import GRACE_SECONDS

SUPERVISOR = Path(__file__).with_name("supervisor.py")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and its last lines of output."""

    code: int
    last_lines: list[str]


def run_child(
    command: Sequence[str],
    log_path: Path,
    say: Callable[[str], None],
    watch: Callable[[], None],
    interval: float = 1.0,
) -> Ended:
    """Run `command`; its process group has ended when this returns or raises.

    Args:
        command: program and arguments.
        log_path: every line of its output is appended here.
        say: called with every line, in another thread.
        watch: called every `interval` seconds while the command runs.
        interval: seconds.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", str(SUPERVISOR), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C at a terminal goes to the flow, which then stops the child
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    last_lines: deque[str] = deque(maxlen=30)
    assert process.stdin is not None
    assert process.stdout is not None
    pump = threading.Thread(target=_pump, args=(process.stdout, log_path, say, last_lines), daemon=True)
    pump.start()
    try:
        while process.poll() is None:
            watch()
            with suppress(subprocess.TimeoutExpired):
                process.wait(interval)
    finally:
        process.stdin.close()  # tells the supervisor to end the group
        _end(process)
        pump.join(5)
    return Ended(process.returncode, list(last_lines))


def _pump(lines: IO[str], log_path: Path, say: Callable[[str], None], last_lines: deque[str]) -> None:
    with log_path.open("a", encoding="utf-8", buffering=1) as log:
        for line in lines:
            log.write(line)
            last_lines.append(line.rstrip())
            say(line.rstrip())


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(GRACE_SECONDS + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
