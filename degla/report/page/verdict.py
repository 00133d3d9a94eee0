"""The verdict in one sentence: which families of benchmarks rose or fell between two models, by how much, how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from degla.outcomes.intervals import Estimate


@dataclass(frozen=True)
class FamilyChange:
    """The change of a family of benchmarks, as shares in [-1, 1]."""

    name: str
    change: Estimate
    """Of the mean over its benchmarks."""
    benchmarks: Sequence[tuple[str, Estimate]]
    """Name and change of each."""


def verdict(families: Sequence[FamilyChange]) -> str:
    """What rose, then what is mixed, what fell, and what did not change beyond its interval.

    >>> verdict([FamilyChange("composition", Estimate(0.146, 0.139, 0.153), []),
    ...          FamilyChange("zero-shot", Estimate(-0.063, -0.077, -0.049), [])])
    'Composition rose by 14.6 points (13.9 to 15.3); zero-shot fell by 6.3 points (4.9 to 7.7).'
    """
    if not families:
        return "These two models share no benchmark."
    order = {"rose": 0, "mixed": 1, "fell": 2, "": 3}
    sentences = [_of_family(each) for each in sorted(families, key=lambda each: order[_state(each)])]
    text = "; ".join(sentences)
    return f"{text[0].upper()}{text[1:]}."


def _state(family: FamilyChange) -> str:
    ways = {_way(change) for _, change in family.benchmarks}
    return "mixed" if {"rose", "fell"} <= ways else _way(family.change)


def _way(change: Estimate) -> str:
    """Which side of 0 the interval is on; empty if it has 0."""
    return "rose" if change.low > 0 else "fell" if change.high < 0 else ""


def _of_family(family: FamilyChange) -> str:
    if _state(family) == "mixed":
        return f"{family.name} is mixed: {', '.join(_moved(name, change) for name, change in family.benchmarks)}"
    return _moved(family.name, family.change)


def _moved(name: str, change: Estimate) -> str:
    low, value, high = (100 * each for each in (change.low, change.value, change.high))
    way = _way(change)
    if way == "":
        return f"{name} shows no sure change ({value:+.1f} points, {low:+.1f} to {high:+.1f})"
    if way == "fell":
        low, value, high = -high, -value, -low
    return f"{name} {way} by {value:.1f} points ({low:.1f} to {high:.1f})"
