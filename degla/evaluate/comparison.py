"""All models side by side, as Markdown: scores, what was not scored, and base models beside their published scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from degla.evaluate import references, units
from degla.evaluate.config import EvaluateConfig
from degla.markdown import markdown_table
from degla.outcomes import shortcut
from degla.outcomes.scores import DIFFERENCE, ScoreRecord
from degla.schemas import INTERVALS_NOTE


def comparison(
    config: EvaluateConfig,
    out_dir: Path,
    records: Sequence[ScoreRecord],
    brought: units.Brought,
    shortcuts: Sequence[shortcut.Verdict],
) -> str:
    """The whole page. Models whose outcomes were brought stand beside those of the run."""
    columns, scored = units.model_columns(config, brought), {record.model for record in records}
    models = [units.read_model(out_dir, model) for model in config.model_names if model in scored]
    sections = [
        "# Scores side by side",
        f"Per cent, with the 95 % interval. {INTERVALS_NOTE}",
        _scores(columns, records),
        _notes(columns, records),
        "## Shortcut or understanding" if shortcuts else "",
        shortcut.as_markdown(shortcuts),
        _left_out(units.missing(config, out_dir)),
        _published(config, out_dir),
        "## Models" if models else "",
        "\n".join(_model_line(model) for model in models),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _scores(models: Sequence[str], records: Sequence[ScoreRecord]) -> str:
    by_metric: dict[str, dict[str, ScoreRecord]] = {}
    for record in records:
        if record.model != DIFFERENCE:
            by_metric.setdefault(record.metric, {})[record.model] = record
    rows = []
    for metric, found in by_metric.items():
        first = next(iter(found.values()))
        chance = "" if first.chance is None else f"{100 * first.chance:.1f}"
        rows.append([f"`{metric}`", _items(first), chance, *(_score(found.get(model), first) for model in models)])
    return markdown_table(["metric", "items", "chance", *models], rows)


def _items(record: ScoreRecord) -> str:
    of = f" of {record.items + record.items_missing:,} (incomplete)" if record.incomplete else ""
    return f"{record.items:,}{of}"


def _score(record: ScoreRecord | None, first: ScoreRecord) -> str:
    """A cell, with the number of items if it is not that of the first model."""
    if record is None:
        return ""
    items = "" if record.items == first.items else f" of {record.items:,}"
    return f"{100 * record.value:.1f} ({100 * record.low:.1f} to {100 * record.high:.1f}){items}"


def _notes(models: Sequence[str], records: Iterable[ScoreRecord]) -> str:
    """A line for each benchmark, or for each model if they differ (another context cuts other texts)."""
    found: dict[str, dict[str, str]] = {}
    for record in records:
        if record.model in models:
            found.setdefault(record.benchmark, {})[record.model] = record.note
    lines = []
    for benchmark, notes in found.items():
        same = len(set(notes.values())) == 1
        named = {benchmark: next(iter(notes.values()))} if same else {f"{benchmark}, {model}": notes[model] for model in notes}
        lines += [f"- {name}: {note}" for name, note in named.items() if note]
    return "\n".join(lines)


def _left_out(missing: dict[str, str]) -> str:
    lines = [f"- **{title}**: {message}" for title, message in missing.items()]
    return "\n\n".join(["## Not scored", "\n".join(lines)]) if lines else ""


def _published(config: EvaluateConfig, out_dir: Path) -> str:
    rows = []
    for check in units.reference_checks(config, out_dir, config.benchmarks):
        published, difference = check.published, check.per_cent - check.published.per_cent
        verdict = "agrees" if check.agrees else f"**differs by {difference:+.1f}**"
        row = [check.model, f"`{published.metric}`", f"{published.per_cent:.2f}", f"{check.per_cent:.2f}", verdict]
        rows.append([*row, str(published.source)])
    header = ["model", "metric", "published", "here", f"within {references.TOLERANCE} points", "source"]
    lines = [markdown_table(header, rows)] if rows else []
    if config.reference == "require" and not rows:
        why = "no model is said to be a published one, or none of its published scores was scored in full"
        lines = [f"`evaluate.reference=require`, but no score could be compared: {why}."]
    elif any("differs" in row[4] for row in rows):
        lines.append(f"Likely causes of a difference: {references.CAUSES}. `evaluate.reference=require` stops the run at one.")
    return "\n\n".join(["## Against published scores", *lines]) if lines else ""


def _model_line(model: dict[str, str]) -> str:
    note = f"; {model['note']}" if model["note"] else ""
    settings = json.dumps(model["preprocessing"], sort_keys=True)
    facts = f"{model['architecture']}, {model['activation']}, images {settings}, weights `{model['weights'][:16]}`"
    return f"- **{model['model']}**: {facts}{note}"
