"""Words that WordNet relates, from an installed copy's database files (`data.noun`, `index.noun`, `data.adj`, `index.adj`).

WordNet comes with nothing here: people who have it name its `dict` folder. The files' form is that of the manual page
wndb(5WN). Only the commonest senses of a word are read, since nearly any two words meet somewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import combinations
from pathlib import Path

from degla.errors import DataError, MissingInputError
from degla.judge.senses import Pairs
from degla.negative_types import PartOfSpeech

FILES: dict[PartOfSpeech, str] = {"nouns": "noun", "adjectives": "adj"}

_SENSES = 2  # commonest senses of a word that count
_LEVELS = 3  # steps up to a more general synset (poodle, dog, ...) that count
_HYPERNYM, _SIMILAR = ("@", "@i"), ("&",)


def database_files(folder: Path) -> list[Path]:
    """The files that are read. Raises MissingInputError where one is not there."""
    files = [folder / f"{kind}.{name}" for name in FILES.values() for kind in ("index", "data")]
    for path in files:
        if not path.is_file():
            raise MissingInputError(f"{path} does not exist. Give the `dict` folder of WordNet 3.x, which holds it.")
    return files


def related(folder: Path, part: PartOfSpeech, words: Collection[str]) -> Pairs:
    """Pairs of the given words, in both orders, that share a synset, or one of which is up to three levels above the other.

    For adjectives, synsets that WordNet calls similar count as one.

    Raises:
        MissingInputError: the folder holds no WordNet.
        DataError: a line cannot be read; file and line are named.
    """
    database_files(folder)
    senses = _read_index(folder / f"index.{FILES[part]}", frozenset(words))
    above = _read_pointers(folder / f"data.{FILES[part]}", _HYPERNYM if part == "nouns" else _SIMILAR)
    return frozenset(_pairs(senses, above, _LEVELS if part == "nouns" else 1))


def _pairs(senses: dict[str, list[str]], above: dict[str, list[str]], levels: int) -> Iterator[tuple[str, str]]:
    own: defaultdict[str, set[str]] = defaultdict(set)
    for word, synsets in senses.items():
        for synset in synsets:
            own[synset].add(word)
    for synset, words in own.items():
        higher = {other for each in _reached(synset, above, levels) for other in own.get(each, ())}
        for one, other in [*combinations(sorted(words), 2), *((word, other) for word in words for other in higher)]:
            if one != other:
                yield one, other
                yield other, one


def _reached(synset: str, above: dict[str, list[str]], levels: int) -> set[str]:
    found, edge = set(), {synset}
    for _ in range(levels):
        edge = {higher for each in edge for higher in above.get(each, ())}
        found |= edge
    return found


def _read_index(path: Path, words: frozenset[str]) -> dict[str, list[str]]:
    senses = {}
    for number, fields in _lines(path):
        word = fields[0].replace("_", " ")
        if word in words:
            try:
                first = 6 + int(fields[3])  # lemma pos synset_cnt p_cnt [pointer ...] sense_cnt tagsense_cnt offset ...
                senses[word] = fields[first : first + _SENSES]
            except (IndexError, ValueError) as error:
                raise DataError(f"{path}, line {number}: not a line of WordNet's index: {error}") from error
    return senses


def _read_pointers(path: Path, symbols: Collection[str]) -> dict[str, list[str]]:
    above = {}
    for number, fields in _lines(path):
        try:
            rest = fields[4 + 2 * int(fields[3], 16) :]  # offset lex_filenum ss_type w_cnt word lex_id ... p_cnt pointer ...
            pointers = [rest[1 + 4 * each : 3 + 4 * each] for each in range(int(rest[0]))]
            above[fields[0]] = [offset for symbol, offset in pointers if symbol in symbols]
        except (IndexError, ValueError) as error:
            raise DataError(f"{path}, line {number}: not a line of WordNet's data: {error}") from error
    return above


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.startswith("  ") and line.strip():  # the licence at the head is indented
                yield number, line.split(" | ")[0].split()
