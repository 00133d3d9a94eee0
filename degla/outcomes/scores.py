"""The scores that the stage hands over: one flat record per metric and model, and one per metric for the difference.

The stage writes them, `degla.report` reads the table (`degla.schemas.SCORES`). Loads no model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from degla.config import Config
from degla.files import write_text_atomic
from degla.outcomes import intervals
from degla.outcomes.measures import Measure
from degla.schemas import SCORES, write_table

BEFORE, AFTER = "before", "after"
DIFFERENCE = "difference"


class ScoreRecord(Config):
    """One number of the scorecard. Values are shares in [0, 1]; a difference is after minus before, in [-1, 1]."""

    benchmark: str
    """The benchmark's name in the experiment."""
    metric: str
    """Path of the metric: `miniworld_composition/swap_obj/accuracy`."""
    model: str
    """`before` (the pretrained model), `after` (the fine-tuned one), `difference` (after minus before on the same items), or the
    name of a further model."""
    value: float
    low: float
    """Lower limit of the 95 % interval; of a difference the paired one (see `degla.outcomes.intervals`)."""
    high: float
    """Upper limit of the 95 % interval."""
    items: int
    """Items the value was computed from."""
    items_missing: int
    """Items left out: their image is missing or cannot be decoded, or the files lack them."""
    incomplete: bool
    """Whether items are missing: the value is then not comparable with published ones."""
    chance: float | None
    """What guessing gives on average; None for a difference, or if it is not known of outcomes that were brought."""
    note: str = ""
    """What a reader must know about these values, such as `351 of 7,511 official items`."""


def model_records(benchmark: str, model: str, found: Sequence[Measure], note: str) -> list[ScoreRecord]:
    """One model's record of every metric of a benchmark."""
    return [
        _record(benchmark, model, each, intervals.accuracy(each.parts, each.weights, each.images), _known(each.chance), note)
        for each in found
    ]


def _known(chance: float) -> float | None:
    return None if math.isnan(chance) else chance


def difference_records(benchmark: str, before: Sequence[Measure], after: Sequence[Measure], note: str) -> list[ScoreRecord]:
    """After minus before for every metric, with paired intervals; both models must have been scored on the same items."""
    pairs = list(zip(before, after, strict=True))
    found = [intervals.difference(old.parts, new.parts, new.weights, new.images) for old, new in pairs]
    return [_record(benchmark, DIFFERENCE, new, change, None, note) for (_, new), change in zip(pairs, found, strict=True)]


def write_scores(folder: Path, records: Sequence[ScoreRecord]) -> list[str]:
    """Write `scores.json` (a list of records) and `scores.parquet` (the same); returns the file names."""
    rows = [record.model_dump() for record in records]
    write_text_atomic(folder / "scores.json", json.dumps(rows, indent=1))
    write_table(folder / "scores.parquet", pa.Table.from_pylist(rows, schema=SCORES), SCORES)
    return ["scores.json", "scores.parquet"]


def _record(
    benchmark: str,
    model: str,
    measure: Measure,
    estimate: intervals.Estimate,
    chance: float | None,
    note: str,
) -> ScoreRecord:
    return ScoreRecord(
        benchmark=benchmark,
        metric=f"{benchmark}/{measure.path}",
        model=model,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        items=measure.items,
        items_missing=measure.missing,
        incomplete=measure.missing > 0,
        chance=chance,
        note=note,
    )
