"""Stages that do nothing slow, a Prefect server for the session, and child processes that fail on demand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FAKE_STAGES = Path(__file__).resolve().parent.parent / "tasks" / "fake_stages"


@pytest.fixture
def fake_stages(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Child processes run fake stages from here on; `fake_stages(train="input")` says what they do."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(FAKE_STAGES), os.environ.get("PYTHONPATH")])))

    def behave(**stages: str) -> None:
        monkeypatch.setenv("DEGLA_FAKE_STAGES", json.dumps(stages))

    behave()
    return behave


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A temporary Prefect server with a database of its own."""
    from prefect.settings import PREFECT_HOME, PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    home = tmp_path_factory.mktemp("prefect")
    own = {PREFECT_HOME: home, PREFECT_RESULTS_LOCAL_STORAGE_PATH: home / "storage"}
    with temporary_settings(own), prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks wait a moment between attempts in place of ten seconds and more."""
    from tasks.stages import STAGE_TASKS

    for stage, task in STAGE_TASKS.items():
        monkeypatch.setitem(STAGE_TASKS, stage, task.with_options(retry_delay_seconds=0.2))
