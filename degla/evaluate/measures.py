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
        yield from _MEASURES[kind](name, items.filter(pc.equal(items["kind"], kind)))


def _choice_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    yield _accuracy(f"{name}/accuracy", items)


def _classification_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    overall = _accuracy(f"{name}/accuracy", items)
    yield overall
    labels = _scored(items)["label"].to_numpy()
    per_class = tuple(overall.parts[0][labels == label] for label in dict.fromkeys(labels))
    yield Measure(f"{name}/mean_per_class", per_class, overall.chance, overall.missing)
    by_seen = {word: items.filter(pc.equal(items["seen"], seen)) for word, seen in (("seen", True), ("unseen", False))}
    if all(_scored(part).num_rows for part in by_seen.values()):
        yield from (_accuracy(f"{name}/accuracy_{word}", part) for word, part in by_seen.items())


def _retrieval_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    scored = _scored(items)
    kind, ranks = scored["kind"][0].as_py(), scored["rank"].to_numpy()
    for within in RECALL_AT:
        path = f"{name}/{kind}_recall@{within}"
        yield Measure(path, (ranks <= within,), _chance(scored, within), items.num_rows - scored.num_rows)


def _accuracy(path: str, items: pa.Table) -> Measure:
    scored = _scored(items)
    right = scored["correct"].to_numpy(zero_copy_only=False).astype(bool)
    return Measure(path, (right,), _chance(scored, 1), items.num_rows - scored.num_rows)


def _scored(items: pa.Table) -> pa.Table:
    return items.filter(pc.equal(items["status"], STATUS_OK))


def _chance(scored: pa.Table, within: int) -> float:
    return scoring.chance(scored["targets"].to_numpy(), scored["candidates"].to_numpy(), within)


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
