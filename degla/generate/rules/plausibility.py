"""How plausible a caption stays when two of its parts change places: whether the words that come to stand side by side do so in
captions.

A text-only classifier tells a rewrite by its implausible neighbours (a couch on a dog), so that those of several rewrites come
first that have few of them. Knows nothing of grammar or truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import log

from degla.generate.rules.vocabulary import Vocabulary

_ARTICLES = frozenset(("a", "an", "the"))
_UNSEEN = 0.1  # share of the next word's probability that does not look at the word before
_FLOOR = 0.5  # count of a word that the captions do not have
_NONE: Mapping[str, float] = {}

Ends = tuple[str, str]
"""First and last word of a part that are no articles; empty ones if there are none."""


class Plausibility:
    """Bigram probabilities of captions without their articles.

    Args:
        vocabulary: without bigrams all exchanges are equally plausible.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._counts = {**(vocabulary.adjectives or {}), **(vocabulary.nouns or {})}
        unigrams, total = vocabulary.unigrams, max(1, sum(vocabulary.unigrams.values()))
        shares = {word: max(_FLOOR, count) / total for word, count in unigrams.items()}
        self._rarest = log(_UNSEEN * (_FLOOR / total))
        self._alone = {word: log(_UNSEEN * share) for word, share in shares.items()}
        # Only pairs that captions have are looked up, and those of one word at once: most pairs that are asked for are none.
        self._after: dict[str, dict[str, float]] = {}
        self._before: dict[str, dict[str, float]] = {}
        for pair, count in vocabulary.bigrams.items():
            word, _, following = pair.partition(" ")
            seen = count / max(_FLOOR, unigrams.get(word, 0))
            nats = log((1 - _UNSEEN) * seen + _UNSEEN * shares.get(following, _FLOOR / total))
            self._after.setdefault(word, {})[following] = nats
            self._before.setdefault(following, {})[word] = nats

    def of_order(self, words: Sequence[str], spans: Sequence[range], order: Sequence[int]) -> float:
        """Log probability of the words with some spans in another order less that of the words as they are, in nats.

        Args:
            words: of the caption, in lower case.
            spans: places of words, from left to right.
            order: in the place of the k-th span stands the `order[k]`-th.
        """
        if not self._after:
            return 0.0
        pieces = [_ends(words, span.start, span.stop) for span in spans]
        links = [_ends(words, one.stop, other.start) for one, other in pairwise(spans)]
        before, after = _ends(words, 0, spans[0].start), _ends(words, spans[-1].stop, len(words))
        return self._chain(before, [pieces[k] for k in order], links, after) - self._chain(before, pieces, links, after)

    def at(self, words: Sequence[str], span: range, offers: Iterable[str]) -> list[float]:
        """Log probabilities of each offer in the place of a span, in nats: of it after the word before, and of the word after it.

        Without bigrams it is the log of how often the captions use it.

        Args:
            words: of the caption, in lower case.
            span: of words that go.
            offers: what may be put in, in lower case, of one word or two.
        """
        if not self._after:
            return [log(self._counts.get(offer, 1)) for offer in offers]
        last, following = _ends(words, 0, span.start)[1], _ends(words, span.stop, len(words))[0]
        after, alone, rarest = self._after.get(last, _NONE), self._alone, self._rarest
        before, unseen = self._before.get(following, _NONE), alone.get(following, rarest)
        found = []
        for offer in offers:
            first, space, end = offer.partition(" ") if " " in offer else (offer, "", offer)
            nats = 0.0 if not last else after[first] if first in after else alone.get(first, rarest)
            if space:
                nats += self._log(first, end)
            found.append(nats + before.get(end, unseen) if following else nats)
        return found

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

    def _log(self, word: str, following: str) -> float:
        found = self._after.get(word, _NONE).get(following)
        return self._alone.get(following, self._rarest) if found is None else found


def _ends(words: Sequence[str], start: int, stop: int) -> Ends:
    while start < stop and words[start] in _ARTICLES:
        start += 1
    while start < stop and words[stop - 1] in _ARTICLES:
        stop -= 1
    return (words[start], words[stop - 1]) if start < stop else ("", "")
