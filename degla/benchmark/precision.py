"""How many items a benchmark needs for intervals of a wanted width, by the interval formulas of `degla.outcomes.intervals`.

A single accuracy: Wilson's score interval (1927). A difference of two models on the same items: Agresti and Min's (2005, Stat.
Med. 24), whose width depends on the share of items on which only one of the two is right, as McNemar's test does (Connor 1987,
Biometrics 43). Items of one image are not independent: if both of two are always right or wrong together, it takes twice as many.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from degla.outcomes.intervals import Z95, wilson

DISAGREEMENTS = (0.05, 0.1, 0.15, 0.2, 0.3)
"""Shares of items on which one of two models is right and the other wrong."""
_MOST = 10_000_000


def items_for_accuracy(half_width: float, accuracy: float = 0.5) -> int:
    """Fewest items with an interval of at most ± `half_width` (a share); an accuracy of 0.5 needs most."""
    return _fewest(lambda items: accuracy_half_width(items, accuracy), half_width)


def items_for_difference(half_width: float, disagreement: float) -> int:
    """The same for the difference of two models that disagree on this share of the items and are equally good."""
    return _fewest(lambda items: difference_half_width(items, disagreement), half_width)


def accuracy_half_width(items: int, accuracy: float = 0.5) -> float:
    """Half the width of Wilson's 95 % interval."""
    interval = wilson(accuracy, items)
    return (interval.high - interval.low) / 2


def difference_half_width(items: int, disagreement: float) -> float:
    """Half the width of Agresti and Min's 95 % interval for a difference of 0."""
    return Z95 * math.sqrt(items * disagreement + 1) / (items + 2)


def precision_lines(points: float) -> list[str]:
    """What a precision of ± `points` (percentage points) needs, for the console."""
    wanted = points / 100
    lines = [
        f"items for an interval of ± {points:g} points (95 %):",
        f"  a single accuracy, at most (50 % right): {items_for_accuracy(wanted):,}",
        f"  a single accuracy of 80 %: {items_for_accuracy(wanted, 0.8):,}",
    ]
    needed = [(share, items_for_difference(wanted, share)) for share in DISAGREEMENTS]
    lines += [
        f"  a difference of two models that disagree on {100 * share:g} % of the items: {items:,}" for share, items in needed
    ]
    return lines


def _fewest(half_width_of: Callable[[int], float], wanted: float) -> int:
    low, high = 0, _MOST  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if half_width_of(middle) <= wanted else (middle, high)
    return high
