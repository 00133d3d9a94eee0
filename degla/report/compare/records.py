"""The comparison as data: a record for each metric and model as CSV, everything as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from degla.report.compare.comparison import Comparison
from degla.report.compare.layouts import Table, tables
from degla.report.compare.runs import Figure


def scores_csv(comparison: Comparison) -> str:
    """A row for each metric and model: score, interval, difference from the baseline and its tests."""
    return _csv(list(_records(comparison)))


def table_csv(table: Table) -> str:
    """A paper's table, in per cent."""
    return _csv(_plain(table)["rows"])


def as_json(comparison: Comparison) -> str:
    """Everything as JSON; shares, not per cent, but in the records."""
    content = {
        "baseline": comparison.baseline,
        "comparisons": len(comparison.changes),
        "runs": [
            {"name": run.name, "path": str(run.path), "models": [each.label for each in run.models]} for run in comparison.runs
        ],
        "published": {model.label: model.source for model in comparison.models if model.source},
        "scores": list(_records(comparison)),
        "tables": [_plain(table) for table in tables(comparison)],
        "settings": [asdict(each) for each in comparison.settings],
        "notes": list(comparison.notes),
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def _records(comparison: Comparison) -> Iterator[dict[str, Any]]:
    sources = {model.label: model.source for model in comparison.models}
    sources |= {model.label: run.name for run in comparison.runs for model in run.models}
    published = {model.label for model in comparison.models if model.source}
    for metric, figures in comparison.scores.items():
        for label, figure in figures.items():
            change = comparison.changes.get((metric, label))
            row = {"metric": metric, "model": label, "published": label in published, "source": sources[label]}
            row |= {
                "per_cent": _points(figure.value),
                "low": _points(figure.low),
                "high": _points(figure.high),
                "items": figure.items,
            }
            yield row | {
                "difference": _points(change.change.value if change else _apart(comparison, metric, figure, label)),
                "difference_low": _points(change.change.low) if change else None,
                "difference_high": _points(change.change.high) if change else None,
                "fixed": change.test.fixed if change else None,
                "broken": change.test.broken if change else None,
                "p_mcnemar": change.test.mcnemar if change else None,
                "p": change.test.probability if change else None,
                "p_corrected": change.corrected if change else None,
                "stars": change.stars if change else "",
            }


def _apart(comparison: Comparison, metric: str, figure: Figure, label: str) -> float | None:
    """The difference of two scores without a test; None for the baseline itself."""
    first = comparison.figure(metric, comparison.baseline)
    return None if first is None or label == comparison.baseline else figure.value - first.value


def _plain(table: Table) -> dict[str, Any]:
    headers = [f"{group} {header}".strip() for group, header in zip(table.groups, table.headers, strict=True)]
    rows: list[dict[str, Any]] = []
    for model, cells in table.rows:
        figures = {header: None if cell is None else _points(cell.value) for header, cell in zip(headers, cells, strict=True)}
        rows.append({"model": model.label, "published": model.source or None, **figures})
    return {"name": table.name, "title": table.title, "rows": rows}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _points(share: float | None) -> float | None:
    """A share in per cent, without the noise of its last bits."""
    return None if share is None else round(100 * share, 4)
