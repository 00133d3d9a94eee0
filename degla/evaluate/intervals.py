"""95 % intervals of accuracies, of their means and of paired differences.

All of them assume independent items. Items that share an image (SugarCrepe, retrieval with five captions) or a caption
(SugarCrepe's subsets, of whose mean the parts then covary) are not: the true interval is wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(right: int, total: int) -> Estimate:
    """The share right/total with Wilson's score interval (Wilson 1927)."""
    share = right / total
    denominator = 1 + Z95**2 / total
    centre = (share + Z95**2 / (2 * total)) / denominator
    half = Z95 / denominator * math.sqrt(share * (1 - share) / total + Z95**2 / (4 * total**2))
    return Estimate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def paired_difference(before: np.ndarray, after: np.ndarray) -> Estimate:
    """Share right after minus share right before on the same items, bool (n,) each.

    The interval is Agresti and Min's (2005) for paired proportions: Wald's with half an item added to each of the four
    cells, which keeps its width if no item, or every item, changed.
    """
    total = len(before)
    gained = int((after & ~before).sum())
    lost = int((before & ~after).sum())
    centre = (gained - lost) / (total + 2)
    variance = (gained + lost + 1 - (gained - lost) ** 2 / (total + 2)) / (total + 2) ** 2
    half = Z95 * math.sqrt(variance)
    value = (gained - lost) / total
    return Estimate(value, max(-1.0, min(centre - half, value)), min(1.0, max(centre + half, value)))


def mean_of(parts: Sequence[Estimate], weights: Sequence[float] = ()) -> Estimate:
    """The mean of estimates made on different items: the plain one, or with weights of sum 1.

    Each part's distance to its own limit enters by its square (MOVER: Zou and Donner 2008), so that one part alone keeps its
    interval and n equal parts have one narrower by the root of n.
    """
    shares = weights or [1 / len(parts)] * len(parts)
    weighted = list(zip(parts, shares, strict=True))
    value = sum(share * part.value for part, share in weighted)
    below = math.sqrt(sum((share * (part.value - part.low)) ** 2 for part, share in weighted))
    above = math.sqrt(sum((share * (part.high - part.value)) ** 2 for part, share in weighted))
    return Estimate(value, value - below, value + above)
