"""The artefact audit: the blind accuracy of negatives, the accuracy of a text-only classifier on (caption, negative) pairs.

A tie counts half. At 0.5 the text gives nothing away; above it, a CLIP in training can learn the artefact instead of looking at
the image, as models did on ARO and CREPE (SugarCrepe, arXiv 2306.14610).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from degla.errors import DataError
from degla.filter.audit.text_classifier import LogOdds, score_pairs
from degla.filter.audit.word_pairs import WordPairs
from degla.outcomes.intervals import wilson

SPLIT = 0
"""Seeds the halves of the images for every audit. What decides on pairs does so in other splits, so it cannot fit this one."""

ALL = "all"
"""Stands for every type, and for every generator."""

DEFINITION = (
    "Blind accuracy: the accuracy of a text-only classifier on (caption, negative) pairs; 0.5 = no artefact. It adds a trigram"
    " model of captions and naive Bayes over the changed words and bigrams, both trained on the other half of the images;"
    " `captions_alone` is the first alone. The 95 % intervals assume independent pairs."
)


@dataclass(frozen=True)
class BlindAccuracy:
    """Accuracy of the text-only classifier on the pairs of a type and generator, in [0, 1]."""

    type: str
    generator: str
    pairs: int
    blind_accuracy: float
    low: float
    """Lower end of the 95 % interval (Wilson 1927)."""
    high: float
    captions_alone: float
    """Accuracy of the trigram model alone, which has read no negative."""

    def as_json(self) -> dict[str, Any]:
        """The columns, shares to four decimals."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in vars(self).items()}


def audit(pairs: WordPairs, odds: LogOdds | None = None) -> list[BlindAccuracy]:
    """Blind accuracies of all pairs (the first row), each generator, each type, and each type by each generator.

    A row over the same pairs as another one is left out. `odds` are those of `score_pairs(pairs, SPLIT)`, if they are there.
    """
    odds = odds or score_pairs(pairs, SPLIT)
    return [_measure(group, odds, rows) for group, rows in _groups(pairs)]


def accuracy_of(odds: np.ndarray) -> float:
    """The share of positive log-odds, with half of those that are 0."""
    return float(told(odds).mean())


def told(odds: np.ndarray) -> np.ndarray:
    """1 for positive log-odds, 1/2 for 0, else 0."""
    return (odds > 0) + 0.5 * (odds == 0)


def check_audit(rows: Iterable[BlindAccuracy], limit: float, look: str) -> None:
    """The gate. Raises DataError, ending with `look`, if the lower 95 % bound for any type and generator exceeds `limit`."""
    for row in rows:
        if row.low > limit and ALL not in (row.type, row.generator):
            raise DataError(
                f"{row.type} by {row.generator}: the accuracy of a text-only classifier is {100 * row.blind_accuracy:.1f} % on"
                f" {row.pairs:,} pairs (50 = no artefact), more than filter.audit.max_blind_accuracy={limit:g}. Set"
                f" filter.audit.target={max(0.5, limit - 0.05):g} to drop pairs, use another generator or prompt for this type,"
                f" or raise the limit. {look}"
            )


def _groups(pairs: WordPairs) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """(type, generator) and its pairs, if there are any; `all` stands for several."""
    present = {pairs.cells[cell]: cell for cell in np.unique(pairs.cell)}
    types, generators = ((ALL, *sorted(set(names))) for names in (zip(*present, strict=True) if present else ((), ())))
    summed = set()
    for group in itertools.product(types, generators):
        cells = tuple(cell for each, cell in present.items() if all(a in (ALL, b) for a, b in zip(group, each, strict=True)))
        if group in present or (len(cells) > 1 and cells not in summed):
            summed.add(cells)
            yield group, np.flatnonzero(np.isin(pairs.cell, cells))


def _measure(group: tuple[str, str], odds: LogOdds, rows: np.ndarray) -> BlindAccuracy:
    found = wilson(accuracy_of(odds.both[rows]), len(rows))
    return BlindAccuracy(*group, len(rows), found.value, found.low, found.high, accuracy_of(odds.captions[rows]))
