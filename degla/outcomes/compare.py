"""Models side by side on the items that all of them were scored on, and the paired differences of two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from degla.errors import DataError
from degla.markdown import markdown_table
from degla.outcomes import intervals
from degla.outcomes.intervals import Estimate
from degla.outcomes.items import ITEMS, STATUS_OK
from degla.outcomes.measures import Measure, means, measures
from degla.outcomes.outcome import Outcome
from degla.outcomes.paired import Paired, holm, paired, stars
from degla.outcomes.suites import SUITES

_KEY = ["set", "kind", "item"]

STARS_NOTE = "Stars: p < 0.05 *, < 0.01 **, < 0.001 ***, corrected by Holm's method for the {count:,} comparisons of this page."


@dataclass(frozen=True)
class SideBySide:
    """Models on the items that all of them have."""

    models: Mapping[str, Mapping[str, Measure]]
    """Model to metric (`sugarcrepe/swap_obj/accuracy`) to the metric on the shared items."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Benchmark to what a reader must know of its items."""


@dataclass(frozen=True)
class Change:
    """A metric of two models on the same items."""

    metric: str
    items: int
    first: Estimate
    second: Estimate
    change: Estimate
    """The second minus the first, with its paired interval."""
    test: Paired
    corrected: float = 1.0
    """The test's probability, corrected for the number of comparisons."""

    @property
    def stars(self) -> str:
        """Of the corrected probability."""
        return stars(self.corrected)


def side_by_side(outcomes: Sequence[Outcome]) -> SideBySide:
    """The metrics of each model on each benchmark, on the items that all models with this benchmark were scored on; and the
    averages over several benchmarks.

    Raises:
        DataError: the models of a benchmark have no item in common.
    """
    found: dict[str, dict[str, Measure]] = {each.model: {} for each in outcomes}
    notes: dict[str, str] = {}
    for benchmark in dict.fromkeys(each.benchmark for each in outcomes):
        own = [each for each in outcomes if each.benchmark == benchmark]
        tables = shared_items([each.items for each in own])
        if not tables[0].num_rows:
            names = " and ".join(each.model for each in own)
            raise DataError(f"{benchmark}: {names} have no item in common; are their ids of the same kind?")
        rows, told = [each.items.num_rows for each in own], []
        if len({*rows, tables[0].num_rows}) > 1:
            counts = ", ".join(f"{each.model} {count:,}" for each, count in zip(own, rows, strict=True))
            told.append(f"compared on the {tables[0].num_rows:,} outcomes that all models have ({counts})")
        absent = max(sum((each.absent or {}).values()) for each in own)
        if absent:
            told.append(f"{absent:,} official items are absent, so that the scores are not comparable with published ones")
        if told:
            notes[benchmark] = "; ".join(told)
        averages = max((each.averages for each in own), key=len)
        for each, items in zip(own, tables, strict=True):
            found[each.model] |= {f"{benchmark}/{made.path}": made for made in measures(items, averages)}
    for suite in SUITES:
        for made in found.values():
            made |= {f"{suite.name}/{mean.path}": mean for mean in means(suite.averages, made)}
    return SideBySide(found, notes)


def changes(models: SideBySide, first: str, second: str) -> list[Change]:
    """Every metric that both models have. Probabilities are not corrected yet: see `corrected`."""
    old, new = models.models[first], models.models[second]
    return [_change(metric, old[metric], new[metric]) for metric in old if metric in new]


def corrected(found: Sequence[Change]) -> list[Change]:
    """The same with the probabilities corrected for their number."""
    probabilities = holm([each.test.probability for each in found])
    return [replace(each, corrected=probability) for each, probability in zip(found, probabilities, strict=True)]


def estimate(measure: Measure) -> Estimate:
    """A metric with its interval."""
    return intervals.accuracy(measure.parts, measure.weights, measure.images)


def probability(value: float) -> str:
    """A probability in a table."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def as_markdown(found: Sequence[Change], notes: Mapping[str, str], first: str, second: str) -> str:
    """The table of two models: a row for each metric."""
    rows = []
    for each in found:
        interval = f"{100 * each.change.value:+.1f} ({100 * each.change.low:+.1f} to {100 * each.change.high:+.1f}){each.stars}"
        rows.append([f"`{each.metric}`", f"{each.items:,}", *(f"{100 * side.value:.1f}" for side in (each.first, each.second))])
        rows[-1] += [interval, *(f"{count:,}" if count is not None else "" for count in (each.test.fixed, each.test.broken))]
        rows[-1].append(probability(each.corrected))
    table = markdown_table(["metric", "items", first, second, "difference", "fixed", "broken", "p"], rows)
    listed = "\n".join(f"- {benchmark}: {note}" for benchmark, note in notes.items())
    return "\n\n".join(filter(None, [table, STARS_NOTE.format(count=len(found)), listed]))


def _change(metric: str, old: Measure, new: Measure) -> Change:
    change = intervals.difference(old.parts, new.parts, new.weights, new.images)
    test = paired(old.parts, new.parts, new.weights, new.images)
    return Change(metric, new.items, estimate(old), estimate(new), change, test)


def shared_items(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """The rows of each table whose items are scored in all, in one order; their images are those of the table that has most items
    of an image, their labels those of the table that has most of them: outcomes that were brought may lack either."""
    tables = [table.filter(pc.equal(table["status"], STATUS_OK)).combine_chunks() for table in tables]
    keys = [pc.binary_join_element_wise(*(table[name] for name in _KEY), "\x1f").combine_chunks() for table in tables]
    every = keys[0]
    for other in keys[1:]:
        every = every.filter(pc.is_in(every, other))
    taken = [table.take(pc.index_in(every, key)) for table, key in zip(tables, keys, strict=True)]
    images = min((table["image"] for table in taken), key=lambda column: len(column.unique()))
    labels = min((table["label"] for table in taken), key=lambda column: column.null_count)
    places = {name: ITEMS.names.index(name) for name in ("image", "label")}
    return [
        table.set_column(places["image"], ITEMS.field("image"), images).set_column(places["label"], ITEMS.field("label"), labels)
        for table in taken
    ]
