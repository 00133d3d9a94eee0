"""All results of an experiment as values: the content of the Markdown, the JSON, the console's table and the plots.

Reads the artifacts of the other stages by their schemas only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from degla.artifacts import Artifact
from degla.catalog.published import nearest
from degla.config import Config
from degla.errors import DataError, MissingInputError
from degla.negative_types import NEGATIVE_TYPES
from degla.outcomes.scores import AFTER
from degla.outcomes.shortcut import Verdict, read_verdicts
from degla.report.config import ReportConfig
from degla.report.truth import TruthCount, count_truth
from degla.schemas import SCORES, TRAINING, read_table


class Estimate(Config):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Score(Config):
    """One metric, before and after fine-tuning. Shares in [0, 1]."""

    metric: str
    name: str
    """Display name; the metric's path if the config gives no shorter one."""
    items: int
    items_missing: int
    chance: float | None
    before: Estimate
    after: Estimate
    change: Estimate
    """After minus before on the same items, with its paired interval."""
    note: str


class TypeYield(Config):
    """Outcome of the captions asked for one negative type."""

    type: str
    asked: int
    kept: int
    rejected: dict[str, int]
    """Rule name to the texts it refused."""
    not_generated: dict[str, int]
    """Status other than `ok` (`RewriteStatus`) to rows."""
    blind_accuracy: float | None
    """Share of the kept texts that a model without the image tells from their caption (0.5: none); see `filter.audit`."""


class Published(Config):
    """A published score of another model, beside the one here."""

    metric: str
    after: float
    """The fine-tuned model's score, per cent."""
    per_cent: float
    """The published one."""
    model: str
    architecture: str
    training: str
    source: str


class Scorecard(Config):
    """What the report shows."""

    title: str
    data: dict[str, int | float]
    licence: str
    yields: list[TypeYield]
    captions: int
    captions_with_four: int
    """Captions that kept four or more negatives, the number the paper trains with."""
    truth: list[dict[str, Any]] | None
    """Exact verdicts by type if the dataset knows its scenes (degla.report.truth.TruthCount)."""
    training: dict[str, int | float]
    recipe: dict[str, Any]
    scores: list[Score]
    headline: list[str]
    """Metric paths of the short table, in order."""
    published: list[Published]
    """The published scores nearest to those of the short table that were scored in full."""
    shortcut: Verdict | None
    """Whether the gain of the fine-tuned model holds where text alone cannot win."""
    lineage: dict[str, dict[str, Any]]
    """Stage to fingerprint and versions. Times, hosts and folders are no part of it: equal artifacts give equal scorecards."""

    def headline_scores(self) -> list[Score]:
        """The scores of the short table."""
        by_metric = {score.metric: score for score in self.scores}
        return [by_metric[metric] for metric in self.headline]


def gather(config: ReportConfig, inputs: Mapping[str, Artifact]) -> Scorecard:
    """Gather the scorecard.

    Raises:
        DataError: a table breaks its schema, or rows were lost between generate and filter.
        MissingInputError: the headline names a metric that was not scored; those that were are listed.
    """
    scores = _scores(config, inputs["evaluate"])
    negatives = read_table(inputs["filter"].file("training.parquet"), TRAINING, ["negatives"])["negatives"]
    per_caption = [len(row) for row in negatives.to_pylist()]
    truth = count_truth(inputs["prepare"], inputs["filter"])
    headline = _headline(config, scores)
    recipe: dict[str, Any] = inputs["train"].manifest.config
    shown = [score for score in scores if score.metric in headline and not score.items_missing]
    return Scorecard(
        title=config.title,
        data=inputs["prepare"].counts,
        licence=json.loads(inputs["prepare"].file("card.json").read_text())["licence"],
        yields=_yields(inputs["generate"], inputs["filter"]),
        captions=len(per_caption),
        captions_with_four=sum(count >= 4 for count in per_caption),
        truth=None if truth is None else [_truth_row(count) for count in truth],
        training=inputs["train"].counts,
        recipe=recipe,
        scores=scores,
        headline=headline,
        shortcut=next((verdict for verdict in read_verdicts(inputs["evaluate"]) if verdict.model == AFTER), None),
        published=_published(shown, recipe["model"]["architecture"]),
        lineage={stage: _lineage(artifact) for stage, artifact in inputs.items()},
    )


def _scores(config: ReportConfig, evaluated: Artifact) -> list[Score]:
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for row in read_table(evaluated.file("scores.parquet"), SCORES).to_pylist():
        rows.setdefault(row["metric"], {})[row["model"]] = row
    rows = {metric: models for metric, models in rows.items() if "after" in models}  # others are of outcomes that were brought
    if not rows:
        raise MissingInputError(
            f"{evaluated.path} has no scores before and after training (evaluate.trained=false); its comparison.md shows what it"
            f" has"
        )
    return [
        Score(
            metric=metric,
            name=config.headline.get(metric, metric),
            items=models["after"]["items"],
            items_missing=models["after"]["items_missing"],
            chance=models["after"]["chance"],
            before=_estimate(models["before"]),
            after=_estimate(models["after"]),
            change=_estimate(models["difference"]),
            note=models["after"]["note"],
        )
        for metric, models in rows.items()
    ]


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(value=row["value"], low=row["low"], high=row["high"])


def _headline(config: ReportConfig, scores: list[Score]) -> list[str]:
    scored = [score.metric for score in scores]
    unknown = [metric for metric in config.headline if metric not in scored]
    if unknown:
        raise MissingInputError(f"report.headline: {unknown[0]!r} was not scored; there are: {', '.join(scored) or 'none'}")
    return list(config.headline) or scored


def _published(scores: Sequence[Score], architecture: str) -> list[Published]:
    after = {score.metric: 100 * score.after.value for score in scores}
    return [
        Published(
            metric=metric,
            after=after[metric],
            per_cent=each.per_cent,
            model=each.name,
            architecture=each.architecture,
            training=each.training,
            source=str(each.source),
        )
        for metric, found in nearest(after, architecture).items()
        for each in found
    ]


def _yields(generated: Artifact, filtered: Artifact) -> list[TypeYield]:
    summary = json.loads(filtered.file("summary.json").read_text(encoding="utf-8"))
    types, audited = summary["types"], summary["audit"]["rows"]
    yields = [_type_yield(kind, types[kind], _blind_accuracy(audited, kind)) for kind in NEGATIVE_TYPES if kind in types]
    for item in yields:
        accounted = item.kept + sum(item.rejected.values()) + sum(item.not_generated.values())
        if accounted != item.asked:
            raise DataError(f"{filtered.path}: {item.type}: {item.asked} rows were asked for, but {accounted} are accounted for")
    asked = sum(item.asked for item in yields)
    if asked != generated.counts["asked"]:
        raise DataError(f"{filtered.path}: {asked} rows were filtered, but {generated.counts['asked']} were asked for")
    return yields


def _blind_accuracy(audited: Sequence[Mapping[str, Any]], kind: str) -> float | None:
    """The audit's figure for a type: over all generators, or its only one's; the audit leaves out sums of one."""
    by_generator = {row["generator"]: row["blind_accuracy"] for row in audited if row["type"] == kind}
    return by_generator.get("all", next(iter(by_generator.values()), None))


def _type_yield(kind: str, entry: Mapping[str, Any], blind_accuracy: float | None) -> TypeYield:
    return TypeYield(
        type=kind,
        asked=entry["asked"],
        kept=entry["kept"],
        rejected=dict(sorted(entry["by_rule"].items(), key=lambda item: -item[1])),
        not_generated={status: count for status, count in entry["by_status"].items() if status != "ok"},
        blind_accuracy=blind_accuracy,
    )


def _truth_row(count: TruthCount) -> dict[str, Any]:
    return {**vars(count), "false_negative_rate": count.false_negative_rate}


def _lineage(artifact: Artifact) -> dict[str, Any]:
    return {
        "fingerprint": artifact.fingerprint,
        "versions": artifact.manifest.versions,
    }
