"""From the items of a benchmark to its metrics, each kept as the right and wrong answers it is the mean of.

A measure is the plain mean of the shares right in its parts. An accuracy has one part, an accuracy per class one part a
class, a mean of accuracies one part for each. Keeping the parts lets `degla.evaluate.scores` give every metric an interval, and
a paired one to the difference of two models. Knows neither models nor files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from degla.evaluate import scoring
from degla.evaluate.outcomes import CHOICE, CLASSIFICATION, IMAGE_RETRIEVAL, TEXT_RETRIEVAL
from degla.evaluate.records import STATUS_OK, Average

RECALL_AT = (1, 5, 10)


@dataclass(frozen=True)
class Measure:
    """A metric of one model."""

    path: str
    """Such as `swap_obj/accuracy`."""
    parts: tuple[np.ndarray, ...]
    """Right (True) or wrong per scored item, bool (n,) a part; the value is the mean over parts of each part's mean."""
    chance: float
    """The value that guessing has on average."""
    missing: int
    """Items that could not be scored for want of their image."""

    @property
    def items(self) -> int:
        return sum(len(part) for part in self.parts)


def measures(items: pa.Table, averages: Iterable[Average] = ()) -> list[Measure]:
    """Every metric of a benchmark: those of its sets in their order, then the averages whose parts are all there."""
    found: dict[str, Measure] = {}
    for name in items["set"].unique().to_pylist():
        of_set = items.filter(pc.equal(items["set"], name))
        found |= {measure.path: measure for measure in _set_measures(name, of_set)}
    for average in averages:
        if all(path in found for path in average.over):
            found[average.path] = _average(average, [found[path] for path in average.over])
    return list(found.values())


def _set_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    for kind in items["kind"].unique().to_pylist():
        of_kind = items.filter(pc.equal(items["kind"], kind))
        scored = of_kind.filter(pc.equal(of_kind["status"], STATUS_OK))
        yield from _MEASURES[kind](name, scored, of_kind.num_rows - scored.num_rows)


def _choice_measures(name: str, items: pa.Table, missing: int) -> Iterable[Measure]:
    yield _accuracy(f"{name}/accuracy", items, missing)


def _classification_measures(name: str, items: pa.Table, missing: int) -> Iterable[Measure]:
    overall = _accuracy(f"{name}/accuracy", items, missing)
    yield overall
    labels = items["label"].to_numpy()
    per_class = tuple(overall.parts[0][labels == label] for label in dict.fromkeys(labels))
    yield Measure(f"{name}/mean_per_class", per_class, overall.chance, missing)
    for word, seen in (("seen", True), ("unseen", False)):
        part = items.filter(pc.equal(items["seen"], seen))
        if part.num_rows:
            yield _accuracy(f"{name}/accuracy_{word}", part, missing)


def _retrieval_measures(name: str, items: pa.Table, missing: int) -> Iterable[Measure]:
    kind = items["kind"][0].as_py()
    ranks = items["rank"].to_numpy()
    for within in RECALL_AT:
        chance = scoring.chance(items["targets"].to_numpy(), items["candidates"].to_numpy(), within)
        yield Measure(f"{name}/{kind}_recall@{within}", (ranks <= within,), chance, missing)


def _accuracy(path: str, items: pa.Table, missing: int) -> Measure:
    right = items["correct"].to_numpy(zero_copy_only=False).astype(bool)
    return Measure(path, (right,), scoring.chance(items["targets"].to_numpy(), items["candidates"].to_numpy()), missing)


def _average(average: Average, over: Sequence[Measure]) -> Measure:
    parts = tuple(part for measure in over for part in measure.parts)
    missing = sum(measure.missing for measure in over)
    if not average.pooled:
        return Measure(average.path, parts, float(np.mean([measure.chance for measure in over])), missing)
    chance = float(np.average([measure.chance for measure in over], weights=[measure.items for measure in over]))
    return Measure(average.path, (np.concatenate(parts),), chance, missing)


_MEASURES = {
    CHOICE: _choice_measures,
    CLASSIFICATION: _classification_measures,
    TEXT_RETRIEVAL: _retrieval_measures,
    IMAGE_RETRIEVAL: _retrieval_measures,
}
