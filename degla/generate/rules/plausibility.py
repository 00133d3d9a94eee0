"""How plausible a caption stays when two of its parts change places: whether the words that come to stand side by side do so in
captions.

A text-only classifier tells a rewrite by its implausible neighbours (a couch on a dog), so that those of several rewrites come
first that have few of them. Knows nothing of grammar or truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log

from degla.generate.rules.vocabulary import Vocabulary

_ARTICLES = frozenset(("a", "an", "the"))
_UNSEEN = 0.1  # share of the next word's probability that does not look at the word before
_FLOOR = 0.5  # count of a word that the captions do not have
_MEMORY = 1 << 16  # pairs of words that are remembered

Ends = tuple[str, str]
"""First and last word of a part that are no articles; empty ones if there are none."""


class Plausibility:
    """Bigram probabilities of captions without their articles.

    Args:
        vocabulary: without bigrams all exchanges are equally plausible.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._unigrams, self._bigrams = vocabulary.unigrams, vocabulary.bigrams
        self._counts = {**(vocabulary.adjectives or {}), **(vocabulary.nouns or {})}
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
        pieces = [_ends(words, span.start, span.stop) for span in spans]
        links = [_ends(words, one.stop, other.start) for one, other in pairwise(spans)]
        before, after = _ends(words, 0, spans[0].start), _ends(words, spans[-1].stop, len(words))
        return self._chain(before, [pieces[k] for k in order], links, after) - self._chain(before, pieces, links, after)

    def at(self, words: Sequence[str], span: range) -> Callable[[str], float]:
        """A function from what is put in the place of a span, in lower case, to a log probability in nats: of that after the word
        before it, and of the word after it.

        Without bigrams it is the log of how often the captions use it.

        Args:
            words: of the caption, in lower case.
            span: of words that go.
        """
        if not self._bigrams:
            return lambda put_in: log(self._counts.get(put_in, 1))
        before, following = _ends(words, 0, span.start)[1], _ends(words, span.stop, len(words))[0]
        chance = self._log

        def of_word(put_in: str) -> float:
            if before and following and " " not in put_in:  # most
                return chance(before, put_in) + chance(put_in, following)
            total, last = 0.0, before
            for word in put_in.split(" "):
                if last:
                    total += chance(last, word)
                last = word
            return total + chance(last, following) if following else total

        return of_word

    def _chain(self, before: Ends, pieces: Sequence[Ends], links: Sequence[Ends], after: Ends) -> float:
        """Log probability of the words where parts that are not empty meet."""
        total, last = 0.0, before[1]
        for piece, link in zip(pieces, (*links, after), strict=True):
            for first, end in (piece, link):
                if first:
                    if last:
                        total += self._log(last, first)
                    last = end
        return total

    def _find_log(self, word: str, following: str) -> float:
        seen = self._bigrams.get(f"{word} {following}", 0) / max(_FLOOR, self._unigrams.get(word, 0))
        alone = max(_FLOOR, self._unigrams.get(following, 0)) / self._total
        return log((1 - _UNSEEN) * seen + _UNSEEN * alone)


def _ends(words: Sequence[str], start: int, stop: int) -> Ends:
    while start < stop and words[start] in _ARTICLES:
        start += 1
    while start < stop and words[stop - 1] in _ARTICLES:
        stop -= 1
    return (words[start], words[stop - 1]) if start < stop else ("", "")
