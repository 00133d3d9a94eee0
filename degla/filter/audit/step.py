"""The audit as a step of the filter stage: drops what is implausible, audits the rest, and drops what `filter.audit.target`
asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from degla.database import Database
from degla.filter.audit.accuracy import ALL, DEFINITION, SPLIT, BlindAccuracy, audit
from degla.filter.audit.balance import balance
from degla.filter.audit.plausibility import is_plausible, trade_off
from degla.filter.audit.text_classifier import score_pairs
from degla.filter.audit.word_pairs import WordPairs, read_pairs
from degla.filter.config import FilterConfig
from degla.filter.rules import BLIND_BALANCE, plausible_rule
from degla.filter.sieve import Chunk, enter, refuse

logger = logging.getLogger(__name__)


def audit_kept(database: Database, config: FilterConfig, chunks: Sequence[Chunk]) -> dict[str, Any]:
    """Audit the texts that `verdicts` keeps, and refuse there what `max_lm_gap` and `audit.target` ask for.

    Returns, as JSON values:
        `definition` of the measure; `rows` of `degla.filter.audit.accuracy.audit` over what is kept; `balanced`: null, or for
        each type and generator that the target took pairs from their number before, how many were dropped, and its blind
        accuracy before and after (null if none is left); `trade_off` of `degla.filter.audit.plausibility`, of the pairs before
        the target was asked for.
    """
    pairs = read_pairs(_captions(database, chunks), _kept(database, chunks))
    if limits := config.lm_gap_limits():
        pairs = _keep(database, pairs, is_plausible(pairs, limits), plausible_rule(limits).name)
    odds = score_pairs(pairs, SPLIT)
    rows, curve, balanced = audit(pairs, odds), trade_off(pairs, odds.both), None
    if config.audit.target is not None:
        pairs = _keep(database, pairs, balance(pairs, config.audit.target), BLIND_BALANCE.name)
        before, rows = rows, audit(pairs)
        balanced = [_change(row, rows) for row in before if ALL not in (row.type, row.generator)]
        balanced = [change for change in balanced if change["dropped"]]
    for row in rows:
        logger.info("blind accuracy, %s by %s: %s of %s", row.type, row.generator, _percent(row.blind_accuracy), f"{row.pairs:,}")
    audited = [row.as_json() for row in rows]
    return {"definition": DEFINITION, "rows": audited, "balanced": balanced, "trade_off": curve}


def blind_counts(audited: Mapping[str, Any]) -> dict[str, float]:
    """The blind accuracy of all pairs, for the artifact's counts; empty if nothing was kept."""
    rows = audited["rows"]
    return {"blind_accuracy": rows[0]["blind_accuracy"]} if rows else {}


def _captions(database: Database, chunks: Sequence[Chunk]) -> Iterator[pa.RecordBatch]:
    return _batches(database, chunks, "select caption_id, image_id, caption from captions")


def _kept(database: Database, chunks: Sequence[Chunk]) -> Iterator[pa.RecordBatch]:
    columns = "caption_id, type, candidate, attempt, generator, text, lm_gap"
    return _batches(database, chunks, f"select {columns} from judged where rule is null")


def _batches(database: Database, chunks: Sequence[Chunk], query: str) -> Iterator[pa.RecordBatch]:
    for chunk in chunks:
        enter(database, chunk)
        yield from database.arrow(query).to_batches()


def _keep(database: Database, pairs: WordPairs, stays: np.ndarray, rule: str) -> WordPairs:
    """The pairs that stay; the others are refused by the rule in `verdicts`."""
    dropped = pairs.where(~stays)
    types = pa.DictionaryArray.from_arrays(dropped.cell, pa.array([type_ for type_, _ in dropped.cells], pa.string()))
    columns = {
        "caption_id": dropped.caption_ids[dropped.caption],
        "type": types.cast(pa.string()),
        "candidate": dropped.candidate,
        "attempt": dropped.attempt,
    }
    database.register("dropped", pa.table(columns))
    refuse(database, rule, "dropped")
    return pairs.where(stays)


def _change(before: BlindAccuracy, rows: Sequence[BlindAccuracy]) -> dict[str, Any]:
    """What the target took from one type by one generator."""
    after = next((row for row in rows if (row.type, row.generator) == (before.type, before.generator)), None)
    dropped = before.pairs - (after.pairs if after else 0)
    if dropped:
        figures = f"{_percent(before.blind_accuracy)} to {_percent(after.blind_accuracy)}" if after else "none is left"
        logger.info("%s by %s: dropped %s of %s: %s", before.type, before.generator, f"{dropped:,}", f"{before.pairs:,}", figures)
    return {
        "type": before.type,
        "generator": before.generator,
        "pairs": before.pairs,
        "dropped": dropped,
        "before": round(before.blind_accuracy, 4),
        "after": round(after.blind_accuracy, 4) if after else None,
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
