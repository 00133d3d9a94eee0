"""Captions and negatives for the tests of the audit, and the text-only classifier again, slowly, from its formula."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from degla.database import connect
from degla.filter.audit.pair_tables import load_pairs
from degla.filter.audit.report_card import word_pairs
from degla.filter.audit.targets import read_corpus, target_captions, target_pairs
from degla.filter.audit.word_pairs import WordPairs, read_pairs
from degla.text.tokens import tokenize

ANIMALS = ["dog", "cat", "horse", "zebra", "cow"]
COLOURS = ["red", "brown", "black", "white"]
THINGS = ["bench", "table", "car", "bed", "truck"]


@dataclass(frozen=True)
class Row:
    """A negative and its caption."""

    image: str
    caption: str
    text: str
    type: str = "swap_nouns"
    generator: str = "rules"


def read_target(target: str, corpus: Path | None = None) -> WordPairs:
    """The pairs of a file or artifact as the report card has them classified."""
    others = None if corpus is None else read_corpus(corpus)
    with connect() as database, TemporaryDirectory() as folder:
        load_pairs(database, Path(folder), target_pairs(target), target_captions(target), others or ())
        return word_pairs(database, others)


def sentence(draw: random.Random) -> str:
    """One animal on or near a thing."""
    animal, colour, thing, end = draw.choice(ANIMALS), draw.choice(COLOURS), draw.choice(THINGS), draw.choice(["", "."])
    return draw.choice([f"A {colour} {animal} on a {thing}{end}", f"a {animal} near the {colour} {thing} and a tree{end}"])


def replaced(caption: str, old: Sequence[str], new: str) -> str:
    """The caption with each of the words `old` as `new`."""
    return " ".join(new if word in old else word for word in caption.split(" "))


def drawn_rows(number: int, seed: int = 0, told: float = 0.5) -> list[Row]:
    """Captions with another animal; in a share `told` of them the negative has an animal that captions never have."""
    draw = random.Random(seed)
    rows = []
    for k in range(number):
        caption = sentence(draw)
        animal = next(word for word in caption.split(" ") if word in ANIMALS)
        new = "unicorn" if draw.random() < told else draw.choice([each for each in ANIMALS if each != animal])
        rows.append(Row(f"image-{k // 2}", caption, replaced(caption, [animal], new)))
    return rows


def pairs_of(rows: Sequence[Row], captions_only: Sequence[tuple[str, str]] = (), order: random.Random | None = None) -> WordPairs:
    """The rows as the model reads them; `order` shuffles captions and negatives, which keep their numbers."""
    captions = [(row.image, row.caption) for row in rows] + list(captions_only)
    ids = list(range(len(captions)))
    numbers = list(range(len(rows)))
    if order:
        order.shuffle(ids)
        order.shuffle(numbers)
    read = {"caption_id": ids, "image_id": [captions[k][0] for k in ids], "caption": [captions[k][1] for k in ids]}
    written = {"caption_id": numbers, "candidate": [0] * len(rows), "attempt": [1] * len(rows)}
    for name in ("type", "generator", "text"):
        written[name] = [getattr(rows[k], name) for k in numbers]
    return read_pairs(_batches(read), _batches(written))


def exchanged(rows: Sequence[Row], seed: int = 0) -> list[Row]:
    """Caption and negative change places in half of the rows."""
    draw = random.Random(seed)
    return [replace(row, caption=row.text, text=row.caption) if draw.random() < 0.5 else row for row in rows]


def slow_log_odds(rows: Sequence[Row], half: Sequence[bool], num_words: int) -> list[tuple[float, float]]:
    """The log-odds of each row by the captions alone and with both parts, as in `degla.filter.audit.text_classifier`.

    Args:
        rows: one for each caption.
        half: the half of each row's image.
        num_words: of the model.
    """
    pairs_odds = []
    for own, row in enumerate(rows):
        others = [other for k, other in enumerate(rows) if half[k] != half[own]]
        model = _SlowTrigrams([other.caption for other in others], num_words)
        captions = model.log_p(row.caption) - model.log_p(row.text)
        removed, added = Counter(), Counter()
        for other in others:
            if (other.type, other.generator) == (row.type, row.generator):
                removed += _grams(other.caption) - _grams(other.text)
                added += _grams(other.text) - _grams(other.caption)
        odds = Counter(_grams(row.caption))
        odds.subtract(_grams(row.text))
        pairs_odds.append((captions, captions + sum(n * log((removed[g] + 0.5) / (added[g] + 0.5)) for g, n in odds.items())))
    return pairs_odds


class _SlowTrigrams:
    """Interpolated Kneser-Ney with one discount, by recursion over tuples of words."""

    def __init__(self, captions: Sequence[str], num_words: int) -> None:
        self._num_words = num_words
        self._after: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        before = defaultdict(set)
        for caption in captions:
            words = ["<", "<", *_words(caption), ">"]
            for one, two, three in zip(words, words[1:], words[2:], strict=False):
                self._after[one, two][three] += 1
                before[two, three].add(one)
        for two, three in before:
            self._after[(two,)][three] += len(before[two, three])
        for three in {three for _, three in before}:
            self._after[()][three] = sum(last == three for _, last in before)

    def log_p(self, text: str) -> float:
        words = ["<", "<", *_words(text), ">"]
        return sum(log(self._p(words[k], (words[k - 2], words[k - 1]))) for k in range(2, len(words)))

    def _p(self, word: str, context: tuple[str, ...]) -> float:
        lower = self._p(word, context[1:]) if context else 1 / self._num_words
        counts = self._after.get(context)
        if not counts:
            return lower
        return (max(counts[word] - 0.75, 0) + 0.75 * len(counts) * lower) / counts.total()


def _words(text: str) -> list[str]:
    return tokenize(text.lower())


def _grams(text: str) -> Counter[tuple[str, ...]]:
    words = ["<", *_words(text), ">"]
    return Counter([*zip(words[1:-1], strict=True), *zip(words, words[1:], strict=False)])


def _batches(columns: dict[str, list], size: int = 7) -> Iterator[pa.RecordBatch]:
    yield from pa.table(columns).to_batches(max_chunksize=size)
