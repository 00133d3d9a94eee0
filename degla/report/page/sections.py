"""What the page says of a training beside its scores: losses, the trade-off, what became of the negatives, cost and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from degla.artifacts import CONFIG, Artifact
from degla.config import effective
from degla.outcomes.outcome import Outcome
from degla.outcomes.shortcut import read_verdicts, verdicts
from degla.progress import duration
from degla.report.config import ReportConfig
from degla.report.scorecard import Scorecard
from degla.text_files import read_json, read_json_lines
from degla.tradeoff import TRADEOFF_FILE, read_points

_POINTS = 240  # of a curve: more than it has pixels on a phone


@dataclass(frozen=True)
class Funnel:
    """Rows of one type, from asked to kept, in per cent of those asked."""

    type: str
    asked: int
    answered: int
    kept: int
    parts: list[tuple[str, int, float]]
    """Kept, each rule that refused texts, and each reason for no text: name, rows, per cent."""


def losses(trained: Artifact) -> list[dict[str, Any]]:
    """For each loss its name, steps, values and trailing means over a tenth of the run, thinned to `_POINTS`."""
    lines = [line for _, line in read_json_lines(trained.file("metrics.jsonl"))]
    names = list(dict.fromkeys(name for line in lines for name in line if name.startswith("train/loss/")))
    made = []
    for name in names:
        points = [(line["step"], line[name]) for line in lines if name in line]
        steps, values = (np.array(each, dtype=np.float64) for each in zip(*points, strict=True))
        width = max(1, len(values) // 10)
        sums = np.concatenate([[0.0], np.cumsum(values)])
        ends = np.arange(1, len(sums))
        starts = np.maximum(0, ends - width)
        means = (sums[ends] - sums[starts]) / (ends - starts)
        kept = np.unique(np.linspace(0, len(values) - 1, min(_POINTS, len(values))).astype(int))
        columns = {"steps": steps[kept], "values": values[kept].round(5), "means": means[kept].round(5)}
        title = name.removeprefix("train/loss/").replace("_", " ")
        made.append({"name": title} | {key: column.tolist() for key, column in columns.items()})
    return made


def trade_off(evaluated: Sequence[Artifact]) -> list[dict[str, Any]]:
    """The points between start and end that evaluations measured; empty if none did."""
    found = [read_points(each.file(TRADEOFF_FILE)) for each in evaluated if each.has(TRADEOFF_FILE)]
    return [point.model_dump(mode="json") | {"label": point.label} for points in found for point in points]


def shortcuts(outcomes: Sequence[Outcome], evaluated: Sequence[Artifact]) -> dict[str, str]:
    """Model to what the shortcut meter says of it: in the evaluations, or else by the outcomes."""
    found = [verdict for each in evaluated for verdict in read_verdicts(each)] or verdicts(outcomes)
    return {verdict.model: verdict.sentence for verdict in found}


def funnels(card: Scorecard) -> list[Funnel]:
    """For each negative type what became of the rows asked."""
    made = []
    for item in card.yields:
        answered = item.asked - sum(item.not_generated.values())
        counts = {"kept": item.kept, **{f"refused: {rule}": count for rule, count in item.rejected.items()}}
        counts |= {f"no text: {status}": count for status, count in item.not_generated.items()}
        parts = [(name.replace("_", " "), count, 100 * count / max(item.asked, 1)) for name, count in counts.items() if count]
        made.append(Funnel(item.type, item.asked, answered, item.kept, parts))
    return made


def costs(card: Scorecard, inputs: Mapping[str, Artifact]) -> list[tuple[str, str, str]]:
    """What the run cost: name, amount, and what it is made of. The one place on the page with times and hosts."""
    made = {stage: artifact.manifest for stage, artifact in inputs.items()}
    ranks = read_json(inputs["train"].path / CONFIG, dict).get("ranks")
    rows = [
        ("time of all stages", duration(sum(each.seconds for each in made.values())), ""),
        *((stage, duration(each.seconds), f"from {each.started[:16]} on {each.host}") for stage, each in made.items()),
        ("captions", f"{card.captions:,}", ""),
        ("negatives asked", f"{sum(item.asked for item in card.yields):,}", ""),
        ("negatives kept", f"{sum(item.kept for item in card.yields):,}", ""),
    ]
    if ranks:
        hours = f"{ranks * made['train'].seconds / 3600:,.2f}"
        rows.append(("training, hours x ranks", hours, f"{ranks} ranks; GPU hours if each had a GPU"))
    return rows


def experiment_yaml(inputs: Mapping[str, Artifact], config: ReportConfig) -> str:
    """The settings of all stages that can change a result, as an experiment's file, the report's own among them."""
    configs = {stage: artifact.manifest.config for stage, artifact in inputs.items()}
    return yaml.safe_dump({"name": "rerun", **configs, config.stage: effective(config)}, sort_keys=False, allow_unicode=True)
