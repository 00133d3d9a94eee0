"""What kind of thing a noun names: a person, an animal, a substance, ..., by the commonest sense that WordNet knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import pyarrow.compute as pc
import pyarrow.parquet as pq

from degla.text import wordnet


@lru_cache(1)
def noun_kinds() -> Mapping[str, str]:
    """Nouns of one word, lower-case and in the singular, to `noun.person`, `noun.animal`, `noun.food`, ...; names left out."""
    columns = ["part_of_speech", "is_name", "lexname", "words", "senses"]
    table = pq.read_table(wordnet.FILE, columns=columns, use_threads=False)
    table = table.filter(pc.and_(pc.equal(table["part_of_speech"], "nouns"), pc.invert(table["is_name"]))).combine_chunks()
    places = pc.list_parent_indices(table["words"]).to_pylist()
    kinds, words, senses = table["lexname"].to_pylist(), pc.list_flatten(table["words"]), pc.list_flatten(table["senses"])
    found: dict[str, tuple[int, str]] = {}
    for word, sense, place in zip(pc.utf8_lower(words).to_pylist(), senses.to_pylist(), places, strict=True):
        if " " not in word and (word not in found or sense < found[word][0]):
            found[word] = sense, kinds[place]
    return {word: kind for word, (_, kind) in found.items()}
