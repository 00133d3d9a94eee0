"""How plausible a caption stays when two of its parts change places: whether the words that come to stand side by side do so in
captions.

A text-only classifier tells a rewrite by its implausible neighbours (a couch on a dog), so that those of several rewrites come
first that have few of them. Knows nothing of grammar or truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import log

from degla.generate.rules.vocabulary import Vocabulary

_ARTICLES = frozenset(("a", "an", "the"))
_UNSEEN = 0.1  # share of the next word's probability that does not look at the word before
_FLOOR = 0.5  # count of a word that the captions do not have
_MEMORY = 1 << 16  # pairs of words that are remembered


class Plausibility:
    """Bigram probabilities of captions without their articles.

    Args:
        vocabulary: without bigrams all exchanges are equally plausible.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._unigrams, self._bigrams = vocabulary.unigrams, vocabulary.bigrams
        self._total = max(1, sum(vocabulary.unigrams.values()))
        self._log = lru_cache(_MEMORY)(self._find_log)

    def of_order(self, words: Sequence[str], spans: Sequence[range], order: Sequence[int]) -> float:
        """Log probability of the words with some spans in another order less that of the words as they are, in nats.

        Args:
            words: of the caption, in lower case.
            spans: places of words, from left to right.
            order: in the place of the k-th span stands the `order[k]`-th.
        """
        if not self._bigrams:
            return 0.0
        moved = [_ends(words, span) for span in spans]
        links = [_ends(words, range(one.stop, other.start)) for one, other in zip(spans, spans[1:], strict=False)]
        before, after = _last(words, range(spans[0].start)), _first(words, range(spans[-1].stop, len(words)))

        def chain(parts: Sequence[tuple[str, str]]) -> float:
            between = [each for pair in zip(parts, [*links, after], strict=True) for each in pair]
            return self._chain(before, *between)

        return chain([moved[k] for k in order]) - chain(moved)

    def _chain(self, *parts: tuple[str, str]) -> float:
        """Log probability of the words where non-empty parts meet."""
        present = [part for part in parts if part[0]]
        return sum(self._log(left[1], right[0]) for left, right in zip(present, present[1:], strict=False))

    def _find_log(self, word: str, following: str) -> float:
        seen = self._bigrams.get(f"{word} {following}", 0) / max(_FLOOR, self._unigrams.get(word, 0))
        alone = max(_FLOOR, self._unigrams.get(following, 0)) / self._total
        return log((1 - _UNSEEN) * seen + _UNSEEN * alone)


def _ends(words: Sequence[str], places: range) -> tuple[str, str]:
    """First and last word that is no article; two empty ones if there is none."""
    return _first(words, places)[0], _last(words, places)[1]


def _first(words: Sequence[str], places: range) -> tuple[str, str]:
    word = next((words[i] for i in places if words[i] not in _ARTICLES), "")
    return word, word


def _last(words: Sequence[str], places: range) -> tuple[str, str]:
    return _first(words, places[::-1])
