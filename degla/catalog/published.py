"""Published scores: the models of the field on the benchmarks, each number with its source, from `data_catalog/published.yaml`.

Metrics have the paths of the scores, in which the average is named, so that only like is compared with like. Evaluate holds base
models to their published scores, the report shows those nearest to a model's own. A catalog of one's own (`DEGLA_CATALOG`) may
leave the file out: nothing is then compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from degla.catalog import PUBLISHED, path_checksum
from degla.config import Config, read_yaml, validate
from degla.home import catalog_dir

_QUICK = "-quickgelu"


class Source(Config):
    """A publication or a repository, and the table in it."""

    title: str
    address: str
    table: str
    date: str
    """Year and month of the numbers."""
    checks: bool = False
    """Whether a base model is held to these numbers."""
    not_comparable: str = ""
    """Why no other model is shown beside them, if none is."""

    def __str__(self) -> str:
        return f"{self.address}, {self.table}, {self.date}"


class PublishedModel(Config):
    """A model and what is published of it."""

    name: str
    architecture: str
    """As open_clip names it, without `-quickgelu`."""
    training: str
    """Such as `pretrained` or `fine-tuned with text negatives`."""
    scores: dict[str, dict[str, float]]
    """Source to metric path to per cent; if several sources have a metric, the first counts."""


class TextOnly(Config):
    """What a classifier gets right that reads the texts of a benchmark and never its images."""

    source: str = ""
    """A key of the table's `sources`."""
    scores: dict[str, float] = {}
    """Benchmark to per cent of its items."""


class PublishedTable(Config):
    """`published.yaml`."""

    sources: dict[str, Source] = {}
    not_checked: dict[str, str] = {}
    """Benchmark to the reason why a base model is not held to its published scores."""
    text_only: TextOnly = TextOnly()
    models: dict[str, PublishedModel] = {}


@dataclass(frozen=True)
class PublishedScore:
    """A published number."""

    model: str
    """Key of the model in the table."""
    name: str
    architecture: str
    training: str
    metric: str
    per_cent: float
    source: Source


def published_file() -> Path:
    """Where the table is, whether it exists or not."""
    return catalog_dir() / f"{PUBLISHED}.yaml"


def published_checksum() -> str:
    """Checksum of the table; empty if the catalog has none."""
    path = published_file()
    return path_checksum(path) if path.is_file() else ""


def published_table() -> PublishedTable:
    """The table, empty if the catalog has none. Raises ConfigError if it has an unknown key or a wrong value."""
    path = published_file()
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else PublishedTable()


@lru_cache(1)
def _read(path: Path, changed: int) -> PublishedTable:
    return validate(PublishedTable, read_yaml(path), str(path))


def published_scores() -> Iterator[PublishedScore]:
    """Every number, in the order of the table."""
    table = published_table()
    for key, model in table.models.items():
        for source, scores in model.scores.items():
            for metric, per_cent in scores.items():
                yield PublishedScore(key, model.name, model.architecture, model.training, metric, per_cent, table.sources[source])


def reference_scores(model: str, benchmark: str) -> dict[str, PublishedScore]:
    """Metric to the number that a base model must reproduce on a benchmark; empty if none is known."""
    if benchmark in published_table().not_checked:
        return {}
    found: dict[str, PublishedScore] = {}
    for score in published_scores():
        if score.model == model and score.source.checks and score.metric.startswith(f"{benchmark}/"):
            found.setdefault(score.metric, score)
    return found


def nearest(scores: Mapping[str, float], architecture: str, limit: int = 3) -> dict[str, list[PublishedScore]]:
    """Metric to the published numbers nearest to a model's own: first those of its architecture, of them the nearest in value.

    Args:
        scores: metric to the model's own score in per cent, of complete benchmarks.
        architecture: of the model, as open_clip names it.
        limit: numbers for each metric; each is of another model.
    """
    found: dict[str, dict[str, PublishedScore]] = {}
    for score in published_scores():
        if score.metric in scores and not score.source.not_comparable:
            found.setdefault(score.metric, {}).setdefault(score.model, score)

    def distance(score: PublishedScore) -> tuple[bool, float]:
        other = score.architecture != architecture.removesuffix(_QUICK)
        return other, abs(score.per_cent - scores[score.metric])

    return {metric: sorted(found[metric].values(), key=distance)[:limit] for metric in scores if metric in found}
