"""The plots of a study, as SVG files of tens of kilobytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from degla.outcomes.intervals import Estimate
from degla.plots import AFTER, clean, save_svg
from degla.study.choice import Choices
from degla.study.results import Results

COLOURS = (
    *(AFTER, "#d1600f", "#2a8f4f", "#8250df", "#a40e26", "#c7a500"),
    *("#0a7ea4", "#bf3989", "#57606a", "#6b4e00", "#7ccf6b", "#111111"),
)
LOST, COMPOSITION = "points of retention lost", "composition, %"


def plot_trials(choices: Choices, path: Path) -> None:
    """Every trial on the validation split: composition over retention lost, a panel a checkpoint; the chosen one is ringed."""
    figure, panels = _panels(len(choices.trials))
    for axes, (checkpoint, methods) in zip(panels, choices.trials.items(), strict=True):
        for (name, trials), colour in zip(methods.items(), cycle(COLOURS), strict=False):
            shown = sorted(trials, key=lambda trial: trial.lost)
            axes.plot(
                [t.lost for t in shown],
                [t.composition for t in shown],
                "o-",
                color=colour,
                linewidth=0.8,
                markersize=4,
                label=name,
            )
            chosen = [t for t in shown if t.chosen]
            axes.plot(
                [t.lost for t in chosen],
                [t.composition for t in chosen],
                "o",
                markersize=11,
                markerfacecolor="none",
                color=colour,
            )
        _name(axes, checkpoint, LOST, COMPOSITION)
    _finish(figure, panels, path)


def plot_lines(results: Results, path: Path) -> None:
    """Start, averages of weights and end of each method, with intervals, on the test split.

    A method that takes another's settings is dashed.
    """
    checkpoints = _checkpoints(results)
    figure, panels = _panels(len(checkpoints))
    for axes, checkpoint in zip(panels, checkpoints, strict=True):
        groups = [group for group in results.groups if group.checkpoint == checkpoint]
        for group, colour in zip(groups, cycle(COLOURS), strict=False):
            points = [(lost.estimate, height.estimate) for _, lost, height in results.points(group)]
            x, y = [lost.value for lost, _ in points], [height.value for _, height in points]
            bars = _bars([height for _, height in points]), _bars([lost for lost, _ in points])
            axes.errorbar(x, y, *bars, fmt="none", linewidth=0.7, ecolor=(*to_rgb(colour), 0.3))
            style = "o--" if results.study.methods[group.method].settings_of else "o-"
            axes.plot(x, y, style, color=colour, linewidth=0.9, markersize=3.5, label=group.method)
        _name(axes, checkpoint, LOST, COMPOSITION)
    _finish(figure, panels, path)


def plot_variants(results: Results, path: Path) -> None:
    """Composition and points lost over the variants, with intervals: curves where these are numbers, else a row for each.

    A colour is a method, a style a checkpoint.
    """
    figure, panels = _panels(2)
    names = [variant.name for variant in results.question.variants]
    numbers = _numbers(names)
    place = dict(zip(names, numbers or map(float, range(len(names))), strict=True))
    for checkpoint, style in zip(results.checkpoints, cycle(("o-", "s--", "^:")), strict=False):
        for method, colour in zip(results.question.methods, cycle(COLOURS), strict=False):
            groups = [group for name in names if (group := results.found(checkpoint, name, method))]
            at = [place[group.variant] for group in groups]
            label = f"{method}, {checkpoint}" if len(results.checkpoints) > 1 else method
            composition = [results.metric(group, results.study.composition).estimate for group in groups]
            lost = [results.lost(group).estimate for group in groups]
            for axes, found in zip(panels, (composition, lost), strict=True):
                middle, bars = [each.value for each in found], _bars(found)
                where = (at, middle, bars, None, style) if numbers else (middle, at, None, bars, style[0])
                axes.errorbar(*where, markersize=3.5, linewidth=0.9, color=colour, label=label)
    for axes, what in zip(panels, (COMPOSITION, LOST), strict=True):
        if numbers:
            axes.set_xticks(numbers, names)
            _name(axes, "", results.question.axis, what)
        else:
            axes.set_yticks(list(place.values()), names)
            axes.invert_yaxis()
            _name(axes, "", what, "")
    _finish(figure, panels, path)


def _numbers(names: Sequence[str]) -> list[float]:
    """The variants' names as numbers; empty if one is none."""
    try:
        return [float(name) for name in names]
    except ValueError:
        return []


def _checkpoints(results: Results) -> list[str]:
    return list(dict.fromkeys(group.checkpoint for group in results.groups))


def _bars(found: Sequence[Estimate]) -> np.ndarray:
    """Lengths below and above, (2, n)."""
    return np.array([[max(0.0, e.value - e.low) for e in found], [max(0.0, e.high - e.value) for e in found]])


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.9 * count, 4.3))
    panels = [figure.add_subplot(1, count, number + 1) for number in range(count)]
    for axes in panels:
        clean(axes)
    return figure, panels


def _name(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _finish(figure: Figure, panels: Sequence[Axes], path: Path) -> None:
    labels = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    columns = min(4, max(1, len(labels)))
    lines = -(-len(labels) // columns)
    figure.legend(labels.values(), labels.keys(), loc="upper left", frameon=False, fontsize=8, ncols=columns)
    save_svg(figure, path, top=1 - 0.055 * lines)
