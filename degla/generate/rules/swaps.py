"""Swaps: two nouns, or two adjectives of one group, change places, so that words and grammar stay and the meaning does not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import combinations, product
from random import Random

from degla.generate.rules.options import Option
from degla.generate.rules.phrases import Adjective, NounPhrase, Sentence, is_picture
from degla.generate.rules.rewording import exchange
from degla.generate.rules.vocabulary import Vocabulary
from degla.text.inflection import part_of_noun
from degla.text.lexicon import Lexicon

_LISTING = frozenset(("CJC", "PUN"))
_STANDING = "is are sitting standing laying lying sits stand stands sit parked placed resting lay lays lie lies located"
_POSSESSIVES = ("his", "her", "its", "their", "my", "your", "our")
_STANDING_WORDS = frozenset(_STANDING.split())
_SURFACES = frozenset(("colours", "textures"))
_EXTENTS = frozenset(("sizes", "heights", "lengths", "widths"))  # of which a thing may have several: large and tall
_GROUPS_WITHOUT_SWAP = frozenset(("sides", "front", "first", "levels"))
# Of a thing of which nothing is said, such a word is most likely false.
_SPECIFIC_GROUPS = frozenset(("colours", "textures", "materials", "ground", "outlines", "nations", "grown"))
_OF_GROUND = frozenset(("materials", "ground"))
_VAGUE_GROUPS = frozenset(("colourfulness", "compared sizes", "compared ages", "shades", "beauty", "opening", "sectors"))
_OF_THINGS = frozenset(("colours", "textures", "materials", "ground", "outlines"))
_UNLIKE = 1.0  # likeness of adjectives that have nothing in common
_PRIOR = 8.0  # how many captions the adjectives of all nouns count for, where little is said of this one
_MEMORY = 1 << 16  # pairs of words that are remembered
_RARE = 0.12  # share of a noun's adjectives of one group


def noun_swaps(caption: str, sentence: Sentence, rng: Random) -> Iterator[Option]:
    """Exchanges of two nouns that make a different, well-formed sentence."""
    for first, second in combinations(sentence.phrases, 2):
        if _nouns_may_swap(sentence, first, second):
            spans = range(first.run, first.end), range(second.run, second.end)
            yield _option(caption, sentence, _noun_score(sentence, first, second), *spans)


def _option(caption: str, sentence: Sentence, score: float, first: range, second: range) -> Option:
    make = partial(exchange, caption, sentence.tokens, sentence.tags, first, second)
    return Option(score, (first.start, second.start), make)


def _nouns_may_swap(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    lexicon = sentence.lexicon
    if not (_swappable(sentence, first) and _swappable(sentence, second)) or _owned(sentence, second):
        return False
    if any(sentence.lower.count(sentence.lower[i]) > 1 for each in (first, second) for i in range(each.run, each.end)):
        return False
    if first.bare != second.bare and not (first.bare and first.start == 0):
        return False
    if worn(sentence, first.end, second):
        return False
    if same_place(sentence, first, second) or _beside(sentence, first, second) or _listed_alike(sentence, first, second):
        return False
    if second.lemma in lexicon.related("nouns", first.lemma) or not _same_number(first, second):
        return False
    if _crosses_determiner(first, second, lexicon):
        return False
    return not symmetric(sentence, first, second) or contrast(lexicon, first, second)


def worn(sentence: Sentence, end: int, phrase: NounPhrase) -> bool:
    """Whether a phrase follows token `end` as clothes do: man in black jacket. No other thing is said so short."""
    return phrase.bare and sentence.lower[end : phrase.start] == ("in",)


def _owned(sentence: Sentence, phrase: NounPhrase) -> bool:
    return phrase.determiner in _POSSESSIVES or sentence.lower[phrase.start - 1] in ("'s", "’s")


def same_place(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether the same preposition stands before both (in a bed in a room): in either order they say the same."""
    return (
        first.start > 0
        and sentence.lower[first.start - 1] == sentence.lower[second.start - 1]
        and (sentence.tags[first.start - 1] == "PRP")
    )


def _beside(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether the second is only seen beside the first: "a cup on a table next to a plate" may be said of the plate."""
    last = next((each for each in sentence.relations if each.end == second.start), None)
    if last is None or not last.symmetric or first is not sentence.phrases[0]:
        return False
    if contrast(sentence.lexicon, first, second):
        return False
    if sentence.lower[first.end : first.end + 1] in (("and",), ("&",)):
        return True
    acting = any(
        sentence.tags[i][:2] == "VV" and (last.words == "with" or sentence.lower[i] not in _STANDING_WORDS)
        for i in range(first.end, last.start)
    )
    return not acting or living(sentence.lexicon, first) == living(sentence.lexicon, second)


_JOINING_WORDS = "and or , & with near beside next to by far away from close alongside"
_BESIDE_WORDS = "a an the is are sitting standing some one another"
_JOINING, _BESIDE = frozenset(_JOINING_WORDS.split()), frozenset(_BESIDE_WORDS.split())


def _listed_alike(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether only joining words stand between two nouns, and nothing, or the same, describes both."""
    return described_alike(sentence.lower, first.run, range(first.end, second.run))


def described_alike(words: tuple[str, ...], start: int, gap: range) -> bool:
    """Whether the word at `start` and the one after `gap` are described alike, and only joining words link them."""
    between = words[gap.start : gap.stop]
    if not _JOINING & set(between) or between[0] not in _JOINING | _BESIDE:
        return False
    own = tuple(word for word in between if word not in _JOINING | _BESIDE)
    if not own:
        return True
    described = words[max(0, start - len(own)) : start] == own
    return described and (start == len(own) or words[start - len(own) - 1] in _JOINING | _BESIDE)


def living(lexicon: Lexicon, phrase: NounPhrase) -> bool:
    """Whether it names a person or an animal."""
    return names_person(lexicon, phrase) or "animals" in lexicon.categories("nouns", phrase.lemma)


def _noun_score(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> float:
    categories = [sentence.lexicon.categories("nouns", phrase.lemma) for phrase in (first, second)]
    animate = all(each & {"people", "animals"} for each in categories)
    shared, grounds = bool(categories[0] & categories[1]), "places" in categories[0] | categories[1]
    return 2.0 * animate + shared + (first is sentence.phrases[0]) - 1.5 * grounds


def _swappable(sentence: Sentence, phrase: NounPhrase) -> bool:
    """Whether it is a thing of its own, and not what an amount is of (a slice of pizza)."""
    amount = phrase.start > 0 and sentence.lower[phrase.start - 1] == "of" and not phrase.plural
    return sentence.lexicon.names_thing(phrase.lemma) and not (
        not all(map(part_of_noun, sentence.lower[phrase.run : phrase.end]))
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


def _same_number(first: NounPhrase, second: NounPhrase) -> bool:
    return first.plural is not None and first.plural == second.plural


def _crosses_determiner(first: NounPhrase, second: NounPhrase, lexicon: Lexicon) -> bool:
    """A mass noun stands after "a" after the swap, or a count noun without any determiner."""
    mass = (first.lemma in lexicon.mass, second.lemma in lexicon.mass)
    if mass[0] == mass[1]:
        return False
    other = second if mass[0] else first
    own = first if mass[0] else second
    return other.determiner in ("a", "an", "one", "each", "every", "another", "two", "many", "several") or own.determiner in (
        "",
        "some",
        "much",
    )


def symmetric(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> bool:
    """Whether nothing but a list or a symmetric relation (and, with, near) links two phrases."""
    covered: set[int] = set()
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


class AdjectiveSwapper:
    """Exchanges adjectives of different nouns; remembers what the captions say of a noun.

    Args:
        lexicon: what adjectives have in common.
        vocabulary: which adjectives the captions give to which nouns.
    """

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary) -> None:
        self._lexicon, self._vocabulary = lexicon, vocabulary
        self._great = frozenset(each for word in ("big", "tall", "long", "wide") for each in lexicon.related("adjectives", word))
        self._likeness = lru_cache(_MEMORY)(self._find_likeness)
        self._unlikely = lru_cache(_MEMORY)(self._find_unlikely)

    def swaps(self, caption: str, sentence: Sentence, rng: Random) -> Iterator[Option]:
        """Exchanges of two adjectives of different nouns of which one at least is false where it comes to stand."""
        described = [phrase for phrase in sentence.phrases if phrase.adjectives and not is_picture(phrase)]
        for first, second in combinations(described, 2):
            if any(phrase.abstract and phrase.lemma != "area" for phrase in (first, second)):
                continue
            for mine, other in product(first.adjectives, second.adjectives):
                score = self._score(sentence, (mine, first), (other, second))
                if score:
                    spans = range(mine.index, mine.index + 1), range(other.index, other.index + 1)
                    yield _option(caption, sentence, score + (first is sentence.phrases[0]), *spans)

    def _score(self, sentence: Sentence, mine: Described, other: Described) -> float:
        """How surely the exchange is false; 0: not surely enough, or not well formed."""
        word, other_word = mine[0].word, other[0].word
        likeness = self._likeness(word, other_word)
        if not likeness or _owned_alike(sentence.lower, mine[0].index, other[0].index):
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

    def _find_likeness(self, word: str, other: str) -> float:
        """How sure it is by the words alone that each is false of what the other describes."""
        lexicon = self._lexicon
        groups, others = lexicon.groups("adjectives", word), lexicon.groups("adjectives", other)
        if (groups | others) & _GROUPS_WITHOUT_SWAP or other in lexicon.related("adjectives", word):
            return 0.0
        if groups & others:
            return 4.0 if "colours" in groups & others else 3.0
        if groups & _EXTENTS and others & _EXTENTS:
            return 2.0 * ((word in self._great) != (other in self._great))
        if groups & _SURFACES and others & _SURFACES:
            return 2.0
        return 0.0 if (groups | others) & _VAGUE_GROUPS else _UNLIKE

    def _find_unlikely(self, word: str, noun: str) -> bool:
        """Whether an adjective that a thing may have only one of (its colour) is rarely that of this noun."""
        groups = self._lexicon.groups("adjectives", word) & _SPECIFIC_GROUPS
        ground = groups <= _OF_GROUND and (noun == "area" or "places" in self._lexicon.categories("nouns", noun))
        if not groups or ground:
            return False
        vocabulary = self._vocabulary
        words = self._lexicon.group_words("adjectives", groups)
        counts = {each: vocabulary.pairs.get(f"{each} {noun}", 0) for each in words}
        weights = {each: vocabulary.adjective_weight(each) ** 2 if vocabulary.has_adjective(each) else 0.0 for each in words}
        usual = weights[word] / max(1.0, sum(weights.values()))
        return (counts[word] + _PRIOR * usual) / (sum(counts.values()) + _PRIOR) <= _RARE


Described = tuple[Adjective, NounPhrase]
"""An adjective and what it describes."""


def _owned_alike(words: tuple[str, ...], first: int, second: int) -> bool:
    """Whether two things of one kind, joined without an order, are described (a red cat and a blue cat)."""
    gap = words[first + 1 : second]
    own = tuple(word for word in gap if word not in _JOINING | _BESIDE)
    return bool(own and _JOINING & set(gap)) and words[second + 1 : second + 1 + len(own)] == own


def _may_describe(lexicon: Lexicon, word: str, phrase: NounPhrase) -> bool:
    """A person has no colour, pattern or material, and only who lives is young."""
    groups = lexicon.groups("adjectives", word)
    if names_person(lexicon, phrase):
        return not groups & _OF_THINGS
    return groups != {"people ages"} or living(lexicon, phrase)


def names_person(lexicon: Lexicon, phrase: NounPhrase) -> bool:
    """Whether a phrase is of a human being, whose colour is not a thing's colour."""
    return "people" in lexicon.categories("nouns", phrase.lemma) or phrase.lemma in ("person", "people", "child", "kid", "player")


def _said_already(lexicon: Lexicon, word: str, phrase: NounPhrase) -> bool:
    return any(adjective.word in lexicon.related("adjectives", word) for adjective in phrase.adjectives)
