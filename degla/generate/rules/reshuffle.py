"""Reshuffle: the same words in another order that is still a sentence, but with the roles exchanged.

Two things said in full change places ("a dog on a couch" to "a couch on a dog"), three things go round, the places of two things
do ("a cat on a chair and a dog under a table"), the verbs of two, or the descriptions of two. Where none says something new there
is no reshuffle; words are never scrambled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise

from degla.generate.rules.exchanges import contrast, exchangeable
from degla.generate.rules.kinds import kinds, living
from degla.generate.rules.links import links, thing
from degla.generate.rules.options import Chance, Option
from degla.generate.rules.phrases import NounPhrase, Part, Sentence
from degla.generate.rules.plausibility import Plausibility
from degla.generate.rules.preferences import Preferences
from degla.generate.rules.rewording import fronted, rearrange
from degla.text.tokens import tokenize


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MIN_MOVED = 3  # tokens of two parts; fewer are a swap of two nouns
_TWO, _AROUND = (1, 0), ((1, 2, 0), (2, 0, 1))
_ROLES, _ROUND = 1.0, -3.0  # nats: two things that change places come first, three that go round last
_MUTUAL = _words("kissing hugging facing meeting touching matching resembling fighting embracing")
# Verbs of which one may do two: holding and carrying a thing is no contradiction.
_VAGUE_VERBS = _words("""
holding carrying having using showing featuring doing making getting taking enjoying displaying including containing looking
watching being going trying preparing
""")
_POSTURES = _words("sitting standing lying laying walking running jumping swimming flying kneeling")  # one at a time
_BE = frozenset(("VBZ", "VBB", "VBD", "VBG", "VBN"))
_PLACES = _words("on in under behind beneath below above atop inside beside near by at between onto over against")
# Relations by where they put a thing, and pairs of them that may both hold, or hold of the same places (in and on a street).
_SAYING = {
    "on": "on|on top of|atop|onto",
    "in": "in|inside|inside of|into",
    "under": "under|below|beneath|underneath",
    "above": "above|over",
    "behind": "behind|in back of",
    "before": "in front of",
    "near": "near|next to|beside|close to|alongside",
}
_WHERE = {words: where for where, phrases in _SAYING.items() for words in phrases.split("|")}
_TOGETHER = frozenset(
    frozenset(pair.split())
    for pair in ("on", "in", "under", "above", "behind", "before", "near", "on in", "on above", "near behind", "near before")
)
_CLAUSES = (("and",), (",", "and"), ("while",), ("as",))
_GROUND = frozenset(("place", "building"))


class Reshuffler:
    """Puts the parts of captions in another order.

    Args:
        plausibility: which words stand beside each other.
        preferences: which things do what.
    """

    def __init__(self, plausibility: Plausibility, preferences: Preferences) -> None:
        self._plausibility, self._preferences = plausibility, preferences

    def reshuffles(self, caption: str, sentence: Sentence, rng: Chance) -> Iterator[Option]:
        """Orders of the caption's parts that make a different, well-formed sentence."""
        two = list(exchangeable(sentence))
        for one, other in two:
            if _MUTUAL.isdisjoint(sentence.lower[one.end : other.start]):
                make = partial(_roles_exchanged, caption, sentence, one, other)
                sense = self._preferences.of_two(sentence, one.head, other.head)
                if sense >= self._preferences.least:
                    yield self._option(sentence, (one.tokens, other.tokens), _TWO, make, _ROLES + sense)
        for change in (*_places(sentence), *_relations(sentence), *_verbs(sentence), *_descriptions(sentence)):
            if any(i in sentence.negated for span in change.spans for i in span):
                continue
            sense = change.sense(self._preferences, sentence)
            if sense >= self._preferences.least:
                yield self._rearranged(caption, sentence, change.spans, _TWO, sense)
        for three, order in _rounds(sentence, two):
            places = [thing(sentence, sentence.phrases.index(part.head)) for part in three]
            things = {places[i]: sentence.phrases[places[k]].lemma for i, k in enumerate(order)}
            sense = self._preferences.of_exchange(sentence, things, described=True)
            if sense >= self._preferences.least:
                yield self._rearranged(caption, sentence, [part.tokens for part in three], order, sense + _ROUND)

    def _rearranged(self, caption: str, sentence: Sentence, spans: Sequence[range], order: Sequence[int], bonus: float) -> Option:
        make = partial(rearrange, caption, sentence.tokens, sentence.tags, spans, order)
        return self._option(sentence, spans, order, make, bonus)

    def _option(
        self, sentence: Sentence, spans: Sequence[range], order: Sequence[int], make: Callable[[], str | None], bonus: float
    ) -> Option:
        score = self._plausibility.of_order(sentence.lower, spans, order) + bonus
        return Option(score, tuple(span.start for span in spans), make)


def _roles_exchanged(caption: str, sentence: Sentence, first: Part, second: Part) -> str | None:
    """The exchange of two parts, if need be with the caption's last part put first, so that enough words move; or None."""
    text = rearrange(caption, sentence.tokens, sentence.tags, (first.tokens, second.tokens), _TWO)
    if text is None or _num_moved(text, sentence) >= _MIN_MOVED:
        return text
    front = fronted(text, sentence) if _may_front(sentence, first, second) else None
    return front if front and _num_moved(front, sentence) >= _MIN_MOVED else None


def _num_moved(text: str, sentence: Sentence) -> int:
    new = ["a" if word == "an" else word for word in (token.lower() for token in tokenize(text))]
    old = ["a" if word == "an" else word for word in sentence.lower]
    return sum(left != right for left, right in zip(old, new, strict=True)) if len(old) == len(new) else 0


def _may_front(sentence: Sentence, first: Part, second: Part) -> bool:
    """Whether the last part may begin the sentence: not before a participle (on the grass a dog chasing a cat)."""
    tags = set(sentence.tags[first.end : second.start])
    return "VVG" not in tags or bool(tags & _BE)


def _rounds(sentence: Sentence, two: Sequence[tuple[Part, Part]]) -> Iterator[tuple[tuple[Part, ...], tuple[int, ...]]]:
    """Three things next to each other that may go round, each pair of which may change places."""
    if len(two) < len(_AROUND[0]):
        return
    found = sentence.parts
    for three in zip(found, found[1:], found[2:], strict=False):
        if all(pair in two for pair in combinations(three, 2)):
            yield from ((three, order) for order in _AROUND if _actors_stay(sentence, three, order))


def _actors_stay(sentence: Sentence, three: Sequence[Part], order: Sequence[int]) -> bool:
    """Whether the one who does something gives way to someone who can do it."""
    lexicon = sentence.lexicon
    for part, k in zip(three, order, strict=True):
        acts = any(tag[0] == "V" for tag in sentence.tags[part.end : part.end + 1])
        if acts and living(lexicon, part.head.lemma) and not living(lexicon, three[k].head.lemma):
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Change:
    """Two stretches of words that change places, and which links that changes (`Preferences.of_exchange`)."""

    spans: tuple[range, range]
    things: Mapping[int, str]
    relations: Mapping[int, str]

    def sense(self, preferences: Preferences, sentence: Sentence) -> float:
        """How usual what it says is."""
        if any(relation[0] == "=" for relation in self.relations.values()):
            return preferences.of_descriptions(sentence, self.relations)
        return preferences.of_exchange(sentence, self.things, self.relations, described=True)


def _changed(sentence: Sentence, one: range, other: range, *phrases: NounPhrase) -> _Change:
    """The change that exchanges two stretches that begin with a relation, and the two phrases in them if there are any."""
    relations = {link.at: link.relation for link in links(sentence)}
    exchanged = {one.start: relations.get(other.start), other.start: relations.get(one.start)}
    things = {}
    if phrases:
        mine, its = (thing(sentence, sentence.phrases.index(phrase)) for phrase in phrases)
        things = {mine: sentence.phrases[its].lemma, its: sentence.phrases[mine].lemma}
    return _Change((one, other), things, {at: found for at, found in exchanged.items() if found})


def _places(sentence: Sentence) -> Iterator[_Change]:
    """The places of two things that "and" joins: tulips on the table and plants by the window."""
    placed = []
    for host, part in pairwise(sentence.parts):
        start = _preposition(sentence, part)
        if start == host.end and sentence.lower[start] in _PLACES and not part.head.bare:
            placed.append((host, part, start))
    for (host, part, start), (other_host, other, other_start) in combinations(placed, 2):
        joined = sentence.lower[part.end : other_host.start] in _CLAUSES
        grounds = all(kinds(sentence.lexicon, each.head.lemma) & _GROUND for each in (part, other))
        if joined and not grounds and host.head.lemma != other_host.head.lemma and part.head.lemma != other.head.lemma:
            yield _changed(sentence, range(start, part.end), range(other_start, other.end), part.head, other.head)


def _relations(sentence: Sentence) -> Iterator[_Change]:
    """Two relations that exclude each other: a dog next to a car in a garage."""
    starts = {phrase.start for phrase in sentence.phrases if not (phrase.bare or phrase.abstract or phrase.named)}
    placed = [each for each in sentence.relations if each.end in starts and each.words in _WHERE]
    for one, other in combinations(placed, 2):
        if other.start > one.end and frozenset((_WHERE[one.words], _WHERE[other.words])) not in _TOGETHER:
            yield _changed(sentence, range(one.start, one.end), range(other.start, other.end))


def _preposition(sentence: Sentence, part: Part) -> int | None:
    """Where the preposition before a part begins (next to a dog)."""
    relation = next((each for each in sentence.relations if each.end == part.start), None)
    if relation:
        return relation.start
    return part.start - 1 if part.start and sentence.tags[part.start - 1] == "PRP" else None


def _verbs(sentence: Sentence) -> Iterator[_Change]:
    """What two do, to things or at places: a boy riding a horse and a girl holding a ball."""
    verbs = [i for i, tag in enumerate(sentence.tags[:-1]) if tag == "VVG" and not _describes(sentence, i)]
    starts = {phrase.start for phrase in sentence.phrases if not phrase.bare}
    ends = {phrase.end for phrase in sentence.phrases}
    for i, k in combinations(verbs, 2):
        one, other = sentence.lower[i], sentence.lower[k]
        if one == other or {one, other} & _MUTUAL or {one, other} <= _VAGUE_VERBS:
            continue
        acting = i + 1 in starts and k + 1 in starts and {one, other}.isdisjoint(_POSTURES)
        placed = {one, other} <= _POSTURES and k in ends and sentence.tags[i + 1] == sentence.tags[k + 1] == "PRP"
        if acting or placed:
            yield _changed(sentence, range(i, i + 1), range(k, k + 1))


def _describes(sentence: Sentence, i: int) -> bool:
    return any(phrase.start <= i < phrase.end for phrase in sentence.phrases)


def _descriptions(sentence: Sentence) -> Iterator[_Change]:
    """All that describes two things, where it cannot describe the other one; of one word each it is a swap of adjectives."""
    for first, second in combinations(sentence.phrases, 2):
        if first.abstract or second.abstract or first.lemma == second.lemma:
            continue
        mine, other = _description(first), _description(second)
        if mine and other and len(mine) + len(other) >= _MIN_MOVED and contrast(sentence.lexicon, first, second):
            yield _Change((mine, other), {}, _described_otherwise(sentence, first, second))


def _described_otherwise(sentence: Sentence, first: NounPhrase, second: NounPhrase) -> dict[int, str]:
    """By the places of the adjectives of two things, those that each gets."""
    found = {}
    for one, other in ((first, second), (second, first)):
        # each gets all of the other's; the rarest beside it counts, so that any pairing of places says the same
        for mine, its in zip(one.adjectives, other.adjectives, strict=False):
            found[mine.index] = f"={its.word}"
    return found


def _description(phrase: NounPhrase) -> range:
    """The tokens between determiner and noun, if they are all adjectives of the lexicon."""
    words = range(phrase.content, phrase.run)
    return words if len(words) == len(phrase.adjectives) else range(0)
