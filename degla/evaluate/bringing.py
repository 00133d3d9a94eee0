"""Outcomes that somebody brings, as units of an evaluation: the same files that scoring writes for a model of its own."""

from __future__ import annotations

from pathlib import Path

from degla.errors import ConfigError
from degla.evaluate import units
from degla.evaluate.benchmark import Benchmark
from degla.evaluate.config import BenchmarkRef, EvaluateConfig
from degla.outcomes.known import known_of
from degla.outcomes.reading import read_outcomes
from degla.outcomes.scores import AFTER, BEFORE, DIFFERENCE


def bring(config: EvaluateConfig, out_dir: Path) -> units.Brought:
    """Write a unit for each model and benchmark of `config.outcomes`; returns the models of each benchmark.

    Raises:
        ConfigError: a model has the name of another one.
        InputError: see `degla.outcomes.reading.read_outcomes`.
    """
    brought: dict[str, list[str]] = {}
    for ref in config.outcomes:
        for (model, title), items in read_outcomes(ref).items():
            models = brought.setdefault(title, [])
            names = (*config.model_names, BEFORE, AFTER, DIFFERENCE)
            if model in names or model in models:
                taken = "is a name of this run's own" if model in names else f"has outcomes on {title} already"
                raise ConfigError(f"evaluate.outcomes: {ref.path}: {model!r} {taken}; rename it: models={{other: {model}}}")
            models.append(model)
            known = known_of(title, items)
            found = Benchmark((), known.averages, (f"outcomes of {Path(ref.path).name}", *known.notes), known.absent)
            units.write(out_dir, model, BenchmarkRef(name=title), found, items, [], {"reference": ""})
    return brought
