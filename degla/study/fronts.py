"""Composition at equal retention: what a method reaches between its start and its end, of averages of their weights (WiSE-FT).

Everything is read from the upper hull of the points (retention lost, composition): between two models a mixture of their answers
reaches every point of the segment. Nothing is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]
"""Points of retention lost, and composition, in points."""


def upper_hull(points: Sequence[Point]) -> list[Point]:
    """The points of the upper convex hull by rising loss, up to the highest composition: more loss for less is no gain."""
    hull: list[Point] = []
    for loss, height in sorted(points, key=lambda point: (point[0], -point[1])):
        if hull and height <= hull[-1][1]:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], (loss, height)):
            hull.pop()
        hull.append((loss, height))
    return hull


def composition_at(points: Sequence[Point], lost: float) -> float:
    """The highest composition within so many points lost; minus infinity if every point loses more."""
    hull = upper_hull(points)
    losses, heights = zip(*hull, strict=True)
    return -math.inf if lost < losses[0] else float(np.interp(lost, losses, heights))


def lost_at(points: Sequence[Point], composition: float) -> float:
    """The fewest points lost for so much composition; infinite if no point has it."""
    hull = upper_hull(points)
    losses, heights = zip(*hull, strict=True)
    if composition > heights[-1]:
        return math.inf
    return float(np.interp(composition, heights, losses))


def mean_composition(points: Sequence[Point], most: float) -> float:
    """The mean of `composition_at` over 0 to `most` points lost: the area under the front, divided by its width.

    The start loses nothing, so it must be among the points; losses below 0 count as 0.
    """
    hull = upper_hull([(max(loss, 0.0), height) for loss, height in points])
    losses, heights = (np.array(column) for column in zip(*hull, strict=True))
    inside = losses < most
    x = np.concatenate([[0.0], losses[inside], [most]])
    return float(np.trapezoid(np.interp(x, losses, heights), x) / most)


def _slope(first: Point, second: Point) -> float:
    return (second[1] - first[1]) / (second[0] - first[0])
