"""Prepare: a catalog card becomes one captions table (with part-of-speech tags) and one image table.

Read `stage`, then what a unit of it goes through: a reader (`readers`), `images` for the pictures, `degla.text` for the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from degla.artifacts import Artifact
from degla.prepare.config import PrepareConfig

__all__ = ["PrepareConfig", "run"]


def run(config: PrepareConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the captions and images tables of a dataset in `out_dir`; see `degla.prepare.stage.prepare`."""
    from degla.prepare.stage import prepare

    return prepare(config, inputs, out_dir)
