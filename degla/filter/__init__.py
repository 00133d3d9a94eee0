"""Filter: rewrites pass named SQL rules; the kept ones become the training table, the others keep the name of their rule.

Read `stage`, `inputs`, `sieve` with `rules` (which rule refuses which text), then `veto` and `mining`, `summary`, `report` and
`audit`. `explain`, `export` and `dataset_card` are commands of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from degla.artifacts import Artifact
from degla.filter.config import FilterConfig

__all__ = ["FilterConfig", "run"]


def run(config: FilterConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the training table and the rejected rows in `out_dir`; see `degla.filter.stage.filter_rewrites`."""
    from degla.filter.stage import filter_rewrites

    return filter_rewrites(config, inputs, out_dir)
