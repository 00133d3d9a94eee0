"""95 % intervals of accuracies, of their means and of paired differences, for items that share images.

All are intervals of a weighted sum of items: an accuracy weighs them alike, a mean over classes or subsets weighs those of a
small one more. Its variance, over that of as many independent items of one kind, is the design effect (Kish 1965), of two
factors: less within the parts than in all, and more between items that share an image, also across parts. Divided by it, the
number of items enters the interval of a share of independent items (Dean and Pagano 2015, J. Survey Stat. Methodol. 3, for
Wilson's).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054
PRIOR_ITEMS = 4.0
"""Items that the variance of all parts adds to that of each: a class of one item has none of its own, and of five a poor one. As
many as Agresti and Coull (1998) add to a share."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def weighted_mean(parts: Sequence[np.ndarray], weights: Sequence[float] = ()) -> float:
    """The mean of the means of parts: the plain one, or with weights of sum 1."""
    return float(np.average([part.mean() for part in parts], weights=weights or None))


def accuracy(parts: Sequence[np.ndarray], weights: Sequence[float] = (), images: Sequence[np.ndarray] = ()) -> Estimate:
    """The mean of the shares right of parts, with Wilson's score interval (1927) on the effective number of items.

    Args:
        parts: right or wrong, bool (n,) each; or shares in [0, 1], whose variance is less than that of right and wrong of the
            same mean, so that the interval is too wide rather than too narrow.
        weights: of the parts, with sum 1; empty: alike.
        images: a number for the image of each item, int64 (n,) a part; empty: each item has its own.
    """
    value = weighted_mean(parts, weights)
    return wilson(value, *_effective_items([part.astype(np.float64) for part in parts], weights, images))


def difference(
    before: Sequence[np.ndarray], after: Sequence[np.ndarray], weights: Sequence[float] = (), images: Sequence[np.ndarray] = ()
) -> Estimate:
    """The value after minus before on the same items; arguments as of `accuracy`.

    The interval is Agresti and Min's (2005) for paired proportions, on the effective number of items: Wald's with half an item
    added to each of the four cells, which keeps its width if no item, or every item, changed.
    """
    changes = [new.astype(np.float64) - old for old, new in zip(before, after, strict=True)]
    value, changed = weighted_mean(changes, weights), weighted_mean([np.abs(change) for change in changes], weights)
    items, quantile = _effective_items(changes, weights, images)
    centre = items * value / (items + 2)
    variance = (items * changed + 1 - (items * value) ** 2 / (items + 2)) / (items + 2) ** 2
    half = quantile * math.sqrt(variance)
    return Estimate(value, max(-1.0, min(centre - half, value)), min(1.0, max(centre + half, value)))


def wilson(share: float, items: float, quantile: float = Z95) -> Estimate:
    """A share of independent items with Wilson's score interval; `quantile` of the normal or of Student's distribution."""
    denominator = 1 + quantile**2 / items
    centre = (share + quantile**2 / (2 * items)) / denominator
    half = quantile / denominator * math.sqrt(max(0.0, share * (1 - share)) / items + quantile**2 / (4 * items**2))
    return Estimate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def _effective_items(parts: Sequence[np.ndarray], weights: Sequence[float], images: Sequence[np.ndarray]) -> tuple[float, float]:
    """The number of independent items with the variance of these, and the quantile for it: Student's with one degree of freedom
    less than images if items share them, because the variance is then that between images.

    Shapes: P parts, N items of all parts, C images.
    """
    count_P = np.array([len(part) for part in parts])
    weight_P = np.array(weights or np.full(len(parts), 1 / len(parts)))
    part_N, value_N = np.repeat(np.arange(len(parts)), count_P), np.concatenate(parts)
    weight_N = (weight_P / count_P)[part_N]
    squares = float((weight_N**2).sum())  # 1 / N if all weigh alike
    rest_N = value_N - (np.bincount(part_N, value_N) / count_P)[part_N]
    effect, quantile = _within_parts(value_N, rest_N, weight_N, part_N, weight_P), Z95
    image_N = np.unique(np.concatenate(images), return_inverse=True)[1] if images else np.arange(len(value_N))
    num_images = int(image_N.max()) + 1
    if num_images < len(value_N):
        from scipy.special import stdtrit

        effect *= _shared_images(rest_N, weight_N, image_N)
        quantile = float(stdtrit(max(1, num_images - 1), 0.975))
    return 1 / (squares * effect), quantile


def _within_parts(
    value_N: np.ndarray, rest_N: np.ndarray, weight_N: np.ndarray, part_N: np.ndarray, weight_P: np.ndarray
) -> float:
    """Variance of the mean from within the parts, over that of as many items of one kind; 1 for a single part."""
    squares = float((weight_N**2).sum())
    if len(weight_P) == 1 or np.ptp(value_N) == 0:
        return 1.0
    overall = float(weight_N @ (value_N - weight_N @ value_N) ** 2) / (1 - squares)
    count_P, square_P = np.bincount(part_N), np.bincount(part_N, rest_N**2)
    pooled = (square_P.sum() + PRIOR_ITEMS * overall) / ((count_P - 1).sum() + PRIOR_ITEMS)
    variance_P = (square_P + PRIOR_ITEMS * pooled) / (count_P - 1 + PRIOR_ITEMS)
    return float((weight_P**2 * variance_P / count_P).sum()) / (squares * overall)


def _shared_images(rest_N: np.ndarray, weight_N: np.ndarray, image_N: np.ndarray) -> float:
    """Variance of the sum over images, over that of independent items; at least 1.

    One more item, as if all of an image were alike, keeps the effect from vanishing where hardly an item is wrong.
    """
    share_N, num_images = weight_N * rest_N, int(image_N.max()) + 1
    between = float((np.bincount(image_N, share_N) ** 2).sum()) * num_images / max(1, num_images - 1)
    one = float((weight_N**2).mean())
    alike = float((np.bincount(image_N, weight_N) ** 2).sum()) / float((weight_N**2).sum())
    return max(1.0, (between + one * alike) / (float((share_N**2).sum()) + one))
