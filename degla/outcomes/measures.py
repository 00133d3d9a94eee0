"""From the items of a benchmark to its metrics, each kept as the right and wrong answers that it averages.

A measure is the mean of the shares right in its parts. An accuracy has one part, an accuracy per class one part a class, a
mean of accuracies one part for each. Keeping the parts lets `degla.outcomes.scores` give every metric an interval, and
a paired one to the difference of two models. Knows neither models nor files.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from degla.outcomes import guessing, intervals
from degla.outcomes.averages import Average
from degla.outcomes.items import CHOICE, CLASSIFICATION, IMAGE_RETRIEVAL, LINEAR_PROBE, STATUS_OK, TEXT_RETRIEVAL

RECALL_AT = (1, 5, 10)


@dataclass(frozen=True)
class Measure:
    """A metric of one model."""

    path: str
    """Such as `swap_obj/accuracy`."""
    parts: tuple[np.ndarray, ...]
    """Right (True) or wrong per scored item, bool (n,) a part, or a share in [0, 1], float64 (n,); the value is the weighted mean
    over parts of each part's mean."""
    chance: float
    """The value that guessing has on average; not a number if that is not known."""
    missing: int
    """Items not scored: their image is missing or undecodable, or the files lack them."""
    weights: tuple[float, ...] = ()
    """Weight of each part, with sum 1, if they differ: a mean of means. Empty: equal weights."""
    images: tuple[np.ndarray, ...] = ()
    """A number for the image of each item, int64 (n,) a part: equal for items that share one. Empty: none do."""

    @property
    def value(self) -> float:
        return intervals.weighted_mean(self.parts, self.weights)

    @property
    def items(self) -> int:
        return sum(len(part) for part in self.parts)


def measures(items: pa.Table, averages: Iterable[Average] = (), absent: Mapping[str, int] | None = None) -> list[Measure]:
    """Every metric of a benchmark: those of its sets in their order, then the averages whose parts were all scored.

    Args:
        items: rows of `degla.outcomes.items.ITEMS`.
        averages: in an order in which each comes after those it is over.
        absent: set name to the number of official items that its files lack; they count as missing.
    """
    found: dict[str, Measure] = {}
    items = items.append_column("image_number", _image_numbers(items["image"]))
    for name in items["set"].unique().to_pylist():
        of_set = items.filter(pc.equal(items["set"], name))
        lost = (absent or {}).get(name, 0)
        found |= {each.path: replace(each, missing=each.missing + lost) for each in _set_measures(name, of_set)}
    return [*found.values(), *means(averages, found)]


def means(averages: Iterable[Average], found: Mapping[str, Measure]) -> list[Measure]:
    """The averages whose parts are all among the metrics found (path to metric), or among the averages before them."""
    known = dict(found)
    for average in averages:
        if all(path in known for path in average.over):
            known[average.path] = _average(average, [known[path] for path in average.over])
    return [measure for path, measure in known.items() if path not in found]


def _set_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    for kind in items["kind"].unique().to_pylist():
        of_kind = items.filter(pc.equal(items["kind"], kind))
        if _scored(of_kind).num_rows:  # else it has no metric: SugarCrepe++ without images still has its text-only test
            yield from _MEASURES.get(kind, _kind_measures)(name, of_kind)


def _choice_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    overall = _accuracy(f"{name}/accuracy", items)
    yield overall
    for rule in ("ties_right", "ties_wrong"):
        if items[f"correct_{rule}"].null_count < items.num_rows:
            yield _accuracy(f"{name}/accuracy_{rule}", items, f"correct_{rule}")
    grouped = items.filter(pc.is_valid(items["label"]))
    if _scored(grouped).num_rows:
        yield _mean_per_label(f"{name}/macro_accuracy", grouped)


def _classification_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    yield _accuracy(f"{name}/accuracy", items)
    yield _mean_per_label(f"{name}/mean_per_class", items)
    by_seen = {word: items.filter(pc.equal(items["seen"], seen)) for word, seen in (("seen", True), ("unseen", False))}
    if all(_scored(part).num_rows for part in by_seen.values()):
        yield from (_accuracy(f"{name}/accuracy_{word}", part) for word, part in by_seen.items())


def _probe_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    yield _accuracy(f"{name}/linear_probe_accuracy", items)
    yield _mean_per_label(f"{name}/linear_probe_mean_per_class", items)


def _kind_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    yield _accuracy(f"{name}/{items['kind'][0].as_py()}_accuracy", items)


def _retrieval_measures(name: str, items: pa.Table) -> Iterable[Measure]:
    scored = _scored(items)
    kind, ranks = scored["kind"][0].as_py(), scored["rank"].to_numpy()
    for within in RECALL_AT:
        path = f"{name}/{kind}_recall@{within}"
        missing = items.num_rows - scored.num_rows
        yield Measure(path, (ranks <= within,), _chance(scored, within), missing, images=(scored["image_number"].to_numpy(),))
    if scored["r_precision"].null_count < scored.num_rows:
        chances = guessing.labelled_chance(scored["targets"].to_numpy(), scored["candidates"].to_numpy())
        columns = {"r_precision": "r_precision", "map_at_r": "average_precision"}
        for (metric, column), chance in zip(columns.items(), chances, strict=True):
            part = scored[column].to_numpy()
            yield Measure(f"{name}/{kind}_{metric}", (part,), chance, missing, images=(scored["image_number"].to_numpy(),))


def _accuracy(path: str, items: pa.Table, column: str = "correct") -> Measure:
    scored = _scored(items)
    right = scored[column].to_numpy(zero_copy_only=False).astype(bool)
    missing = items.num_rows - scored.num_rows
    return Measure(path, (right,), _chance(scored, 1), missing, images=(scored["image_number"].to_numpy(),))


def _mean_per_label(path: str, items: pa.Table) -> Measure:
    """The plain mean of the accuracy of each label."""
    overall, labels = _accuracy(path, items), _scored(items)["label"].to_numpy()
    of_label = [labels == label for label in dict.fromkeys(labels)]
    split = [tuple(column[own] for own in of_label) for (column,) in (overall.parts, overall.images)]
    return replace(overall, parts=split[0], images=split[1])


def _image_numbers(image: pa.ChunkedArray) -> pa.Array:
    """A number for each image, the same in every benchmark: a hash of its id."""
    coded = image.combine_chunks().dictionary_encode()
    hashes = [hashlib.blake2b(each.encode(), digest_size=8).digest() for each in coded.dictionary.to_pylist()]
    return pa.array(np.frombuffer(b"".join(hashes), dtype=np.int64)[coded.indices.to_numpy()])


def _scored(items: pa.Table) -> pa.Table:
    return items.filter(pc.equal(items["status"], STATUS_OK))


def _chance(scored: pa.Table, within: int) -> float:
    """Not a number if the candidates of an item are not known (0)."""
    if pc.any(pc.equal(scored["candidates"], 0)).as_py():
        return math.nan
    return guessing.chance(scored["targets"].to_numpy(), scored["candidates"].to_numpy(), within)


def _average(average: Average, over: Sequence[Measure]) -> Measure:
    parts = tuple(part for measure in over for part in measure.parts)
    images = tuple(image for measure in over for image in measure.images)
    missing = sum(measure.missing for measure in over)
    if not average.pooled:
        weights = tuple(weight / len(over) for measure in over for weight in _weights(measure))
        return Measure(average.path, parts, float(np.mean([measure.chance for measure in over])), missing, weights, images)
    chance = float(np.average([measure.chance for measure in over], weights=[measure.items for measure in over]))
    return Measure(average.path, (np.concatenate(parts),), chance, missing, images=(np.concatenate(images),))


def _weights(measure: Measure) -> Sequence[float]:
    return measure.weights or [1 / len(measure.parts)] * len(measure.parts)


_MEASURES = {
    CHOICE: _choice_measures,
    CLASSIFICATION: _classification_measures,
    LINEAR_PROBE: _probe_measures,
    TEXT_RETRIEVAL: _retrieval_measures,
    IMAGE_RETRIEVAL: _retrieval_measures,
}
