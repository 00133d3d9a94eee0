"""What the catalog knows of a benchmark whose items are given: its averages, and which of its official items are absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from degla.catalog import Card, card_names, load_card
from degla.outcomes.averages import BY_DEFINITION, Average, averages_of_sets
from degla.outcomes.items import CHOICE, KINDS
from degla.outcomes.table import own_images


class Known(NamedTuple):
    """Of a benchmark."""

    averages: tuple[Average, ...]
    absent: Mapping[str, int]
    """Set name to the number of official items that are not among the items."""
    notes: tuple[str, ...]
    """What a reader of the scores must know."""


def known_of(title: str, items: pa.Table) -> Known:
    """What is known of a benchmark by its name and the items of a model."""
    sets = items["set"].unique().to_pylist()
    counts = {name: pc.sum(pc.equal(items["set"], name)).as_py() // _kinds(items, name) for name in sets}
    absent, notes = absences(load_card(title), counts) if title in card_names() else ({}, [])
    if pc.all(pc.equal(items["image"], own_images(title, items["set"], items["item"]))).as_py():
        notes.append("images are not known, so that items count as independent in the intervals")
    return Known(_averages(title, items, sets), absent, tuple(notes))


def absences(card: Card, found: Mapping[str, int], every: Sequence[str] = ()) -> tuple[dict[str, int], list[str]]:
    """How many official items of each set are absent, and notes on it for the reader of the scores.

    Args:
        card: its `counts` are the official items by set.
        found: set name to items in the files.
        every: the names of all sets of the benchmark, of which only some may have been read.
    """
    absent = {name: card.counts[name] - count for name, count in found.items() if card.counts.get(name, count) > count}
    official, total = sum(card.counts.get(name, 0) for name in found), sum(found.values())
    notes = [f"{total:,} of {official:,} official items"] if official and total != official else []
    if len(found) < len(every):
        notes.append(f"{len(found)} of {len(every)} subsets")
    return absent, notes


def _kinds(items: pa.Table, name: str) -> int:
    """Kinds of outcome of each item of a set: three of Winoground's. Those of groups are not counted."""
    kinds = items.filter(pc.equal(items["set"], name))["kind"].unique().to_pylist()
    return max(1, sum(kind in KINDS for kind in kinds))


def _averages(title: str, items: pa.Table, sets: Sequence[str]) -> tuple[Average, ...]:
    """Those of the benchmark's definition; else means over its sets of each kind of accuracy."""
    if title in card_names() and (own := BY_DEFINITION.get(load_card(title).reader)):
        return own
    kinds = items["kind"].unique().to_pylist()
    metrics = ["accuracy" if kind == CHOICE else f"{kind}_accuracy" for kind in kinds]
    return averages_of_sets(sets, metrics)
