"""A test run that is interrupted leaves no process behind, however it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from process_tree import descendants, left_of

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("number", "arguments"),
    [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGKILL, ["-n", "1"])],
    ids=["int", "term", "kill-xdist"],
)
def test_an_interrupted_run_leaves_no_process_behind(number: signal.Signals, arguments: list[str], tmp_path: Path) -> None:
    interrupt("process", number, tmp_path, least=2, arguments=arguments)


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_server_behind(tmp_path: Path) -> None:
    interrupt("server", signal.SIGKILL, tmp_path, least=3)


def interrupt(kind: str, number: signal.Signals, folder: Path, least: int, arguments: Sequence[str] = ()) -> None:
    """Interrupt a run that has started at least so many processes, its guard among them; none of them is left a moment later."""
    test = f"tests/held_run.py::test_hold[{kind}]"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, test]
    run = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "HELD_RUN": str(folder)}, stdout=subprocess.DEVNULL, preexec_fn=_heed_ctrl_c
    )
    wait_for(lambda: (folder / "ready").exists() or run.poll() is not None, 150)
    assert run.poll() is None
    started = descendants(run.pid)
    assert len(started) >= least
    run.send_signal(number)
    run.wait(30)
    assert not left_of(started, 20)


def wait_for(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell starts background jobs with SIGINT ignored
