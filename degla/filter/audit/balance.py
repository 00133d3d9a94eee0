"""Balance: drops as few pairs as it can such that the accuracy of the text-only classifier is at most a target.

After SugarCrepe's refinement (Hsieh et al., arXiv 2306.14610): as many pairs should speak against the caption as for it. Theirs
looks at pairs alone. Here the captions come first: of the pairs that give their caption away, those go first whose caption has
more negatives than a training step takes, the most telling before others; then the most telling of the rest. After each round
the classifier is trained again on what is left, since dropping pairs changes the statistics of the rest. Each round decides in
another split of the images, and the last one finds nothing to drop in a split that has decided nothing. The audit measures in
one that never decides.
"""

from __future__ import annotations

import logging
import math

import numpy as np

from degla.filter.audit.accuracy import SPLIT, accuracy_of
from degla.filter.audit.text_classifier import score_pairs
from degla.filter.audit.word_pairs import WordPairs

logger = logging.getLogger(__name__)

MARGIN = 0.05
"""How far above the target each type and generator may be, as long as all pairs together are not."""
NUM_NEGATIVES = 4
"""Negatives of a caption that a training step takes (DeGLA's K); more than these go first."""
MAX_ROUNDS = 20
_MORE = 1.25  # after the first round: pairs chosen in one split lower the accuracy in another by less
_LEAST = 0.002  # of the pairs, dropped in each round, so that the rounds end


def balance(pairs: WordPairs, target: float) -> np.ndarray:
    """The pairs to keep, (N,) bool: their blind accuracy is at most `target`, that of each type and generator `target` + MARGIN.

    Args:
        pairs: all pairs.
        target: in [0.5, 1); what is at or below it loses nothing.
    """
    kept = np.ones(len(pairs), bool)
    rows, left = np.arange(len(pairs)), pairs
    for number in range(1, MAX_ROUNDS + 1):
        odds = score_pairs(left, SPLIT + number).both
        dropped = most_telling(left, odds, target, _MORE if number > 1 else 1)
        if not dropped.any():
            return kept
        kept[rows[dropped]] = False
        rows, left = rows[~dropped], left.where(~dropped)
    logger.warning("the target of %s was not reached in %s rounds; the audit says what was", target, MAX_ROUNDS)
    return kept


def most_telling(pairs: WordPairs, odds: np.ndarray, target: float, more: float = 1) -> np.ndarray:
    """The pairs to drop, (N,) bool, if their log-odds stayed as they are.

    Args:
        pairs: all that are left.
        odds: their log-odds, (N,) float64.
        target: of all pairs.
        more: times as many as the target needs.
    """
    order = _first_to_go(pairs, odds)
    dropped = np.zeros(len(pairs), bool)
    for cell in np.unique(pairs.cell):
        of_cell = pairs.cell == cell
        count = _surplus(odds[of_cell], min(target + MARGIN, 1), more)
        dropped[order[of_cell[order]][:count]] = True
    left = ~dropped
    dropped[order[left[order]][: _surplus(odds[left], target, more)]] = True
    return dropped


def _surplus(odds: np.ndarray, limit: float, more: float) -> int:
    """How many pairs that are told rightly must go for an accuracy of at most `limit`."""
    telling = accuracy_of(odds) - limit if len(odds) else 0
    if telling <= 0:
        return 0
    needed = math.ceil(round(telling * len(odds) / (1 - limit), 6))
    return max(math.ceil(needed * more), math.ceil(_LEAST * len(odds)))


def _first_to_go(pairs: WordPairs, odds: np.ndarray) -> np.ndarray:
    """The pairs that are told rightly, in the order in which they are dropped; ties by hash, so that no order of rows decides."""
    by_chance = pairs.hashes()
    by_caption = np.lexsort((by_chance, odds, pairs.caption))
    rank = np.empty(len(pairs), np.int64)  # among the negatives of its caption, the least telling is 0
    captions = pairs.caption[by_caption]
    rank[by_caption] = np.arange(len(pairs)) - np.searchsorted(captions, captions)
    told = np.flatnonzero(odds > 0)
    return told[np.lexsort((by_chance[told], -odds[told], rank[told] < NUM_NEGATIVES))]
