"""The random streams of a run: one per purpose and key, so that no draw depends on an earlier one."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The purpose of a random stream."""

    ORDER = 0
    NEGATIVES = 1
    CROP = 2
    OTHER = 3


def stream(seed: int, purpose: Stream, *key: int) -> np.random.Generator:
    """The random numbers of a purpose and key, such as the crop of (epoch, caption): always the same."""
    return np.random.default_rng([seed, purpose, *key])
