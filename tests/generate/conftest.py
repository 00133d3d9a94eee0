"""Fixtures for tests of the generate stage: the tiny model, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from degla.generate.language_models.tiny_model import make_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny random LLaMA, which no test may change."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
