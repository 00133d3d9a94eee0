"""The rule: the best composition among the candidates that surely keep retention within the budget.

"Surely" is the lower limit of the paired interval, so a few items cannot make a forgetful model look safe. It is applied to a
validation half of the items. Pure arithmetic on estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from degla.tradeoff import Candidate, Interval

RULE = (
    "best composition among the candidates whose retention, by the lower limit of the paired 95 % interval of the difference from"
    " the start, is lost by at most the budget; of equal composition the better retention, then the earlier candidate. The start"
    " loses nothing and is always within the budget"
)
_DIGITS = 12  # means of equal counts in another order differ in their last bits


@dataclass(frozen=True)
class Judged:
    """A candidate with its scores on one half, and their differences from those of the start."""

    candidate: Candidate
    composition: Interval
    composition_change: Interval
    retention: Interval
    retention_change: Interval


@dataclass(frozen=True)
class Choice:
    """The candidate that was chosen, whether any but the start met the budget, and why, in a sentence."""

    chosen: Judged
    met: bool
    reason: str


def choose(judged: Sequence[Judged], budget: float) -> Choice:
    """Apply the rule.

    Args:
        judged: the candidates on the validation half, the start first.
        budget: points of retention (per cent) that may be lost.
    """
    start, others = judged[0], [each for each in judged[1:] if within_budget(each, budget)]
    best = max([start, *others], key=lambda each: (round(each.composition.value, _DIGITS), round(each.retention.value, _DIGITS)))
    name = best.candidate.name
    if not others:
        nearest = max(judged[1:], key=lambda each: each.retention_change.low)
        return Choice(
            best,
            False,
            f"no candidate but the start keeps retention within the budget of {budget:g}: the nearest, {nearest.candidate.name},"
            f" changes it by {_points(nearest.retention_change)}. So the start is chosen. Raise the budget, take smaller alphas,"
            f" or take more items, which narrow the interval",
        )
    return Choice(
        best,
        True,
        f"{name} has the best composition, {100 * best.composition.value:.1f} % ({_points(best.composition_change)}), of the"
        f" {len(others) + 1} candidates within {budget:g} points of the start's retention"
        + (f"; its own changes by {_points(best.retention_change)}" if best is not start else ""),
    )


def within_budget(judged: Judged, budget: float) -> bool:
    """Whether a candidate other than the start loses at most `budget` points, by the lower limit."""
    return round(100 * judged.retention_change.low, _DIGITS - 2) >= -budget


def _points(change: Interval) -> str:
    return f"{100 * change.value:+.1f} points, {100 * change.low:+.1f} to {100 * change.high:+.1f}"
