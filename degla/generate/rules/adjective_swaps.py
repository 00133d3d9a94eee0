"""Swaps of adjectives: what is said of one thing is said of another, so that words and grammar stay and the meaning does not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import combinations, product

from degla.generate.rules.exchanges import owners_alike, symmetric
from degla.generate.rules.kinds import living, names_person
from degla.generate.rules.options import Chance, Option
from degla.generate.rules.phrases import COLOURS, Adjective, NounPhrase, Sentence, is_picture
from degla.generate.rules.plausibility import Plausibility
from degla.generate.rules.preferences import Preferences
from degla.generate.rules.rewording import rearrange
from degla.generate.rules.vocabulary import Vocabulary
from degla.text.lexicon import Lexicon

_SURFACES = frozenset(("colours", "textures"))
_EXTENTS = frozenset(("sizes", "heights", "lengths", "widths"))  # of which a thing may have several: large and tall
_GREAT = ("big", "tall", "long", "wide")
_GROUPS_WITHOUT_SWAP = frozenset(("sides", "front", "first", "levels"))
# Of a thing of which nothing is said, such a word is most likely false.
_SPECIFIC_GROUPS = frozenset(("colours", "textures", "materials", "ground", "outlines", "nations", "grown"))
_OF_GROUND = frozenset(("materials", "ground"))
_VAGUE_GROUPS = frozenset(("colourfulness", "compared sizes", "compared ages", "shades", "beauty", "opening", "sectors"))
_OF_THINGS = frozenset(("colours", "textures", "materials", "ground", "outlines"))
_UNLIKE = 1.0  # likeness of adjectives that have nothing in common
_PRIOR = 8.0  # how many captions the adjectives of all nouns count for, where little is said of this one
_FITTING = 1.0  # nats: how much more usual than anything else an adjective must be where it comes to stand
_MEMORY = 1 << 16  # pairs of words that are remembered
_RARE = 0.12  # share of a noun's adjectives of one group


class AdjectiveSwapper:
    """Exchanges adjectives of different nouns; remembers what the captions say of a noun.

    Args:
        lexicon: what adjectives have in common.
        vocabulary: which adjectives the captions give to which nouns.
        plausibility: which words stand beside each other.
        preferences: which kinds of things are described how.
    """

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary, plausibility: Plausibility, preferences: Preferences) -> None:
        self._lexicon, self._plausibility, self._preferences = lexicon, plausibility, preferences
        self._vocabulary = vocabulary
        self._likeness = lru_cache(_MEMORY)(partial(_find_likeness, lexicon))
        self._unlikely = lru_cache(_MEMORY)(partial(_find_unlikely, lexicon, vocabulary))

    def swaps(self, caption: str, sentence: Sentence, rng: Chance) -> Iterator[Option]:
        """Exchanges of adjectives of different nouns of which one at least is false where it comes to stand."""
        for score, spans in self._exchanges(sentence):
            score += self._plausibility.of_order(sentence.lower, spans, (1, 0))
            make = partial(rearrange, caption, sentence.tokens, sentence.tags, spans, (1, 0))
            yield Option(score, (spans[0].start, spans[1].start), make)

    def _exchanges(self, sentence: Sentence) -> Iterator[tuple[float, tuple[range, range]]]:
        """One adjective of each of two nouns."""
        described = [
            phrase for phrase in sentence.phrases if phrase.adjectives and not is_picture(phrase) and phrase.lemma not in COLOURS
        ]
        joints = self._vocabulary.phrase_joints(sentence)
        for first, second in combinations(described, 2):
            if any(phrase.abstract and phrase.lemma != "area" for phrase in (first, second)):
                continue
            if first.lemma == second.lemma and symmetric(sentence, first, second):
                continue  # a large carrot, a medium carrot and a small carrot
            for mine, other in product(first.adjectives, second.adjectives):
                if joints and (self._parts(sentence, joints, mine, other) or self._parts(sentence, joints, other, mine)):
                    continue
                score = self._score(sentence, (mine, first), (other, second))
                sense = self._sense(sentence, mine, other) if score else 0.0
                if score and sense >= self._preferences.least:
                    yield score + sense, (range(mine.index, mine.index + 1), range(other.index, other.index + 1))

    def _parts(self, sentence: Sentence, joints: frozenset[int], old: Adjective, new: Adjective) -> bool:
        """Whether an adjective would take the place of a part of a phrase: a black medal."""
        after = old.index + 1
        return after in joints and not self._vocabulary.makes_phrase(new.word, sentence.lower[after])

    def _sense(self, sentence: Sentence, mine: Adjective, other: Adjective) -> float:
        """How usual the adjectives are of the things that they come to describe; a colour may be that of any thing."""
        relations = {mine.index: f"={other.word}", other.index: f"={mine.word}"}
        return self._preferences.of_descriptions(sentence, relations) - _FITTING

    def _score(self, sentence: Sentence, mine: Described, other: Described) -> float:
        """How surely the exchange is false; 0: not surely enough, or not well formed."""
        word, other_word = mine[0].word, other[0].word
        likeness = self._likeness(word, other_word)
        if not likeness or owners_alike(sentence.lower, mine[0].index, other[0].index):
            return 0.0
        if _said_already(self._lexicon, word, other[1]) or _said_already(self._lexicon, other_word, mine[1]):
            return 0.0
        if not (_may_describe(self._lexicon, word, other[1]) and _may_describe(self._lexicon, other_word, mine[1])):
            return 0.0
        if likeness > _UNLIKE:
            return likeness
        if self._crowds(mine[0], other) or self._crowds(other[0], mine):
            return 0.0
        if any(sentence.tags[each[0].index - 1] == "AV0" for each in (mine, other)):  # very wooden
            return 0.0
        return likeness * (self._unlikely(word, other[1].lemma) or self._unlikely(other_word, mine[1].lemma))

    def _crowds(self, adjective: Adjective, place: Described) -> bool:
        """Whether another adjective of its group stays where it would come to stand (a green white bowl)."""
        groups = self._lexicon.groups("adjectives", adjective.word)
        staying = (each.word for each in place[1].adjectives if each != place[0])
        return any(groups & self._lexicon.groups("adjectives", word) for word in staying)


Described = tuple[Adjective, NounPhrase]
"""An adjective and what it describes."""


def _may_describe(lexicon: Lexicon, word: str, phrase: NounPhrase) -> bool:
    """A person has no colour, pattern or material, and only who lives is young."""
    groups = lexicon.groups("adjectives", word)
    if names_person(lexicon, phrase.lemma):
        return not groups & _OF_THINGS
    return groups != {"people ages"} or living(lexicon, phrase.lemma)


def _said_already(lexicon: Lexicon, word: str, phrase: NounPhrase) -> bool:
    return any(adjective.word in lexicon.related("adjectives", word) for adjective in phrase.adjectives)


def _find_likeness(lexicon: Lexicon, word: str, other: str) -> float:
    """How sure it is by the words alone that each is false of what the other describes."""
    groups, others = lexicon.groups("adjectives", word), lexicon.groups("adjectives", other)
    if (groups | others) & _GROUPS_WITHOUT_SWAP or other in lexicon.related("adjectives", word):
        return 0.0
    if groups & others:
        return 4.0 if "colours" in groups & others else 3.0
    if groups & _EXTENTS and others & _EXTENTS:
        return 2.0 * (_great(lexicon, word) != _great(lexicon, other))
    if groups & _SURFACES and others & _SURFACES:
        return 2.0
    return 0.0 if (groups | others) & _VAGUE_GROUPS else _UNLIKE


def _great(lexicon: Lexicon, word: str) -> bool:
    return any(word in lexicon.related("adjectives", great) for great in _GREAT)


def _find_unlikely(lexicon: Lexicon, vocabulary: Vocabulary, word: str, noun: str) -> bool:
    """Whether an adjective that a thing may have only one of (its colour) is rarely that of this noun."""
    groups = lexicon.groups("adjectives", word) & _SPECIFIC_GROUPS
    ground = groups <= _OF_GROUND and (noun == "area" or "places" in lexicon.categories("nouns", noun))
    if not groups or ground:
        return False
    words = lexicon.group_words("adjectives", groups)
    counts = {each: vocabulary.pairs.get(f"{each} {noun}", 0) for each in words}
    weights = {each: vocabulary.adjective_weight(each) ** 2 if vocabulary.has_adjective(each) else 0.0 for each in words}
    usual = weights[word] / max(1.0, sum(weights.values()))
    return (counts[word] + _PRIOR * usual) / (sum(counts.values()) + _PRIOR) <= _RARE
