"""Run a command as a child process: stream its lines, watch it, and leave no process behind.

Knows neither Prefect nor stages. Call it in the flow's main thread, where Prefect raises the exceptions that cancel or time out a
task.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from degla.processes import starved_processes
from tasks.supervisor import GRACE_SECONDS

LOG_NAME = "log.txt"
LINE_LIMIT = 1 << 13  # characters; a longer line is read in parts
FLOOD_SECONDS, FLOOD_LINES = 10, 2000  # `say` sends each line to Prefect's server; what exceeds this is in the log alone
SUPERVISOR = Path(__file__).with_name("supervisor.py")
MARK = "DEGLA_CHILD"
"""Environment variable of a command and all that it starts: a name of this one call."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, 128 + n if signal n ended it or its supervisor, and its last lines of output."""

    code: int
    last_lines: list[str]
    starved: int = 0
    """Processes of this machine that the kernel killed meanwhile because memory ran out."""


def run_child(
    command: Sequence[str],
    log_path: Path,
    say: Callable[[str], None],
    watch: Callable[[], None],
    interval: float = 1.0,
) -> Ended:
    """Run `command`; every process that it started has ended when this returns or raises.

    Args:
        command: program and arguments.
        log_path: every line of its output is appended here. If that fails, the last lines and `say` tell it, once.
        say: called with the lines, in another thread; of a flood, with its beginning and the number of the others.
        watch: called every `interval` seconds while the command runs.
        interval: seconds.
    """
    mark, starved = uuid.uuid4().hex, starved_processes()
    process = subprocess.Popen(
        [sys.executable, "-I", str(SUPERVISOR), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C at a terminal goes to the flow, which then stops the child
        env={**os.environ, "PYTHONUNBUFFERED": "1", MARK: mark},
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
        _end_left(mark, process)
        pump.join(5)
    code = process.returncode
    return Ended(code if code >= 0 else 128 - code, list(last_lines), starved_processes() - starved)


def _pump(lines: IO[str], log_path: Path, say: Callable[[str], None], last_lines: deque[str]) -> None:
    """Read to the end whatever fails: a pipe that nobody reads holds the child up, and the last lines say why a stage ended."""
    log = _Log(log_path)
    shown, start = 0, time.monotonic()
    while line := lines.readline(LINE_LIMIT):
        problem = log.write(line)
        for text in filter(None, (line.rstrip(), problem)):
            last_lines.append(text)
            if time.monotonic() - start > FLOOD_SECONDS:
                _tell_of_rest(say, shown)
                shown, start = 0, time.monotonic()
            if shown < FLOOD_LINES:
                say(text)
            shown += 1
    _tell_of_rest(say, shown)


def _tell_of_rest(say: Callable[[str], None], shown: int) -> None:
    if shown > FLOOD_LINES:
        say(f"({shown - FLOOD_LINES:,} lines more than {FLOOD_LINES:,} in {FLOOD_SECONDS} s; they are in {LOG_NAME})")


class _Log:
    """The file of all output. Once it cannot be written it stays as it is: a log with a hole would mislead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._is_whole = True

    def write(self, line: str) -> str:
        """Append a line; returns what went wrong, once, else ""."""
        if not self._is_whole:
            return ""
        try:
            if self._file is None:
                self._file = self._path.open("a", encoding="utf-8", buffering=1)
            self._file.write(line)
        except OSError as error:
            self._is_whole = False
            return f"{self._path} cannot be written from here on: {error.strerror}"
        return ""


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(GRACE_SECONDS + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_left(mark: str, supervisor: subprocess.Popen[str]) -> None:
    """Kill what left the command's group. Where the supervisor was killed, do its work: SIGTERM, and 20 s later SIGKILL."""
    if supervisor.returncode < 0:
        _signal_all(_left(mark, supervisor.pid), signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while _left(mark, supervisor.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
    while left := _left(mark, supervisor.pid):
        _signal_all(left, signal.SIGKILL)


def _signal_all(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _left(mark: str, session: int) -> list[psutil.Process]:
    """Processes with the mark, or of the session: one that names itself, as vLLM's engine does, overwrites its environment, and
    one that begins a session keeps it. Those that have ended and wait for their parent are none: no signal removes them."""
    found = psutil.process_iter(["environ", "status"])
    alive = [each for each in found if each.info["status"] != psutil.STATUS_ZOMBIE]
    return [each for each in alive if (each.info["environ"] or {}).get(MARK) == mark or _session(each.pid) == session]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return 0
