"""A stage's child process: its output arrives, its exit code is kept, and nothing of it is left, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from degla.errors import PassingFault
from tasks.child import FLOOD_LINES, Ended, run_child
from tasks.retries import error_of

FAMILY = """
import os, signal, subprocess, sys, time
{first}
grandchild = subprocess.Popen(["sleep", "600"])
open(sys.argv[1], "w").write(f"{{os.getpid()}} {{grandchild.pid}}")
{last}
"""
SLEEPS = "time.sleep(600)"


def family(tmp_path: Path, last: str = SLEEPS, first: str = "") -> tuple[list[str], Path]:
    """A command that starts a grandchild, and the file where it leaves both process ids."""
    pids = tmp_path / "pids"
    return [sys.executable, "-c", FAMILY.format(first=first, last=last), str(pids)], pids


def read_pids(path: Path) -> list[int]:
    deadline = time.monotonic() + 20
    while not path.exists() or len(path.read_text().split()) < 2:
        assert time.monotonic() < deadline, "the child did not start"
        time.sleep(0.05)
    return [int(pid) for pid in path.read_text().split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def all_gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not all(map(gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return all(map(gone, pids))


def run(command: list[str], tmp_path: Path, watch=lambda: None) -> tuple[Ended, list[str]]:
    lines: list[str] = []
    return run_child(command, tmp_path / "log.txt", lines.append, watch, interval=0.1), lines


def test_every_line_of_both_streams_is_said_and_kept(tmp_path: Path) -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    ended, lines = run([sys.executable, "-c", code], tmp_path)
    assert ended.code == 3
    assert sorted(lines) == sorted(ended.last_lines) == ["one", "two"]
    assert sorted((tmp_path / "log.txt").read_text().splitlines()) == ["one", "two"]


def test_output_that_is_not_utf8_and_long_output_do_no_harm(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\n'); [print(n) for n in range(20000)]"
    ended, lines = run([sys.executable, "-c", code], tmp_path)
    assert ended.code == 0
    assert ended.last_lines[-1] == "19999"
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 20001
    assert len(lines) == FLOOD_LINES + 1
    assert "(18,001 lines more than 2,000 in 10 s; they are in log.txt)" in lines


@pytest.mark.parametrize("log", ["/dev/full", "no folder/log.txt"])
def test_where_no_log_can_be_written_the_reason_of_the_end_is_still_known(tmp_path: Path, log: str) -> None:
    code = "import sys; print('x' * 200_000); print('the reason'); sys.exit(2)"  # more than a pipe holds
    lines: list[str] = []
    ended = run_child([sys.executable, "-c", code], tmp_path / log, lines.append, lambda: None, interval=0.1)
    assert ended.code == 2
    assert ended.last_lines[-1] == lines[-1] == "the reason"
    assert sum("cannot be written from here on" in line for line in lines) == 1


def test_a_child_killed_by_a_signal_ends_with_128_and_its_number(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run([sys.executable, "-c", code], tmp_path)[0].code == 128 + signal.SIGKILL


def test_an_exception_while_waiting_ends_child_and_grandchild(tmp_path: Path) -> None:
    command, pid_file = family(tmp_path)

    def cancel_when_up() -> None:
        if pid_file.exists() and pid_file.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(command, tmp_path, cancel_when_up)
    assert all_gone(read_pids(pid_file), 0)


def test_a_child_may_save_before_it_is_killed(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    trap = f"signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), open({str(saved)!r}, 'w').close(), sys.exit(0)))"
    command, pid_file = family(tmp_path, first=trap)

    def cancel_when_up() -> None:
        if pid_file.exists() and pid_file.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(command, tmp_path, cancel_when_up)
    assert saved.exists()
    assert all_gone(read_pids(pid_file), 0)


def test_a_worker_that_the_child_left_behind_is_killed_and_does_not_hold_up_the_end(tmp_path: Path) -> None:
    command, pid_file = family(tmp_path, last="")
    start = time.monotonic()
    ended, _ = run(command, tmp_path)
    assert ended.code == 0
    assert time.monotonic() - start < 5
    assert all_gone(read_pids(pid_file), 1)


def test_kill_9_of_the_process_that_waits_ends_child_and_grandchild(tmp_path: Path) -> None:
    command, pid_file = family(tmp_path)
    waiter = (
        "import sys; from pathlib import Path; from tasks.child import run_child;"
        " run_child(sys.argv[2:], Path(sys.argv[1]), print, lambda: None)"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    call = [sys.executable, "-c", waiter, str(tmp_path / "log.txt"), *command]
    parent = subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL)
    pids = read_pids(pid_file)
    parent.kill()
    parent.wait()
    assert all_gone(pids, 5)


def test_kill_9_of_the_supervisor_ends_child_and_grandchild_and_may_be_gone_at_the_next_attempt(tmp_path: Path) -> None:
    command, pid_file = family(tmp_path)

    def kill_supervisor() -> None:
        if pid_file.exists() and pid_file.read_text():
            child = int(pid_file.read_text().split()[0])
            os.kill(int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)

    ended, _ = run(command, tmp_path, kill_supervisor)
    assert all_gone(read_pids(pid_file), 0)
    assert isinstance(error_of("train", ended), PassingFault)


def test_a_process_that_left_the_group_of_the_child_is_killed(tmp_path: Path) -> None:
    command, pid_file = family(tmp_path, last="")
    command[2] = command[2].replace('"600"]', '"600"], start_new_session=True')
    assert run(command, tmp_path)[0].code == 0
    assert all_gone(read_pids(pid_file), 0)


def test_kill_9_of_supervisor_and_child_ends_a_grandchild_without_the_mark(tmp_path: Path) -> None:
    command, pid_file = family(tmp_path)
    command[2] = command[2].replace('"600"]', '"600"], env={}')  # as a process that overwrites its environment

    def kill_both() -> None:
        if pid_file.exists() and pid_file.read_text():
            child = int(pid_file.read_text().split()[0])
            supervisor = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
            for pid in (supervisor, child):
                os.kill(pid, signal.SIGKILL)

    ended, _ = run(command, tmp_path, kill_both)
    assert all_gone(read_pids(pid_file), 0)
    assert isinstance(error_of("train", ended), PassingFault)


@pytest.mark.slow
def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    command, pid_file = family(tmp_path, first="signal.signal(signal.SIGTERM, signal.SIG_IGN)")

    def cancel_when_up() -> None:
        if pid_file.exists() and pid_file.read_text():
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(command, tmp_path, cancel_when_up)
    assert all_gone(read_pids(pid_file), 0)
    assert time.monotonic() - start < 25  # Prefect kills the flow 30 s after a cancel
