"""Whether a benchmark's files hold all of its official items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from degla.catalog import Card


def absences(card: Card, found: Mapping[str, int], every: Sequence[str] = ()) -> tuple[dict[str, int], list[str]]:
    """How many official items of each set are absent, and notes on it for the reader of the scores.

    Args:
        card: its `counts` are the official items by set.
        found: set name to items in the files.
        every: the names of all sets of the benchmark, where only some may have been read.
    """
    absent = {name: card.counts[name] - count for name, count in found.items() if card.counts.get(name, count) > count}
    official, total = sum(card.counts.get(name, 0) for name in found), sum(found.values())
    notes = [f"{total:,} of {official:,} official items"] if official and total != official else []
    if len(found) < len(every):
        notes.append(f"{len(found)} of {len(every)} subsets")
    return absent, notes
