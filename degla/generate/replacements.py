"""Replacements: a noun or an adjective gives way to another member of its group that the captions use.

Called by `degla.generate.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from degla.generate.phrases import NounPhrase, Sentence, is_picture
from degla.generate.rewording import Edit, reword
from degla.generate.vocabulary import Vocabulary
from degla.text.inflection import like, plural, singular
from degla.text.lexicon import Lexicon, WordKind

_COUNTING = frozenset(("a", "an", "one", "each", "every", "another"))
_UNCOUNTED = frozenset(("some", "much", "more"))
_GENDERED = frozenset(("adults", "children"))
_PRONOUNS = frozenset(("he", "she", "his", "her", "him", "himself", "herself", "hers"))
_LONGEST = 2  # words of what is taken out or put in; what the edit rules allow


def replace_nouns(caption: str, sentence: Sentence, vocabulary: Vocabulary, rng: Random) -> str | None:
    """The caption with one noun replaced by a thing that is not in it, or None."""
    phrases = [phrase for phrase in sentence.phrases if _replaceable(sentence, phrase)]
    rng.shuffle(phrases)
    said = set(_said(sentence, "nouns"))
    here = set(sentence.lower)
    for phrase in phrases:
        words = [
            word for word in _nouns_for(sentence, phrase, vocabulary) if word not in said and not here & set(word.split(" "))
        ]
        if words:
            written = sentence.tokens[phrase.head]
            form = _form(sentence.lexicon, rng.choice(words), phrase)
            edit = Edit(phrase.head, phrase.end, like(written, form))
            return reword(caption, sentence.tokens, sentence.tags, [edit])
    return None


def replace_adjectives(caption: str, sentence: Sentence, vocabulary: Vocabulary, rng: Random) -> str | None:
    """The caption with one adjective replaced by one that says something else, or None."""
    places = [(phrase, adjective) for phrase in sentence.phrases if not is_picture(phrase) for adjective in phrase.adjectives]
    rng.shuffle(places)
    said = set(_said(sentence, "adjectives"))
    for phrase, adjective in places:
        words = [
            word
            for word in sentence.lexicon.candidates("adjectives", adjective.word, vocabulary.has_adjective)
            if word not in said and " " not in word
        ]
        noun = sentence.lower[phrase.run] if phrase.run == adjective.index + 1 else sentence.lower[phrase.end - 1]
        usual = [word for word in words if f"{word} {noun}" in vocabulary.pairs]
        if words:
            chosen = like(sentence.tokens[adjective.index], rng.choice(usual or words))
            edit = Edit(adjective.index, adjective.index + 1, chosen)
            return reword(caption, sentence.tokens, sentence.tags, [edit])
    return None


def _replaceable(sentence: Sentence, phrase: NounPhrase) -> bool:
    lexicon = sentence.lexicon
    if phrase.modified or phrase.end - phrase.head > _LONGEST or not lexicon.concepts("nouns", phrase.lemma):
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


def _nouns_for(sentence: Sentence, phrase: NounPhrase, vocabulary: Vocabulary) -> list[str]:
    lexicon = sentence.lexicon

    def usable(word: str) -> bool:
        fits = _fits(lexicon, word, phrase)
        return fits and word.count(" ") < _LONGEST and vocabulary.has_noun(_form(lexicon, word, phrase))

    return lexicon.candidates("nouns", phrase.lemma, usable)


def _fits(lexicon: Lexicon, word: str, phrase: NounPhrase) -> bool:
    """Whether a word in the phrase's number goes with its determiner."""
    if phrase.plural or phrase.plural is None:
        return word not in lexicon.mass or word in lexicon.unchanged_plural
    if word in lexicon.plural_only:
        return False
    if word in lexicon.mass:
        return phrase.determiner not in _COUNTING
    bare = not phrase.determiner or phrase.determiner in _UNCOUNTED
    return not bare or phrase.lemma not in lexicon.mass


def _form(lexicon: Lexicon, word: str, phrase: NounPhrase) -> str:
    return word if phrase.plural is False or word in lexicon.plural_only else plural(word)
