"""Every model of the runs and every published row side by side: scores, and the differences from one of them with their tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from degla.errors import ConfigError, DataError
from degla.outcomes.compare import Change, SideBySide, changes, corrected, estimate, side_by_side
from degla.outcomes.measures import Measure
from degla.report.compare.runs import Figure, Model, Run
from degla.report.compare.settings import Setting, settings_that_differ
from degla.text_files import nearest_key


@dataclass(frozen=True)
class Comparison:
    """What is shown."""

    runs: tuple[Run, ...]
    models: tuple[Model, ...]
    """Those of the runs, then the published ones."""
    baseline: str
    """The model that the others are compared with."""
    scores: Mapping[str, Mapping[str, Figure]]
    """Metric to model to score."""
    changes: Mapping[tuple[str, str], Change]
    """Metric and model to its difference from the baseline, if both have outcomes."""
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]

    def figure(self, metric: str, model: str) -> Figure | None:
        """A model's score, if it has one."""
        return self.scores.get(metric, {}).get(model)

    def stars(self, metric: str, model: str) -> str:
        """Of its difference from the baseline."""
        change = self.changes.get((metric, model))
        return change.stars if change else ""


def compare(runs: Sequence[Run], published: Sequence[Model] = (), baseline: str = "") -> Comparison:
    """Compare the models of runs whose labels differ (`degla.report.compare.runs.named`).

    Args:
        runs: one or more.
        published: rows of the catalog's table.
        baseline: label of the model that the others are compared with; empty takes the first.

    Raises:
        ConfigError: there is one model alone, or no such baseline.
        DataError: no metric is of two models, or models have a benchmark but no item in common.
    """
    own = [model for run in runs for model in run.models]
    if len(own) + len(published) < 2:
        alone = f"there is one model, {own[0].label}" if own else "there is no run"
        raise ConfigError(f"{alone}: name another run or a published row to compare it with")
    shared = side_by_side([each for model in own for each in model.outcomes])
    measured = {label: {metric: _figure(each) for metric, each in of.items()} for label, of in shared.models.items()}
    scores = _by_metric({model.label: measured.get(model.label, model.scores) for model in own})
    there = set(scores) if own else {metric for row in published for metric in row.scores}
    met = [row for row in published if not there.isdisjoint(row.scores)]
    for metric, of_model in _by_metric({row.label: row.scores for row in met}).items():
        if metric in there:
            scores.setdefault(metric, {}).update(of_model)
    unmet = [f"{row.label} is left out: no metric in common with the runs" for row in published if row not in met]
    models = (*own, *met)
    _check_common((*own, *published), scores)
    first = nearest_key([model.label for model in models], baseline, "the comparison") if baseline else models[0].label
    return Comparison(
        tuple(runs),
        models,
        first,
        scores,
        _tested(shared, first),
        settings_that_differ(runs),
        (*(f"{benchmark}: {note}" for benchmark, note in shared.notes.items()), *_notes(runs, models, scores, first), *unmet),
    )


def _figure(measure: Measure) -> Figure:
    value = estimate(measure)
    return Figure(value.value, value.low, value.high, measure.items)


def _by_metric(models: Mapping[str, Mapping[str, Figure]]) -> dict[str, dict[str, Figure]]:
    """Model to metric to score as metric to model to score."""
    found: dict[str, dict[str, Figure]] = {}
    for label, scores in models.items():
        for metric, figure in scores.items():
            found.setdefault(metric, {})[label] = figure
    return found


def _tested(shared: SideBySide, first: str) -> dict[tuple[str, str], Change]:
    """The differences of all models with outcomes from the first, corrected for their number."""
    if first not in shared.models:
        return {}
    found = [(model, each) for model in shared.models if model != first for each in changes(shared, first, model)]
    return {(each.metric, model): each for (model, _), each in zip(found, corrected([each for _, each in found]), strict=True)}


def _check_common(models: Sequence[Model], scores: Mapping[str, Mapping[str, Figure]]) -> None:
    if any(len(of_model) > 1 for of_model in scores.values()):
        return
    has = {model.label: sorted({*_benchmarks(model)}) for model in models}
    listed = "; ".join(f"{label} has {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" for label, names in has.items())
    raise DataError(f"no two models have a metric in common: {listed}")


def _benchmarks(model: Model) -> Iterator[str]:
    yield from (each.benchmark for each in model.outcomes)
    yield from (metric.partition("/")[0] for metric in model.scores)


def _notes(runs: Sequence[Run], models: Sequence[Model], scores: Mapping[str, Mapping[str, Figure]], first: str) -> list[str]:
    notes = []
    versions = {run.name: run.lineage["evaluate"].stage_version for run in runs if "evaluate" in run.lineage}
    if len(set(versions.values())) > 1:
        by_run = ", ".join(f"{name} by version {version}" for name, version in versions.items())
        notes.append(f"the evaluations are of different versions of evaluate ({by_run}): their scores may follow other rules")
    for run in runs:
        notes += [f"{run.name}: {each} is not beside it, so that its settings are not compared" for each in run.lost]
        notes += [
            f"{run.name}: {label} has the same outcomes as the {label} of an earlier run, and is told once" for label in run.alike
        ]
    notes += [
        f"{model.label} is a candidate of evaluate.interpolate: if it was chosen on a part of these items, it looks better"
        " on them than it is; the evaluation's tradeoff.md has the other part"
        for model in models
        if model.candidate
    ]
    alone = [model.label for model in models if model.label != first and not _meets(scores, first, model.label)]
    if alone:
        listed = f"{', '.join(alone[:8])}{', ...' if len(alone) > 8 else ''}"
        notes.append(f"no metric in common with {first}: {listed}")
    return notes


def _meets(scores: Mapping[str, Mapping[str, Figure]], first: str, other: str) -> bool:
    return any(first in of_model and other in of_model for of_model in scores.values())
