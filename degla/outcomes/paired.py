"""Tests whether two models differ on the same items: McNemar's, and one that knows which items share an image.

Both ask how often a difference as large arises if the two models are alike, so that each change might as well have gone the other
way. McNemar's (1947) turns every item that changed on its own, as its mid-p version, which keeps the level at any number of items
where the exact one is too careful and chi-squared too bold with few (Fagerland, Lydersen and Laake 2013, BMC Med. Res. Methodol.
13:91). `turned_images` turns all changes of an image together, since they are not independent, and weighs items as the metric
does, so that it also tests means over subsets: the wild cluster bootstrap with Rademacher signs and the null imposed (Cameron,
Gelbach and Miller 2008, Rev. Econ. Stat. 90:414), over all patterns of signs rather than a draw of them. With one item an image
and one part it is McNemar's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_FINENESS, _FINEST = 16, 4_000
"""Sums of images that are no whole numbers (means of means) become multiples of a 16th of their root mean square, or finer as
long as all of them together make no more than 4,000 steps."""

LEAST = 1e-12
"""The least probability told of changes of images: rounding errors are smaller by two digits."""

LEVELS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
"""Probabilities below which a difference has these stars."""


@dataclass(frozen=True)
class Paired:
    """A test of the difference of two models."""

    probability: float
    """Two-sided, of a difference as large or larger if the models are alike; changes of an image go together."""
    fixed: int | None
    """Items that the second model has right and the first wrong; None if answers are not right or wrong."""
    broken: int | None
    """Items that the first model has right and the second wrong."""
    mcnemar: float | None
    """McNemar's mid-p of these two numbers, as if all items were independent; None for a mean of several parts."""


def paired(
    before: Sequence[np.ndarray], after: Sequence[np.ndarray], weights: Sequence[float] = (), images: Sequence[np.ndarray] = ()
) -> Paired:
    """Test the same items of two models; arguments as of `degla.outcomes.intervals.difference`."""
    changes = [new.astype(np.float64) - old for old, new in zip(before, after, strict=True)]
    sizes = np.array([len(part) for part in changes])
    weight_P = np.array(weights or np.full(len(sizes), 1 / len(sizes))) / sizes
    weighted = np.concatenate([part * weight for part, weight in zip(changes, weight_P, strict=True)])
    image_N = np.unique(np.concatenate(images), return_inverse=True)[1] if images else np.arange(len(weighted))
    whole = np.ptp(weight_P) == 0 and all(part.dtype == bool for part in (*before, *after))
    sums = np.bincount(image_N, np.concatenate(changes) if whole else weighted)
    if not all(part.dtype == bool for part in (*before, *after)):
        return Paired(turned_images(sums), None, None, None)
    fixed, broken = (int(sum(np.count_nonzero(part == sign) for part in changes)) for sign in (1, -1))
    return Paired(turned_images(sums), fixed, broken, mid_p(fixed, broken) if len(changes) == 1 else None)


def mid_p(fixed: int, broken: int) -> float:
    """McNemar's mid-p, two-sided: of `fixed + broken` tosses of a coin, the chance of a split more uneven than this one, and half
    that of one as uneven. 1 if nothing changed."""
    from scipy.stats import binom

    tosses, lesser = fixed + broken, min(fixed, broken)
    return min(1.0, float(2 * binom.cdf(lesser, tosses, 0.5) - binom.pmf(lesser, tosses, 0.5))) if fixed != broken else 1.0


def turned_images(sums: np.ndarray) -> float:
    """The mid-p of the total of the images' sums among the totals of all patterns of their signs.

    Args:
        sums: the weighted changes of each image, summed; float64 (C,).
    """
    changed_C = sums[sums != 0]
    if not len(changed_C):
        return 1.0
    step_C = _whole(changed_C)
    observed, reach = abs(int(step_C.sum())), int(np.abs(step_C).sum())
    size_S, count_S = np.unique(np.abs(step_C), return_counts=True)
    # the characteristic function of a total of random signs is the product of cos(t size); its Fourier transform is the chance
    # of each total
    length = 1 << (2 * reach + 1).bit_length()
    angle_T = 2 * np.pi * np.arange(length // 2 + 1) / length
    spectrum_T = np.ones(len(angle_T))
    for size, count in zip(size_S, count_S, strict=True):
        spectrum_T *= np.cos(angle_T * size) ** count
    chance_X = np.clip(np.fft.irfft(spectrum_T, length), 0.0, None)[: reach + 1]  # of totals 0 to reach; mirrored below 0
    beyond = 2 * chance_X[observed + 1 :].sum() + chance_X[observed]
    return 1.0 if observed == 0 else float(np.clip(beyond, LEAST, 1.0))


def _whole(sums: np.ndarray) -> np.ndarray:
    """Sums that are no whole numbers in steps, int64 (C,): rounded so that those of each sign keep their total to half a step."""
    if np.array_equal(sums, np.rint(sums)):
        return sums.astype(np.int64)
    step = np.sqrt(np.mean(sums**2)) / max(_FINENESS, _FINEST // len(sums))
    rounded = np.zeros(len(sums), dtype=np.int64)
    for sign in (1, -1):
        own = np.flatnonzero(np.sign(sums) == sign)
        own = own[np.argsort(np.abs(sums[own]), kind="stable")]
        totals = np.rint(np.cumsum(np.abs(sums[own])) / step).astype(np.int64)
        rounded[own] = sign * np.diff(totals, prepend=0)
    return rounded


def holm(probabilities: Sequence[float]) -> list[float]:
    """The probabilities corrected for their number (Holm 1979, Scand. J. Stat. 6:65): the chance that one or more of those below
    a level is so without a difference stays within the level."""
    order = np.argsort(probabilities, kind="stable")
    factors = len(probabilities) - np.arange(len(probabilities))
    corrected = np.empty(len(probabilities))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(probabilities, dtype=np.float64)[order] * factors))
    return [float(each) for each in corrected]


def stars(probability: float) -> str:
    """The stars of a corrected probability; none at 0.05 and above."""
    return next((text for level, text in LEVELS if probability < level), "")
