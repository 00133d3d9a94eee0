"""The trade-off as a picture: composition gained over retention changed, with intervals, fronts and what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from degla.plots import AFTER, MUTED, new_figure, save_svg
from degla.report.tradeoff.runs import Run, mean_gains
from degla.tradeoff import Interval

_COLOURS = (AFTER, "#d1600f", "#2a8f4f", "#8250df", "#9a6700", "#bf3989")
_SHADE = 0.13


def plot_tradeoff(runs: Sequence[Run], path: Path, limit: float, budget: float | None = None) -> None:
    """Write the picture as SVG, equal bytes for equal runs.

    A point is a candidate; its bars are 95 % intervals of the change from the start. The stairs are the run's Pareto front: the
    gain of the best candidate that loses at most so much. One run's area, or that between two, is shaded.

    Args:
        runs: one or more, comparable with each other.
        path: the SVG file.
        limit: largest budget of the areas, in points.
        budget: retention that may be lost, in points: a dotted line.
    """
    figure, axes = new_figure(7.5, 4.6)
    axes.axhline(0, color=MUTED, linewidth=1, zorder=0)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=0)
    if budget is not None:
        axes.axvline(-budget, color="#d1242f", linewidth=1, linestyle=":", zorder=0)
        axes.annotate(f"budget {budget:g}", (-budget, 0), (4, 4), textcoords="offset points", color="#d1242f", fontsize=8)
    _draw_fronts(axes, runs, limit)
    for run, colour in zip(runs, cycle(_COLOURS), strict=False):
        _draw_points(axes, run, colour)
    axes.set_xlabel("retention, change from the start in points (left: forgotten)")
    axes.set_ylabel("composition, change in points")
    axes.set_title("numbers: weight of the fine-tuned model; ring: chosen; bars: 95 % intervals", fontsize=8, loc="right")
    axes.margins(x=0.06, y=0.08)
    figure.legend(loc="upper left", frameon=False, fontsize=9, ncols=1)
    save_svg(figure, path, top=1 - (0.06 + 0.045 * len(runs)))


def _draw_points(axes: Axes, run: Run, colour: str) -> None:
    line = [point for point in run.points if point.alpha is not None]
    axes.plot(
        [-point.loss for point in line], [point.gain for point in line], color=colour, linewidth=0.8, linestyle="--", alpha=0.6
    )
    for point in run.points:
        x, y = -point.loss, point.gain
        marker, x_error, y_error = "so"[point.alpha is not None], _error(point.retention_change), _error(point.composition_change)
        axes.errorbar(x, y, y_error, x_error, color=colour, marker=marker, markersize=5, linewidth=0.8, capsize=2)
        if point.chosen:
            axes.plot(x, y, marker="o", markersize=12, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=1.6)
        on_line = point.alpha is not None
        name = axes.annotate(
            point.label, (x, y), (7, 5) if on_line else (3, -4), textcoords="offset points", fontsize=8, color=colour
        )
        if not on_line:  # what training kept is crowded near the end: slanted names do not cover each other
            name.set(rotation=-40, rotation_mode="anchor", va="top")


def _error(change: Interval) -> np.ndarray:
    return 100 * np.array([[change.value - change.low], [change.high - change.value]])


def _heights(run: Run, losses: Sequence[float]) -> list[float]:
    """At each loss the gain of the best candidate that loses at most so much; the start gains 0."""
    return [max([0.0, *(point.gain for point in run.points if point.loss <= loss)]) for loss in losses]


def _draw_fronts(axes: Axes, runs: Sequence[Run], limit: float) -> None:
    gains = mean_gains(runs, limit)
    losses = sorted({0.0, limit, *(point.loss for run in runs for point in run.points if 0 < point.loss < limit)})
    x, heights = [-loss for loss in losses], [_heights(run, losses) for run in runs]
    for run, height, colour in zip(runs, heights, cycle(_COLOURS), strict=False):
        label = f"{run.name}: mean gain {gains[run.name]:.1f} over budgets up to {limit:.1f}"
        axes.plot(x, height, drawstyle="steps-post", color=colour, linewidth=1.4, label=label)
    if len(runs) <= 2:
        axes.fill_between(x, heights[0], heights[1] if len(runs) == 2 else 0, step="post", color=AFTER, alpha=_SHADE, linewidth=0)
