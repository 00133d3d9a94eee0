"""Benchmarks from cards and small files, as the tests of readers want them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from degla.evaluate.benchmark import Benchmark, BenchmarkImage
from degla.evaluate.config import BenchmarkRef
from degla.evaluate.readers import read_benchmark


def read(name: str, options: dict[str, Any] | None = None, **paths: Path) -> Benchmark:
    ref = BenchmarkRef(name=name, paths={role: str(path) for role, path in paths.items()}, options=options or {})
    return read_benchmark(ref.card())


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def lines(path: Path, rows: list[Any]) -> Path:
    return write(path, "\n".join(map(json.dumps, rows)) + "\n")


def shades(*values: int) -> tuple[BenchmarkImage, ...]:
    """Images of one grey each."""
    return tuple(BenchmarkImage(f"{value}", np.full((32, 32, 3), value, dtype=np.uint8)) for value in values)
