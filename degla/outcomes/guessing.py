"""What guessing gives, for each way of scoring an item."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def chance(targets: Sequence[int], candidates: Sequence[int], within: int = 1) -> float:
    """Mean probability that a random order puts one of an item's `targets` among the first `within` of its `candidates`."""
    missed = np.ones(len(targets))
    targets_I, candidates_I = np.asarray(targets, dtype=np.float64), np.asarray(candidates, dtype=np.float64)
    for place in range(within):
        left_I = np.maximum(candidates_I - place, 1)
        missed *= np.clip((candidates_I - targets_I - place) / left_I, 0, 1)
    return float(np.mean(1 - missed))


def match_chance(size: int) -> dict[str, tuple[int, int]]:
    """The chance of each score of `match_margins` for `size` images and captions of random similarities, as right answers among
    candidates.

    `group`: the integral over the ordered diagonal of the chance that all others are less, which is N! over the product of
    2 (N - 1) + ... + 2 (N - k) + k for k = 1 to N; 1/6 for two.
    """
    ways = math.prod(sum(2 * (size - j) for j in range(1, k + 1)) + k for k in range(1, size + 1))
    shared = math.gcd(math.factorial(size), ways)
    group = math.factorial(size) // shared, ways // shared
    return {"text": (1, size**size), "image": (1, size**size), "group": group}


def labelled_chance(targets: Sequence[int], candidates: Sequence[int]) -> tuple[float, float]:
    """Mean R-precision and mAP@R of a random order, with `targets` right answers among `candidates`."""
    expected = []
    for right, number in zip(targets, candidates, strict=True):
        place = np.arange(1, right + 1)
        precision = (1 + (place - 1) * (right - 1) / max(number - 1, 1)) / place  # if a right answer stands there
        expected.append((right / number, float(precision.mean()) * right / number))
    return float(np.mean([each for each, _ in expected])), float(np.mean([each for _, each in expected]))
