"""What the model's context cuts off: captions that are longer, and negatives that then have the tokens of their caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from degla.train.batches.data import Samples

_AT_ONCE = 4096  # captions


@dataclass(frozen=True)
class Cut:
    """What does not fit the context."""

    num_captions: int
    """Captions that are cut."""
    dropped: np.ndarray
    """By text number whether it is a negative with the tokens of the caption it would train with, bool."""

    @property
    def counts(self) -> dict[str, int]:
        """For the artifact."""
        return {"captions_cut": self.num_captions, "negatives_dropped": int(self.dropped.sum())}


def find_cut(
    samples: Samples,
    negatives_of: np.ndarray,
    tokenize: Callable[[Sequence[str]], np.ndarray],
    is_cut: Callable[[Sequence[str], np.ndarray], np.ndarray],
    context: int,
) -> Cut:
    """Tokenizes only captions that may fill the context: a token is at least one byte, and start and end take two.

    Args:
        samples, negatives_of, tokenize: as in `degla.train.batches.trees.TreeCache`.
        is_cut: from texts and their token rows to whether each was cut.
        context: tokens per row.
    """
    dropped, num_cut = np.zeros(samples.num_texts, dtype=bool), 0
    long = np.flatnonzero(samples.caption_bytes() >= context - 2)
    for start in range(0, len(long), _AT_ONCE):
        numbers = long[start : start + _AT_ONCE]
        texts = list(map(samples.text, numbers.tolist()))
        token_TL = tokenize(texts)
        num_cut += int(is_cut(texts, token_TL).sum())
        full = token_TL[:, -1] != 0
        for number, row_L in zip(numbers[full], token_TL[full], strict=True):
            negatives = samples.negatives_of(negatives_of[number])
            if len(negatives):
                dropped[negatives] = (tokenize(list(map(samples.text, negatives.tolist()))) == row_L).all(axis=1)
    return Cut(num_cut, dropped)
