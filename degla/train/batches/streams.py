"""The random streams of a run: one for each purpose and key, so that no draw depends on what was drawn before it."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a random stream is for."""

    ORDER = 0
    NEGATIVES = 1
    CROP = 2
    OTHER = 3


def stream(seed: int, purpose: Stream, *key: int) -> np.random.Generator:
    """The random numbers of a purpose, for instance the crop of (epoch, caption); always the same ones."""
    return np.random.default_rng([seed, purpose, *key])
