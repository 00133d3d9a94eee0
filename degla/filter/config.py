"""Settings of the filter stage."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from degla.config import NO_EFFECT, StageConfig


class FilterConfig(StageConfig):
    """Filter: the limits of the rules."""

    stage: ClassVar[str] = "filter"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("prepare", "generate")

    min_tokens: int = Field(3, ge=1)
    """Fewest word tokens of a negative."""

    max_tokens: int = Field(60, ge=1)
    """Most word tokens of a negative; CLIP reads at most 77 subword tokens."""

    min_kept_fraction: float = Field(0.05, ge=0, le=1)
    """The stage stops if a smaller share of the generated texts is kept: then something upstream is wrong."""

    threads: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """DuckDB threads; 0 takes every core."""

    memory_limit: str = Field("2GB", json_schema_extra=NO_EFFECT)
    """DuckDB's memory limit; beyond it, it spills to disk."""
