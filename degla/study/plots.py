"""The plots of a study, as SVG files of tens of kilobytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

COLOURS = (AFTER, "#d1600f", "#2a8f4f", "#8250df", "#9a6700", "#bf3989", "#57606a", "#0a7ea4", "#a40e26", "#6e7781", "#116329")
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
    """Start, averages of weights and end of each method, with intervals, on the test split."""
    checkpoints = _checkpoints(results)
    figure, panels = _panels(len(checkpoints))
    for axes, checkpoint in zip(panels, checkpoints, strict=True):
        groups = [group for group in results.groups if group.checkpoint == checkpoint]
        for group, colour in zip(groups, cycle(COLOURS), strict=False):
            points = [(lost.estimate, height.estimate) for _, lost, height in results.points(group)]
            x, y = [lost.value for lost, _ in points], [height.value for _, height in points]
            axes.plot(x, y, color=colour, linewidth=0.8)
            axes.errorbar(
                x, y, _bars([height for _, height in points]), _bars([lost for lost, _ in points]),
                fmt="o", markersize=3.5, color=colour, linewidth=0.7, label=group.method, ecolor=(*to_rgb(colour), 0.35),
            )  # fmt: skip
        _name(axes, checkpoint, LOST, COMPOSITION)
    _finish(figure, panels, path)


def plot_variants(results: Results, path: Path) -> None:
    """Composition and points lost over the variants, a curve for each checkpoint and method, with intervals."""
    figure, panels = _panels(2)
    place = _places([group.variant for group in results.groups])
    curves = list(dict.fromkeys((group.checkpoint, group.method) for group in results.groups))
    for (checkpoint, method), colour in zip(curves, cycle(COLOURS), strict=False):
        own = [group for group in results.groups if (group.checkpoint, group.method) == (checkpoint, method)]
        groups = sorted(own, key=lambda group: place[group.variant])
        x = [place[group.variant] for group in groups]
        label = method if len({checkpoint for checkpoint, _ in curves}) == 1 else f"{method}, {checkpoint}"
        _curve(panels[0], x, [results.metric(g, results.study.composition).estimate for g in groups], colour, label)
        _curve(panels[1], x, [results.lost(g).estimate for g in groups], colour, label)
    for axes, what in zip(panels, (COMPOSITION, LOST), strict=True):
        axes.set_xticks(list(place.values()), list(place), rotation=0 if max(map(len, place)) < 8 else 20)
        _name(axes, "", results.question.axis, what)
    _finish(figure, panels, path)


def _places(names: Iterable[str]) -> dict[str, float]:
    """Where each variant stands on the axis: at its number if all have one, else in their order."""
    distinct = dict.fromkeys(names)
    try:
        return {name: float(name) for name in sorted(distinct, key=float)}
    except ValueError:
        return {name: float(number) for number, name in enumerate(distinct)}


def _curve(axes: Axes, x: Sequence[float], found: Sequence[Estimate], colour: str, label: str) -> None:
    y = [each.value for each in found]
    axes.errorbar(x, y, _bars(found), fmt="o-", markersize=3.5, linewidth=0.9, color=colour, label=label)


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
