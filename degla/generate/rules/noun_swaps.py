"""Swaps of nouns: two things change places, with or without what describes them, so that the words stay and the meaning does not.

The nouns alone change places where either may stand beside the other's determiner (a dog on the couch); with all that describes
them where that is another text (a red couch on a small dog); with their determiners too where number or determiner want it (a
couch on two dogs).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations

from degla.generate.rules.exchanges import (
    crosses_determiner,
    exchangeable,
    owned,
    same_number,
    says_another,
    symmetric,
)
from degla.generate.rules.kinds import kinds, names_thing
from degla.generate.rules.options import Chance, Option
from degla.generate.rules.phrases import NounPhrase, Sentence, is_picture
from degla.generate.rules.plausibility import Plausibility
from degla.generate.rules.preferences import Preferences
from degla.generate.rules.rewording import rearrange
from degla.text.inflection import part_of_noun

_SAME_KIND = 1.5  # nats: what two things of one kind are worth beside the neighbours of the words
_WHOLE = 1.5  # nats: nouns alone come first, since then each is described otherwise as well
_ANIMATE = frozenset(("person", "animal"))


class NounSwapper:
    """Exchanges things.

    Args:
        plausibility: which words stand beside each other.
        preferences: which things do what.
    """

    def __init__(self, plausibility: Plausibility, preferences: Preferences) -> None:
        self._plausibility, self._preferences = plausibility, preferences

    def swaps(self, caption: str, sentence: Sentence, rng: Chance) -> Iterator[Option]:
        """Exchanges of two nouns that make a different, well-formed sentence."""
        for first, second, spans in self._exchanges(sentence):
            whole = spans[0].start < first.run or spans[1].start < second.run
            sense = self._preferences.of_two(sentence, first, second, described=whole)
            if sense < self._preferences.least:
                continue
            score = _bonus(sentence, first, second) + self._plausibility.of_order(sentence.lower, spans, (1, 0)) + sense
            score -= _WHOLE * whole
            make = partial(rearrange, caption, sentence.tokens, sentence.tags, spans, (1, 0))
            yield Option(score, (first.head, second.head), make)

    def _exchanges(self, sentence: Sentence) -> Iterator[tuple[NounPhrase, NounPhrase, tuple[range, range]]]:
        alone = set()
        for first, second in combinations((phrase for phrase in sentence.phrases if _swappable(sentence, phrase)), 2):
            if _may_swap(sentence, first, second):
                alone.add((first.start, second.start))
                for spans in _noun_spans(sentence, first, second):
                    yield first, second, spans
        for one, other in exchangeable(sentence):
            if one.joined or other.joined or (one.start, other.start) not in alone:
                yield one.head, other.head, (one.tokens, other.tokens)


def _may_swap(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether two nouns, with or without what describes them, may change places."""
    words = sentence.lower
    if "of" in (words[first.end], *words[second.end :][:1]):
        return False
    if first.bare != second.bare and not (first.bare and first.start == 0):
        return False
    if not same_number(first, second) or crosses_determiner(first, second, sentence.lexicon) or owned(sentence, second):
        return False
    if any(words.count(words[i]) > 1 for each in (first, second) for i in range(each.run, each.end)):
        return False
    return says_another(sentence, first, second)


def _swappable(sentence: Sentence, phrase: NounPhrase) -> bool:
    """Whether it is a thing of its own, and not what an amount is of (a slice of pizza)."""
    amount = phrase.start > 0 and sentence.lower[phrase.start - 1] == "of" and not phrase.plural
    return names_thing(sentence.lexicon, phrase.lemma) and not (
        not all(part_of_noun(sentence.lower[i]) for i in range(phrase.run, phrase.head))
        or phrase.misnumbered
        or phrase.colour
        or phrase.abstract
        or phrase.named
        or amount
        and _after_abstract(sentence, phrase)
    )


def _after_abstract(sentence: Sentence, phrase: NounPhrase) -> bool:
    before = [other for other in sentence.phrases if other.end == phrase.start - 1]
    return any(other.abstract and not is_picture(other) for other in before)


def _noun_spans(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> Iterator[tuple[range, range]]:
    """The nouns, then the nouns with what describes them, unless that is what tells apart two things side by side."""
    yield range(first.run, first.end), range(second.run, second.end)
    described = first.content < first.run or second.content < second.run
    if described and not owned(sentence, first) and not symmetric(sentence, first, second):
        yield range(first.content, first.end), range(second.content, second.end)


def _bonus(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> float:
    one, other = (kinds(sentence.lexicon, phrase.lemma) for phrase in (first, second))
    return _SAME_KIND * (bool(one & other) + bool(one & _ANIMATE and other & _ANIMATE))
