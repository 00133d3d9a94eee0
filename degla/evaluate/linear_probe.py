"""The linear probe: a logistic regression on image features, its regularisation chosen on a part of the training images.

CLIP's paper (Radford et al. 2021, appendix A.3) fits scikit-learn's L-BFGS logistic regression with at most 1,000 iterations and
sweeps the strength C over powers of ten on a validation part. Features here have norm 1, so C is larger than on raw ones.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Values of C that are tried."""
VALIDATION_FRACTION = 0.2
MAX_ITERATIONS = 1000
SEED = 0


def predict(train_MD: np.ndarray, label_M: np.ndarray, test_ND: np.ndarray) -> np.ndarray:
    """The class of each of N images by the classifier fitted on M, int64 (N,).

    C is the one of `STRENGTHS` that is right most often on a fifth of the training images, drawn within each class (the smaller C
    at a tie); the classifier is then fitted on all of them. Where a class has one image only, C is the middle one.
    """
    strength = _chosen(train_MD, label_M)
    return _fitted(train_MD, label_M, strength).predict(test_ND)


def _chosen(train_MD: np.ndarray, label_M: np.ndarray) -> float:
    held_out_M = _held_out(label_M)
    if not held_out_M.any():
        return STRENGTHS[len(STRENGTHS) // 2]
    fit, check = ~held_out_M, held_out_M
    scores = [_fitted(train_MD[fit], label_M[fit], strength).score(train_MD[check], label_M[check]) for strength in STRENGTHS]
    return STRENGTHS[int(np.argmax(scores))]


def _held_out(label_M: np.ndarray) -> np.ndarray:
    """A fifth of each class, at least one of two and none of one."""
    rng, held_out_M = np.random.default_rng(SEED), np.zeros(len(label_M), dtype=bool)
    for label in np.unique(label_M):
        rows = rng.permutation(np.flatnonzero(label_M == label))
        count = max(1, round(VALIDATION_FRACTION * len(rows))) if len(rows) > 1 else 0
        held_out_M[rows[:count]] = True
    return held_out_M


def _fitted(train_MD: np.ndarray, label_M: np.ndarray, strength: float) -> Any:
    """A fitted scikit-learn classifier."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # at most 1,000 iterations, as the paper has it
        return LogisticRegression(C=strength, max_iter=MAX_ITERATIONS, random_state=SEED).fit(train_MD, label_M)
