"""Who does what to whom, and what is where: the links between the things of a caption, read from its noun phrases and tags.

A link is a relation (a verb, a preposition, or a participle with its preposition) with what stands before and after it: (dog,
chase, cat), (cup, on, table), (bowl, filled with, fruit). Either side may be missing. That a thing is described is a link too:
(cup, =red, nothing). Shallow: counted and asked by the same
reading, so that its errors are on both sides. Knows nothing of what is likely.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from degla.generate.rules.kinds import living
from degla.generate.rules.phrases import NounPhrase, Sentence, is_picture, once

_MEMORY = 1 << 16
_BE, _HAVE = frozenset(("VBZ", "VBB", "VBD", "VBN", "VBG")), frozenset(("VHZ", "VHB", "VHD", "VHG"))
_RELATIVE = frozenset(("PNQ", "DTQ", "CJT"))
_DESCRIBING = frozenset(("AJ0", "NN0", "NN1", "NN2", "VVD", "VVG", "VVN"))
_PASSED_OVER = _BE | _RELATIVE | {"AV0", "XX0", "VM0", "TO0"}  # between a verb and who does it


Words = tuple[str, str, str]
"""Subject, relation and object of a link, in base form; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Link:
    """A relation at token `at`, and the places in `Sentence.phrases` of what it links; None where nothing is linked."""

    subject: int | None
    relation: str
    object: int | None
    at: int


@once
def links(sentence: Sentence) -> tuple[Link, ...]:
    """The links of a caption, in order."""
    return tuple(_Reading(sentence).links())


def words_of(sentence: Sentence, link: Link) -> Words:
    """A link in words."""
    subject, other = ("" if place is None else sentence.phrases[place].lemma for place in (link.subject, link.object))
    return subject, link.relation, other


def count_links(sentence: Sentence, counts: Counter[str]) -> None:
    """Count the links of a caption, in words joined by tabs."""
    found = (words_of(sentence, link) for link in links(sentence))
    counts.update("\t".join(words) for words in found if words[0] or words[2])


class _Reading:
    """Reads one caption from left to right."""

    def __init__(self, sentence: Sentence) -> None:
        self._sentence, self._tags, self._words = sentence, sentence.tags, sentence.lower
        self._starts = {phrase.start: i for i, phrase in enumerate(sentence.phrases)}
        self._ends = {phrase.end: i for i, phrase in enumerate(sentence.phrases)}
        self._relations = {relation.start: relation for relation in sentence.relations}
        self._inside = {k for phrase in sentence.phrases for k in range(phrase.start, phrase.end)}
        self._host: int | None = None  # of the clause
        self._actor: int | None = None  # of the verb before
        self._placed: set[int] = set()  # what a preposition precedes

    def links(self) -> Iterator[Link]:
        for place, phrase in enumerate(self._sentence.phrases):
            yield from self._of_description(place, phrase)
        i = 0
        while i < len(self._tags):
            tag = self._tags[i]
            if i in self._starts:
                place = thing(self._sentence, self._starts[i])
                if self._host is None:
                    self._host = place
                elif i and self._words[i - 1] in ("and", "or", "&") and self._before(i - 1) in self._placed:
                    self._placed.add(place)
                i = self._sentence.phrases[self._starts[i]].end
            elif tag[:2] == "VV" or tag in _HAVE:
                yield from self._of_verb(i)
                i += 1
            elif i in self._relations and self._relations[i].words not in ("and", "or", "&"):
                relation = self._relations[i]
                yield from self._of_preposition(i, relation.end, relation.words)
                i = relation.end
            elif self._words[i] == "of":
                yield from self._of_whole(i)
                i += 1
            elif tag == "PRP":
                yield from self._of_preposition(i, i + 1, self._words[i])
                i += 1
            else:
                if self._words[i] in (".", ";", "while", "as"):
                    self._host = self._actor = None
                i += 1

    def _of_description(self, place: int, phrase: NounPhrase) -> Iterator[Link]:
        """All that stands before the noun, be it an adjective of the lexicon or not (wireless mouse, desk lamp)."""
        own = {adjective.index for adjective in phrase.adjectives}
        start = phrase.content
        for i in range(phrase.content, phrase.head):
            if self._tags[i] == "POS":
                start = i + 1  # before it is whose it is
        for i in range(start, phrase.head):
            if i in own or self._tags[i] in _DESCRIBING:
                yield Link(place, f"={self._words[i]}", None, i)

    def _of_whole(self, i: int) -> Iterator[Link]:
        """A part and what it is of; not an amount (a group of people), nor a picture."""
        part, whole = self._ends.get(i), self._starts.get(i + 1)
        if part is None or whole is None or is_picture(self._sentence.phrases[part]) or thing(self._sentence, part) != part:
            return
        yield Link(part, "of", thing(self._sentence, whole), i)

    def _of_preposition(self, start: int, end: int, words: str) -> Iterator[Link]:
        place = self._starts.get(end)
        if place is None:
            return
        self._placed.add(thing(self._sentence, place))
        host = self._before(start)
        if host is None:
            host = self._actor if self._actor is not None else self._host
        yield Link(host, words, thing(self._sentence, place), start)

    def _of_verb(self, i: int) -> Iterator[Link]:
        tag, verb = self._tags[i], base(self._words[i])
        actor = self._subject(i)
        self._actor = actor
        end = i + 1
        if end < len(self._tags) and self._tags[end] in ("AVP", "AV0") and end not in self._relations:
            end += 1
        passive = tag == "VVN" or tag == "VVD" and i and self._tags[i - 1] in _BE
        if passive:
            following = self._words[end] if end < len(self._tags) and self._tags[end] == "PRP" else ""
            place = self._starts.get(end + 1) if following else None
            yield Link(actor, f"{self._words[i]} {following}".strip(), None if place is None else thing(self._sentence, place), i)
            return
        place = self._starts.get(end)
        yield Link(actor, verb, None if place is None else thing(self._sentence, place), i)

    def _subject(self, i: int) -> int | None:
        """Who does what the verb at token i says."""
        k, finite, relative = i - 1, self._tags[i] in ("VVZ", "VVB") or self._tags[i] in _HAVE, False
        while k >= 0 and self._tags[k] in _PASSED_OVER and k not in self._inside:
            finite |= self._tags[k] in ("VBZ", "VBB", "VBD", "VM0")
            relative |= self._tags[k] in _RELATIVE
            k -= 1
        if k < 0:
            return None
        near = self._before(k + 1)
        if near is None:
            return self._actor if self._actor is not None else self._host
        if near in self._placed and not relative and self._host is not None:
            phrases, lexicon = self._sentence.phrases, self._sentence.lexicon
            if finite or not living(lexicon, phrases[near].lemma) and living(lexicon, phrases[self._host].lemma):
                return self._host
        return near

    def _before(self, start: int) -> int | None:
        """The thing that ends where a preposition begins."""
        found = self._ends.get(start)
        return None if found is None else thing(self._sentence, found)


def thing(sentence: Sentence, place: int) -> int:
    """The place of what an amount is of (a group of people: people), else of the noun phrase itself."""
    phrases = sentence.phrases
    while (
        phrases[place].abstract
        and place + 1 < len(phrases)
        and sentence.lower[phrases[place].end : phrases[place + 1].start] == ("of",)
        and not is_picture(phrases[place])
    ):
        place += 1
    return place


@lru_cache(_MEMORY)
def base(verb: str) -> str:
    """A verb in the infinitive, lower-case."""
    from lemminflect import getLemma

    found = getLemma(verb, upos="VERB")
    return found[0] if found else verb
