"""Plausibility: how much less likely than its caption a negative reads, in nats, and what a limit on that would keep.

The gap is log p(caption) - log p(negative) of the whole texts. A row has it from the language model that wrote or chose its text
(column `lm_gap`); of all others it comes from the trigram model of `text_classifier`, trained on the captions of the other half
of the images, so that no text is scored by a model that has read a caption of its image.

Why trigrams, on COCO val2017 (255,826 negatives by rules): bigrams have a perplexity of 46.4, trigrams 38.8, 4-grams 37.3 and
5-grams 37.2. Where each keeps 40 % of the negatives, a real language model (SmolLM2-135M) prefers the caption of 65.5, 63.5, 64.5
and 64.4 % of them: what an edit breaks lies within two words of it. A GRU took more than 200 CPU seconds for one epoch on half of
the captions; trigrams take 0.3 for everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from degla.filter.audit.accuracy import ALL, SPLIT, told
from degla.filter.audit.text_classifier import score_captions
from degla.filter.audit.word_pairs import WordPairs

GAP_SPLIT = SPLIT - 1
"""Seeds the halves of the images for the gap: others than the audit's, so that the audit does not flatter the limit."""
LIMITS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
"""Of the gap, in nats, at which the trade-off is shown."""
_SAMPLE = 10_000  # pairs of a type: an accuracy is within a point


def lm_gaps(pairs: WordPairs) -> np.ndarray:
    """The gap of each pair, (N,) float64 nats; above 0 the negative is less likely than its caption."""
    unknown = np.isnan(pairs.lm_gap)
    gaps = pairs.lm_gap.copy()
    if unknown.any():
        gaps[unknown] = score_captions(pairs.where(unknown), GAP_SPLIT)
    return gaps


def is_plausible(pairs: WordPairs, limits: Mapping[str, float]) -> np.ndarray:
    """Whether the gap of each pair is at most the limit of its type, (N,) bool; a type without one has no limit."""
    limit = np.array([limits.get(type_, np.inf) for type_, _ in pairs.cells])[pairs.cell]
    asked = np.isfinite(limit)
    plausible = np.ones(len(pairs), bool)
    plausible[asked] = lm_gaps(pairs.where(asked)) <= limit[asked]
    return plausible


def trade_off(pairs: WordPairs, odds: np.ndarray) -> list[dict[str, Any]]:
    """What each limit would keep, and how well that would be told, of all pairs and of each type.

    Estimated on a sample of each type, with the classifier that was trained on all pairs: trained on what is kept, it would tell
    0 to 3 points fewer.

    Args:
        pairs: all pairs.
        odds: their log-odds in the audit's split, (N,) float64.

    Returns:
        For each type (`all` first) and limit, with `max_lm_gap` null for none: `kept_fraction`, and `blind_accuracy`, null if
        nothing is kept.
    """
    sample, weight = _sample(pairs)
    gaps = lm_gaps(pairs.where(sample))
    odds, weight = odds[sample], weight[sample]
    of_pair = np.array([type_ for type_, _ in pairs.cells] or [""])[pairs.cell[sample]]
    points = []
    for name in (ALL, *sorted(set(of_pair.tolist()))) if len(odds) else ():
        of_type = np.ones(len(odds), bool) if name == ALL else of_pair == name
        for limit in (*LIMITS, None):
            kept = of_type if limit is None else of_type & (gaps <= limit)
            point = {"type": name, "max_lm_gap": limit, "kept_fraction": weight[kept].sum() / weight[of_type].sum()}
            accuracy = np.average(told(odds[kept]), weights=weight[kept]) if kept.any() else None
            points.append(point | {"blind_accuracy": accuracy})
    return [{name: round(value, 4) if isinstance(value, float) else value for name, value in point.items()} for point in points]


def _sample(pairs: WordPairs) -> tuple[np.ndarray, np.ndarray]:
    """Whether each pair is in the sample, (N,) bool, and how many pairs of its type it stands for, (N,) float64."""
    order = np.argsort(pairs.hashes(), kind="stable")
    types = [type_ for type_, _ in pairs.cells]
    kind = np.array([types.index(type_) for type_ in types] or [0])[pairs.cell]
    sample, weight = np.zeros(len(pairs), bool), np.ones(len(pairs))
    for each in np.unique(kind):
        of_type = order[kind[order] == each]
        sample[of_type[:_SAMPLE]] = True
        weight[of_type] = max(1, len(of_type) / _SAMPLE)
    return sample, weight
