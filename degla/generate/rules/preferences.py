"""Selectional preferences: which kinds of things do what, where they are and how they are described, by what captions say.

How much oftener than by chance a link (`links`) is found, in nats, by the run's own captions: of its words where they have said
enough, else of the kinds of its things, else of the kind of its relation (WordNet's class of a verb, the lexicon's group of an
adjective), each as far as the finer counts go. What no captions of the run say is told by counts that ship with the package
(`links.tsv`, of COCO's captions).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import inf, log
from pathlib import Path

from degla.generate.rules.kinds import ambiguous, fine_kind, living, main_kind, near, near_in_every_sense
from degla.generate.rules.links import Link, links, thing
from degla.generate.rules.phrases import NounPhrase, Sentence
from degla.text.kinds import verb_classes
from degla.text.lexicon import Lexicon

_MEMORY = 1 << 16
_ALIKE = 3.0  # nats: how much rarer the links of a thing may be that takes the place of its like
_ODD = -1.5  # nats: what is rarer yet was not read right
_NOWHERE = -9.0  # nats of a thing of which no link tells
# Kinds whose colour nature gives.
_GROWN = frozenset(("animal", "body", "face parts", "food", "ground", "hair", "parts", "plant", "plants"))
_UNSEEN = 0.5  # nats: how much rarer is what no captions say of such things
_SEVERAL = 2  # nouns of a kind that are described so where the run's captions are too few to tell
_OFTEN = 5  # how often captions must link things of two kinds to say it of all of them
_WARY = 1.0  # nats: how much more usual all must be where the run's captions are too few to tell
_ENOUGH_LINKS = 3_000  # of about 1,000 captions
_NONE: Mapping[int, str] = {}
_ENOUGH = 2.0  # how many links the coarser counts are worth

SHIPPED = Path(__file__).with_name("links.tsv")

KIND = "*"
"""Before the name of a kind that stands in the place of a noun."""


Relations = Mapping[int, str]
"""First tokens of links, to relations."""

Words = tuple[str, str, str]
"""Subject, relation and object of a link, in base form; empty where there is none."""


class _Counts:
    """Links by relation, and by one or both of their sides. Asked by `get`, since a Counter looks for what it lacks in Python."""

    def __init__(self) -> None:
        self.both, self.subjects, self.objects = Counter[Words](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self.of_both, self.of_subjects, self.of_objects = Counter[str](), Counter[str](), Counter[str]()
        self.names: Counter[str] = Counter()
        self.total = 0

    def add(self, subject: str, relation: str, other: str, count: int) -> None:
        if subject:
            self.subjects[subject, relation] += count
            self.of_subjects[relation] += count
        if other:
            self.objects[relation, other] += count
            self.of_objects[relation] += count
        if subject and other:
            self.both[subject, relation, other] += count
            self.of_both[relation] += count
        for name in filter(None, (subject, other)):
            self.names[name] += count
            self.total += count

    def share(self, name: str) -> float:
        return self.names.get(name, 0) / max(1, self.total)

    def subject(self, subject: str, relation: str, prior: float) -> float:
        """How much oftener than by chance such a subject stands before a relation."""
        expected = self.of_subjects.get(relation, 0) * self.share(subject)
        return (self.subjects.get((subject, relation), 0) + _ENOUGH * prior) / (expected + _ENOUGH)

    def object(self, relation: str, other: str, prior: float) -> float:
        expected = self.of_objects.get(relation, 0) * self.share(other)
        return (self.objects.get((relation, other), 0) + _ENOUGH * prior) / (expected + _ENOUGH)

    def joint(self, subject: str, relation: str, other: str, prior: float) -> float:
        expected = self.of_both.get(relation, 0) * self.share(subject) * self.share(other)
        return (self.both.get((subject, relation, other), 0) + _ENOUGH * prior) / (expected + _ENOUGH)


class Preferences:
    """What the captions say.

    Args:
        lexicon: the kinds of nouns.
        counted: links of the run's captions (`count_links`), joined by tabs, to how often they occur.
        shipped: links of other captions, of words or of kinds (`KIND` before their name), to how often they occur.
        least: nats of the least usual link, below which a rewrite is not to be proposed.
    """

    def __init__(self, lexicon: Lexicon, counted: Mapping[str, int], shipped: Mapping[Words, int], least: float) -> None:
        self._lexicon = lexicon
        self._words, self._fine, self._kinds, self._classes = _Counts(), _Counts(), _Counts(), _Counts()
        self._own = Counter[str]()  # how often the captions of the run have a relation
        for text, count in counted.items():
            self._own[text.split("\t")[1]] += count
        self.enough = self._own.total() >= _ENOUGH_LINKS
        self.least = least if self.enough else least + _WARY
        self._near = near if self.enough else near_in_every_sense
        self._described = Counter[tuple[str, str]]()  # of how many nouns of a fine kind other captions say an adjective
        for text, count in counted.items():
            subject, relation, other = text.split("\t")
            self._words.add(subject, relation, other, count)
            if self.enough:  # few captions say of a kind only what one of them says itself
                self._add_fine(subject, relation, other, count)
            self._add_kinds(self._kind(subject), relation, self._kind(other), count)
        for (subject, relation, other), count in shipped.items():
            if KIND not in (subject[:1], other[:1]):
                self._words.add(subject, relation, other, count)
                self._add_fine(subject, relation, other, count)
                if relation[0] == "=":
                    self._described[fine_kind(lexicon, subject), relation] += 1
            self._add_kinds(self._kind(subject), relation, self._kind(other), count)
        self._nats = lru_cache(_MEMORY)(self._find_nats)
        self._said = lru_cache(_MEMORY)(self._find_said)
        self._before, self._behind = lru_cache(_MEMORY)(self._find_before), lru_cache(_MEMORY)(self._find_behind)
        self._between = lru_cache(_MEMORY)(self._find_between)

    def _add_fine(self, subject: str, relation: str, other: str, count: int) -> None:
        lexicon = self._lexicon
        self._fine.add(
            fine_kind(lexicon, subject) if subject else "", relation, fine_kind(lexicon, other) if other else "", count
        )

    def _add_kinds(self, subject: str, relation: str, other: str, count: int) -> None:
        self._kinds.add(subject, relation, other, count)
        self._classes.add(subject, relation_class(self._lexicon, relation), other, count)

    def _kind(self, noun: str) -> str:
        if noun[:1] == KIND:
            return noun[1:]
        return main_kind(self._lexicon, noun) if noun else ""

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
        return bool(self._words.subjects.get((noun, relation))) if alive else self._said(noun, relation, "")

    def _grown(self, noun: str) -> bool:
        """Whether nature gives a thing its colour."""
        return self._kind(noun) in _GROWN

    def of_replacement(self, sentence: Sentence, place: int, new: str) -> float:
        """The least usual link of another noun at the place of a noun phrase.

        A thing of the same kind may have any colour, and where no link tells, nothing is wrong with it; one of another kind is
        then out of place.
        """
        old = sentence.phrases[place].lemma
        told = not ambiguous(old)
        like = told and self._kind(old) == self._kind(new)
        alike = told and (like or self._lexicon.alike(old, new))
        found = [
            (link, nats)
            for link, nats in self._changes(sentence, {thing(sentence, place): new}, {})
            if not (alike and self._is_colour(link.relation))
        ]
        alike = alike and (self.enough or self._near(self._lexicon, old, new))
        if not alike and not self.enough and all(link.relation[0] == "=" for link, _ in found):
            return _NOWHERE  # a long train may be that of a gown
        return min((nats for _, nats in found), default=0.0 if alike else _NOWHERE) + (_ALIKE if like else 0.0)

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
        for link in found_links(sentence):
            if link.subject not in things and link.object not in things and link.at not in relations:
                continue
            subject, relation, other = old = _words_of(sentence, link)
            new = _put_in(things, link.subject, subject), relations.get(link.at, relation), _put_in(things, link.object, other)
            if new == old:
                continue
            nats = self._nats(*new) - max(_ODD, min(0.0, self._nats(*old)))
            if not (self._said(*new) or self._like(old, new)):
                if not self.enough or not exchanged and new[1] not in self._own:
                    nats = _NOWHERE
                elif exchanged:
                    nats -= _UNSEEN
            yield link, nats

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

    def _find_said(self, subject: str, relation: str, other: str) -> bool:
        """Whether any captions say it, in these words or of these kinds of things."""
        words, fine = self._words, self._fine
        mine, its = (fine_kind(self._lexicon, noun) if noun else "" for noun in (subject, other))
        if relation[0] == "=" and not self.enough:  # only skiers are downhill
            return bool(words.subjects.get((subject, relation))) or self._described.get((mine, relation), 0) >= _SEVERAL
        if subject and not (words.subjects.get((subject, relation)) or mine and fine.subjects.get((mine, relation))):
            return False
        if other and not (words.objects.get((relation, other)) or its and fine.objects.get((relation, its))):
            return False
        if not (subject and other):
            return True
        if words.both.get((subject, relation, other)):
            return True
        if relation == "of" and not self.enough:  # a bed of lentils is no chair of lentils
            return False
        if mine and its and fine.both.get((mine, relation, its)):
            return True
        return self.enough and self._kinds.both.get((self._kind(subject), relation, self._kind(other)), 0) >= _OFTEN

    def _find_nats(self, subject: str, relation: str, other: str) -> float:
        kind, other_kind = self._kind(subject), self._kind(other)
        my, its = (fine_kind(self._lexicon, noun) if noun else "" for noun in (subject, other))
        subject_kind = self._before(kind, relation) if kind else 1.0
        object_kind = self._behind(relation, other_kind) if other_kind else 1.0
        subject_fine = self._fine.subject(my, relation, subject_kind) if my else subject_kind
        object_fine = self._fine.object(relation, its, object_kind) if its else object_kind
        subject_word = self._words.subject(subject, relation, subject_fine) if kind else 1.0
        object_word = self._words.object(relation, other, object_fine) if other_kind else 1.0
        if not (kind and other_kind):
            return log(subject_word * object_word)
        joint = self._between(kind, relation, other_kind)
        if my and its:
            joint = self._fine.joint(my, relation, its, joint * (subject_fine / subject_kind * object_fine / object_kind))
        joint *= subject_word / subject_fine * object_word / object_fine
        return min(log(self._words.joint(subject, relation, other, joint)), log(subject_word), log(object_word))

    def _find_before(self, kind: str, relation: str) -> float:
        """How much oftener than by chance a thing of a kind stands before a relation."""
        of_class = relation_class(self._lexicon, relation)
        return self._kinds.subject(kind, relation, self._classes.subject(kind, of_class, 1.0))

    def _find_behind(self, relation: str, kind: str) -> float:
        of_class = relation_class(self._lexicon, relation)
        return self._kinds.object(relation, kind, self._classes.object(of_class, kind, 1.0))

    def _find_between(self, kind: str, relation: str, other: str) -> float:
        """How much oftener than by chance a relation links things of two kinds."""
        of_class = relation_class(self._lexicon, relation)
        both = min(1.0, self._classes.subject(kind, of_class, 1.0) * self._classes.object(of_class, other, 1.0))
        prior = min(
            1.0,
            self._before(kind, relation) * self._behind(relation, other),
            self._classes.joint(kind, of_class, other, both),
        )
        return self._kinds.joint(kind, relation, other, prior)


def _put_in(things: Mapping[int, str], place: int | None, noun: str) -> str:
    return noun if place is None else things.get(place, noun)


@lru_cache(1 << 14)
def found_links(sentence: Sentence) -> tuple[Link, ...]:
    """The links of a caption, remembered."""
    return links(sentence)


def _words_of(sentence: Sentence, link: Link) -> Words:
    subject, other = ("" if place is None else sentence.phrases[place].lemma for place in (link.subject, link.object))
    return subject, link.relation, other


@lru_cache(_MEMORY)
def relation_class(lexicon: Lexicon, relation: str) -> str:
    """What a relation is one of: WordNet's class of a verb, the lexicon's group of an adjective; else itself."""
    if relation[0] == "=":
        return f"={min(lexicon.groups('adjectives', relation[1:]), default=relation[1:])}"
    verb, _, preposition = relation.partition(" ")
    found = verb_classes().get(verb, "")
    return f"{found} {preposition}" if found else relation


def count_links(sentence: Sentence, counts: Counter[str]) -> None:
    """Count the links of a caption, in words joined by tabs."""
    found = (_words_of(sentence, link) for link in links(sentence))
    counts.update("\t".join(words) for words in found if words[0] or words[2])


@lru_cache(1)
def shipped_links() -> dict[Words, int]:
    """The links that are part of the package; `make_links` makes them."""
    found = {}
    for line in SHIPPED.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            subject, relation, other, count = line.split("\t")
            found[subject, relation, other] = int(count)
    return found
