"""The scorecard as pictures: scores before and after, the yield by type. PNG files of tens of kilobytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from degla.plots import AFTER, BEFORE, MUTED, new_figure, plot_stacked_bars, save_figure
from degla.report.scorecard import Score, TypeYield


def plot_scores(scores: Sequence[Score], path: Path) -> None:
    """Horizontal bars of each metric before and after, with 95 % intervals and the chance level."""
    figure, axes = new_figure(7.5, 0.9 + 0.45 * len(scores))
    for row, score in enumerate(scores):
        for offset, estimate, colour in ((-0.19, score.before, BEFORE), (0.19, score.after, AFTER)):
            error = [[100 * (estimate.value - estimate.low)], [100 * (estimate.high - estimate.value)]]
            axes.barh(row + offset, 100 * estimate.value, 0.36, color=colour)
            axes.errorbar(100 * estimate.value, row + offset, xerr=error, color="#333333", linewidth=0.9, capsize=2)
        if score.chance is not None:
            axes.plot([100 * score.chance] * 2, [row - 0.42, row + 0.42], color="#d1242f", linewidth=1.2)
    axes.set_yticks(range(len(scores)), [score.name for score in scores])
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("per cent right; bars with 95 % interval, red line: chance")
    handles = [axes.barh(0, 0, color=colour)[0] for colour in (BEFORE, AFTER)]
    figure.legend(handles, ["before", "after"], loc="upper right", ncols=2, frameon=False)
    save_figure(figure, path, top=0.93 if len(scores) > 3 else 0.8)


def plot_yields(yields: Sequence[TypeYield], path: Path) -> None:
    """For each type: captions asked, split into kept, refused by a rule and not generated."""
    parts = [
        ("kept", AFTER, [item.kept for item in yields]),
        ("refused by a rule", BEFORE, [sum(item.rejected.values()) for item in yields]),
        ("not generated", MUTED, [sum(item.not_generated.values()) for item in yields]),
    ]
    plot_stacked_bars([item.type for item in yields], parts, "captions", path)
