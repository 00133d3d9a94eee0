"""The documented table of outcomes, and its rows as the items that evaluate keeps (`degla.outcomes.items.ITEMS`), and back."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from degla.outcomes.guessing import match_chance
from degla.outcomes.items import CHOICE, ITEMS, STATUS_OK, STATUS_UNSCORED, TEXT_ORIGINAL, TEXT_REWRITTEN

OUTCOMES = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("subset", pa.string(), nullable=False),  # a set of the benchmark: swap_obj
        pa.field("item", pa.string(), nullable=False),  # its id, unique within benchmark, subset, kind and model
        pa.field("model", pa.string(), nullable=False),
        pa.field("right", pa.bool_()),  # null: not scored
        pa.field("margin", pa.float64()),  # cosine with the right answer minus the largest with a wrong one; null: not known
        # the columns below may be left out of a table that is brought
        pa.field("kind", pa.string(), nullable=False),  # degla.evaluate.benchmark.KINDS, or a group's; left out: choice
        pa.field("image", pa.string(), nullable=False),  # items that share one are a cluster; left out: each has its own
        pa.field("label", pa.string()),  # the image's class, or the item's group in a macro accuracy
        pa.field("rank", pa.int64()),  # of retrieval: place of the first right answer
        pa.field("r_precision", pa.float64()),  # of retrieval with several right answers: share of them among the R nearest
        pa.field("average_precision", pa.float64()),  # the same: mAP@R
        pa.field("targets", pa.int64(), nullable=False),  # right answers among the candidates; left out: 1
        pa.field("candidates", pa.int64(), nullable=False),  # answers to choose from; 0: not known, and so is chance
    ]
)

REQUIRED = ("benchmark", "subset", "item", "model", "right")
"""Columns that a table must have; `right` may be left out if there is a margin."""

_RENAMED = {"subset": "set", "right": "correct"}
_MATCHES = match_chance(2) | dict.fromkeys((TEXT_ORIGINAL, TEXT_REWRITTEN), (1, 2))


def of_items(items: pa.Table, benchmark: str, model: str) -> pa.Table:
    """The outcomes of a model on a benchmark."""
    fixed = {"benchmark": benchmark, "model": model}
    columns = [
        pa.array([fixed[name]] * items.num_rows, pa.string()) if name in fixed else items[_RENAMED.get(name, name)]
        for name in OUTCOMES.names
    ]
    return pa.table(columns, schema=OUTCOMES)


def to_items(outcomes: pa.Table) -> pa.Table:
    """The items of one model on one benchmark. Outcomes that are null count as missing."""
    scored = pc.is_valid(outcomes["right"])
    made = {
        "status": pc.if_else(scored, STATUS_OK, STATUS_UNSCORED),
        "truncated": pa.array([False] * outcomes.num_rows),
        "indistinct": pa.array([False] * outcomes.num_rows),
    }
    names = {new: old for old, new in _RENAMED.items()}
    columns = []
    for field in ITEMS:
        name = names.get(field.name, field.name)
        if field.name in made:
            columns.append(made[field.name])
        else:
            columns.append(outcomes[name] if name in OUTCOMES.names else pa.nulls(outcomes.num_rows, field.type))
    return pa.table(columns, schema=ITEMS)


def own_images(benchmark: Any, subset: Any, item: Any) -> Any:
    """An image for each item, if a table names none: columns, or texts for all rows."""
    return pc.binary_join_element_wise(benchmark, subset, item, "/")


def odds(kind: str, candidates: int | None) -> tuple[int, int]:
    """Right answers and candidates of an item whose table does not say them; 0 candidates if they are not known."""
    if candidates is not None and kind == CHOICE:
        return 1, candidates
    return _MATCHES.get(kind, (1, 0))
