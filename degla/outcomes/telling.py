"""Which items say most about some models: the order in which pages show and keep them if there is no room for all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from degla.outcomes.outcome import Outcome


class Key(NamedTuple):
    """Names an item of a benchmark."""

    benchmark: str
    set: str
    kind: str
    item: str


def most_telling(outcomes: Sequence[Outcome]) -> Iterator[Key]:
    """The scored items in turns from all sets: first those that some models have right and others wrong, then those that all
    have wrong, then the rest; in each the smallest margin first."""
    found: dict[Key, tuple[set[bool], float]] = {}
    for outcome in outcomes:
        columns = (outcome.items[name].to_pylist() for name in ("set", "kind", "item", "correct", "margin"))
        for name, kind, item, correct, margin in zip(*columns, strict=True):
            if correct is not None:
                right, least = found.get(key := Key(outcome.benchmark, name, kind, item), (set(), math.inf))
                known = 0.0 if margin is None or math.isnan(margin) else margin
                found[key] = right | {correct}, min(least, known)
    queues: dict[tuple[str, str, str], list[Key]] = {}
    for key in sorted(found, key=lambda each: _telling(*found[each])):  # stable: the order of the files among equals
        queues.setdefault(key[:3], []).append(key)
    for turn in zip_longest(*queues.values()):
        yield from (key for key in turn if key)


def _telling(right: set[bool], margin: float) -> tuple[int, float]:
    return 0 if len(right) > 1 else 1 + right.copy().pop(), margin
