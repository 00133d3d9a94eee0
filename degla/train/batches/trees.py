"""Texts as prefix trees, made once: a caption and all of its negatives are one tree; a step takes the part that it drew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from degla.models.trees import TextTrees, Tree, grow, planted
from degla.train.batches.data import Samples


class TreeCache:
    """Trees of the captions, each made at first use.

    Args:
        samples: the texts.
        negatives_of: the sample whose negatives each sample gets.
        tokenize: from texts to token rows.
        used_lengths: how many leading tokens of each row the model needs.
    """

    def __init__(
        self,
        samples: Samples,
        negatives_of: np.ndarray,
        tokenize: Callable[[Sequence[str]], np.ndarray],
        used_lengths: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self._samples, self._negatives_of = samples, negatives_of
        self._tokenize, self._used_lengths = tokenize, used_lengths
        self._trees: list[Tree | None] = [None] * len(samples)

    def __call__(self, numbers: np.ndarray, chosen: Sequence[np.ndarray]) -> TextTrees:
        """The trees of some samples and of the negatives chosen for each, by text number."""
        self._make([number for number in dict.fromkeys(numbers.tolist()) if self._trees[number] is None])
        trees = []
        for number, negatives in zip(numbers, chosen, strict=True):
            places = 1 + negatives - self._negatives(number)[:1]  # their numbers are consecutive
            trees.append(self._trees[number].only(np.concatenate([[0], places])))
        return planted(trees)

    def _make(self, new: list[int]) -> None:
        if not new:
            return
        texts = [[number, *self._negatives(number)] for number in new]
        token_TL = self._tokenize([self._samples.text(int(text)) for each in texts for text in each])
        rows = iter(zip(token_TL.tolist(), self._used_lengths(token_TL).tolist(), strict=True))
        for number, each in zip(new, texts, strict=True):
            self._trees[number] = grow([row[:length] for row, length in (next(rows) for _ in each)])

    def _negatives(self, number: int) -> np.ndarray:
        return self._samples.negatives_of(self._negatives_of[number])
