"""Settings of the evaluate stage."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from degla import checksums
from degla.catalog import Card, load_card, path_checksum
from degla.config import NO_EFFECT, Config, StageConfig
from degla.errors import ConfigError


class BenchmarkRef(Config):
    """A benchmark's card, and paths to use in place of the card's."""

    name: str
    """Name of a benchmark card in `data_catalog/`."""

    paths: dict[str, str] = Field(default_factory=dict)
    """Role (`annotations`, `images`) to a path to use in place of the card's."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the card's reader to use in place of the card's."""

    label: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    """Its name in the scores; empty takes the card's. Needed where a card is used more than once, as `image_folder` may be."""

    @property
    def title(self) -> str:
        """The benchmark's name in scores and file names."""
        return self.label or self.name

    def card(self) -> Card:
        """The benchmark's card, with these options laid over its own.

        Raises:
            MissingInputError: there is no such card.
            ConfigError: a path is given for a role that the card does not have.
        """
        card = load_card(self.name, "benchmark")
        unknown = sorted(set(self.paths) - set(card.files))
        if unknown:
            raise ConfigError(
                f"{self.title}: no files in the role {unknown[0]!r}; known roles: {', '.join(card.files) or 'none'}"
            )
        return card.model_copy(update={"options": {**card.options, **self.options}})


class EvaluateConfig(StageConfig):
    """Evaluate: the benchmarks, scored for the pretrained and the fine-tuned model."""

    stage: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("train",)

    benchmarks: tuple[BenchmarkRef, ...] = (BenchmarkRef(name="miniworld_composition"),)
    """Benchmarks by card name, or as {name, paths, options, label}."""

    batch_size: int = Field(256, ge=1, json_schema_extra=NO_EFFECT)
    """Images or texts encoded at once."""

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _names_are_refs(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [{"name": item} if isinstance(item, str) else item for item in value]
        return value

    @field_validator("benchmarks", mode="after")
    @classmethod
    def _names_differ(cls, value: tuple[BenchmarkRef, ...]) -> tuple[BenchmarkRef, ...]:
        titles = [ref.title for ref in value]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} more than once; give each its own label")
        return value

    def raw_inputs(self) -> dict[str, str]:
        raw = {}
        for ref in self.benchmarks:
            card = ref.card()
            paths = {role: path_checksum(card.file(role, ref.paths.get(role))) for role in card.files}
            raw[ref.title] = checksums.of_value([card.checksum(), paths])
        return raw
