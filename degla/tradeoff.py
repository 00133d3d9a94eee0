"""The record of a trade-off: what each model between start and end gains in composition and keeps of what the start could do.

Evaluate writes `tradeoff.json`, a list of these; report draws them, one run or several. Knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from degla.config import Config
from degla.errors import DataError
from degla.files import write_text_atomic

TRADEOFF_FILE = "tradeoff.json"
KEPT_DIR = "candidates"
"""Of a train artifact: weights that training kept on its way (`train.keep_weights_every`)."""


class Interval(Config):
    """A value with its 95 % interval: a share in [0, 1], or a difference of two."""

    value: float
    low: float
    high: float


class Candidate(Config):
    """A model that could be chosen: a point of the line between start and end, or what training kept."""

    name: str
    alpha: float | None = None
    """Weight of the fine-tuned model: 0 is the start, 1 the end; None if it is not of the line."""
    step: int | None = None
    """Optimizer step at which training kept it; None if it is of the line."""

    @classmethod
    def at_step(cls, step: int) -> Candidate:
        """The student after so many optimizer steps."""
        return cls(name=f"step_{step}", step=step)

    @classmethod
    def teacher(cls) -> Candidate:
        """The teacher at the end of training."""
        return cls(name="teacher")

    @property
    def file(self) -> str:
        """Where the train artifact has its weights, if training kept it."""
        return f"{KEPT_DIR}/{self.name}.safetensors"


class TradeOffPoint(Config):
    """A candidate's scores, and their differences from those of the start on the same items."""

    run: str
    """Fingerprint of the evaluation."""
    candidate: str
    alpha: float | None
    step: int | None
    composition: Interval
    composition_change: Interval
    retention: Interval
    retention_change: Interval
    chosen: bool

    @property
    def gain(self) -> float:
        """Composition gained over the start, in points."""
        return 100 * self.composition_change.value

    @property
    def loss(self) -> float:
        """Retention lost against the start, in points; negative if it rose."""
        return -100 * self.retention_change.value

    @property
    def label(self) -> str:
        """How a plot names it: by its alpha, or as training kept it."""
        return f"{self.alpha:g}" if self.alpha is not None else self.candidate.replace("_", " ")


_POINTS = TypeAdapter(list[TradeOffPoint])


def write_points(path: Path, points: Sequence[TradeOffPoint]) -> None:
    """Write the file; `read_points` reads it."""
    write_text_atomic(path, json.dumps([point.model_dump() for point in points], indent=1))


def read_points(path: Path) -> list[TradeOffPoint]:
    """The points of a `tradeoff.json`, the start first. Raises DataError if it is damaged."""
    try:
        points = _POINTS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{path} is not a list of trade-off points: {error}. Run the evaluate stage again.") from error
    if not points:
        raise DataError(f"{path} holds no points. Run the evaluate stage again.")
    return points


def pareto_front(points: Sequence[TradeOffPoint]) -> list[TradeOffPoint]:
    """The points that no other beats in gain and loss, by rising loss; of equal ones the first."""
    front: list[TradeOffPoint] = []
    for point in sorted(points, key=lambda each: (each.loss, -each.gain)):
        if not front or point.gain > front[-1].gain:
            front.append(point)
    return front


def mean_gain(points: Sequence[TradeOffPoint], budget: float) -> float:
    """The area under the front over the losses from 0 to `budget` points, divided by `budget`: the mean over all budgets up to
    it of the gain that the best candidate within the budget has, in points. The start, which gains and loses nothing, is always
    a candidate, so it is never negative.

    This is the hypervolume (Zitzler and Thiele 1998) of the front with the start's composition and a loss of `budget` as
    reference, with losses below 0 taken as 0.
    """
    area, gain, reached = 0.0, 0.0, 0.0
    for point in pareto_front(points):
        if point.loss >= budget:
            break
        loss = max(point.loss, 0.0)
        area, gain, reached = area + gain * (loss - reached), max(gain, point.gain), loss
    return (area + gain * (budget - reached)) / budget
