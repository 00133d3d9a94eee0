"""Replacements: a noun or an adjective gives way to another member of its group that the captions use.

What goes with the words beside it comes first, as often as the captions put it there (Gumbel noise on its log probability): by
its count alone a text-only classifier tells 78.3 % of the noun replacements of COCO val2017, so 77.1 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from heapq import nlargest
from math import log

from degla.generate.rules.kinds import living, names_person
from degla.generate.rules.options import Chance, Option
from degla.generate.rules.phrases import FINITE, NUMBERS, Adjective, NounPhrase, Sentence, is_picture
from degla.generate.rules.plausibility import Plausibility
from degla.generate.rules.preferences import Preferences
from degla.generate.rules.rewording import Edit, reword
from degla.generate.rules.vocabulary import Vocabulary
from degla.negative_types import PartOfSpeech
from degla.text.agreement import SOME_OF
from degla.text.inflection import like, part_of_noun, plural, singular
from degla.text.lexicon import Lexicon
from degla.text.units import joints_of_wholes

_COUNTING = frozenset(("a", "an", "one", "each", "every", "another"))
_UNCOUNTED = frozenset(("some", "much", "more", "little"))
_POSSESSIVES = frozenset(("his", "her", "its", "their", "my", "your", "our"))
_ANY_NUMBER = frozenset(("", "the", "some", *_POSSESSIVES))
_ANY_NUMBER_ONE = _ANY_NUMBER - {""}
_NAMED = frozenset(("dad", "father", "grandfather", "grandmother", "mom", "mother"))  # by this word alone
_YOUNG = frozenset(("children", "ages"))  # groups of nouns
# Determiners, to one beside which the same words may stand.
_LIKE = {word: min(words) for words in (_COUNTING, NUMBERS, _POSSESSIVES) for word in words}
_GENDERS = {"man": "male", "boy": "male", "woman": "female", "girl": "female"}
_HE, _SHE = frozenset(("he", "his", "him", "himself")), frozenset(("she", "her", "hers", "herself"))
_NARROW_CATEGORIES = frozenset(("state", "kind", "age", "mood", "shape", "material"))
_NOT_OF_THE_LIVING = frozenset(("long", "wide", "narrow"))  # as opposites of short and slim
_LEAST_DRAWN = 1e-300  # whose logarithm is taken
_MOST = 16  # words for one place
_WORDS = 1 << 16  # whose relations are remembered
_ALL = 1000  # more words than the lexicon has for a place
_LAST, _FURTHER = -1e3, 4  # score and number of words from anywhere, which come last
_USUAL = 1.0  # nats: how much more usual those must be
_PLAIN = 2  # most adjectives of a thing in whose place any other may stand
_LONGEST = 2  # words of what is taken out or put in; what rule `small_change` allows

Offers = tuple[str, ...]
"""Words in the form that fits."""


class Replacer:
    """Replaces words by others that a vocabulary allows; remembers what may stand for what.

    Args:
        lexicon: which words may take each other's place.
        vocabulary: the words that may be used.
        plausibility: which words stand beside each other.
        preferences: which things do what and are described how.
    """

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary, plausibility: Plausibility, preferences: Preferences) -> None:
        self._lexicon, self._vocabulary, self._plausibility, self._preferences = lexicon, vocabulary, plausibility, preferences
        # Functions, since methods would refer back to this, and all would wait for a garbage collection of a second.
        self._nouns = lru_cache(_WORDS)(partial(_find_nouns, lexicon, vocabulary))
        self._saying = lru_cache(_WORDS)(partial(_find_saying, lexicon))
        self._adjectives = lru_cache(_WORDS)(partial(_find_adjectives, lexicon, vocabulary))

    def noun_replacements(self, caption: str, sentence: Sentence, rng: Chance) -> Iterator[Option]:
        """The caption with one noun replaced by a thing that is not in it."""
        said, joints = self._said(sentence, "nouns"), self._vocabulary.phrase_joints(sentence)
        wholes = joints_of_wholes(sentence.lower)
        for place, phrase in enumerate(sentence.phrases):
            if _replaceable(sentence, phrase) and wholes.isdisjoint((phrase.head, phrase.end)):
                levels = 1 if "POS" in sentence.tags[phrase.start : phrase.head] else 3 if _plain(sentence, phrase) else 2
                offers = self._offers(sentence, phrase, levels)
                offers = _of_gender(sentence, phrase, offers)
                span = _span(sentence, phrase)
                offers = self._phrased(sentence, span, offers, joints)
                yield from self._options(caption, sentence, span, offers, said, rng, place)
                if levels > 1 and self._preferences.enough and not names_person(self._lexicon, phrase.lemma):
                    further = self._further(caption, sentence, place, span, said, joints)
                    yield from [Option(_LAST, span.start, partial(next, further, None))] * _FURTHER
            if phrase.modified and not phrase.named:
                yield from self._modifier_replacements(caption, sentence, phrase, said, rng)

    def adjective_replacements(self, caption: str, sentence: Sentence, rng: Chance) -> Iterator[Option]:
        """The caption with one adjective replaced by one that says something else."""
        said, joints = self._said(sentence, "adjectives"), self._vocabulary.phrase_joints(sentence)
        for phrase in sentence.phrases:
            for adjective in phrase.adjectives:
                if _changeable(sentence, phrase, adjective):
                    noun = _described(sentence, phrase, adjective)
                    offers = self._adjectives(adjective.word)
                    if self._narrow(adjective.word):
                        offers = self._usual(offers, noun)
                    after = adjective.index + 1
                    if after in joints:
                        offers = tuple(each for each in offers if self._vocabulary.makes_phrase(each, sentence.lower[after]))
                    if living(self._lexicon, phrase.lemma):
                        offers = tuple(offer for offer in offers if offer not in _NOT_OF_THE_LIVING)
                    yield from self._options(caption, sentence, _place(adjective), offers, said, rng, of_adjective=True)
        for adjective in sentence.predicates:
            offers = self._adjectives(adjective.word)
            yield from self._options(caption, sentence, _place(adjective), offers, said, rng)

    def _modifier_replacements(
        self, caption: str, sentence: Sentence, phrase: NounPhrase, said: set[str], rng: Chance
    ) -> Iterator[Option]:
        """Kitchen counter to bathroom counter: only where the captions have that."""
        i = phrase.head - 1
        if i < phrase.run or sentence.tags[i] != "NN1" or any(each.index == i for each in phrase.adjectives):
            return
        noun = " ".join(sentence.lower[phrase.head : phrase.end])
        offers = self._usual(self._nouns(sentence.lower[i], False, "the", True, 2), noun.split(" ")[0])
        yield from self._options(caption, sentence, range(i, i + 1), offers, said, rng)

    def _options(
        self,
        caption: str,
        sentence: Sentence,
        span: range,
        offers: Offers,
        said: set[str],
        rng: Chance,
        place: int | None = None,
        of_adjective: bool = False,
    ) -> Iterator[Option]:
        if not offers:
            return
        ranked, draw = [], rng.random
        for word, nats in zip(offers, self._plausibility.at(sentence.lower, span, offers), strict=True):
            drawn = draw()
            if word not in said and (" " not in word or said.isdisjoint(word.split(" "))):
                ranked.append((nats - log(-log(drawn or _LEAST_DRAWN)), word))
        best = nlargest(_MOST, ranked)
        texts = self._texts(caption, sentence, span, place, [word for _, word in best], of_adjective)
        make = partial(next, texts, None)  # options are taken from the best downwards, as these texts come
        for score, _ in best:
            yield Option(score, span.start, make)

    def _texts(
        self,
        caption: str,
        sentence: Sentence,
        span: range,
        place: int | None,
        words: Iterable[str],
        of_adjective: bool = False,
        more: float = 0.0,
    ) -> Iterator[str | None]:
        """The caption with each of the words, None where that is too unusual: found out only of the texts that are asked for."""
        sense = self._sense(sentence, span, place)
        least, keeps_case = self._preferences.least + more, of_adjective or _keeps_case(sentence, span)
        for word in words:
            yield _replaced(caption, sentence, span, word, keeps_case) if sense(word) >= least else None

    def _sense(self, sentence: Sentence, span: range, place: int | None) -> Callable[[str], float]:
        """A function from a word in the place of a span to how usual it is; `place`: of the noun phrase whose noun it is."""
        if place is None:
            return lambda word: self._preferences.of_descriptions(sentence, {span.start: f"={word}"})
        of_noun = self._preferences.of_replacement(sentence, place)
        return lambda word: of_noun(singular(word))

    def _further(
        self, caption: str, sentence: Sentence, place: int, span: range, said: set[str], joints: frozenset[int]
    ) -> Iterator[str]:
        """The caption with any thing that captions do have there, where there is too little of a noun's own category."""
        phrase, mass = sentence.phrases[place], self._lexicon.mass
        offers = self._phrased(sentence, span, self._offers(sentence, phrase, 3, _ALL), joints)
        others = [offer for offer in offers if offer not in said and (offer in mass) == (phrase.lemma in mass)]
        plausible = dict(zip(others, self._plausibility.at(sentence.lower, span, others), strict=True))
        words = nlargest(2 * _MOST, others, key=plausible.__getitem__)
        yield from filter(None, self._texts(caption, sentence, span, place, words, more=_USUAL))

    def _phrased(self, sentence: Sentence, span: range, offers: Offers, joints: frozenset[int]) -> Offers:
        """The nouns that may stand after the adjective that is one phrase with this one."""
        if span.start not in joints:
            return offers
        before = sentence.lower[span.start - 1]
        return tuple(each for each in offers if self._vocabulary.makes_phrase(before, each.split(" ")[0]))

    def _offers(self, sentence: Sentence, phrase: NounPhrase, levels: int, at_least: int | None = None) -> Offers:
        determiner = _determiner(sentence, phrase)
        determiner = _LIKE.get(determiner, determiner)
        return self._nouns(phrase.lemma, phrase.plural, determiner, _agreeing(sentence, phrase), levels, at_least)

    def _said(self, sentence: Sentence, part: PartOfSpeech) -> set[str]:
        """Every word of the lexicon in the caption, and all that would say the same."""
        names = [phrase.lemma for phrase in sentence.phrases] if part == "nouns" else []
        return set().union(*map(partial(self._saying, part), {*sentence.lower, *names}))

    def _narrow(self, word: str) -> bool:
        """Whether a word's opposite fits some nouns only, and the captions can tell which: an open field is never closed."""
        narrow = self._lexicon.categories("adjectives", word) & _NARROW_CATEGORIES
        return bool(narrow and self._vocabulary.pairs)

    def _usual(self, offers: Offers, noun: str) -> Offers:
        """The words that the captions do put before this noun."""
        return tuple(word for word in offers if f"{word} {noun}" in self._vocabulary.pairs)


def _find_saying(lexicon: Lexicon, part: PartOfSpeech, word: str) -> frozenset[str]:
    """All that may be offered, and parts of it, that say what a word says."""
    if part == "adjectives":
        return lexicon.related(part, word)
    related = lexicon.related(part, singular(word))
    return frozenset(each for each in (*related, word, *map(plural, related)) if " " in each or part_of_noun(each))


def _find_nouns(
    lexicon: Lexicon,
    vocabulary: Vocabulary,
    lemma: str,
    plural_number: bool | None,
    determiner: str,
    agreeing: bool,
    levels: int,
    at_least: int | None = None,
) -> Offers:
    """What may stand for a noun; `agreeing`: a verb after it holds it to its number; the rest as in `Lexicon.candidates`."""

    def form(word: str) -> str | None:
        found = _form(lexicon, word, lemma, plural_number, determiner, agreeing)
        usable = found is not None and found.count(" ") < _LONGEST and vocabulary.has_noun(found)
        return found if usable else None

    words = lexicon.candidates("nouns", lemma, lambda word: form(word) is not None, levels, at_least)
    return tuple(filter(None, map(form, words)))


def _find_adjectives(lexicon: Lexicon, vocabulary: Vocabulary, word: str) -> Offers:
    words = lexicon.candidates("adjectives", word, vocabulary.has_adjective)
    return tuple(each for each in words if " " not in each)


def _keeps_case(sentence: Sentence, span: range) -> bool:
    return span.start == 0 or sentence.titled or all(token.isupper() for token in sentence.tokens[:2])


def _replaced(caption: str, sentence: Sentence, span: range, word: str, keeps_case: bool) -> str:
    written = like(sentence.tokens[span.start], word) if keeps_case else word
    return reword(caption, sentence.tokens, sentence.tags, (Edit(span.start, span.stop, written),))


def _place(adjective: Adjective) -> range:
    return range(adjective.index, adjective.index + 1)


def _described(sentence: Sentence, phrase: NounPhrase, adjective: Adjective) -> str:
    """The noun after an adjective, else the head."""
    following = adjective.index + 1
    return sentence.lower[following] if phrase.run == following else sentence.lower[phrase.end - 1]


def _changeable(sentence: Sentence, phrase: NounPhrase, adjective: Adjective) -> bool:
    """Not the colour of a photo or of a person, nor the "little" of a child, nor "male" beside a "his"."""
    if is_picture(phrase):
        return False
    lexicon = sentence.lexicon
    groups = lexicon.groups("adjectives", adjective.word)
    if any(each != adjective and each.word in lexicon.related("adjectives", adjective.word) for each in phrase.adjectives):
        return False
    if "gender" in groups and (_HE | _SHE) & set(sentence.lower):
        return False
    return not (names_person(lexicon, phrase.lemma) and groups & {"colours", "sizes"})


def _replaceable(sentence: Sentence, phrase: NounPhrase) -> bool:
    """Whether a thing stands there that has a name of one or two words, and no name of its own."""
    if phrase.bare and phrase.lemma in _NAMED:
        return False
    if phrase.named or phrase.misnumbered or phrase.colour or not sentence.lexicon.replaceable(phrase.lemma):
        return False
    span = _span(sentence, phrase)
    return len(span) <= _LONGEST and all(part_of_noun(sentence.lower[i]) for i in span)


def _plain(sentence: Sentence, phrase: NounPhrase) -> bool:
    """Whether any thing may stand there: nobody's, and not described as only its like is (slim fit navy blue)."""
    described = len(phrase.adjectives)
    own = phrase.run - phrase.content == described <= _PLAIN and not phrase.modified
    return own and phrase.determiner not in _POSSESSIVES


def _span(sentence: Sentence, phrase: NounPhrase) -> range:
    """The noun, with the nouns before it that say what kind it is (city bus), but not what it is made of (brick church)."""
    described = {each.index for each in phrase.adjectives}
    start = phrase.head
    while start > phrase.run and start - 1 not in described and sentence.lower[start - 1] != "steel":
        start -= 1
    return range(start, phrase.end)


def _determiner(sentence: Sentence, phrase: NounPhrase) -> str:
    """What stands before a noun and tells its number; what a group is of is counted (a bunch of grapes)."""
    of_several = phrase.plural and not phrase.determiner and sentence.lower[max(0, phrase.start - 2) : phrase.start]
    return "several" if of_several and of_several[0] in SOME_OF and of_several[-1] == "of" else phrase.determiner


def _agreeing(sentence: Sentence, phrase: NounPhrase) -> bool:
    """Whether a finite verb may stand in the number of this noun."""
    after = sentence.tags[phrase.end : phrase.end + 2]
    before = sentence.tags[max(0, phrase.start - 2) : phrase.start]
    return any(tag in FINITE for tag in (*after, *before))


def _of_gender(sentence: Sentence, phrase: NounPhrase, offers: Offers) -> Offers:
    """Beside "his" a man stays male and becomes a boy; otherwise he becomes female, since a boy may be a man to others. No child
    is old."""
    if any("old" in sentence.lexicon.related("adjectives", each.word) for each in phrase.adjectives):
        offers = tuple(word for word in offers if not sentence.lexicon.groups("nouns", singular(word)) & _YOUNG)
    gender = _gender(sentence.lexicon, phrase.lemma)
    if gender is None:
        return offers
    pronouns = (_HE | _SHE) & set(sentence.lower)
    if pronouns and any("age" in sentence.lexicon.categories("adjectives", each.word) for each in phrase.adjectives):
        return ()
    return tuple(word for word in offers if (_gender(sentence.lexicon, singular(word)) == gender) == bool(pronouns))


def _gender(lexicon: Lexicon, lemma: str) -> str | None:
    concepts = lexicon.concepts("nouns", lemma)
    return _GENDERS.get(concepts[0].words[0]) if concepts else None


def _form(lexicon: Lexicon, word: str, lemma: str, plural_number: bool | None, determiner: str, agreeing: bool) -> str | None:
    """A word in the form that goes with the determiner and the verb that stood beside `lemma`, or None."""
    mass, plural_only = word in lexicon.mass, word in lexicon.plural_only
    if plural_number or plural_number is None:
        if word in lexicon.single:
            return None
        if mass and word not in lexicon.unchanged_plural:
            return word if determiner in _ANY_NUMBER and not agreeing else None
        return plural(word) if not (plural_only and determiner in NUMBERS) else None
    if plural_only:
        return word if determiner in _ANY_NUMBER_ONE and not agreeing else None
    if mass:
        return word if determiner not in _COUNTING else None
    if lexicon.uncounted(lemma) and (not determiner or determiner in _UNCOUNTED):
        return plural(word) if not agreeing and determiner in _ANY_NUMBER else None
    return word
