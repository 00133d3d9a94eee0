"""Settings of the report stage."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from degla.catalog import PUBLISHED
from degla.catalog.published import published_checksum
from degla.config import StageConfig


class ReportConfig(StageConfig):
    """Report: the scorecard."""

    stage: ClassVar[str] = "report"
    version: ClassVar[int] = 4
    needs: ClassVar[tuple[str, ...]] = ("prepare", "generate", "filter", "train", "evaluate")

    title: str = "DeGLA"
    """Heading of the scorecard."""

    headline: dict[str, str] = {}
    """Metric path to a short name: the rows of the console's table and of the plot, in this order. Empty takes every metric;
    the scorecard lists all of them in any case."""

    page_megabytes: float = Field(15.0, ge=1)
    """Most that the page (`page.html`) may take. Items and pictures that say most about the models come first in it; pictures are
    those that evaluate kept (`evaluate.pictures`)."""

    def raw_inputs(self) -> dict[str, str]:
        """Checksum of the published scores, of which the scorecard shows the nearest."""
        return {f"{PUBLISHED} scores": published_checksum()}
