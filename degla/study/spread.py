"""95 % intervals over fine-tuning seeds and items at once, by a bootstrap; differences are paired.

A draw is a sample with replacement of the seeds, and one of the images of each part of a metric, with all items of each image.
All runs of a study meet the same draws, so that the difference of two methods is one on the same seeds and the same items, and
draws of values combine into draws of whatever is made of them (slopes, areas).

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
MOST_UNITS = 1_000
"""Units of a part that are drawn. Of more images random groups are drawn, or the draws of ImageNet's 50,000 would take 4 GB; it
makes the width of an interval uncertain by 2 % (1 / sqrt(2 x 1,000))."""


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
        """The value with its 95 % interval. Its ends are draws: infinite ones do not reach a front."""
        low, high = np.percentile(self.draws, [2.5, 97.5], method="closest_observation")
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
        self._weights = like.weights or (1 / len(like.parts),) * len(like.parts)
        rng = np.random.default_rng((zlib.crc32(metric.encode()), 1))
        images = like.images or tuple(np.arange(len(part)) for part in like.parts)
        self._units = [_units(own) for own in images]
        counts = [int(unit_N.max()) + 1 for unit_N in self._units]
        self._drawn = [rng.multinomial(count, np.full(count, 1 / count), NUM_DRAWS).astype(np.uint8) for count in counts]

    def over_items(self, measures: Sequence[Measure]) -> np.ndarray:
        """The value of each measure, in points, in each draw of items: float64 (NUM_DRAWS, number of measures)."""
        total = np.zeros((NUM_DRAWS, len(measures)))
        for part, (share, unit_N, drawn) in enumerate(zip(self._weights, self._units, self._drawn, strict=True)):
            of_unit = [np.bincount(unit_N), *(np.bincount(unit_N, measure.parts[part]) for measure in measures)]
            sums = drawn.astype(np.float32) @ np.stack(of_unit, axis=1).astype(np.float32)
            total += share * sums[:, 1:] / sums[:, :1]
        return 100 * total

    def spread(self, seeds: Sequence[Measure]) -> Spread:
        """The mean over the runs of a method, one of each seed, in the order of the seeds."""
        value = 100 * float(np.mean([weighted_mean(measure.parts, measure.weights) for measure in seeds]))
        return Spread(value, (self.over_items(seeds) * seed_weights(len(seeds))).sum(axis=1))


def _units(image_N: np.ndarray) -> np.ndarray:
    """The unit that each item is drawn with, int64 (N,): its image, numbered in the order of the items, or a group of images."""
    _, first, image_N = np.unique(image_N, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    if len(first) > MOST_UNITS:
        order = np.random.default_rng(len(first)).permutation(len(first)) % MOST_UNITS
    return order[image_N]


def seed_weights(num_seeds: int) -> np.ndarray:
    """How often each seed is drawn, divided by their number: float64 (NUM_DRAWS, num_seeds). The same for every metric."""
    rng = np.random.default_rng(num_seeds)
    return rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), NUM_DRAWS) / num_seeds
