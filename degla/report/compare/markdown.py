"""The comparison as Markdown, without raw HTML, so that both of Prefect's dashboards show it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from degla.markdown import markdown_table
from degla.outcomes.compare import STARS_NOTE, Change, probability
from degla.report.compare.comparison import Comparison
from degla.report.compare.latest import summary
from degla.report.compare.layouts import Cell, Table, tables
from degla.report.compare.runs import Figure
from degla.schemas import INTERVALS_NOTE

SIDE_BY_SIDE = 8
"""Models that stand in columns; more stand in rows, a table for each benchmark, without their intervals."""

_TESTS_NOTE = (
    "Differences are paired: the same items of both models, with the 95 % interval. *fixed*: items that the baseline has wrong"
    " and the other right; *broken*: the reverse. p: the chance of such a difference if the changes of each image might as well"
    " have gone the other way (wild cluster bootstrap, all signs; with one item an image McNemar's mid-p), corrected."
)
_PUBLISHED_NOTE = "Published by others, not measured here; a difference from them has no test."


def markdown(comparison: Comparison) -> str:
    """The whole comparison."""
    found = list(tables(comparison))
    sections = ["# Comparison", *summary(comparison), "## Models", _models(comparison)]
    if found:
        sections += ["## As in the papers", _legend(comparison)]
        sections += [text for table in found for text in (f"**{table.title}**", _markdown_layout(table))]
    sections += ["## Scores", f"Per cent. {INTERVALS_NOTE}", *_scores(comparison)]
    if comparison.changes:
        stars = STARS_NOTE.format(count=len(comparison.changes))
        sections += [f"## Differences from {_text(comparison.baseline)}", f"{_TESTS_NOTE} {stars}", *_differences(comparison)]
    if comparison.settings:
        sections += ["## Settings that differ", _settings(comparison)]
    if comparison.notes:
        sections += ["## Notes", "\n".join(f"- {note}" for note in comparison.notes)]
    return "\n\n".join(sections) + "\n"


def points(figure: Figure | None) -> str:
    """A score in per cent; empty if there is none."""
    return "" if figure is None else f"{100 * figure.value:.1f}"


def _models(comparison: Comparison) -> str:
    rows = [
        (_text(model.label), _text(run.name), f"`{run.path}`" if model is run.models[0] else "")
        for run in comparison.runs
        for model in run.models
    ]
    rows += [(_text(model.label), "published", _text(model.source)) for model in comparison.models if model.source]
    header = ("model", "run", "from")
    return markdown_table(header, rows, text=header)


def _legend(comparison: Comparison) -> str:
    legend = "Per cent; the best of each column is bold."
    if comparison.changes:
        legend += f" Stars: the difference from {_text(comparison.baseline)}, below."
    return f"{legend} † {_PUBLISHED_NOTE}" if any(model.source for model in comparison.models) else legend


def _markdown_layout(table: Table) -> str:
    headers = [f"{group}: {header}" if group else header for group, header in zip(table.groups, table.headers, strict=True)]
    rows = [[_text(model.label) + ("†" if model.source else ""), *map(_cell, cells)] for model, cells in table.rows]
    return markdown_table(["model", *headers], rows)


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    value = f"{100 * cell.value:.1f}"
    return (f"**{value}**" if cell.best else value) + _stars(cell.stars)


def _scores(comparison: Comparison) -> Iterator[str]:
    labels = [model.label for model in comparison.models]
    if len(labels) <= SIDE_BY_SIDE:
        rows = []
        for metric, figures in comparison.scores.items():
            items = next((figure.items for figure in figures.values() if figure.items), None)
            rows.append(
                [f"`{metric}`", f"{items:,}" if items else "", *(_with_interval(figures.get(label), items) for label in labels)]
            )
        yield markdown_table(["metric", "items", *map(_text, labels)], rows)
        return
    for benchmark, metrics in groupby(comparison.scores, lambda metric: metric.split("/")[0]):
        own = list(metrics)
        kept = [label for label in labels if any(label in comparison.scores[metric] for metric in own)]
        rows = [[_text(label), *(points(comparison.figure(metric, label)) for metric in own)] for label in kept]
        yield f"### {benchmark}"
        yield markdown_table(["model", *(f"`{metric.removeprefix(f'{benchmark}/')}`" for metric in own)], rows)


def _with_interval(figure: Figure | None, items: int | None) -> str:
    if figure is None:
        return ""
    other = f" of {figure.items:,}" if figure.items and figure.items != items else ""
    interval = figure.estimate
    return points(figure) + (f" ({100 * interval.low:.1f} to {100 * interval.high:.1f})" if interval else "") + other


def _differences(comparison: Comparison) -> Iterator[str]:
    for label in dict.fromkeys(label for _, label in comparison.changes):
        header = ["metric", "items", _text(comparison.baseline), _text(label), "difference", "fixed", "broken", "p"]
        yield f"### {_text(label)}"
        yield markdown_table(header, (_change_row(each) for (_, other), each in comparison.changes.items() if other == label))


def _change_row(each: Change) -> list[str]:
    interval = f"{100 * each.change.value:+.1f} ({100 * each.change.low:+.1f} to {100 * each.change.high:+.1f})"
    values = (f"{100 * each.first.value:.1f}", f"{100 * each.second.value:.1f}", interval + _stars(each.stars))
    counts = ("" if count is None else f"{count:,}" for count in (each.test.fixed, each.test.broken))
    return [f"`{each.metric}`", f"{each.items:,}", *values, *counts, probability(each.corrected)]


def _settings(comparison: Comparison) -> str:
    runs = list(comparison.settings[0].values)
    rows = [[f"`{each.name}`", *(_text(each.values[run]) for run in runs)] for each in comparison.settings]
    return markdown_table(["setting", *map(_text, runs)], rows, text=["setting", *map(_text, runs)])


def _stars(stars: str) -> str:
    return stars.replace("*", r"\*")


def _text(text: str) -> str:
    """A text in a cell of a Markdown table."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").split())
