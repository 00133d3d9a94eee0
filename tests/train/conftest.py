"""Fixtures of the train tests: small inputs and a tiny architecture."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from small_inputs import TINY, make_inputs

from degla.artifacts import Artifact


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Artifact]:
    return make_inputs(tmp_path / "inputs")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., dict[str, Artifact]]:
    return lambda **options: make_inputs(tmp_path / "made", **options)


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """Path of a tiny architecture."""
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(TINY))
    return str(path)
