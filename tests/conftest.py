"""Fixtures for all tests: where the real test data lies, and an artifact root of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
