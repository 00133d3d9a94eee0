"""Report: everything an experiment made, as one scorecard: Markdown, JSON and plots. Read `stage`, `scorecard`, then `render`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from degla.artifacts import Artifact
from degla.report.config import ReportConfig

__all__ = ["ReportConfig", "run"]


def run(config: ReportConfig, inputs: Mapping[str, Artifact], out_dir: Path) -> Artifact:
    """Make the scorecard in `out_dir`; see `degla.report.stage.report`."""
    from degla.report.stage import report

    return report(config, inputs, out_dir)
