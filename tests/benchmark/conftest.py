"""A benchmark of four items, without the stages that make one."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark_items import ITEMS
from PIL import Image

from degla.benchmark.folder import IMAGES, BenchmarkFolder, write_folder


@pytest.fixture
def folder(tmp_path: Path) -> BenchmarkFolder:
    (tmp_path / "mine" / IMAGES).mkdir(parents=True)
    for name in ("dog.png", "cow.png"):
        Image.new("RGB", (64, 48), "green").save(tmp_path / "mine" / IMAGES / name)
    return write_folder(tmp_path / "mine", "mine", ITEMS, {"source": "captions.tsv"})
