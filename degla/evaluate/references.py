"""Published scores of base CLIPs, and whether a model said to be one of them reproduces them.

The table is `references.yaml`, with a source for each number. A wrong activation, preprocessing or split shows here first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from degla.config import Config, read_yaml, validate
from degla.errors import ConfigError
from degla.outcomes.measures import Measure

TOLERANCE = 0.3
"""Percentage points; several implementations of the same protocol agree within these."""

_TABLE = Path(__file__).with_name("references.yaml")


class Published(Config):
    """One number of a publication."""

    metric: str
    per_cent: float
    source: str
    """A key of the table's `sources`."""


class PublishedModel(Config):
    """A model and its published numbers."""

    name: str
    scores: list[Published]


class ReferenceTable(Config):
    """`references.yaml`."""

    sources: dict[str, str]
    models: dict[str, PublishedModel]


@dataclass(frozen=True)
class Check:
    """A score beside the published one."""

    metric: str
    per_cent: float
    published: float
    source: str

    @property
    def agrees(self) -> bool:
        """Whether the two are no more than `TOLERANCE` apart."""
        return abs(self.per_cent - self.published) <= TOLERANCE + 1e-9

    def sentence(self) -> str:
        """The check in words."""
        verdict = "as published" if self.agrees else "which differs: look at activation, preprocessing and the benchmark's files"
        return f"{self.metric} is {self.per_cent:.2f}, published {self.published:.2f} ({self.source}), {verdict}"


@lru_cache(1)
def table() -> ReferenceTable:
    """The table, read once."""
    return validate(ReferenceTable, read_yaml(_TABLE), str(_TABLE))


def checks(reference: str, benchmark: str, found: Iterable[Measure]) -> list[Check]:
    """Each published score of a model on a benchmark beside the one found; scores on fewer items are not compared."""
    published = table().models.get(reference)
    if published is None:
        return []
    whole = {f"{benchmark}/{measure.path}": measure for measure in found if measure.missing == 0}
    return [
        Check(score.metric, 100 * whole[score.metric].value, score.per_cent, table().sources[score.source])
        for score in published.scores
        if score.metric in whole
    ]


def check_known(reference: str) -> None:
    """Raises ConfigError if a model is said to be one that the table does not have."""
    if reference and reference not in table().models:
        raise ConfigError(f"no reference {reference!r} in {_TABLE.name}; there are: {', '.join(table().models)}")
