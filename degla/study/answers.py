"""What every model of every finished run got right, item by item, in one Parquet file.

Others can compute with it, and a study that has it needs its runs' artifacts no longer: its tables and plots are made from the
file, on any machine.

A row is an item of a metric: `metric`, `part` (0, 1, ...: those of a mean of accuracies), `weight` of the part (null: all
parts weigh the same) and `image` (a hash of 64 bits, exact; null: no two items share one). Each other column is a model: true
where it was right, or a share; null where the metric was not scored. The schema's metadata, `runs`, says which runs a column
belongs to; models with the same answers share one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from degla.errors import DataError
from degla.files import atomic_path
from degla.outcomes.measures import Measure
from degla.study.results import Measured

FILE = "answers.parquet"
_RUNS = b"runs"
_ITEMS = pa.schema({"metric": pa.string(), "part": pa.int32(), "weight": pa.float64(), "image": pa.int64()})


@dataclass(frozen=True)
class Answered:
    """A finished run."""

    names: tuple[str, ...]
    """`Run.name` of those that are this one: the same experiment may belong to several questions."""
    mark: str
    """`Run.mark` of them."""
    measured: Measured
    blind: float | None = None
    """Accuracy of a text-only classifier on its training negatives, in per cent, if known."""


def write_answers(path: Path, runs: Sequence[Answered]) -> None:
    """Write the answers of runs.

    Raises:
        DataError: two runs were scored on different items.
    """
    like: dict[str, Measure] = {}
    for run in runs:
        for metrics in run.measured.values():
            like |= {name: measure for name, measure in metrics.items() if name not in like}
    columns, of_answers, said = _items(like), dict[str, str](), list[dict[str, object]]()
    for run in runs:
        models = {}
        for model, metrics in run.measured.items():
            column = _column(run, metrics, like)
            digest = hashlib.sha256(column.tobytes()).hexdigest()
            if digest not in of_answers:
                of_answers[digest] = f"{run.names[0]}:{model}"
                columns[of_answers[digest]] = _arrow(column)
            models[model] = of_answers[digest]
        said.append({"names": run.names, "mark": run.mark, "blind": run.blind, "models": models})
    table = pa.table(columns).replace_schema_metadata({_RUNS: json.dumps(said)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_answers(path: Path) -> dict[str, Answered]:
    """Mark to the run.

    Raises:
        DataError: the file is damaged, or no file of answers.
    """
    try:
        table = pq.read_table(path)
        said = json.loads((table.schema.metadata or {})[_RUNS])
        parts = list(_parts(table))
        models = {name: _measures(table[name], parts) for each in said for name in each["models"].values()}
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} holds no answers of a study: {error}") from error
    return {
        each["mark"]: Answered(
            tuple(each["names"]), each["mark"], {model: models[name] for model, name in each["models"].items()}, each["blind"]
        )
        for each in said
    }


def _items(like: Mapping[str, Measure]) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The columns that all models share."""
    found = [_ITEMS.empty_table()]
    for name, measure in like.items():
        for number, part in enumerate(measure.parts):
            items = len(part)
            weight = measure.weights[number] if measure.weights else None
            images = measure.images[number] if measure.images else [None] * items
            rows = {"metric": [name] * items, "part": [number] * items, "weight": [weight] * items, "image": images}
            found.append(pa.table(rows, schema=_ITEMS))
    whole = pa.concat_tables(found).combine_chunks()
    return {name: whole[name] for name in _ITEMS.names} | {"metric": whole["metric"].dictionary_encode()}


def _column(run: Answered, metrics: Mapping[str, Measure], like: Mapping[str, Measure]) -> np.ndarray:
    """A model's answers, float64 (rows,), not a number where the metric was not scored."""
    found = []
    for name, first in like.items():
        own = metrics.get(name)
        if own is None:
            found += [np.full(len(part), math.nan) for part in first.parts]
        elif _shape(own) == _shape(first) and all(map(np.array_equal, own.images, first.images)):
            found += [part.astype(float) for part in own.parts]
        else:
            raise DataError(f"{run.names[0]} was scored on other items of {name} than the runs before it")
    return np.concatenate(found) if found else np.empty(0)


def _shape(measure: Measure) -> tuple[object, ...]:
    return [len(part) for part in measure.parts], measure.weights, len(measure.images)


def _arrow(column: np.ndarray) -> pa.Array:
    whole = pa.array(column, pa.float64(), from_pandas=True)
    return whole.cast(pa.bool_()) if np.isin(column[~np.isnan(column)], (0, 1)).all() else whole


def _parts(table: pa.Table) -> Iterator[tuple[str, slice, float, np.ndarray | None]]:
    """Metric, rows, weight (not a number: that of the others) and images of each part."""
    metric, part = table["metric"].to_numpy(), table["part"].to_numpy()
    starts = np.flatnonzero((metric[1:] != metric[:-1]) | (part[1:] != part[:-1])) + 1
    for start, end in pairwise([0, *starts.tolist(), len(metric)]):
        images = table["image"].slice(start, end - start)
        weight = table["weight"][start].as_py()
        own = None if images.null_count else images.to_numpy()
        yield metric[start], slice(start, end), math.nan if weight is None else weight, own


def _measures(column: pa.ChunkedArray, parts: Sequence[tuple[str, slice, float, np.ndarray | None]]) -> dict[str, Measure]:
    of_metric: dict[str, list[tuple[np.ndarray, float, np.ndarray | None]]] = {}
    for metric, rows, weight, images in parts:
        own = column.slice(rows.start, rows.stop - rows.start)
        if not own.null_count:
            of_metric.setdefault(metric, []).append((own.to_numpy(), weight, images))
    found = {}
    for metric, of_part in of_metric.items():
        answers, weights, images = zip(*of_part, strict=True)
        found[metric] = Measure(
            path=metric,
            parts=answers,
            chance=math.nan,
            missing=0,
            weights=() if math.isnan(weights[0]) else weights,
            images=() if images[0] is None else images,
        )
    return found
