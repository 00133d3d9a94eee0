"""WordNet 3.0, as far as it is needed: sets of synonyms, what is above them, and how common each sense of a word is.

`wordnet.parquet` ships with the package; `make` made it, and its metadata name the source. Its licence stands beside it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FILE = Path(__file__).with_name("wordnet.parquet")

SYNSETS = pa.schema(
    [
        pa.field("part_of_speech", pa.string(), nullable=False),
        pa.field("lexname", pa.string(), nullable=False),
        pa.field("words", pa.list_(pa.string()), nullable=False),
        pa.field("senses", pa.list_(pa.int16()), nullable=False),
        pa.field("uses", pa.list_(pa.int32()), nullable=False),
        pa.field("is_name", pa.bool_(), nullable=False),
        pa.field("above", pa.list_(pa.int32()), nullable=False),
        pa.field("similar", pa.list_(pa.int32()), nullable=False),
        pa.field("opposite", pa.list_(pa.int32()), nullable=False),
        pa.field("attributes", pa.list_(pa.int32()), nullable=False),
    ]
)
"""A row for each synset, whose number is its place in the file (0, 1, ...). Nouns, verbs, adjectives, adverbs, in this order.

- `part_of_speech`: `nouns`, `verbs`, `adjectives` or `adverbs`.
- `lexname`: WordNet's file of lexicographers, such as `noun.person`, `noun.animal`, `noun.substance`, `noun.location`.
- `words`: as written, with spaces (`vacuum cleaner`, `New York`).
- `senses`: which sense of each word this is, 1 the commonest.
- `uses`: how often each word was tagged with this sense in WordNet's semantic concordances.
- `is_name`: whether it is one thing with a name (an instance), not a kind of things.
- `above`: synsets one level more general (hypernyms).
- `similar`: of an adjective, those with nearly its meaning: the head of its cluster, or the members of the cluster that it heads.
- `opposite`: antonyms.
- `attributes`: of an adjective, the nouns of which it is a value (tall: stature); of a noun, its values.
"""


def synsets() -> pa.Table:
    """The table of SYNSETS."""
    return pq.read_table(FILE, use_threads=False)


def senses() -> pa.Table:
    """A row for each sense of each word: `word` (lower-case), `part_of_speech`, `synset` (number), `sense`, `uses`, `lexname`,
    `is_name`."""
    table = synsets().combine_chunks()
    number = pc.list_parent_indices(table["words"]).combine_chunks()
    columns = {
        "word": pc.utf8_lower(pc.list_flatten(table["words"])),
        "part_of_speech": pc.take(table["part_of_speech"], number),
        "synset": number.cast(pa.int32()),
        "sense": pc.list_flatten(table["senses"]),
        "uses": pc.list_flatten(table["uses"]),
        "lexname": pc.take(table["lexname"], number),
        "is_name": pc.take(table["is_name"], number),
    }
    return pa.table(columns)


@lru_cache
def compounds(part_of_speech: str) -> frozenset[str]:
    """The entries of several words, lower-case with spaces, of `nouns`, `verbs`, `adjectives` or `adverbs`."""
    table = senses()
    wanted = pc.and_(pc.equal(table["part_of_speech"], part_of_speech), pc.match_substring(table["word"], " "))
    return frozenset(table.filter(wanted)["word"].to_pylist())
