"""WordNet 3.0, as far as it is needed: sets of synonyms, what is above them, and how common each sense of a word is.

`wordnet.parquet` ships with the package; `make` made it, and its metadata name the source. Its licence stands beside it.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PARTS = ("nouns", "verbs", "adjectives", "adverbs")

_MEMORY = 1 << 16  # words and synsets that are remembered
_ORDER = ("part_of_speech", "word", "sense")

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


@lru_cache(1)
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


class Sense(NamedTuple):
    """One sense of a word."""

    synset: int
    share: float
    """Of the word's uses as this part of speech, counting each sense once more than WordNet does: what is rare is possible."""
    lexname: str


class WordNet:
    """Looks up words, lower-case, and synsets, by number. Named persons and places are left out: a hoover is no president."""

    def __init__(self) -> None:
        table = synsets().combine_chunks()
        names = ("words", "similar", "opposite")
        self._synset_words, self._similar, self._opposite = (table[name].combine_chunks() for name in names)
        above = table["above"].combine_chunks()
        self._starts, self._higher = above.offsets.to_numpy(), above.values.to_numpy()
        special = np.repeat(np.arange(len(table)), np.diff(self._starts))
        order = np.argsort(self._higher, kind="stable")
        self._lower_starts = np.searchsorted(self._higher[order], np.arange(len(table) + 1))
        self._lower = special[order]
        entries = senses()
        entries = entries.filter(pc.invert(entries["is_name"])).sort_by([(name, "ascending") for name in _ORDER]).combine_chunks()
        self._entries = {part: entries.filter(pc.equal(entries["part_of_speech"], part)).combine_chunks() for part in PARTS}
        self._keys = {part: table["word"].to_pylist() for part, table in self._entries.items()}  # a search in Arrow takes 40 µs
        self.senses = lru_cache(_MEMORY)(self._find_senses)
        self.levels_above = lru_cache(_MEMORY)(self._find_levels_above)
        self.words = lru_cache(_MEMORY)(self._find_words)
        self.num_below = lru_cache(_MEMORY)(self._find_num_below)

    def _find_senses(self, part_of_speech: str, word: str) -> tuple[Sense, ...]:
        """The senses of a word as this part of speech, the commonest first."""
        keys = self._keys[part_of_speech]
        start = bisect_left(keys, word)
        if keys[start : start + 1] != [word]:
            return ()
        rows = self._entries[part_of_speech].slice(start, bisect_left(keys, word + "\0") - start)
        found = {row["synset"]: row for row in rows.to_pylist()}
        total = sum(row["uses"] + 1 for row in found.values())
        return tuple(Sense(number, (row["uses"] + 1) / total, row["lexname"]) for number, row in found.items())

    def beginning_with(self, part_of_speech: str, word: str) -> list[str]:
        """The entries of several words that begin with this one."""
        keys = self._keys[part_of_speech]
        return list(dict.fromkeys(keys[bisect_left(keys, word + " ") : bisect_left(keys, word + "!")]))

    def _find_levels_above(self, synset: int) -> dict[int, int]:
        """How many levels each more general synset lies above this one; itself at 0."""
        levels, pending = {synset: 0}, [synset]
        for each in pending:
            for higher in self._higher[self._starts[each] : self._starts[each + 1]].tolist():
                if higher not in levels:
                    levels[higher] = levels[each] + 1
                    pending.append(higher)
        return levels

    def below(self, synset: int, most: int) -> set[int]:
        """The synset and what is more special, up to about `most` of them."""
        found, pending = {synset}, [synset]
        while pending and len(found) <= most:
            each = pending.pop()
            lower = set(self._lower[self._lower_starts[each] : self._lower_starts[each + 1]].tolist()) - found
            found |= lower
            pending += lower
        return found

    def _find_num_below(self, synset: int, most: int) -> int:
        """How many more special synsets there are, counted up to about `most`."""
        return len(self.below(synset, most)) - 1

    def similar(self, synset: int) -> list[int]:
        """The synsets of adjectives with nearly its meaning: the members of its cluster, or its head."""
        return self._similar[synset].as_py()

    def opposite(self, synset: int) -> list[int]:
        """The synsets of the opposite meaning."""
        return self._opposite[synset].as_py()

    def _find_words(self, synset: int) -> tuple[str, ...]:
        """Its words, lower-case."""
        return tuple(word.lower() for word in self._synset_words[synset].as_py())


@lru_cache(1)
def load_wordnet() -> WordNet:
    """The WordNet that is part of the package: 0.5 s and 25 MB, once in a process."""
    return WordNet()
