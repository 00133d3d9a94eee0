"""Plots: stacked bars and loss curves, as PNG files of tens of kilobytes, and how a figure becomes an SVG file.

Uses matplotlib's object interface only: pyplot would need a display and keep global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from degla.files import atomic_path
from degla.text_files import read_json_lines

BEFORE, AFTER, MUTED = "#9aa5b1", "#1f6feb", "#e3e7ec"
_PALE = "#b9d2f8"
_DPI = 110


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of this size in inches, with one pair of axes."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    clean(axes)
    return figure, axes


def clean(axes: Axes) -> None:
    """Remove the top and right spines."""
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path, top: float = 1.0) -> None:
    """Write the figure atomically; the part above `top`, a fraction of the height, is left to the legend."""
    figure.tight_layout(rect=(0, 0, 1, top))
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure)
        figure.savefig(temporary, dpi=_DPI, format="png")


def save_svg(figure: Figure, path: Path, top: float = 1.0) -> None:
    """The same as SVG, its texts as texts; equal figures give equal bytes."""
    figure.tight_layout(rect=(0, 0, 1, top))
    with atomic_path(path) as temporary, rc_context({"svg.hashsalt": "degla", "svg.fonttype": "none"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def plot_stacked_bars(
    names: Sequence[str], parts: Sequence[tuple[str, str, Sequence[int]]], unit: str, path: Path, notes: Sequence[str] = ()
) -> None:
    """One horizontal bar per name, divided into parts.

    Args:
        names: of the bars, from top to bottom; underscores become spaces.
        parts: name, colour and length in each bar, from left to right.
        unit: what the bars count, plural.
        path: the PNG file.
        notes: a label at the end of each bar.
    """
    height = 0.9 + 0.5 * len(names)
    figure, axes = new_figure(7.5, height)
    left = [0] * len(names)
    for name, colour, counts in parts:
        axes.barh(range(len(names)), counts, 0.6, left=left, color=colour, label=name)
        left = [start + count for start, count in zip(left, counts, strict=True)]
    for row, note in enumerate(notes):
        axes.annotate(note, (left[row], row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=6)
    figure.legend(loc="upper right", ncols=len(parts), frameon=False, fontsize=9 if len(parts) > 3 else None, columnspacing=1.2)
    save_figure(figure, path, top=1 - 0.35 / height)


def plot_trade_off(
    lines: Mapping[str, Sequence[tuple[float, float]]], x_unit: str, y_unit: str, path: Path, chance: float
) -> None:
    """A line with a dot at each point for each name, the first in black.

    Args:
        lines: name to points (x, y); underscores in names become spaces.
        x_unit: what x counts.
        y_unit: what y counts.
        path: the PNG file.
        chance: the y of a dashed line.
    """
    figure, axes = new_figure(7.5, 4.0)
    axes.axhline(chance, color=BEFORE, linewidth=1, linestyle="--")
    for number, (name, points) in enumerate(lines.items()):
        colour = f"C{number - 1}" if number else "black"
        axes.plot(
            *zip(*points, strict=True), marker="o", markersize=3.5, linewidth=1.6, color=colour, label=name.replace("_", " ")
        )
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    if lines:
        axes.legend(loc="lower right", edgecolor="none", fontsize=9)
    save_figure(figure, path)


def plot_losses(metrics_path: Path, path: Path) -> None:
    """The training loss over steps, and below it each of its parts: every value in pale blue, the trailing mean over a tenth of
    the run in blue. As wide as the dashboard.

    Args:
        metrics_path: `metrics.jsonl` of a finished or running run; nothing is drawn if it is empty.
        path: the PNG file.
    """
    records = [record for _, record in read_json_lines(metrics_path, growing=True)]
    if not records:
        return
    total, *parts = [name for name in records[0] if name.startswith("train/loss/")]
    steps = [record["step"] for record in records]
    figure = Figure(figsize=(8.05, 4.7))
    grid = figure.add_gridspec(2, max(1, len(parts)))
    for name, place in [(total, grid[0, :]), *((name, grid[1, column]) for column, name in enumerate(parts))]:
        axes, values = figure.add_subplot(place), [record[name] for record in records]
        axes.plot(steps, values, color=_PALE, linewidth=1)
        axes.plot(steps, _trailing_mean(values, max(1, len(values) // 10)), color=AFTER, linewidth=1.6)
        axes.set_title("loss" if name == total else name.removeprefix("train/loss/").replace("_", " "), fontsize=10)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.locator_params(axis="x", nbins=9 if name == total else 4)
        clean(axes)
    save_figure(figure, path)


def _trailing_mean(values: Sequence[float], width: int) -> np.ndarray:
    """The mean of each value and up to `width - 1` values before it."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(sums))
    starts = np.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)
