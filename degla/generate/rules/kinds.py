"""What kind of thing a noun names (a person, a place, food ...), by the lexicon, else by WordNet's commonest senses.

What is of one kind is found in the same places of captions, so that an exchange of two such things is seldom absurd.
"""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from degla.text.lexicon import Lexicon
from degla.text.wordnet import senses

_OF_CATEGORY = {"people": "person", "animals": "animal", "vehicles": "vehicle", "furniture": "furniture", "food": "food"}
_OF_CATEGORY |= {"clothing": "clothing", "places": "place", "buildings": "building", "body": "body", "materials": "stuff"}
_OF_LEXNAME = {
    "noun.artifact": "thing",
    "noun.animal": "animal",
    "noun.body": "body",
    "noun.food": "food",
    "noun.object": "place",
    "noun.person": "person",
    "noun.plant": "plant",
}
_SENSES = 2  # commonest senses of a word that count: a path is an act before it is a way
_PERSONS = frozenset(("person", "people", "child", "kid", "player"))


def kinds(lexicon: Lexicon, noun: str) -> frozenset[str]:
    """The kinds of a noun in base form; empty where it names nothing that can be seen by itself (a trick)."""
    known = frozenset(_OF_CATEGORY.get(category, "thing") for category in lexicon.categories("nouns", noun))
    if noun in _PERSONS:
        return known | {"person"}
    if known:
        return known
    found = _physical().get(noun)
    return frozenset((found,)) if found else frozenset(("thing",) if lexicon.names_thing(noun) else ())


def names_thing(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun names something that can be seen by itself."""
    return lexicon.names_thing(noun) or noun in _physical()


@lru_cache(1)
def _physical() -> dict[str, str]:
    """Single words one of whose commonest senses in WordNet is a thing, to the kind of the commonest such sense."""
    table = senses()
    common = pc.and_(pc.equal(table["part_of_speech"], "nouns"), pc.less_equal(table["sense"], _SENSES))
    thing = pc.is_in(table["lexname"], value_set=pa.array(_OF_LEXNAME))
    single = pc.invert(pc.or_(table["is_name"], pc.match_substring(table["word"], " ")))
    table = table.filter(pc.and_(pc.and_(common, thing), single)).sort_by([("sense", "descending")])
    return {word: _OF_LEXNAME[name] for word, name in zip(table["word"].to_pylist(), table["lexname"].to_pylist(), strict=True)}


def names_person(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun is of a human being, whose colour is not a thing's colour."""
    return "person" in kinds(lexicon, noun)


def living(lexicon: Lexicon, noun: str) -> bool:
    """Whether a noun names a person or an animal."""
    return bool(kinds(lexicon, noun) & {"person", "animal"})
