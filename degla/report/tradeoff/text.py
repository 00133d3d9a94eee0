"""The trade-off in words: the scorecard's section, and the table of several runs."""

from __future__ import annotations

from collections.abc import Sequence

from degla.markdown import markdown_table
from degla.report.tradeoff.runs import Run, common_budget, mean_gains
from degla.tradeoff import Interval, TradeOffPoint, pareto_front


def tradeoff_section(run: Run) -> str:
    """Of one run: how its model was chosen, and the candidates."""
    selection, budget = run.selection, common_budget([run])
    text = (
        f"Chosen: {selection['reason']}. That was on {100 * selection['validation']:g} % of the images; measured here on the"
        f" others; changes are from the start, in points, with the paired 95 % interval. Mean gain over budgets up to"
        f" {budget:.1f} points: {mean_gains([run], budget)[run.name]:.1f}."
    )
    return f"{text}\n\n{_table(run)}"


def comparison(runs: Sequence[Run], budget: float) -> str:
    """Of several runs: a table each, and the areas under their fronts."""
    gains = mean_gains(runs, budget)
    first = gains[runs[0].name]
    areas = [
        [run.name, f"{gains[run.name]:.2f}", f"{gains[run.name] * budget:.1f}", f"{gains[run.name] - first:+.2f}"] for run in runs
    ]
    header = ("run", f"mean gain over budgets up to {budget:.1f}", "area, points²", f"mean gain against {runs[0].name}")
    return "\n\n".join([markdown_table(header, areas), *(f"## {run.name}\n\n{_table(run)}" for run in runs)])


def _table(run: Run) -> str:
    front = pareto_front(run.points)
    header = ("candidate", "composition", "change", "retention", "change", "on the front")
    return markdown_table(header, [_row(point, point in front) for point in run.points])


def _row(point: TradeOffPoint, on_front: bool) -> list[str]:
    name = f"**{point.candidate}** (chosen)" if point.chosen else point.candidate
    cells = [f"{100 * point.composition.value:.1f}", _change(point.composition_change)]
    return [name, *cells, f"{100 * point.retention.value:.1f}", _change(point.retention_change), "yes" if on_front else "no"]


def _change(change: Interval) -> str:
    return f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"
