"""Settings of the evaluate stage."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from degla import checksums
from degla.catalog import Card, load_card, path_checksum
from degla.config import NO_EFFECT, Config, StageConfig


class BenchmarkRef(Config):
    """A benchmark's card, and paths to use in place of the card's."""

    name: str
    """Name of a benchmark card in `data_catalog/`."""

    paths: dict[str, str] = Field(default_factory=dict)
    """Role (`annotations`, `images`) to a path to use in place of the card's."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the card's reader to use in place of the card's."""

    def card(self) -> Card:
        """The benchmark's card, with these options laid over its own."""
        card = load_card(self.name, "benchmark")
        return card.model_copy(update={"options": {**card.options, **self.options}})


class EvaluateConfig(StageConfig):
    """Evaluate: the benchmarks, scored for the pretrained and the fine-tuned model."""

    stage: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("train",)

    benchmarks: tuple[BenchmarkRef, ...] = (BenchmarkRef(name="miniworld_composition"),)
    """Benchmarks by card name, or as {name, paths, options}."""

    batch_size: int = Field(256, ge=1, json_schema_extra=NO_EFFECT)
    """Images or texts encoded at once."""

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _names_are_refs(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [{"name": item} if isinstance(item, str) else item for item in value]
        return value

    def raw_inputs(self) -> dict[str, str]:
        raw = {}
        for ref in self.benchmarks:
            card = ref.card()
            paths = {role: path_checksum(card.file(role, ref.paths.get(role))) for role in {*card.files, *ref.paths}}
            raw[ref.name] = checksums.of_value([card.checksum(), paths])
        return raw
