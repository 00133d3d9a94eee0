"""Which of a benchmark's official sets its files hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

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
