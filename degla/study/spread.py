"""95 % intervals over fine-tuning seeds and items at once, by a bootstrap; differences are paired.

A draw is a sample with replacement of the seeds, and one of the items of each part of a metric. All runs of a study meet the
same draws, so that the difference of two methods is one on the same seeds and the same items, and draws of values combine into
draws of whatever is made of them (slopes, areas).

Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from degla.outcomes.intervals import Estimate, weighted_mean
from degla.outcomes.measures import Measure

NUM_DRAWS = 10_000


@dataclass(frozen=True)
class Spread:
    """A value in points, and what it is in each draw."""

    value: float
    draws: np.ndarray
    """float64 (NUM_DRAWS,)."""

    def __sub__(self, other: Spread) -> Spread:
        return Spread(self.value - other.value, self.draws - other.draws)

    @property
    def estimate(self) -> Estimate:
        """The value with its 95 % interval; not a number where a draw is not, as where a front is not reached."""
        low, high = np.percentile(self.draws, [2.5, 97.5])
        return Estimate(self.value, float(low), float(high))

    @property
    def is_a_difference(self) -> bool:
        """Whether the interval does not contain 0."""
        found = self.estimate
        return found.low > 0 or found.high < 0


class Draws:
    """The draws of one metric. All measures must be of the same items.

    Args:
        metric: its name, the seed of its draws of items.
        like: a measure of it.
    """

    def __init__(self, metric: str, like: Measure) -> None:
        self._sizes = [len(part) for part in like.parts]
        self._weights = like.weights or (1 / len(like.parts),) * len(like.parts)
        rng = np.random.default_rng((zlib.crc32(metric.encode()), 1))
        self._items = [
            rng.multinomial(size, np.full(size, 1 / size), NUM_DRAWS).astype(np.float32) / size for size in self._sizes
        ]

    def over_items(self, measures: Sequence[Measure]) -> np.ndarray:
        """The value of each measure, in points, in each draw of items: float64 (NUM_DRAWS, number of measures)."""
        total = np.zeros((NUM_DRAWS, len(measures)))
        for part, (share, items) in enumerate(zip(self._weights, self._items, strict=True)):
            right = np.stack([measure.parts[part].astype(np.float32) for measure in measures])
            total += share * (items @ right.T)
        return 100 * total

    def spread(self, seeds: Sequence[Measure]) -> Spread:
        """The mean over the runs of a method, one of each seed, in the order of the seeds."""
        value = 100 * float(np.mean([weighted_mean(measure.parts, measure.weights) for measure in seeds]))
        return Spread(value, (self.over_items(seeds) * seed_weights(len(seeds))).sum(axis=1))


def seed_weights(num_seeds: int) -> np.ndarray:
    """How often each seed is drawn, divided by their number: float64 (NUM_DRAWS, num_seeds). The same for every metric."""
    rng = np.random.default_rng(num_seeds)
    return rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), NUM_DRAWS) / num_seeds
