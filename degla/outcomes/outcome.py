"""A model on a benchmark: from a finished evaluation, or from a file in the documented form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from degla.artifacts import MANIFEST, Artifact
from degla.outcomes.averages import Average
from degla.outcomes.items import ITEMS
from degla.outcomes.known import known_of
from degla.outcomes.measures import Measure, measures
from degla.outcomes.reading import read_outcomes
from degla.outcomes.ref import OutcomesRef
from degla.schemas import read_table


@dataclass(frozen=True)
class Outcome:
    """A model on a benchmark: its items, and what is known of the benchmark."""

    model: str
    benchmark: str
    items: pa.Table
    averages: tuple[Average, ...] = ()
    absent: Mapping[str, int] | None = None

    def measures(self) -> list[Measure]:
        """Its metrics."""
        return measures(self.items, self.averages, self.absent)


def unit(model: str, benchmark: str) -> tuple[str, str]:
    """The files of a unit of an evaluation, a model on a benchmark: its items, and its results."""
    return f"items/{model}/{benchmark}.parquet", f"results/{model}/{benchmark}.json"


def read_unit(folder: Path, model: str, benchmark: str) -> tuple[pa.Table, dict[str, Any]]:
    """A unit's items and its results."""
    items_name, result_name = unit(model, benchmark)
    return read_table(folder / items_name, ITEMS), json.loads((folder / result_name).read_text(encoding="utf-8"))


def averages_of(result: Mapping[str, Any]) -> tuple[Average, ...]:
    """The averages that a unit's results name."""
    return tuple(Average(path, tuple(over), pooled) for path, over, pooled in result["averages"])


def outcomes_of(path: Path) -> list[Outcome]:
    """The outcomes of a finished evaluation, in the order of its scores, or of a file in the documented form.

    Raises:
        InputError: it is neither, or damaged.
    """
    if not (path / MANIFEST).is_file():
        read = read_outcomes(OutcomesRef(path=str(path)))
        known = {key: known_of(key[1], items) for key, items in read.items()}
        return [Outcome(*key, items, known[key].averages, known[key].absent) for key, items in read.items()]
    artifact = Artifact.load(path)
    found = []
    for name in artifact.manifest.files:
        folder, _, rest = name.partition("/")
        model, _, file = rest.rpartition("/")
        if folder == "items":
            artifact.file(name)
            items, result = read_unit(path, model, Path(file).stem)
            found.append(Outcome(model, result["benchmark"], items, averages_of(result), result["absent"]))
    records = json.loads(artifact.file("scores.json").read_text(encoding="utf-8"))
    place = {key: number for number, key in enumerate(dict.fromkeys((each["benchmark"], each["model"]) for each in records))}
    return sorted(found, key=lambda each: place.get((each.benchmark, each.model), len(place)))  # others: interpolated models
