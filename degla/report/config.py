"""Settings of the report stage."""

from __future__ import annotations

from typing import ClassVar

from degla.config import StageConfig


class ReportConfig(StageConfig):
    """Report: the scorecard."""

    stage: ClassVar[str] = "report"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("prepare", "generate", "filter", "train", "evaluate")

    title: str = "DeGLA"
    """Heading of the scorecard."""
