"""Settings of the evaluate stage."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from degla import checksums
from degla.catalog import PUBLISHED, Card, card_name, load_card, path_checksum
from degla.catalog.published import published_checksum
from degla.config import NO_EFFECT, Config, StageConfig
from degla.errors import ConfigError, MissingInputError, ModelError
from degla.evaluate.interpolation.config import InterpolateConfig
from degla.models import ModelRef
from degla.models.source import Source, find
from degla.outcomes.ref import NAME, OutcomesRef
from degla.outcomes.suites import SUITES

READER_VERSIONS: dict[str, int] = {"caption_order": 3, "captions_table": 3, "karpathy": 2, "pairs": 3}
"""Reader to the version of its code, 1 if not listed. Raise it if the reader makes other items of the same files: only the
benchmarks that it reads are scored again."""


class BenchmarkRef(Config):
    """A benchmark's card, and paths to use in place of the card's."""

    name: str
    """Name of a benchmark card in `data_catalog/`, or the path of one elsewhere (`mine/mine.yaml`)."""

    paths: dict[str, str] = Field(default_factory=dict)
    """Role (`annotations`, `images`) to a path to use in place of the card's."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the card's reader to use in place of the card's."""

    label: str = Field("", pattern=rf"^$|{NAME.pattern}")
    """Its name in the scores; empty takes the card's. Needed if a card is used more than once (`image_folder`)."""

    @property
    def title(self) -> str:
        """The benchmark's name in scores and file names."""
        return self.label or card_name(self.name)

    def card(self) -> Card:
        """The benchmark's card, with these paths and options in place of its own.

        Raises:
            MissingInputError: no card of this name.
            ConfigError: a path is given for a role that the card does not have.
        """
        card = load_card(self.name, "benchmark")
        unknown = sorted(set(self.paths) - set(card.files))
        if unknown:
            raise ConfigError(
                f"{self.title}: no files in the role {unknown[0]!r}; known roles: {', '.join(card.files) or 'none'}"
            )
        return card.at(self.paths).model_copy(update={"options": {**card.options, **self.options}})

    def missing(self) -> list[MissingInputError]:
        """Why required files are missing; empty if the benchmark can be scored."""
        found = []
        card = self.card()
        for role, entry in card.files.items():
            try:
                card.file(role)
            except MissingInputError as error:
                found += [] if entry.optional else [error]
        return found

    def checksum(self) -> str:
        """Checksum of the card, its reader's version and the files present; it changes if missing ones are added."""
        card, found = self.card(), {}
        for role in card.files:
            try:
                found[role] = path_checksum(card.file(role))
            except MissingInputError:
                found[role] = "missing"
        return checksums.of_value([card.checksum(), READER_VERSIONS.get(card.reader, 1), found])


class EvaluatedModel(ModelRef):
    """A model to score beside those of the train stage: any that `ModelRef` names."""

    reference: str = ""
    """The published model that these weights are said to be, a key of `data_catalog/published.yaml` (`clip_vit_b_32`): its scores
    are then compared with the published ones. Known by itself for open_clip's `openai` weights."""

    def find(self, name: str, download: bool = True) -> Source:
        """What it names, checked; see `degla.models.source.find`. A ModelError says the model's name in the scores."""
        try:
            return find(self, f"evaluate.models.{name}", download)
        except ModelError as error:
            raise ModelError(f"model {name}: {error}") from error


class EvaluateConfig(StageConfig):
    """Evaluate: the benchmarks, scored for several models side by side."""

    stage: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 8

    benchmarks: tuple[BenchmarkRef, ...] = (BenchmarkRef(name="miniworld_composition"),)
    """Benchmarks by card name, or as {name, paths, options, label}."""

    trained: bool = True
    """Score the model that the train stage started from (`before`) and the one it made (`after`). If false, only `models` are
    scored and no other stage's artifact is read."""

    models: dict[Annotated[str, Field(pattern=NAME.pattern)], EvaluatedModel] = Field(default_factory=dict)
    """Further models by their names in the scores, as {negclip: {architecture: ViT-B-32-quickgelu, weights: negclip.pt}}."""

    outcomes: tuple[OutcomesRef, ...] = ()
    """Files of outcomes of further models, as {path: theirs.parquet}; their scores stand beside those of the models."""

    reference: Literal["note", "require"] = "note"
    """What to do if a model that is said to be a published one is more than 0.3 points from its published score on a set that was
    scored in full: `note` it in the log and in `comparison.md`, or `require` that it is not and stop the run."""

    pictures: float = Field(9.0, ge=0)
    """Megabytes of small pictures of the items to keep for the report's page, those that say most about the models first; 0 keeps
    none. Scores are not made again for it."""

    interpolate: InterpolateConfig | None = None
    """Score models between start and end of training too, and choose the one with the best composition within a budget of
    forgetting; `evaluate.interpolate.composition` and `.retention` name the metrics (`docs/evaluation.md`)."""

    batch_size: int | None = Field(None, ge=1, json_schema_extra=NO_EFFECT)
    """Images or texts encoded at once; empty takes 48 on a CPU and 256 on a GPU."""

    keep_features: bool = Field(True, json_schema_extra=NO_EFFECT)
    """Keep the features of images and texts below the artifact root (`features/`): a later run encodes only new ones."""

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The stages whose artifacts it reads."""
        return ("train",) if self.trained else ()

    @property
    def model_names(self) -> list[str]:
        """The names of the models in scores, in their order."""
        return [*(("before", "after") if self.trained else ()), *self.models]

    @property
    def encoded_names(self) -> list[str]:
        """The names of all models that are encoded: those in scores, and the candidates of the interpolation."""
        return [*self.model_names, *(self.interpolate.names if self.interpolate else ())]

    def unused(self) -> set[str]:
        """An evaluation without interpolation stays the same."""
        return set() if self.interpolate else {"interpolate"}

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

    @model_validator(mode="after")
    def _there_are_models(self) -> EvaluateConfig:
        taken = sorted(set(self.models) & {"before", "after", "difference"})
        if taken:
            raise ValueError(f"models: {taken[0]!r} is the name of a result of the train stage; give the model another")
        if not (self.trained or self.models or self.outcomes):
            raise ValueError(
                "trained is false, models and outcomes are empty: there is nothing to score. Add one, or set trained=true"
            )
        return self

    @model_validator(mode="after")
    def _candidates_can_be_judged(self) -> EvaluateConfig:
        if self.interpolate is None:
            return self
        if not self.trained:
            raise ValueError("interpolate averages the models before and after training: set trained=true, or interpolate=null")
        taken = sorted(set(self.models) & set(self.interpolate.names))
        if taken:
            raise ValueError(f"models: {taken[0]!r} is the name of a candidate of interpolate; give the model another")
        known = [*(ref.title for ref in self.benchmarks), *(suite.name for suite in SUITES)]
        for metric in self.interpolate.metrics:
            if metric.split("/")[0] not in known:
                raise ValueError(f"interpolate: nothing measures {metric!r}; a metric begins with one of: {', '.join(known)}")
        return self

    def raw_inputs(self) -> dict[str, str]:
        """Checksums of benchmarks, models and published scores. A benchmark whose files are missing is left out of the scores.

        Raises:
            MissingInputError: all benchmarks lack files, or one by which a model is chosen.
        """
        lacking = [ref.missing() for ref in self.benchmarks]
        if lacking and all(lacking):
            raise lacking[0][0]
        for ref, missing in zip(self.benchmarks, lacking, strict=True):
            if missing and self.interpolate and any(metric.startswith(f"{ref.title}/") for metric in self.interpolate.metrics):
                raise MissingInputError(f"evaluate.interpolate chooses by {ref.title}: {missing[0]}")
        for name, model in self.models.items():
            model.find(name, download=False)
        raw = {f"{PUBLISHED} scores": published_checksum()} | {ref.title: ref.checksum() for ref in self.benchmarks}
        raw |= {f"model {name}": ref.checksum() for name, ref in self.models.items()}
        return raw | {f"outcomes {number}": ref.checksum() for number, ref in enumerate(self.outcomes, 1)}
