"""What kind of thing a noun names (a person, a place, food ...), by the lexicon, else by WordNet.

What is of one kind is found in the same places of captions, so that an exchange of two such things is seldom absurd.
"""

from __future__ import annotations

from functools import lru_cache

from degla.text.kinds import noun_kinds
from degla.text.lexicon import Lexicon

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


def names_thing(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun names something that can be seen by itself."""
    return lexicon.names_thing(noun) or noun_kinds().get(noun) in _OF_KIND


def names_person(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun is of a human being, whose colour is not a thing's colour."""
    return "person" in kinds(lexicon, noun)


def living(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun names a person or an animal."""
    return bool(kinds(lexicon, noun) & {"person", "animal"})
