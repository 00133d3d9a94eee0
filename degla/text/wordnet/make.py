"""Makes `wordnet.parquet` from WordNet's database files: `python -m degla.text.wordnet.make FOLDER`, from a checkout.

    apt-get download wordnet-base && dpkg -x wordnet-base_*.deb unpacked       # Debian 1:3.0-37
    python -m degla.text.wordnet.make unpacked/usr/share/wordnet

The files' form is that of the manual pages wndb(5WN) and cntlist(5WN). What is not read (definitions, parts, frames of verbs)
is left out. The same files give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from degla.text.wordnet import FILE, SYNSETS

SOURCE = {
    "source": "WordNet 3.0, Princeton University; the database files of Debian's package wordnet-base 1:3.0-37",
    "address": "http://deb.debian.org/debian/pool/main/w/wordnet/wordnet-base_3.0-37_all.deb",
    "date": "2006-12-06 (WordNet), 2021-08-15 (package)",
}
"""Written into the file, beside the SHA-256 of each database file."""

_PARTS = {"noun": "nouns", "verb": "verbs", "adj": "adjectives", "adv": "adverbs"}
_KEY_PARTS = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}  # in a sense key
_POINTERS = {"above": ("@", "@i"), "similar": ("&",), "opposite": ("!",), "attributes": ("=",)}
_TYPES = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}  # of the synset that a pointer leads to
_LEXNAMES = """
adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition noun.communication
noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person noun.phenomenon noun.plant
noun.possession noun.process noun.quantity noun.relation noun.shape noun.state noun.substance noun.time verb.body verb.change
verb.cognition verb.communication verb.competition verb.consumption verb.contact verb.creation verb.emotion verb.motion
verb.perception verb.possession verb.social verb.stative verb.weather adj.ppl
""".split()  # noqa: SIM905 (by number; lexnames(5WN))


def synsets(folder: Path) -> pa.Table:
    """The synsets of WordNet's database files, as a table of SYNSETS."""
    uses = _read_uses(folder / "cntlist.rev")
    lines = [(kind, line) for kind in _PARTS for line in _lines(folder / f"data.{kind}")]
    numbers = {(kind, line.split(" ", 1)[0]): number for number, (kind, line) in enumerate(lines)}
    order = {kind: _read_order(folder / f"index.{kind}") for kind in _PARTS}
    rows = []
    for kind, line in lines:
        offset, lexname, words, pointers = _parse(line)
        senses = [1 + order[kind][word.lower()].index(offset) for word in words]
        found = [(symbol, numbers[_TYPES[part], target]) for symbol, target, part in pointers]
        rows.append(
            {
                "part_of_speech": _PARTS[kind],
                "lexname": _LEXNAMES[lexname],
                "words": [word.replace("_", " ") for word in words],
                "senses": senses,
                "uses": [uses.get((kind, word.lower(), sense), 0) for word, sense in zip(words, senses, strict=True)],
                "is_name": any(symbol == "@i" for symbol, _ in found),
                **{name: sorted({target for symbol, target in found if symbol in of}) for name, of in _POINTERS.items()},
            }
        )
    return pa.Table.from_pylist(rows, schema=SYNSETS)


def _parse(line: str) -> tuple[str, int, list[str], list[tuple[str, str, str]]]:
    """Offset, number of the lexname, words, and pointers (symbol, offset, type)."""
    fields = line.split(" | ")[0].split()  # offset lex_filenum ss_type w_cnt word lex_id ... p_cnt symbol offset pos places ...
    num_words = int(fields[3], 16)
    words = [word.split("(")[0] for word in fields[4 : 4 + 2 * num_words : 2]]  # "(a)" says where an adjective may stand
    rest = fields[4 + 2 * num_words :]
    pointers = [(rest[at], rest[at + 1], rest[at + 2]) for at in range(1, 4 * int(rest[0]), 4)]
    return fields[0], int(fields[1]), words, pointers


def _read_order(path: Path) -> Mapping[str, list[str]]:
    """Each lemma's synsets, the commonest sense first."""
    fields = [line.split() for line in _lines(path)]  # lemma pos synset_cnt p_cnt [symbol ...] sense_cnt tagsense_cnt offset ...
    return {each[0]: each[6 + int(each[3]) :] for each in fields}


def _read_uses(path: Path) -> Mapping[tuple[str, str, int], int]:
    """How often each sense was tagged in the semantic concordances, by kind, lemma and number of the sense."""
    found = {}
    for line in _lines(path):
        key, sense, count = line.split()
        lemma, _, rest = key.partition("%")
        found[_KEY_PARTS[rest[0]], lemma, int(sense)] = int(count)
    return found


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if not line.startswith("  "))  # the licence at the head is indented


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m degla.text.wordnet.make", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="of data.noun, index.noun, ..., cntlist.rev")
    folder = parser.parse_args().folder
    read = sorted([*folder.glob("data.*"), *folder.glob("index.*"), folder / "cntlist.rev"])
    sums = {f"sha256 {path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in read}
    table = synsets(folder).replace_schema_metadata(SOURCE | sums)
    pq.write_table(table, FILE, compression="zstd", compression_level=19, write_statistics=False, store_schema=True)
    print(f"{FILE}: {table.num_rows:,} synsets, {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
