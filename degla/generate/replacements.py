"""Replacements: a noun or an adjective gives way to another member of its group that the captions use.

Called by `degla.generate.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from random import Random

from degla.generate.phrases import Adjective, NounPhrase, Sentence, is_picture
from degla.generate.rewording import Edit, reword
from degla.generate.swaps import names_person
from degla.generate.vocabulary import Vocabulary
from degla.text.inflection import like, plural, singular
from degla.text.lexicon import Lexicon, WordKind

_COUNTING = frozenset(("a", "an", "one", "each", "every", "another"))
_UNCOUNTED = frozenset(("some", "much", "more"))
_GENDERED = frozenset(("adults", "children"))
_PRONOUNS = frozenset(("he", "she", "his", "her", "him", "himself", "herself", "hers"))
_NARROW_CATEGORIES = frozenset(("state", "kind", "age", "mood", "shape"))
_LONGEST = 2  # words of what is taken out or put in; what the edit rules allow


class Replacer:
    """Replaces words by others that a vocabulary allows; remembers what may stand for what.

    Args:
        lexicon: which words may take each other's place.
        vocabulary: the words that may be used.
    """

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary) -> None:
        self._lexicon, self._vocabulary = lexicon, vocabulary
        self._nouns = lru_cache(None)(self._find_nouns)

    def replace_nouns(self, caption: str, sentence: Sentence, rng: Random) -> str | None:
        """The caption with one noun replaced by a thing that is not in it, or None."""
        phrases = [phrase for phrase in sentence.phrases if _replaceable(sentence, phrase)]
        rng.shuffle(phrases)
        said = set(_said(sentence, "nouns"))
        here = set(sentence.lower)
        for phrase in phrases:
            offers = self._nouns(phrase.lemma, phrase.plural, phrase.determiner)
            words = [word for word in offers if word not in said and not here & set(word.split(" "))]
            if words:
                form = _form(self._lexicon, rng.choice(words), phrase.plural)
                edit = Edit(phrase.head, phrase.end, like(sentence.tokens[phrase.head], form))
                return reword(caption, sentence.tokens, sentence.tags, [edit])
        return None

    def replace_adjectives(self, caption: str, sentence: Sentence, rng: Random) -> str | None:
        """The caption with one adjective replaced by one that says something else, or None."""
        places = [
            (phrase, each) for phrase in sentence.phrases for each in phrase.adjectives if _changeable(sentence, phrase, each)
        ]
        rng.shuffle(places)
        said = set(_said(sentence, "adjectives"))
        for phrase, adjective in places:
            offers = self._lexicon.candidates("adjectives", adjective.word, self._vocabulary.has_adjective)
            words = [word for word in offers if word not in said and " " not in word]
            words = self._usual(words, sentence, phrase, adjective) or ([] if self._narrow(adjective.word) else words)
            if words:
                chosen = rng.choice(words)
                edit = Edit(adjective.index, adjective.index + 1, like(sentence.tokens[adjective.index], chosen))
                return reword(caption, sentence.tokens, sentence.tags, [edit])
        return None

    def _narrow(self, word: str) -> bool:
        """Whether a word's opposite fits some nouns only, and the captions can tell which: an open field is never closed."""
        narrow = self._lexicon.categories("adjectives", word) & _NARROW_CATEGORIES
        return bool(narrow and self._vocabulary.pairs)

    def _usual(self, words: list[str], sentence: Sentence, phrase: NounPhrase, adjective: Adjective) -> list[str]:
        """The words that the captions do give to this noun."""
        noun = sentence.lower[phrase.run] if phrase.run == adjective.index + 1 else sentence.lower[phrase.end - 1]
        return [word for word in words if f"{word} {noun}" in self._vocabulary.pairs]

    def _find_nouns(self, lemma: str, plural_number: bool | None, determiner: str) -> list[str]:
        def usable(word: str) -> bool:
            if word.count(" ") >= _LONGEST or not _fits(self._lexicon, word, lemma, plural_number, determiner):
                return False
            return self._vocabulary.has_noun(_form(self._lexicon, word, plural_number))

        return self._lexicon.candidates("nouns", lemma, usable)


def _changeable(sentence: Sentence, phrase: NounPhrase, adjective: Adjective) -> bool:
    """Not the colour of a photo or of a person, nor the "little" of a child, nor "male" beside a "his"."""
    if is_picture(phrase):
        return False
    if "gender" in sentence.lexicon.groups("adjectives", adjective.word) and _PRONOUNS & set(sentence.lower):
        return False
    personal = names_person(sentence.lexicon, phrase)
    return not (personal and sentence.lexicon.groups("adjectives", adjective.word) & {"colours", "sizes"})


def _replaceable(sentence: Sentence, phrase: NounPhrase) -> bool:
    lexicon = sentence.lexicon
    if phrase.modified or phrase.named or phrase.end - phrase.head > _LONGEST or not lexicon.concepts("nouns", phrase.lemma):
        return False
    return not (lexicon.groups("nouns", phrase.lemma) & _GENDERED and _PRONOUNS & set(sentence.lower))


def _said(sentence: Sentence, kind: WordKind) -> Iterator[str]:
    """Every word of the caption, and all that would say the same."""
    for word in sentence.lower:
        base = singular(word) if kind == "nouns" else word
        yield from sentence.lexicon.related(kind, base)
    if kind == "nouns":
        for phrase in sentence.phrases:
            yield from sentence.lexicon.related(kind, phrase.lemma)


def _fits(lexicon: Lexicon, word: str, lemma: str, plural_number: bool | None, determiner: str) -> bool:
    """Whether a word in this number goes with the determiner that stood before `lemma`."""
    if plural_number or plural_number is None:
        return word not in lexicon.mass or word in lexicon.unchanged_plural
    if word in lexicon.plural_only:
        return False
    if word in lexicon.mass:
        return determiner not in _COUNTING
    bare = not determiner or determiner in _UNCOUNTED
    return not bare or lemma not in lexicon.mass


def _form(lexicon: Lexicon, word: str, plural_number: bool | None) -> str:
    return word if plural_number is False or word in lexicon.plural_only else plural(word)
