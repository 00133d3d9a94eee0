"""Swaps: two nouns, or two adjectives of one group, change places, so that words and grammar stay and the meaning does not.

Called by `degla.generate.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from random import Random

from degla.generate.phrases import NounPhrase, Sentence, is_picture
from degla.generate.rewording import exchange
from degla.text.lexicon import Lexicon

_LISTING = frozenset(("CJC", "PUN"))
_STANDING = "is are sitting standing laying lying sits stand stands sit parked placed resting lay lays lie lies located"
_POSSESSIVES = ("his", "her", "its", "their", "my", "your", "our")
_STANDING_WORDS = frozenset(_STANDING.split())
_KINDRED_GROUPS = (frozenset(("colours", "textures")), frozenset(("sizes", "heights", "lengths", "widths")))
_GROUPS_WITHOUT_SWAP = frozenset(("sides", "front", "first"))


@dataclass(frozen=True)
class _Swap:
    score: float
    first: range
    second: range


def swap_nouns(caption: str, sentence: Sentence, rng: Random) -> str | None:
    """The caption with two nouns exchanged, or None where no exchange makes a different, well-formed sentence."""
    return _best(caption, sentence, _noun_swaps(sentence), rng)


def swap_adjectives(caption: str, sentence: Sentence, rng: Random) -> str | None:
    """The caption with two adjectives of different nouns exchanged, or None."""
    return _best(caption, sentence, _adjective_swaps(sentence), rng)


def _best(caption: str, sentence: Sentence, swaps: Iterator[_Swap], rng: Random) -> str | None:
    found = list(swaps)
    if not found:
        return None
    best = max(swap.score for swap in found)
    chosen = rng.choice([swap for swap in found if swap.score == best])
    return exchange(caption, sentence.tokens, sentence.tags, chosen.first, chosen.second)


def _noun_swaps(sentence: Sentence) -> Iterator[_Swap]:
    lexicon = sentence.lexicon
    for first, second in combinations(sentence.phrases, 2):
        things = all(_swappable(sentence, phrase) for phrase in (first, second))
        if not things or second.determiner in _POSSESSIVES:
            continue
        if any(sentence.lower.count(sentence.lower[i]) > 1 for each in (first, second) for i in range(each.run, each.end)):
            continue
        if second.lemma in lexicon.related("nouns", first.lemma) or not _same_number(first, second):
            continue
        if _of_between(sentence, first, second) or _crosses_determiner(first, second, lexicon):
            continue
        if symmetric(sentence, first, second) and not contrast(lexicon, first, second):
            continue
        shared = lexicon.categories("nouns", first.lemma) & lexicon.categories("nouns", second.lemma)
        animate = all(lexicon.categories("nouns", phrase.lemma) & {"people", "animals"} for phrase in (first, second))
        grounds = "places" in lexicon.categories("nouns", first.lemma) | lexicon.categories("nouns", second.lemma)
        score = 2.0 * animate + bool(shared) + (first is sentence.phrases[0]) - 1.5 * grounds
        yield _Swap(score, range(first.run, first.end), range(second.run, second.end))


def _swappable(sentence: Sentence, phrase: NounPhrase) -> bool:
    """Whether it is a thing of its own, and not what an amount is of (a slice of pizza)."""
    amount = phrase.start > 0 and sentence.lower[phrase.start - 1] == "of" and not phrase.plural
    return sentence.lexicon.names_thing(phrase.lemma) and not (
        phrase.abstract or phrase.named or amount and _after_abstract(sentence, phrase)
    )


def _after_abstract(sentence: Sentence, phrase: NounPhrase) -> bool:
    before = [other for other in sentence.phrases if other.end == phrase.start - 1]
    return any(other.abstract and not is_picture(other) for other in before)


def _same_number(first: NounPhrase, second: NounPhrase) -> bool:
    return first.plural is not None and first.plural == second.plural


def _crosses_determiner(first: NounPhrase, second: NounPhrase, lexicon: Lexicon) -> bool:
    """A mass noun stands after "a" after the swap, or a count noun without any determiner."""
    mass = (first.lemma in lexicon.mass, second.lemma in lexicon.mass)
    if mass[0] == mass[1]:
        return False
    other = second if mass[0] else first
    own = first if mass[0] else second
    return other.determiner in ("a", "an", "one", "each", "every") or own.determiner in ("", "some", "much")


def _of_between(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    between = sentence.lower[first.end : second.start]
    return between == ("of",) or between == ("'s",)


def symmetric(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether nothing but a list or a symmetric relation (and, with, near) links two phrases."""
    covered = set()
    for relation in sentence.relations:
        if relation.symmetric:
            covered.update(range(relation.start, relation.end))
    for phrase in sentence.phrases:
        covered.update(range(phrase.start, phrase.end))
    rest = [i for i in range(first.end, second.start) if i not in covered]
    return all(sentence.tags[i] in _LISTING or sentence.lower[i] in _STANDING_WORDS for i in rest)


def contrast(lexicon: Lexicon, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether the two are described differently in one respect, so that neither description can fit the other."""
    return any(
        lexicon.groups("adjectives", mine.word) & lexicon.groups("adjectives", other.word)
        and other.word not in lexicon.related("adjectives", mine.word)
        for mine in first.adjectives
        for other in second.adjectives
    )


def modifiers(sentence: Sentence, phrase: NounPhrase) -> tuple[str, ...]:
    """What describes the noun: the words between determiner and noun."""
    words = sentence.lower[phrase.start : phrase.run]
    return words[1:] if phrase.determiner and words and words[0] == phrase.determiner else words


def _adjective_swaps(sentence: Sentence) -> Iterator[_Swap]:
    lexicon = sentence.lexicon
    for first, second in combinations(sentence.phrases, 2):
        if is_picture(first) or is_picture(second) or first.abstract or second.abstract:
            continue
        if symmetric(sentence, first, second) and first.lemma == second.lemma and len(modifiers(sentence, first)) == 1:
            continue
        for mine in first.adjectives:
            for other in second.adjectives:
                shared = _shared(lexicon, mine.word, other.word)
                if not shared or other.word in lexicon.related("adjectives", mine.word):
                    continue
                if _said_already(lexicon, mine.word, second) or _said_already(lexicon, other.word, first):
                    continue
                if _coloured_person(lexicon, mine.word, first) or _coloured_person(lexicon, other.word, second):
                    continue
                score = 1.0 * ("colours" in shared) + (first is sentence.phrases[0])
                yield _Swap(score, range(mine.index, mine.index + 1), range(other.index, other.index + 1))


def _shared(lexicon: Lexicon, word: str, other: str) -> set[str]:
    """What two adjectives have in common, so that each can describe what the other does."""
    groups = lexicon.groups("adjectives", word) & lexicon.groups("adjectives", other)
    mixed = [
        kin for kin in _KINDRED_GROUPS if kin & lexicon.groups("adjectives", word) and kin & lexicon.groups("adjectives", other)
    ]
    return set(groups - _GROUPS_WITHOUT_SWAP).union(*mixed)


def _coloured_person(lexicon: Lexicon, word: str, phrase: NounPhrase) -> bool:
    return "colours" in lexicon.groups("adjectives", word) and names_person(lexicon, phrase)


def names_person(lexicon: Lexicon, phrase: NounPhrase) -> bool:
    """Whether a phrase is of a human being, whose colour is not a thing's colour."""
    return "people" in lexicon.categories("nouns", phrase.lemma) or phrase.lemma in ("person", "people", "child", "kid", "player")


def _said_already(lexicon: Lexicon, word: str, phrase: NounPhrase) -> bool:
    return any(adjective.word in lexicon.related("adjectives", word) for adjective in phrase.adjectives)
