"""Two models on the items that both were scored on: every metric of each, and the paired difference with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from degla.errors import DataError
from degla.markdown import markdown_table
from degla.outcomes.items import ITEMS, STATUS_OK
from degla.outcomes.measures import measures
from degla.outcomes.outcome import Outcome
from degla.outcomes.scores import DIFFERENCE, ScoreRecord, difference_records, model_records

_KEY = ["set", "kind", "item"]


def compare(outcomes: Sequence[Outcome], first: str, second: str) -> list[ScoreRecord]:
    """The records of two models, and of the second minus the first, on the items that both were scored on.

    Raises:
        DataError: they share no benchmark, or not an item of one.
    """
    found = {(each.model, each.benchmark): each for each in outcomes}
    shared = [each.benchmark for each in outcomes if each.model == first and (second, each.benchmark) in found]
    if not shared:
        raise DataError(f"{first} and {second} have no benchmark in common")
    made: list[ScoreRecord] = []
    for benchmark in dict.fromkeys(shared):
        pair = [found[model, benchmark] for model in (first, second)]
        tables = _shared([each.items for each in pair])
        if not tables[0].num_rows:
            raise DataError(f"{benchmark}: {first} and {second} have no item in common; are their ids of the same kind?")
        left = max(each.items.num_rows for each in pair) - tables[0].num_rows
        note = f"{left:,} outcomes are of one of the two models alone" if left else ""
        averages = max((each.averages for each in pair), key=len)
        of_models = [{each.path: each for each in measures(items, averages)} for items in tables]
        paths = [path for path in of_models[0] if path in of_models[1]]
        old, new = ([own[path] for path in paths] for own in of_models)
        made += model_records(benchmark, first, old, note) + model_records(benchmark, second, new, note)
        made += difference_records(benchmark, old, new, note)
    return made


def as_markdown(records: Sequence[ScoreRecord], first: str, second: str) -> str:
    """The table: a row for each metric."""
    of = {(each.metric, each.model): each for each in records}
    rows = []
    for metric in dict.fromkeys(each.metric for each in records):
        old, new, change = (of[metric, model] for model in (first, second, DIFFERENCE))
        interval = f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"
        rows.append([f"`{metric}`", f"{new.items:,}", f"{100 * old.value:.1f}", f"{100 * new.value:.1f}", interval])
    notes = dict.fromkeys(f"- {each.benchmark}: {each.note}" for each in records if each.note)
    table = markdown_table(["metric", "items", first, second, "difference"], rows)
    return "\n\n".join([table, *(["\n".join(notes)] if notes else [])])


def _shared(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """The rows of each of two tables whose items are scored in both, in one order; their images are those of the table that has
    more items of an image, their labels those of the table that has more of them: outcomes that were brought may lack either."""
    tables = [table.filter(pc.equal(table["status"], STATUS_OK)).combine_chunks() for table in tables]
    keys = [pc.binary_join_element_wise(*(table[name] for name in _KEY), "\x1f").combine_chunks() for table in tables]
    both = keys[0].filter(pc.is_in(keys[0], keys[1]))
    taken = [table.take(pc.index_in(both, key)) for table, key in zip(tables, keys, strict=True)]
    images = min((table["image"] for table in taken), key=lambda column: len(column.unique()))
    labels = min((table["label"] for table in taken), key=lambda column: column.null_count)
    places = {name: ITEMS.names.index(name) for name in ("image", "label")}
    return [
        table.set_column(places["image"], ITEMS.field("image"), images).set_column(places["label"], ITEMS.field("label"), labels)
        for table in taken
    ]
