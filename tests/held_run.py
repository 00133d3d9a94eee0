"""A test that starts a process in the background and holds; `test_guard.py` runs it and interrupts it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flows.local import processes


@pytest.mark.parametrize("kind", ["process", "server"])
def test_hold(kind: str, request: pytest.FixtureRequest) -> None:
    folder = Path(os.environ["HELD_RUN"])
    if kind == "server":
        from prefect.testing.utilities import prefect_test_harness

        from flows.local.server import begin_server, wait_for_server

        server, process = begin_server(folder / "home", print)
        with prefect_test_harness(server_startup_timeout=120):
            wait_for_server(server, process)
            hold(folder)
    else:
        processes.start(folder / "home", ["sleep", "600"], os.environ, folder / "log", folder)
        hold(folder)


def hold(folder: Path) -> None:
    (folder / "ready").touch()
    time.sleep(600)
