"""The last finished runs below an artifact root, and what stands first where several runs are compared: their main scores, and
what was changed between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from degla.artifacts.collection import read_shelf
from degla.errors import MissingInputError
from degla.markdown import markdown_table
from degla.report.compare.comparison import Comparison
from degla.report.compare.runs import Run, read_run
from degla.report.compare.settings import ABSENT
from degla.report.page.scores import main_metric

LAST = 5
_BENCHMARKS_SHOWN = 6
_CHANGES_SHOWN = 8


def last_runs(root: Path, count: int) -> list[Run]:
    """The runs of the last `count` finished evaluations below `root`, the oldest first.

    Raises:
        MissingInputError: there is none.
    """
    newest = read_shelf(root, ["evaluate"]).of("evaluate")[:count]
    if not newest:
        raise MissingInputError(f"no finished evaluation below {root}. Make one with: python -m degla.evaluate demo")
    return [read_run(artifact.path) for artifact in reversed(newest)]


def summary(comparison: Comparison) -> Iterator[str]:
    """Sections of Markdown: the main score of each benchmark, and what was changed. Nothing if one run alone is compared."""
    runs = [run for run in comparison.runs if run.lineage]
    if len(runs) < 2:
        return
    metrics = _main_metrics(comparison)
    rows = [
        [model.label, *(_points(comparison, metric, model.label) for metric in metrics.values())] for model in comparison.models
    ]
    yield "## Main scores, per cent"
    yield markdown_table(("model", *metrics), rows)
    yield f"## What was changed, against {runs[0].name}"
    yield "\n".join(_changes(comparison, run, runs[0]) for run in runs)


def _main_metrics(comparison: Comparison) -> dict[str, str]:
    """Benchmark to the metric that stands for it, of as many benchmarks as a table has room for."""
    outcomes = [each for model in comparison.models for each in model.outcomes]
    found = {}
    for title in dict.fromkeys(each.benchmark for each in outcomes):
        metric = f"{title}/{main_metric(title, [each for each in outcomes if each.benchmark == title])}"
        if metric in comparison.scores:
            found[title] = metric
    return dict(list(found.items())[:_BENCHMARKS_SHOWN])


def _points(comparison: Comparison, metric: str, label: str) -> str:
    figure = comparison.figure(metric, label)
    return "" if figure is None else f"{100 * figure.value:.1f}"


def _changes(comparison: Comparison, run: Run, first: Run) -> str:
    made = next(iter(run.lineage.values())).started[:16].replace("T", " ")
    changed = []
    for each in comparison.settings:
        old, new = (each.values.get(name, ABSENT) for name in (first.name, run.name))
        if old != new:
            # what somebody set comes before what came with a version of the code
            changed.append((ABSENT in (old, new), "(" in each.name, f"`{each.name}` {old} → {new}"))
    changed.sort(key=lambda each: each[:2])
    more = len(changed) - _CHANGES_SHOWN
    told = "; ".join([*(text for *_, text in changed[:_CHANGES_SHOWN]), *([f"and {more} more, below"] if more > 0 else [])])
    return f"- **{run.name}** ({made}): {'the first' if run is first else told or 'nothing'}"
