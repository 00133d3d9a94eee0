"""How much oftener than by chance captions link two things, in nats, and whether they do at all.

By the run's own captions: of the words of a link (`links`) where they have said enough, else of the kinds of its things, else of
the kind of its relation (WordNet's class of a verb, the lexicon's group of an adjective), each as far as the finer counts go.
What no captions of the run say is told by counts that ship with the package (`links.tsv`, of COCO's captions).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import log
from pathlib import Path
from typing import NamedTuple

from degla.generate.rules.kinds import fine_kind, main_kind
from degla.generate.rules.links import Words
from degla.text.kinds import verb_classes
from degla.text.lexicon import Lexicon

_MEMORY = 1 << 16
_SEVERAL = 2  # nouns of a kind that are described so where the run's captions are too few to tell
_OFTEN = 5  # how often captions must link things of two kinds to say it of all of them
_ENOUGH_LINKS = 3_000  # of about 1,000 captions
_ENOUGH = 2.0  # how many links the coarser counts are worth

SHIPPED = Path(__file__).with_name("links.tsv")

KIND = "*"
"""Before the name of a kind that stands in the place of a noun."""


Counted = tuple[str, str, str, int]
"""A link, and how often it occurs."""


class _Counts:
    """Links by relation, and by one or both of their sides. Asked by `get`, since a Counter looks for what it lacks in Python."""

    def __init__(self, links: Iterable[Counted]) -> None:
        self.both, self.subjects, self.objects = Counter[Words](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self.of_both, self.of_subjects, self.of_objects = Counter[str](), Counter[str](), Counter[str]()
        names = Counter[str]()
        for subject, relation, other, count in links:
            if subject:
                self.subjects[subject, relation] += count
                self.of_subjects[relation] += count
                names[subject] += count
            if other:
                self.objects[relation, other] += count
                self.of_objects[relation] += count
                names[other] += count
            if subject and other:
                self.both[subject, relation, other] += count
                self.of_both[relation] += count
        total = max(1, names.total())
        self.shares = {name: count / total for name, count in names.items()}

    def subject(self, subject: str, relation: str, prior: float) -> float:
        """How much oftener than by chance such a subject stands before a relation."""
        expected = self.of_subjects.get(relation, 0) * self.shares.get(subject, 0.0)
        return (self.subjects.get((subject, relation), 0) + _ENOUGH * prior) / (expected + _ENOUGH)

    def object(self, relation: str, other: str, prior: float) -> float:
        expected = self.of_objects.get(relation, 0) * self.shares.get(other, 0.0)
        return (self.objects.get((relation, other), 0) + _ENOUGH * prior) / (expected + _ENOUGH)

    def joint(self, subject: str, relation: str, other: str, prior: float) -> float:
        expected = self.of_both.get(relation, 0) * self.shares.get(subject, 0.0) * self.shares.get(other, 0.0)
        return (self.both.get((subject, relation, other), 0) + _ENOUGH * prior) / (expected + _ENOUGH)


class _Kinds:
    """How much oftener than by chance things of a kind are linked."""

    def __init__(self, lexicon: Lexicon, links: Iterable[Counted]) -> None:
        self._lexicon = lexicon
        found = [(self.of(subject), relation, self.of(other), count) for subject, relation, other, count in links]
        self.counts = _Counts(found)
        self._classes = _Counts((kind, relation_class(lexicon, relation), other, count) for kind, relation, other, count in found)

    def of(self, noun: str) -> str:
        """The kind of a noun."""
        if noun[:1] == KIND:
            return noun[1:]
        return main_kind(self._lexicon, noun) if noun else ""

    def before(self, kind: str, relation: str) -> float:
        """How much oftener than by chance a thing of a kind stands before a relation."""
        of_class = relation_class(self._lexicon, relation)
        return self.counts.subject(kind, relation, self._classes.subject(kind, of_class, 1.0))

    def behind(self, relation: str, kind: str) -> float:
        of_class = relation_class(self._lexicon, relation)
        return self.counts.object(relation, kind, self._classes.object(of_class, kind, 1.0))

    def between(self, kind: str, relation: str, other: str) -> float:
        """How much oftener than by chance a relation links things of two kinds."""
        of_class = relation_class(self._lexicon, relation)
        both = min(1.0, self._classes.subject(kind, of_class, 1.0) * self._classes.object(of_class, other, 1.0))
        prior = min(
            1.0,
            self.before(kind, relation) * self.behind(relation, other),
            self._classes.joint(kind, of_class, other, both),
        )
        return self.counts.joint(kind, relation, other, prior)


class Association(NamedTuple):
    """How usual a link is."""

    nats: float
    said: bool
    """Whether any captions say it, in these words or of these kinds of things."""


class Associations:
    """What the captions say.

    Args:
        lexicon: the kinds of nouns.
        counted: links of the run's captions (`links.count_links`), joined by tabs, to how often they occur.
        shipped: links of other captions, of words or of kinds (`KIND` before their name), to how often they occur.
    """

    def __init__(self, lexicon: Lexicon, counted: Mapping[str, int], shipped: Mapping[Words, int]) -> None:
        self._lexicon = lexicon
        own: list[Counted] = []
        for text, count in counted.items():
            subject, relation, other = text.split("\t")
            own.append((subject, relation, other, count))
        others = [(*words, count) for words, count in shipped.items()]
        of_words = [link for link in others if KIND not in (link[0][:1], link[2][:1])]
        self.own = frozenset(link[1] for link in own)
        """Relations that the captions of the run have."""
        self.enough = sum(counted.values()) >= _ENOUGH_LINKS
        """Whether these are enough to tell."""
        self._words = _Counts([*own, *of_words])
        fine = [*own, *of_words] if self.enough else of_words  # few captions say of a kind only what one of them says itself
        self._fine = _Counts((self._fine_kind(one), relation, self._fine_kind(other), n) for one, relation, other, n in fine)
        described = (link for link in of_words if link[1][0] == "=")
        self._described = Counter((self._fine_kind(link[0]), link[1]) for link in described)  # of how many nouns of a fine kind
        self._kinds = kinds = _Kinds(lexicon, [*own, *others])
        self.kind = kinds.of
        self._before, self._behind = lru_cache(_MEMORY)(kinds.before), lru_cache(_MEMORY)(kinds.behind)
        self._between = lru_cache(_MEMORY)(kinds.between)

    def _fine_kind(self, noun: str) -> str:
        return fine_kind(self._lexicon, noun) if noun else ""

    def of_link(self, subject: str, relation: str, other: str) -> Association:
        """How much oftener than by chance a link is found, and whether it is found."""
        words, fine, kind, other_kind = self._words, self._fine, self.kind(subject), self.kind(other)
        mine, its = self._fine_kind(subject), self._fine_kind(other)
        subject_kind = self._before(kind, relation) if kind else 1.0
        object_kind = self._behind(relation, other_kind) if other_kind else 1.0
        subject_fine = fine.subject(mine, relation, subject_kind) if mine else subject_kind
        object_fine = fine.object(relation, its, object_kind) if its else object_kind
        subject_word = words.subject(subject, relation, subject_fine) if kind else 1.0
        object_word = words.object(relation, other, object_fine) if other_kind else 1.0
        said = self._said((subject, relation, other), mine, its)
        if not (kind and other_kind):
            return Association(log(subject_word * object_word), said)
        joint = self._between(kind, relation, other_kind)
        if mine and its:
            joint = fine.joint(mine, relation, its, joint * (subject_fine / subject_kind * object_fine / object_kind))
        joint *= subject_word / subject_fine * object_word / object_fine
        nats = min(log(words.joint(subject, relation, other, joint)), log(subject_word), log(object_word))
        return Association(nats, said)

    def say(self, subject: str, relation: str) -> bool:
        """Whether captions have this very subject before a relation."""
        return bool(self._words.subjects.get((subject, relation)))

    def _said(self, link: Words, mine: str, its: str) -> bool:
        """Whether any captions say it; `mine`, `its`: the fine kinds of its sides."""
        words, fine, (subject, relation, other) = self._words, self._fine, link
        if relation[0] == "=" and not self.enough:  # only skiers are downhill
            return bool(words.subjects.get((subject, relation))) or self._described.get((mine, relation), 0) >= _SEVERAL
        if subject and not (words.subjects.get((subject, relation)) or mine and fine.subjects.get((mine, relation))):
            return False
        if other and not (words.objects.get((relation, other)) or its and fine.objects.get((relation, its))):
            return False
        if not (subject and other):
            return True
        if words.both.get(link):
            return True
        if relation == "of" and not self.enough:  # a bed of lentils is no chair of lentils
            return False
        if mine and its and fine.both.get((mine, relation, its)):
            return True
        return self.enough and self._kinds.counts.both.get((self.kind(subject), relation, self.kind(other)), 0) >= _OFTEN


@lru_cache(_MEMORY)
def relation_class(lexicon: Lexicon, relation: str) -> str:
    """What a relation is one of: WordNet's class of a verb, the lexicon's group of an adjective; else itself."""
    if relation[0] == "=":
        return f"={min(lexicon.groups('adjectives', relation[1:]), default=relation[1:])}"
    verb, _, preposition = relation.partition(" ")
    found = verb_classes().get(verb, "")
    return f"{found} {preposition}" if found else relation


@lru_cache(1)
def shipped_links() -> dict[Words, int]:
    """The links that are part of the package; `make_links` makes them."""
    found = {}
    for line in SHIPPED.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            subject, relation, other, count = line.split("\t")
            found[subject, relation, other] = int(count)
    return found
