"""What kind of thing a noun names (a person, a place, food ...), by the lexicon, else by WordNet.

What is of one kind is found in the same places of captions, so that an exchange of two such things is seldom absurd.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from degla.text.kinds import noun_kinds
from degla.text.lexicon import Lexicon
from degla.text.wordnet import load_wordnet

_MEMORY = 1 << 16

_OF_CATEGORY = {"people": "person", "animals": "animal", "vehicles": "vehicle", "furniture": "furniture", "food": "food"}
_OF_CATEGORY |= {"clothing": "clothing", "places": "place", "buildings": "building", "body": "body", "materials": "stuff"}
_OF_KIND = {
    "noun.artifact": "thing",
    "noun.animal": "animal",
    "noun.body": "body",
    "noun.food": "food",
    "noun.object": "place",
    "noun.person": "person",
    "noun.plant": "plant",
}
_PERSONS = frozenset(("person", "people", "child", "kid", "player"))


@lru_cache(1 << 16)
def kinds(lexicon: Lexicon, noun: str) -> frozenset[str]:
    """The kinds of a noun in base form; empty where it names nothing that can be seen by itself (a trick)."""
    known = frozenset(_OF_CATEGORY.get(category, "thing") for category in lexicon.categories("nouns", noun))
    if noun in _PERSONS:
        return known | {"person"}
    if known:
        return known
    found = _OF_KIND.get(noun_kinds().get(noun, ""))
    return frozenset((found,)) if found else frozenset(("thing",) if lexicon.names_thing(noun) else ())


_MAIN = {"people": "person", "animals": "animal", "vehicles": "vehicle", "parts of rooms": "opening", "buildings": "building"}
_MAIN |= {"materials": "stuff", "things": "thing"}
_FINE = frozenset(
    ("furniture", "kitchen", "sport")
)  # categories whose groups differ in what they do: one sits on chairs, not lamps
_MAIN_PLACES = {"rooms": "room", "street things": "thing"}  # else ground
# Where a word of WordNet's stands above a thing that the lexicon does not have.
_ABOVE = {
    word: kind
    for kind, words in {
        "abstract": "abstraction",
        "animal": "animal",
        "parts": "body part",
        "building": "building|structure",
        "clothing": "clothing|footwear",
        "food": "food",
        "decor": "furniture|furnishing",
        "storage": "supporting structure",
        "ground": "location|land|body of water|geological formation|way|surface",
        "group": "group",
        "tableware": "tableware",
        "cookware": "kitchen utensil",
        "person": "person",
        "plants": "plant",
        "room": "room",
        "stuff": "substance",
        "thing": "artifact|covering",
        "vehicle": "vehicle",
    }.items()
    for word in words.split("|")
}


@lru_cache(_MEMORY)
def main_kind(lexicon: Lexicon, noun: str) -> str:
    """The one kind of a noun in base form: `person`, `ground`, `clothing`, ..., `other`."""
    if noun in _PERSONS:
        return "person"
    concepts = lexicon.concepts("nouns", noun)
    if concepts:
        category, group = concepts[0].category, concepts[0].group
        if category == "places":
            return _MAIN_PLACES.get(group, "ground")
        return group if category in _FINE or group == "plants" else _MAIN.get(category, category)
    wordnet = load_wordnet()
    for words in (noun, noun.rpartition(" ")[2]):
        for sense in wordnet.senses("nouns", words)[:1]:
            for synset in sorted(above := wordnet.levels_above(sense.synset), key=above.__getitem__):
                for word in wordnet.words(synset):
                    if word in _ABOVE:
                        return _ABOVE[word]
    return "other"


_COMMON = 0.15  # share of a noun's uses


@lru_cache(_MEMORY)
def ambiguous(noun: str) -> bool:
    """Whether a noun is commonly said of what lives and of what does not: a mouse, a fan."""
    senses = [sense for sense in load_wordnet().senses("nouns", noun) if sense.share >= _COMMON]
    lives = {sense.lexname in ("noun.person", "noun.animal") for sense in senses}
    return len(lives) > 1


_NARROW, _CLOSE, _COHERENT = (
    100,
    400,
    1200,
)  # seats have 42 below them; synsets: garments have 271 below them, carnivores 365, food 1,120, devices 2,764
_MOST_OF = 0.8  # share of a group's concepts


@lru_cache(_MEMORY)
def fine_kind(lexicon: Lexicon, noun: str) -> str:
    """The narrowest kind of a noun in base form of which captions tell, since much is said of a kind where little is of one word.

    Its group in the lexicon, divided by WordNet's classes where the group holds unlike things (a lamp and a rug); else its class
    in WordNet, the widest above its commonest sense that is about as narrow as garments (selectional association, Resnik 1993,
    with a fixed cut through the tree). Empty where neither knows the noun, and where it names two unlike things (a mouse).
    """
    if noun in _PERSONS:
        return "person"
    if ambiguous(noun):
        return ""
    concepts = lexicon.concepts("nouns", noun)
    if concepts and concepts[0].category == "people":
        return "person"
    group = concepts[0].group if concepts else ""
    return group if group and _coherent(lexicon, group) else f"{group}/{_class_of(noun)}".strip("/")


def _class_of(noun: str) -> str:
    wordnet = load_wordnet()
    for words in (noun, noun.rpartition(" ")[2]):
        for sense in wordnet.senses("nouns", words)[:1]:
            if sense.lexname == "noun.person":
                return "person"
            sizes = {synset: wordnet.num_below(synset, _CLOSE + 1) for synset in wordnet.levels_above(sense.synset)}
            small = [synset for synset, size in sizes.items() if size <= _CLOSE]
            return str(max(small, key=lambda synset: (sizes[synset], -synset), default=""))
    return ""


def _infant(lexicon: Lexicon, noun: str) -> bool:
    return "baby" in lexicon.related("nouns", noun)


@lru_cache(_MEMORY)
def _coherent(lexicon: Lexicon, group: str) -> bool:
    """Whether most of a group stands under one class of WordNet that is not wide."""
    above = [_above(words[0]) for words in lexicon.synonyms("nouns") if lexicon.concepts("nouns", words[0])[0].group == group]
    wordnet = load_wordnet()
    shared = Counter(synset for each in above for synset in each)
    return any(
        count >= _MOST_OF * len(above) and wordnet.num_below(synset, _COHERENT + 1) <= _COHERENT
        for synset, count in shared.items()
    )


@lru_cache(_MEMORY)
def _above(noun: str) -> frozenset[int]:
    """What stands above the common senses of a noun, and these."""
    wordnet = load_wordnet()
    senses = [sense.synset for sense in wordnet.senses("nouns", noun) if sense.share >= _COMMON]
    return frozenset(synset for sense in senses for synset in wordnet.levels_above(sense))


@lru_cache(_MEMORY)
def near(lexicon: Lexicon, noun: str, other: str) -> bool:
    """Whether two nouns name things so much alike that what is said of one may be said of the other: persons, fruit, garments.

    By how little lies below what stands above both in WordNet, as intrinsic information content does (Seco, Veale, Hayes 2004).
    Parts of bodies are not, since each is where it is.
    """
    if noun == other:
        return True
    kind = fine_kind(lexicon, noun)
    if not noun or not other or ambiguous(noun) or ambiguous(other) or part_of_body(lexicon, noun):
        return False
    if kind == fine_kind(lexicon, other) and kinds(lexicon, noun) & {"person", "animal"}:
        return _infant(lexicon, noun) == _infant(lexicon, other)
    wordnet = load_wordnet()
    return any(wordnet.num_below(synset, _CLOSE + 1) <= _CLOSE for synset in _above(noun) & _above(other))


@lru_cache(_MEMORY)
def near_in_every_sense(lexicon: Lexicon, noun: str, other: str) -> bool:
    """Whether the other is `near` whatever a noun commonly means, and of a narrow kind: cups, but not the train of a dress.

    For words of which no captions tell.
    """
    if noun == other:
        return True
    if not near(lexicon, noun, other):
        return False
    if kinds(lexicon, noun) & {"person", "animal"}:
        return True
    wordnet, others = load_wordnet(), _above(other)
    senses = [sense.synset for sense in wordnet.senses("nouns", noun) if sense.share >= _COMMON]
    small = (
        any(each in others and wordnet.num_below(each, _NARROW + 1) <= _NARROW for each in wordnet.levels_above(synset))
        for synset in senses
    )
    return bool(senses) and all(small)


def names_thing(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun names something that can be seen by itself."""
    return lexicon.names_thing(noun) or noun_kinds().get(noun) in _OF_KIND


def names_person(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun is of a human being, whose colour is not a thing's colour."""
    return "person" in kinds(lexicon, noun)


def part_of_body(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun names a part of who lives, which is where it is."""
    return "body" in kinds(lexicon, noun) or main_kind(lexicon, noun) in ("body", "parts")


def living(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun names a person or an animal."""
    return bool(kinds(lexicon, noun) & {"person", "animal"})
