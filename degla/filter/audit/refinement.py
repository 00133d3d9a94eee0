"""Adversarial refinement: drops pairs until the accuracy of the text-only classifier is at most a target.

After SugarCrepe's (Hsieh et al., arXiv 2306.14610): at each size of the log-odds, as many pairs should speak against the caption
as for it. Theirs balances every size; here pairs are dropped evenly over the sizes, only as many as the target needs. After
each round the classifier is trained again on what is left, since dropping pairs changes the statistics of the rest. Each round
decides in another split of the images, and the result is measured in a split that decides nothing, so it holds for any split.
"""

from __future__ import annotations

import logging
import math

import numpy as np

from degla.filter.audit.accuracy import SPLIT, accuracy_of
from degla.filter.audit.text_classifier import score_pairs
from degla.filter.audit.word_pairs import WordPairs

logger = logging.getLogger(__name__)

MAX_ROUNDS = 20
_WIDTH = 1.0  # of a class of log-odds, in nats
_MORE = 1.25  # after the first round: pairs chosen in one split lower the accuracy in another by less
_LEAST = 0.01  # of the pairs, dropped in each round, so that the rounds end


def balance(pairs: WordPairs, target: float) -> np.ndarray:
    """The pairs to keep, (N,) bool: each type by each generator is left with a blind accuracy of at most `target`.

    Args:
        pairs: all pairs.
        target: in [0.5, 1); a type and generator at or below it loses nothing.
    """
    kept = np.ones(len(pairs), bool)
    rows, left = np.arange(len(pairs)), pairs
    for number in range(1, MAX_ROUNDS + 1):
        surplus = _surplus(left, target)
        above = np.isin(left.cell, list(surplus))
        rows, left = rows[above], left.where(above)
        if not surplus:
            return kept
        stays = _drop(left, surplus, number)
        kept[rows[~stays]] = False
        rows, left = rows[stays], left.where(stays)
    names = ", ".join(" by ".join(pairs.cells[cell]) for cell in _surplus(left, target))
    if names:
        logger.warning("refinement stopped after %s rounds with %s still above %s", MAX_ROUNDS, names, target)
    return kept


def most_telling(odds: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """Positions of up to `count` pairs to drop, taken evenly from the classes in which the caption is favoured too often.

    Args:
        odds: log-odds of the pairs, (n,) float64.
        order: a number for each pair; within a class the lowest go first.
        count: number of pairs.
    """
    width = np.ceil(np.abs(odds) / _WIDTH).astype(np.int64)
    most = int(width.max(initial=0)) + 1
    excess = np.bincount(width[odds > 0], minlength=most) - np.bincount(width[odds < 0], minlength=most)
    places = np.flatnonzero(odds > 0)
    places = places[np.lexsort((order[places], width[places]))]
    classes = width[places]
    rank = np.arange(len(places)) - np.searchsorted(classes, classes)
    surplus = rank < excess[classes]
    places, turn = places[surplus], (rank[surplus] + 0.5) / excess[classes[surplus]]
    return places[np.lexsort((order[places], turn))][:count]


def _drop(pairs: WordPairs, surplus: dict[int, int], number: int) -> np.ndarray:
    """The pairs that stay after this round, (N,) bool."""
    odds, order = score_pairs(pairs, SPLIT + number).both, _random_order(pairs)
    stays = np.ones(len(pairs), bool)
    for cell, count in surplus.items():
        rows = np.flatnonzero(pairs.cell == cell)
        wanted = max(math.ceil(count * (_MORE if number > 1 else 1)), math.ceil(_LEAST * len(rows)))
        stays[rows[most_telling(odds[rows], order[rows], wanted)]] = False
    return stays


def _surplus(pairs: WordPairs, target: float) -> dict[int, int]:
    """For each type and generator above the target, the number of pairs to drop."""
    odds = score_pairs(pairs, SPLIT).both
    surplus = {}
    for cell in np.unique(pairs.cell):
        of_cell = odds[pairs.cell == cell]
        telling = accuracy_of(of_cell) - target
        if telling > 0:
            surplus[int(cell)] = math.ceil(round(telling * len(of_cell) / (1 - target), 6))
    return surplus


def _random_order(pairs: WordPairs) -> np.ndarray:
    """A hash of each pair's caption, candidate and attempt, (N,) uint64 (SplitMix64)."""
    state = np.zeros(len(pairs), np.uint64)
    for column in (pairs.caption_ids[pairs.caption], pairs.candidate, pairs.attempt):
        state = (state ^ column.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state
