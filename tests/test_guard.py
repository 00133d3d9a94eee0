"""A test run that is interrupted leaves no process behind, however it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from guard import MARK

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    interrupt("process", number, tmp_path, least=1)


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_server_behind(tmp_path: Path) -> None:
    interrupt("server", signal.SIGKILL, tmp_path, least=2)


def interrupt(kind: str, number: signal.Signals, folder: Path, least: int) -> None:
    """Interrupt a run that has started at least so many processes; none of them is left a moment later."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/held_run.py::test_hold[{kind}]"]
    run = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "HELD_RUN": str(folder)}, stdout=subprocess.DEVNULL, preexec_fn=_heed_ctrl_c
    )
    wait_for(lambda: (folder / "ready").exists() or run.poll() is not None, 150)
    assert run.poll() is None
    assert len(processes_of(run.pid)) >= least
    run.send_signal(number)
    run.wait(30)
    wait_for(lambda: not processes_of(run.pid), 20)


def processes_of(run: int) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["environ"]) if (each.info["environ"] or {}).get(MARK) == str(run)]


def wait_for(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell starts background jobs with SIGINT ignored
