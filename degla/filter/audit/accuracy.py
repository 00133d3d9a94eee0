"""The artefact audit: how well a model that never sees the image tells captions from their negatives.

The blind accuracy is the share of pairs in which the blind model (`degla.filter.audit.blind_model`) takes the caption for
the caption; a tie counts half. At 0.5 nothing can be learnt from the text alone; what is above can be learnt instead of looking.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from degla.errors import DataError
from degla.filter.audit.blind_model import Gaps, score_gaps
from degla.filter.audit.word_pairs import WordPairs

SPLIT = 0
"""The halves of the images by which every audit is made. No pair is ever dropped for its score in this split."""

ALL = "all"
"""Stands for every type, and for every generator."""

DEFINITION = (
    "Share of pairs in which a model that sees no image takes the caption for the caption; 0.5 = no artefact. It knows captions"
    " by trigrams, and what is changed in them by naive Bayes over words and pairs of neighbours, both from the other half of the"
    " images; `captions_alone` is without the second. The 95 % intervals take pairs as independent."
)
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class BlindAccuracy:
    """How well captions are told from the negatives of a type and generator. Shares in [0, 1]."""

    type: str
    generator: str
    pairs: int
    blind_accuracy: float
    low: float
    """Of the 95 % interval (Wilson 1927)."""
    high: float
    captions_alone: float
    """Blind accuracy of the caption model, which has read no negative."""

    def as_json(self) -> dict[str, Any]:
        """The columns, shares to four decimals."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in vars(self).items()}


def audit(pairs: WordPairs) -> list[BlindAccuracy]:
    """Blind accuracies of all pairs (the first), of each generator, each type, and each type by each generator.

    Sums of one, and of what another row has summed up, are left out: no two rows say the same.
    """
    gaps = score_gaps(pairs, SPLIT)
    return [_measure(kind, gaps, rows) for kind, rows in _kinds(pairs)]


def accuracy_of(gaps: np.ndarray) -> float:
    """The share of positive gaps, with half of those that are 0."""
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def check_audit(rows: Iterable[BlindAccuracy], limit: float, look: str) -> None:
    """The gate.

    Raises:
        DataError: a type by a generator is told by more than `limit`, even at the low end of its interval. Its last sentence is
            `look`.
    """
    for row in rows:
        if row.low > limit and ALL not in (row.type, row.generator):
            raise DataError(
                f"{row.type} by {row.generator}: a model that sees no image tells the caption from the negative in"
                f" {100 * row.blind_accuracy:.1f} % of {row.pairs:,} pairs, more than filter.audit.max_blind_accuracy={limit:g}."
                f" Set filter.audit.refine={min(limit, 0.6):g} to drop pairs until it does not, take another generator or prompt"
                f" for this type, or raise the limit. {look}"
            )


def _kinds(pairs: WordPairs) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """(type, generator) and its pairs, where there are any; `all` stands for several of them."""
    present = {pairs.cells[cell]: cell for cell in np.unique(pairs.cell)}
    types, generators = ((ALL, *sorted(set(names))) for names in (zip(*present, strict=True) if present else ((), ())))
    summed = set()
    for kind in itertools.product(types, generators):
        cells = tuple(cell for each, cell in present.items() if all(a in (ALL, b) for a, b in zip(kind, each, strict=True)))
        if kind in present or (len(cells) > 1 and cells not in summed):
            summed.add(cells)
            yield kind, np.flatnonzero(np.isin(pairs.cell, cells))


def _measure(kind: tuple[str, str], gaps: Gaps, rows: np.ndarray) -> BlindAccuracy:
    accuracy = accuracy_of(gaps.both[rows])
    return BlindAccuracy(*kind, len(rows), accuracy, *_wilson(accuracy, len(rows)), accuracy_of(gaps.captions[rows]))


def _wilson(share: float, total: int) -> tuple[float, float]:
    denominator = 1 + _Z95**2 / total
    centre = (share + _Z95**2 / (2 * total)) / denominator
    half = _Z95 / denominator * math.sqrt(share * (1 - share) / total + _Z95**2 / (4 * total**2))
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))
