"""The trade-offs of finished evaluations, and whether they can stand on one plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from degla.artifacts import Artifact
from degla.errors import ConfigError, MissingInputError
from degla.text_files import read_json
from degla.tradeoff import TRADEOFF_FILE, TradeOffPoint, mean_gain, read_points

_SAME = ("composition", "retention", "validation")


@dataclass(frozen=True)
class Run:
    """A run's candidates on the half that was not used to choose, and its `selection.json`."""

    name: str
    points: list[TradeOffPoint]
    selection: dict[str, Any]

    @classmethod
    def of(cls, evaluated: Artifact, name: str = "") -> Run:
        """Read it. Raises MissingInputError if the evaluation has no trade-off, DataError if a file is damaged."""
        if not evaluated.has(TRADEOFF_FILE):
            raise MissingInputError(
                f"{evaluated.path} has no {TRADEOFF_FILE}: run evaluate with evaluate.interpolate (docs/evaluation.md)"
            )
        points = read_points(evaluated.file(TRADEOFF_FILE))
        return cls(name or evaluated.fingerprint[:8], points, read_json(evaluated.file("selection.json"), dict))

    @property
    def largest_loss(self) -> float:
        """Points of retention that its most forgetful candidate loses; 0 if none loses any."""
        return max(0.0, *(point.loss for point in self.points))


def check_comparable(runs: Sequence[Run]) -> None:
    """Raises ConfigError if runs share a name, or measure by different metrics or halves."""
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two runs are called {twice[0]!r}; give each a name: NAME=FOLDER")
    for run in runs[1:]:
        for what in _SAME:
            old, new = runs[0].selection.get(what), run.selection.get(what)
            if old != new:
                raise ConfigError(
                    f"{runs[0].name} and {run.name} have different evaluate.interpolate.{what} ({old} and {new}): their points"
                    f" are not comparable. Evaluate one of them again."
                )


def mean_gains(runs: Sequence[Run], budget: float) -> dict[str, float]:
    """Each run's `mean_gain` up to a budget in points; a difference of two is the area between their fronts over the budget."""
    return {run.name: mean_gain(run.points, budget) for run in runs}


def common_budget(runs: Sequence[Run]) -> float:
    """The largest loss of any run; 1 point if none loses any."""
    return max(run.largest_loss for run in runs) or 1.0
