"""A run: models with their outcomes or, where there are none, their scores; and the artifacts that it was made of.

A run is an artifact of evaluate or report, a file of outcomes, or a table of scores: the `scores.json` or `scores.parquet` of an
evaluation, a table with the columns `model`, `metric` and `per_cent`, or one with a row for each model and a column for each
metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from degla.artifacts import MANIFEST, Artifact, Manifest
from degla.errors import ConfigError, DataError, MissingInputError
from degla.outcomes.intervals import Estimate
from degla.outcomes.outcome import Outcome, outcomes_of
from degla.outcomes.reading import read_rows
from degla.outcomes.scores import DIFFERENCE
from degla.outcomes.table import REQUIRED
from degla.text_files import shown

_LIMITS = {"value": 1.0, "per_cent": 100.0}
_OUTCOMES = {"right", "margin"}
"""Columns of which a file of outcomes has one."""


@dataclass(frozen=True)
class Figure:
    """A metric of a model. Shares in [0, 1]."""

    value: float
    low: float | None = None
    """Lower limit of the 95 % interval; None if it is not known."""
    high: float | None = None
    items: int | None = None
    """Items it was computed from; None if that is not known."""

    @property
    def estimate(self) -> Estimate | None:
        """With its interval, if that is known."""
        return None if self.low is None or self.high is None else Estimate(self.value, self.low, self.high)


@dataclass(frozen=True)
class Model:
    """A row of the comparison."""

    label: str
    """Its name there."""
    outcomes: tuple[Outcome, ...] = ()
    scores: Mapping[str, Figure] = field(default_factory=dict)
    """Metric to its value, if there are no outcomes."""
    candidate: bool = False
    """Whether it is a model of `evaluate.interpolate` that the scores do not have."""
    source: str = ""
    """Where a published model's scores come from; empty for the models of a run."""


@dataclass(frozen=True)
class Run:
    """Models, and what they were made of."""

    name: str
    path: Path
    models: tuple[Model, ...]
    lineage: Mapping[str, Manifest] = field(default_factory=dict)
    """Stage to the manifest of its artifact; empty for a file."""
    lost: tuple[str, ...] = ()
    """Artifacts of the lineage that are not there."""
    alike: tuple[str, ...] = ()
    """Models that are left out because another run's model of the same name has the same outcomes."""
    evaluation: Path | None = None
    """The folder of its evaluation; None for a file."""


def read_run(path: Path, name: str = "") -> Run:
    """Read a run; its models have their own names.

    Args:
        path: an artifact's folder, or a file.
        name: of the run; empty takes the start of the artifact's fingerprint, or the file's name.

    Raises:
        MissingInputError: there is no such file, or the report's evaluation is gone.
        ConfigError: the folder holds no artifact of evaluate or report.
        DataError: a file is damaged, or neither outcomes nor scores.
    """
    path = path.expanduser().absolute()
    if path.is_dir():
        return _of_artifact(path, name)
    if not path.is_file():
        raise MissingInputError(f"no run {path}: expected an artifact of evaluate or report, or a file of outcomes or scores")
    rows = read_rows(path)
    if _OUTCOMES.isdisjoint(rows.column_names):
        return Run(name or path.stem, path, _of_scores(path, rows if "metric" in rows.column_names else _long(path, rows)))
    return Run(name or path.stem, path, _of_outcomes(path))


def named(runs: list[Run], only: tuple[str, ...] = ()) -> list[Run]:
    """The runs with labels of their own for all models: the model's name, with the run's before it if another run has a model of
    that name. A model whose outcomes another of the same name has too (the base model of two trainings) is left out.

    Args:
        runs: read by `read_run`.
        only: names of the models to keep; empty keeps all but the candidates of an interpolation.

    Raises:
        ConfigError: a run is given twice, two runs have one name, or no run has a model that is asked for.
    """
    for place, run in enumerate(runs):
        if any(run.path == other.path for other in runs[:place]):
            raise ConfigError(f"{run.path} is given twice; give another run, or one run alone to compare its models")
        if any(run.name == other.name for other in runs[:place]):
            raise ConfigError(f"two runs are named {run.name!r}; name one of them: NAME={run.path}")
    there = [model.label for run in runs for model in run.models]
    for name in only:
        if name not in there:
            raise ConfigError(f"no run has a model {name!r}; there are: {', '.join(dict.fromkeys(there))}")
    kept: list[Run] = []
    for run in runs:
        models = [model for model in run.models if (model.label in only if only else not model.candidate)]
        alike = tuple(model.label for model in models if any(_same(model, other) for each in kept for other in each.models))
        kept.append(replace(run, models=tuple(model for model in models if model.label not in alike), alike=alike))
    names = [model.label for run in kept for model in run.models]
    return [
        replace(
            run, models=tuple(_labelled(model, f"{run.name}:" if names.count(model.label) > 1 else "") for model in run.models)
        )
        for run in kept
    ]


def _labelled(model: Model, prefix: str) -> Model:
    label = f"{prefix}{model.label}"
    return replace(model, label=label, outcomes=tuple(replace(each, model=label) for each in model.outcomes))


def _same(one: Model, other: Model) -> bool:
    """Whether two models of one name have the same outcomes on the same benchmarks."""
    if one.label != other.label or not one.outcomes:
        return False
    items = {each.benchmark: each.items for each in other.outcomes}
    return {each.benchmark for each in one.outcomes} == set(items) and all(
        each.items.equals(items[each.benchmark]) for each in one.outcomes
    )


def _of_artifact(path: Path, name: str) -> Run:
    if not (path / MANIFEST).is_file():
        raise ConfigError(f"{path} holds no finished artifact ({MANIFEST} is missing); expected one of evaluate or report")
    artifact = Artifact.load(path)
    if artifact.stage not in ("evaluate", "report"):
        raise ConfigError(f"{path} is an artifact of {artifact.stage}; expected one of evaluate or report")
    lineage, lost = _lineage(artifact)
    if artifact.stage == "report" and "evaluate" not in lineage:
        raise MissingInputError(
            f"{path} was made of the evaluation {artifact.manifest.inputs['evaluate']}, which is not beside it"
        )
    scored = path if artifact.stage == "evaluate" else _beside(path, "evaluate", artifact.manifest.inputs["evaluate"])
    records = json.loads(Artifact.load(scored).file("scores.json").read_text(encoding="utf-8"))
    inside = {each["model"] for each in records}
    models = tuple(replace(model, candidate=model.label not in inside) for model in _of_outcomes(scored))
    return Run(name or artifact.fingerprint[:8], path, models, lineage, tuple(lost), evaluation=scored)


def _of_outcomes(path: Path) -> tuple[Model, ...]:
    found: dict[str, list[Outcome]] = {}
    for each in outcomes_of(path):
        found.setdefault(each.model, []).append(each)
    return tuple(Model(label, tuple(own)) for label, own in found.items())


def _lineage(artifact: Artifact) -> tuple[dict[str, Manifest], list[str]]:
    """The manifests of an artifact and of all that it was made of, and those that are gone."""
    found, lost = {artifact.stage: artifact.manifest}, []
    pending = list(artifact.manifest.inputs.items())
    while pending:
        stage, fingerprint = pending.pop()
        folder = _beside(artifact.path, stage, fingerprint)
        if stage in found:
            continue
        if not (folder / MANIFEST).is_file():
            lost.append(f"{stage} {fingerprint}")
            continue
        found[stage] = Artifact.load(folder).manifest
        pending += found[stage].inputs.items()
    return found, list(dict.fromkeys(lost))


def _beside(path: Path, stage: str, fingerprint: str) -> Path:
    return path.parent.parent / stage / fingerprint


def _long(path: Path, rows: pa.Table) -> pa.Table:
    """A row for each model and metric, from a row for each model: columns that hold numbers alone are metrics, in per cent, the
    others name the model. `::` between the parts of a metric's name becomes `/`."""
    columns = {name: rows[name].to_pylist() for name in rows.column_names}
    metrics = [name for name, cells in columns.items() if _numeric(cells)]
    naming = [name for name in columns if name not in metrics]
    if not metrics or not naming:
        raise DataError(
            f"{path} holds neither outcomes (columns {', '.join(REQUIRED)}) nor scores (model, metric, per_cent; or a row for"
            f" each model, with its name and a column for each metric); found {', '.join(rows.column_names)}"
        )
    if max(float(cell) for name in metrics for cell in columns[name] if cell not in (None, "")) <= 1:
        raise DataError(
            f"{path}: no score is above 1. A table with a column for each metric has per cent, not shares. If these are right and"
            " wrong answers, bring them by an evaluation (evaluate.outcomes says which column is what) and compare that"
        )
    models = [" ".join(str(columns[name][row]) for name in naming) for row in range(rows.num_rows)]
    long = [
        {"model": models[row], "metric": name.replace("::", "/"), "per_cent": columns[name][row]}
        for row in range(rows.num_rows)
        for name in metrics
    ]
    return pa.Table.from_pylist(long)


def _numeric(cells: list[Any]) -> bool:
    """Whether a column has numbers and nothing else but empty cells."""
    try:
        return bool([float(cell) for cell in cells if cell not in (None, "")])
    except (TypeError, ValueError):
        return False


def _of_scores(path: Path, rows: pa.Table) -> tuple[Model, ...]:
    """The models of a table of scores; differences among its rows are left out."""
    values = next((name for name in _LIMITS if name in rows.column_names), None)
    if values is None or "model" not in rows.column_names:
        raise DataError(
            f"{path}: a table of scores has the columns model, metric and per_cent (or value, a share);"
            f" found {', '.join(rows.column_names)}"
        )
    found: dict[str, dict[str, Figure]] = {}
    for number, row in enumerate(rows.to_pylist(), 1):
        model, metric = row["model"], row["metric"]
        if model == DIFFERENCE:
            continue
        if not model or not metric:
            raise DataError(f"{path}, row {number}: model or metric is empty")
        own = found.setdefault(str(model), {})
        if metric in own:
            raise DataError(f"{path}: {model} has {metric} twice")
        figure = _figure(f"{path}: {metric} of {model}", row, values)
        if figure is not None:
            own[str(metric)] = figure
    if not any(found.values()):
        raise DataError(f"{path} holds no scores")
    return tuple(Model(label, scores=scores) for label, scores in found.items())


def _figure(where: str, row: Mapping[str, Any], values: str) -> Figure | None:
    """A row's score; None if it has none."""
    limit = _LIMITS[values]
    value = _number(where, values, row[values])
    if value is None:
        return None
    if not 0 <= value <= limit:
        raise DataError(f"{where}: {values} is {row[values]}, expected 0 to {limit:g}")
    low, high, items = (_number(where, name, row.get(name)) for name in ("low", "high", "items"))
    if low is None or high is None:
        return Figure(value / limit, items=None if items is None else int(items))
    return Figure(value / limit, low / limit, high / limit, None if items is None else int(items))


def _number(where: str, name: str, cell: Any) -> float | None:
    if cell is None or cell == "":
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {name} is {shown(cell)}, expected a number") from error
    return None if math.isnan(number) else number
