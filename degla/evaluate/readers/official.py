"""Which of a benchmark's official sets and items its files hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from degla.catalog import Card
from degla.errors import MissingInputError

Name = TypeVar("Name", bound=str)
Set = TypeVar("Set")


def readable_sets(names: Iterable[Name], read: Callable[[Name], Set]) -> tuple[tuple[Set, ...], list[str]]:
    """The sets whose files exist, and a note for each of the others. Raises MissingInputError if none do."""
    sets, notes = [], []
    for name in names:
        try:
            sets.append(read(name))
        except MissingInputError as error:
            notes.append(f"{name} is not scored: {error}")
    if notes and not sets:
        raise MissingInputError(notes[0])
    return tuple(sets), notes


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
