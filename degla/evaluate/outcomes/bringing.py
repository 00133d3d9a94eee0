"""Outcomes that somebody brings, as units of an evaluation: the same files that scoring writes for a model of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from degla.catalog import card_names, load_card
from degla.errors import ConfigError
from degla.evaluate import units
from degla.evaluate.benchmark import CHOICE, KINDS, Average, Benchmark
from degla.evaluate.config import BenchmarkRef, EvaluateConfig
from degla.evaluate.outcomes.reading import read_outcomes
from degla.evaluate.outcomes.table import own_images
from degla.evaluate.readers import known_readers
from degla.evaluate.readers.official import absences
from degla.evaluate.readers.sources import averages_of_sets
from degla.evaluate.scores import AFTER, BEFORE, DIFFERENCE


def bring(config: EvaluateConfig, out_dir: Path) -> units.Brought:
    """Write a unit for each model and benchmark of `config.outcomes`; returns the models of each benchmark.

    Raises:
        ConfigError: a model has the name of another one.
        InputError: see `degla.evaluate.outcomes.reading.read_outcomes`.
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
            found = described(title, items, f"outcomes of {Path(ref.path).name}")
            units.write(out_dir, model, BenchmarkRef(name=title), found, items, [], {"reference": ""})
    return brought


def described(title: str, items: pa.Table, note: str) -> Benchmark:
    """What is known of a benchmark whose items are given: averages, and official items that are absent; it has no sets."""
    sets = items["set"].unique().to_pylist()
    counts = {name: pc.sum(pc.equal(items["set"], name)).as_py() // _kinds(items, name) for name in sets}
    absent, notes = absences(load_card(title), counts) if title in card_names() else ({}, [])
    if pc.all(pc.equal(items["image"], own_images(title, items["set"], items["item"]))).as_py():
        notes.append("images are not known, so that items count as independent in the intervals")
    return Benchmark((), _averages(title, items, sets), (note, *notes), absent)


def _kinds(items: pa.Table, name: str) -> int:
    """Kinds of outcome of each item of a set: three of Winoground's. Those of groups are not counted."""
    kinds = items.filter(pc.equal(items["set"], name))["kind"].unique().to_pylist()
    return max(1, sum(kind in KINDS for kind in kinds))


def _averages(title: str, items: pa.Table, sets: Sequence[str]) -> tuple[Average, ...]:
    """Those of the benchmark's reader; else means over its sets of each kind of accuracy."""
    if title in card_names():
        own = known_readers()[load_card(title).reader].averages if load_card(title).kind == "benchmark" else ()
        if own:
            return own
    kinds = items["kind"].unique().to_pylist()
    metrics = ["accuracy" if kind == CHOICE else f"{kind}_accuracy" for kind in kinds]
    return averages_of_sets(sets, metrics)
