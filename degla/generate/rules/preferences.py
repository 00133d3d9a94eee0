"""Selectional preferences: which kinds of things do what, where they are and how they are described, by what captions say.

A rewrite is as usual as the least usual of its new links (`associations`), beside those of the caption that give way to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from math import inf

from degla.generate.rules.associations import Associations
from degla.generate.rules.kinds import ambiguous, living, near, near_in_every_sense
from degla.generate.rules.links import Link, Words, links, thing, words_of
from degla.generate.rules.phrases import NounPhrase, Sentence
from degla.text.lexicon import Lexicon

_MEMORY = 1 << 16
_ALIKE = 3.0  # nats: how much rarer the links of a thing may be that takes the place of its like
_ODD = -1.5  # nats: what is rarer yet was not read right
_NOWHERE = -9.0  # nats of a thing of which no link tells
# Kinds whose colour nature gives.
_GROWN = frozenset(("animal", "body", "face parts", "food", "ground", "hair", "parts", "plant", "plants"))
_UNSEEN = 0.5  # nats: how much rarer is what no captions say of such things
_WARY = 1.0  # nats: how much more usual all must be where the run's captions are too few to tell
_NONE: Mapping[int, str] = {}

Relations = Mapping[int, str]
"""First tokens of links, to relations."""


class Preferences:
    """What the captions say.

    Args:
        lexicon: the kinds of nouns.
        counted: links of the run's captions (`links.count_links`), joined by tabs, to how often they occur.
        shipped: links of other captions, of words or of kinds (`associations.KIND` before their name), to how often they occur.
        least: nats of the least usual link, below which a rewrite is not to be proposed.
    """

    def __init__(self, lexicon: Lexicon, counted: Mapping[str, int], shipped: Mapping[Words, int], least: float) -> None:
        self._lexicon, self._associations = lexicon, Associations(lexicon, counted, shipped)
        self.enough = self._associations.enough
        self.least = least if self.enough else least + _WARY
        self._near = near if self.enough else near_in_every_sense
        self._kind = self._associations.kind
        self._association = lru_cache(_MEMORY)(self._associations.of_link)

    def of_two(self, sentence: Sentence, first: NounPhrase, second: NounPhrase, described: bool = True) -> float:
        """`of_exchange` of two noun phrases, or of what they are an amount of."""
        one, other = (thing(sentence, sentence.phrases.index(phrase)) for phrase in (first, second))
        lemmas = {one: sentence.phrases[other].lemma, other: sentence.phrases[one].lemma}
        return self.of_exchange(sentence, lemmas, described=described)

    def of_exchange(
        self, sentence: Sentence, things: Mapping[int, str], relations: Relations = _NONE, described: bool = False
    ) -> float:
        """The least usual link that is made where parts of a caption change places, in nats; below 0 it is rarer than by chance.

        Args:
            sentence: the caption.
            things: places of noun phrases, to what stands there in the rewrite, in base form. One of which no link tells is
                nowhere usual.
            relations: first tokens of links, to the relation that stands there in the rewrite.
            described: whether what describes a thing moves with it.
        """
        told: set[int | None] = set()
        worst = inf
        for link, nats in self._changes(sentence, things, relations, exchanged=True):
            if link.relation[0] != "=":
                told |= {link.subject, link.object}
            elif described or self._is_colour(link.relation):
                continue
            worst = min(worst, nats)
        if not told >= things.keys() or worst == inf:
            return _NOWHERE
        like = things and all(near(self._lexicon, sentence.phrases[place].lemma, new) for place, new in things.items())
        return worst + (_ALIKE if like else 0.0)

    def of_descriptions(self, sentence: Sentence, relations: Relations) -> float:
        """The least usual of new adjectives; a colour may be that of any thing that has one, but not of what grows or lives."""
        found = []
        for link, nats in self._changes(sentence, {}, relations):
            if not self._is_colour(relations[link.at]):
                found.append(nats)
            elif link.subject is not None and self._grown(noun := sentence.phrases[link.subject].lemma):
                found += [] if self._of_nature(noun, relations[link.at]) else [_NOWHERE]
        return min(found, default=0.0)

    def _of_nature(self, noun: str, relation: str) -> bool:
        """Whether captions say a colour of what nature gives its colour; few captions must say it of this animal itself."""
        alive = not self.enough and living(self._lexicon, noun)
        return self._associations.say(noun, relation) if alive else self._association(noun, relation, "").said

    def _grown(self, noun: str) -> bool:
        """Whether nature gives a thing its colour."""
        return self._kind(noun) in _GROWN

    def of_replacement(self, sentence: Sentence, place: int) -> Callable[[str], float]:
        """A function from another noun at the place of a noun phrase, in base form, to its least usual link.

        A thing of the same kind may have any colour, and where no link tells, nothing is wrong with it; one of another kind is
        then out of place.
        """
        old, at = sentence.phrases[place].lemma, thing(sentence, place)
        told, kind = not ambiguous(old), self._kind(old)
        changed = [
            (link.subject == at, link.object == at, words_of(sentence, link), self._is_colour(link.relation))
            for link in links(sentence)
            if at in (link.subject, link.object)
        ]

        def of_noun(new: str) -> float:
            like = told and kind == self._kind(new)
            alike = told and (like or self._lexicon.alike(old, new))
            worst, only_described = inf, True
            for before, behind, words, is_colour in changed:
                subject, relation, other = words
                now = (new if before else subject, relation, new if behind else other)
                if now != words and not (alike and is_colour):
                    worst = min(worst, self._change(words, now))
                    only_described &= relation[0] == "="
            alike = alike and (self.enough or self._near(self._lexicon, old, new))
            if not alike and not self.enough and only_described:
                return _NOWHERE  # a long train may be that of a gown
            if worst == inf:
                worst = 0.0 if alike else _NOWHERE
            return worst + (_ALIKE if like else 0.0)

        return of_noun

    def _is_colour(self, relation: str) -> bool:
        return relation[0] == "=" and "colours" in self._lexicon.groups("adjectives", relation[1:])

    def _changes(
        self, sentence: Sentence, things: Mapping[int, str], relations: Relations, exchanged: bool = False
    ) -> Iterator[tuple[Link, float]]:
        """The links of a caption that become others, and how usual they are; unusual is no fault where the old is too.

        What no captions say, of these words nor of their kinds, is out of place where the run has too few captions or none of
        them has the relation. Otherwise its absence is told by how rare it is; in an exchange, which seldom makes sense, it
        counts for more.
        """
        for link in links(sentence):
            if link.subject not in things and link.object not in things and link.at not in relations:
                continue
            subject, relation, other = old = words_of(sentence, link)
            new = _put_in(things, link.subject, subject), relations.get(link.at, relation), _put_in(things, link.object, other)
            if new == old:
                continue
            yield link, self._change(old, new, exchanged)

    def _change(self, old: Words, new: Words, exchanged: bool = False) -> float:
        """How usual a link is that takes the place of another."""
        nats, said = self._association(*new)
        nats -= max(_ODD, min(0.0, self._association(*old).nats))
        if not (said or self._like(old, new)):
            if not self._associations.enough or not exchanged and new[1] not in self._associations.own:
                return _NOWHERE
            if exchanged:
                return nats - _UNSEEN
        return nats

    def _like(self, old: Words, new: Words) -> bool:
        """Whether what is said of the old may be said of the new."""
        if new[1][0] == "=" and not self.enough:  # who is a downhill skier is no downhill teacher
            return False
        alike = self._alike(old[1], new[1])
        return alike and self._near(self._lexicon, old[0], new[0]) and self._near(self._lexicon, old[2], new[2])

    def _alike(self, relation: str, other: str) -> bool:
        """Whether two relations are one, or two adjectives of one group."""
        if relation == other:
            return True
        groups = self._lexicon.groups
        return relation[0] == other[0] == "=" and bool(groups("adjectives", relation[1:]) & groups("adjectives", other[1:]))


def _put_in(things: Mapping[int, str], place: int | None, noun: str) -> str:
    return noun if place is None else things.get(place, noun)
