"""Fixtures for all tests: a guard against left processes, the real test data, and an artifact root of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import DEVNULL

import hypothesis
import pytest
from guard import MARK

# Before torch is imported, and for all child processes. The tests' models are tiny: with two threads they take three times the
# processor time, and where several processes run beside each other, as many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile("degla", deadline=None)  # an example's time is that of a busy machine too
hypothesis.settings.load_profile("degla")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def guard() -> Iterator[None]:
    """A process that ends what the run started, once the run is gone."""
    run, environment = str(os.getpid()), {key: value for key, value in os.environ.items() if key != MARK}
    controller = [str(os.getppid())] if "PYTEST_XDIST_WORKER" in os.environ else []
    command = [sys.executable, str(ROOT / "tests" / "guard.py"), run, *controller]
    process = subprocess.Popen(command, env=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)
    os.environ[MARK] = run
    yield
    assert process.poll() is None


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A function from a relative path to real data (`coco_mini/val2017`); skips the test where it is not there."""
    base = Path(os.environ.get("DEGLA_TEST_DATA") or ROOT.parent / "shared" / "data")

    def find(relative: str) -> Path:
        path = base / relative
        if not path.exists():
            pytest.skip(f"real data not found: {path} (set DEGLA_TEST_DATA to the folder that holds {relative})")
        return path

    return find


@pytest.fixture(autouse=True)
def own_artifact_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own artifact root, so that nothing is reused from another test or from the user's runs."""
    root = tmp_path / "artifacts"
    monkeypatch.setenv("DEGLA_HOME", str(root))
    return root
