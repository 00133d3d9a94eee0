"""Settings of the generate stage."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from degla.config import NO_EFFECT, StageConfig
from degla.schemas import NEGATIVE_TYPES, NegativeType


class GenerateConfig(StageConfig):
    """Generate: which types of negatives, by which back end."""

    stage: ClassVar[str] = "generate"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("prepare",)

    types: tuple[NegativeType, ...] = NEGATIVE_TYPES
    """The negative types to ask for, for every caption."""

    backend: Literal["rules"] = "rules"
    """What rewrites captions. `rules`: part-of-speech tags and closed lexicons, on the CPU, without weights."""

    vocabulary: Literal["corpus", "lexicon"] = "corpus"
    """Where replacements may come from: only words that the dataset's own captions use, or the whole lexicon."""

    seed: int = 0
    """Seeds every choice; a row's own seed is a hash of it, the caption, the type and the attempt."""

    unit_size: int = Field(5000, ge=1)
    """Captions per resumable unit."""

    workers: int = Field(0, ge=0, json_schema_extra=NO_EFFECT)
    """Processes; 0 takes every core."""
