"""Which words WordNet lets name one thing: of the same meaning, one a kind of the other, or names of one line of work.

WordNet knows many rare senses, and by them nearly any two words meet. So a sense counts by its share of the word's uses, and the
thresholds below were set where the true rewrites at hand are refused and hardly any of SugarCrepe's human-checked negatives is.
What a dataset or the lists say of two words goes before what is said here (`degla.judge.judge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from degla.text.inflection import infinitive
from degla.text.pronouns import sex
from degla.text.wordnet import Sense, load_wordnet

_SYNONYM = 0.1  # share of each word's uses in the meaning that both have (flashlight and torch, of which it is the third sense)
_KIND = 0.3  # share of the special word's uses that lie below the general word's, times the share of these
_SIMILAR = 0.1  # share of each adjective's uses in the meaning that both have, or in two that WordNet calls similar
_CLUSTER = 25  # most meanings around one for them to be alike: 23 are near "afraid"; 146 colours near "chromatic" are not
_OUTCOME = 0.2  # share of a verb's uses in a kind of what the other verb can mean
_PEER = 0.2  # share of each word's uses as a person of the same line of work
_PEER_LEVELS, _PEERS = 3, 1100  # how far below the line of work they are, and the most kinds of people in it (entertainers: 479)
_MOSTLY = 0.5  # share of a word's uses for people, for a word that WordNet lacks to name the same one
_ALL = 1_000_000

_WOMEN = frozenset(("female", "kinswoman", "female parent", "female sibling", "bride"))  # WordNet's roots for each sex
_MEN = frozenset(("male", "kinsman", "male parent", "male sibling", "bridegroom"))
_YOUNG = frozenset(("juvenile", "male child", "female child"))
_WORKING = frozenset(("worker", "professional", "leader", "businessperson"))
_ENDINGS = ("er", "or", "ist", "ian", "eer", "ee", "man", "woman")  # of people by what they do
_PERSON = "noun.person"
_NICKNAMED = ("noun.animal", "noun.food")  # words for these that also name a person do so in slang: a bear, a peach
_IMAGINED = ("imaginary being", "spiritual being")  # persons by WordNet, though drawn in any colour: dragon, angel
_NEGATIONS = ("un", "non", "non-", "not ")
_QUALITIES = ("noun.attribute", "noun.substance")  # nouns that stand as adjectives: colours and materials


@lru_cache(1 << 16)
def nouns_related(one: str, other: str) -> bool:
    """Whether two nouns in base form, lower-case, may name one thing."""
    first, second = _noun_senses(one), _noun_senses(other)
    if not first or not second:  # a word that WordNet lacks may name anybody: a barista, a midfielder
        known = first or second
        return _names_people(known) if known else one.endswith(_ENDINGS) and other.endswith(_ENDINGS)
    return not _head_of_both(one, other) and (
        _alike(first, second) >= _SYNONYM
        or max(_below(first, second), _below(second, first)) >= _KIND
        or _are_peers(first, second)
        or _may_be_one_person(one, first, other, second)
    )


@lru_cache(1 << 16)
def adjectives_related(one: str, other: str) -> bool:
    """Whether two adjectives in base form, lower-case, may be said of one thing by what they mean.

    They mean the same or nearly so (filthy, dirty; gleaming, shiny), name a shade or a material and what it is a kind of (azure,
    blue), or the outcome of one verb (drenched, wet).
    """
    wordnet = load_wordnet()
    first, second = wordnet.senses("adjectives", one), wordnet.senses("adjectives", other)
    if max(_alike(first, second), _similar(first, second)) >= _SIMILAR:
        return True
    qualities, others = (_senses_of(wordnet.senses("nouns", word), *_QUALITIES) for word in (one, other))
    if max(_below(qualities, others), _below(others, qualities)) >= _KIND:
        return True
    verbs = [infinitive(word) for word in (one, other)]
    if verbs == [one, other]:  # neither is a participle
        return False
    done, also = (wordnet.senses("verbs", verb) for verb in verbs)
    return max(_below(done, _certain(also)), _below(also, _certain(done))) >= _OUTCOME


def compounds_related(one: str, other: str) -> bool:
    """Whether two nouns of several words, both entries of WordNet, may name one thing."""
    wordnet = load_wordnet()
    return bool(wordnet.senses("nouns", one) and wordnet.senses("nouns", other)) and nouns_related(one, other)


@lru_cache(1 << 16)
def adjectives_opposed(one: str, other: str) -> bool:
    """Whether two adjectives exclude each other: WordNet opposes meanings that they have or are similar to, or one negates the
    other (stuffed, unstuffed)."""
    wordnet = load_wordnet()
    if any(first == prefix + second for first, second in ((one, other), (other, one)) for prefix in _NEGATIONS):
        return True
    sides = [
        {near for sense in wordnet.senses("adjectives", word) if sense.share >= _KIND for near in _with_head(sense.synset)}
        for word in (one, other)
    ]
    return any(opposite in sides[1] for synset in sides[0] for opposite in wordnet.opposite(synset))


def _with_head(synset: int) -> list[int]:
    """A synset of adjectives that has opposites; of another one, the heads of its cluster."""
    wordnet = load_wordnet()
    return [synset] if wordnet.opposite(synset) else [synset, *wordnet.similar(synset)]


def nouns_above(noun: str, levels: int = _ALL, most_below: int = _ALL) -> frozenset[str]:
    """What else a noun in base form may be called: by more general words, in their common meanings, and by synonyms.

    Args:
        noun: lower-case.
        levels: how much more general the words may be.
        most_below: how many more special synsets a word may have.
    """
    wordnet = load_wordnet()
    above = {
        synset
        for sense in _noun_senses(noun)
        if sense.share >= _KIND
        for synset, level in wordnet.levels_above(sense.synset).items()
        if level <= levels and (most_below == _ALL or wordnet.num_below(synset, most_below) <= most_below)
    }
    return frozenset(word for synset in above for word in wordnet.words(synset) if _share("nouns", word, synset) >= _KIND)


def imagined() -> frozenset[str]:
    """Nouns that in a common meaning name what only pictures show: dragon, mermaid, angel."""
    wordnet = load_wordnet()
    roots = [sense.synset for word in _IMAGINED for sense in wordnet.senses("nouns", word)]
    below = {synset for root in roots for synset in wordnet.below(root, _ALL)}
    return frozenset(word for synset in below for word in wordnet.words(synset) if _share("nouns", word, synset) >= _KIND)


def clusters(heads: Iterable[str]) -> frozenset[str]:
    """These adjectives, and those that WordNet calls similar to their commonest meanings, by a common meaning of their own."""
    wordnet = load_wordnet()
    found = set(heads)
    for head in sorted(found):
        for sense in wordnet.senses("adjectives", head):
            if sense.share >= _KIND:
                for synset in (sense.synset, *wordnet.similar(sense.synset)):
                    found.update(word for word in wordnet.words(synset) if _share("adjectives", word, synset) >= _PEER)
    return frozenset(found)


def _noun_senses(noun: str) -> tuple[Sense, ...]:
    """The senses of a noun as captions use it, under the nearest entry that WordNet has."""
    wordnet = load_wordnet()
    for entry in _entries(noun):
        found = wordnet.senses("nouns", entry)
        if found:
            return _literal(found)
    longer = [wordnet.senses("nouns", entry) for entry in wordnet.beginning_with("nouns", noun)]  # labrador retriever
    if longer:
        return tuple(sense._replace(share=sense.share / len(longer)) for found in longer for sense in found)
    return _noun_senses(noun.rpartition(" ")[2]) if " " in noun else ()


def _entries(noun: str) -> Iterator[str]:
    """How WordNet may write a noun: as it is, as several words (lawn mower), without the ending of a plural (pyjamas)."""
    yield noun
    yield noun.replace("-", " ")
    yield noun.replace("-", "").replace(" ", "")
    yield from (f"{noun[:place]} {noun[place:]}" for place in range(3, len(noun) - 2))
    yield noun.removesuffix("s")


def _literal(senses: tuple[Sense, ...]) -> tuple[Sense, ...]:
    if senses[0].lexname not in _NICKNAMED:
        return senses
    return _senses_of(senses, *({sense.lexname for sense in senses} - {_PERSON}))


def _head_of_both(one: str, other: str) -> bool:
    """Whether both are known by their last word only, so that nothing is known of what stands before it."""
    wordnet = load_wordnet()
    return all(" " in noun and not any(wordnet.senses("nouns", entry) for entry in _entries(noun)) for noun in (one, other))


def _alike(first: Iterable[Sense], second: Iterable[Sense]) -> float:
    shares = {sense.synset: sense.share for sense in second}
    return max((min(sense.share, shares[sense.synset]) for sense in first if sense.synset in shares), default=0)


def _below(special: Iterable[Sense], general: Sequence[Sense]) -> float:
    """How likely it is that the first word names a kind of what the second names, in a meaning of any share like that one."""
    shares = {sense.synset: sum(each.share for each in general if each.lexname == sense.lexname) for sense in general}
    above = load_wordnet().levels_above
    return sum(sense.share * max((shares.get(synset, 0) for synset in above(sense.synset)), default=0) for sense in special)


def _certain(senses: Iterable[Sense]) -> tuple[Sense, ...]:
    """As if each sense were the only one: verbs as general as "cut" or "break" have dozens."""
    return tuple(Sense(sense.synset, 1, str(sense.synset)) for sense in senses)


def _similar(first: Iterable[Sense], second: Iterable[Sense]) -> float:
    shares = {sense.synset: sense.share for sense in second}
    similar = load_wordnet().similar
    near = {(sense.share, shares.get(synset, 0)) for sense in first for synset in similar(sense.synset)}
    for sense in first:
        heads = {head for head in similar(sense.synset) if len(similar(head)) <= _CLUSTER}
        near |= {(sense.share, each.share) for each in second if not heads.isdisjoint(similar(each.synset))}
    return max(map(min, near), default=0)


def _are_peers(first: Iterable[Sense], second: Iterable[Sense]) -> bool:
    """Whether both may name a person of one line of work, such as a nurse and a medic, and not of different sex."""
    wordnet = load_wordnet()
    lines_of_work, others = (
        [wordnet.levels_above(sense.synset) for sense in senses if sense.lexname == _PERSON and sense.share >= _PEER]
        for senses in (first, second)
    )
    if len({_sex(levels) for levels in (*lines_of_work, *others)} & {"woman", "man"}) > 1:
        return False
    shared = (
        each
        for levels in lines_of_work
        for also in others
        for each in levels
        if levels[each] <= _PEER_LEVELS and also.get(each, _PEERS) <= _PEER_LEVELS
    )
    return any(wordnet.num_below(each, _PEERS) <= _PEERS for each in shared)


def _may_be_one_person(one: str, first: Sequence[Sense], other: str, second: Sequence[Sense]) -> bool:
    """Whether two nouns may name one person: by age or sex (a kid, a boy), or by that and by what he does (a teenager, a skater).

    Of two sexes, and of a child and a grown-up, no two are one; nor, as far as this tells, of two lines of work.
    """
    if not (_names_people(first) and _names_people(second)):
        return False
    sexes, young = (sex(one), sex(other)), (_is_young(first), _is_young(second))
    plain = [bool(of_sex or is_young) for of_sex, is_young in zip(sexes, young, strict=True)]
    if None not in sexes and sexes[0] != sexes[1] or not any(plain):
        return False
    grown = [
        not is_young and (bool(of_sex) or _share_below(senses, _WORKING) >= _MOSTLY)
        for of_sex, is_young, senses in zip(sexes, young, (first, second), strict=True)
    ]
    return not (young[0] and grown[1] or young[1] and grown[0])


def _is_young(senses: Iterable[Sense]) -> bool:
    return _share_below(senses, _YOUNG) >= _KIND


def _share_below(senses: Iterable[Sense], roots: frozenset[str]) -> float:
    """The share of a word's uses for kinds of what some words name."""
    wordnet = load_wordnet()
    return sum(
        sense.share
        for sense in senses
        if any(not roots.isdisjoint(wordnet.words(synset)) for synset in wordnet.levels_above(sense.synset))
    )


def _names_people(senses: Iterable[Sense]) -> bool:
    return sum(sense.share for sense in senses if sense.lexname == _PERSON) >= _MOSTLY


def _sex(levels: Iterable[int]) -> str | None:
    words = {word for synset in levels for word in load_wordnet().words(synset)}
    return "woman" if words & _WOMEN else "man" if words & _MEN else None


def _senses_of(senses: Iterable[Sense], *lexnames: str) -> tuple[Sense, ...]:
    """The senses of these kinds, as if the word had no others."""
    kept = [sense for sense in senses if sense.lexname in lexnames]
    total = sum(sense.share for sense in kept)
    return tuple(sense._replace(share=sense.share / total) for sense in kept)


def _share(part: str, word: str, synset: int) -> float:
    return next((sense.share for sense in load_wordnet().senses(part, word) if sense.synset == synset), 0)
