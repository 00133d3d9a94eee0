"""What kind of thing a noun names: a person, an animal, a substance, ..., by the commonest sense that WordNet knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import pyarrow.compute as pc

from degla.text import wordnet


@lru_cache(1)
def noun_kinds() -> Mapping[str, str]:
    """Nouns of one word, lower-case and in the singular, to `noun.person`, `noun.animal`, `noun.food`, ...; names left out."""
    return _commonest("nouns")


@lru_cache(1)
def verb_classes() -> Mapping[str, str]:
    """Verbs of one word in the infinitive, lower-case, to `verb.motion`, `verb.contact`, `verb.social`, ..."""
    return _commonest("verbs")


def _commonest(part_of_speech: str) -> dict[str, str]:
    """The lexicographers' file of the commonest sense of each word."""
    senses = wordnet.senses()
    plain = pc.and_(pc.equal(senses["part_of_speech"], part_of_speech), pc.invert(senses["is_name"]))
    found = senses.filter(pc.and_(plain, pc.invert(pc.match_substring(senses["word"], " ")))).sort_by([("sense", "descending")])
    return dict(zip(found["word"].to_pylist(), found["lexname"].to_pylist(), strict=True))
