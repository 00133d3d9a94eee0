"""Captions and their negatives as word numbers, for the text-only classifier.

Texts are in lower case, as CLIP's tokenizer reads them.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from degla.errors import DataError
from degla.text.tokens import tokenize

START, END = 0, 1
"""Numbers of the marks around a text; words have the numbers from 2 on."""
NUM_STARTS = 2
"""Marks before a text: the first word needs two before it for its trigram."""
WORD_BITS = 21
"""Bits of a word's number: three fit an int64."""


@dataclass(frozen=True)
class Texts:
    """Texts one after another: text i is `words[ends[i] : ends[i + 1]]`, START START word ... word END."""

    words: np.ndarray  # (total,) int32
    ends: np.ndarray  # (n + 1,) int64, the first is 0

    def __len__(self) -> int:
        return len(self.ends) - 1

    def take(self, rows: np.ndarray) -> Texts:
        """The texts of these rows, in their order."""
        lengths = np.diff(self.ends)[rows]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.ends[:-1][rows] - ends[:-1], lengths) + np.arange(ends[-1])
        return Texts(self.words[places], ends)

    def where(self, chosen: np.ndarray) -> Texts:
        """The texts for which `chosen`, (n,) bool, holds: as `take`, in less memory for many rows."""
        lengths = np.diff(self.ends)
        return Texts(self.words[np.repeat(chosen, lengths)], np.concatenate([[0], np.cumsum(lengths[chosen])]))


@dataclass(frozen=True)
class WordPairs:
    """Captions, and the negatives to be told from them. C captions, N negatives."""

    captions: Texts
    caption_ids: np.ndarray  # (C,) int64
    image: np.ndarray  # (C,) int32: index into `images`
    images: Sequence[str]
    is_read: np.ndarray  # (C,) bool: whether the trigram model is trained on it
    negatives: Texts
    caption: np.ndarray  # (N,) int32: index of the negative's caption
    cell: np.ndarray  # (N,) int16: index into `cells`, its type and generator
    cells: Sequence[tuple[str, str]]
    candidate: np.ndarray  # (N,) int32
    attempt: np.ndarray  # (N,) int32
    lm_gap: np.ndarray  # (N,) float64 nats, as in `REWRITES`; nan where no language model scored the row
    num_words: int
    """Number of different words in all texts, and the two marks."""

    def __len__(self) -> int:
        return len(self.negatives)

    def where(self, chosen: np.ndarray) -> WordPairs:
        """All captions, and the negatives for which `chosen`, (N,) bool, holds."""
        if chosen.all():
            return self
        columns = {name: getattr(self, name)[chosen] for name in ("caption", "cell", "candidate", "attempt", "lm_gap")}
        return replace(self, negatives=self.negatives.where(chosen), **columns)

    def half(self, split: int) -> np.ndarray:
        """The half that each caption's image falls into, (C,) bool; `split` is a seed."""
        of_image = [hashlib.blake2b(f"{split}|{image}".encode()).digest()[0] & 1 for image in self.images]
        return np.array(of_image, bool)[self.image]

    def hashes(self) -> np.ndarray:
        """A number for each pair by its caption, type, generator, candidate and attempt, (N,) uint64 (SplitMix64): an order by
        chance that is the same in whatever order the pairs were read."""
        kind = np.array([zlib.crc32("|".join(cell).encode()) for cell in self.cells] or [0], np.uint64)
        state = np.zeros(len(self), np.uint64)
        for column in (self.caption_ids[self.caption], kind[self.cell], self.candidate, self.attempt):
            state = (state ^ column.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
        return state


def read_pairs(
    captions: Iterable[pa.RecordBatch], negatives: Iterable[pa.RecordBatch], corpus: Iterable[tuple[str, str]] | None = None
) -> WordPairs:
    """Number the words of captions and negatives.

    Args:
        captions: columns `caption_id`, `image_id`, `caption`.
        negatives: columns `caption_id`, `type`, `candidate`, `attempt`, `generator`, `text`, and `lm_gap` if it is known of any.
        corpus: (image, caption) pairs to train the trigram model on; None takes `captions`.

    Raises:
        DataError: there is no caption to train on, a negative's caption is missing, or there are more than 2 M different words.
    """
    numbers: dict[str, int] = {}
    read, written = _CaptionColumns(_Growing(numbers)), _NegativeColumns(_Growing(numbers))
    for batch in captions:
        read.add(batch)
    num_own = len(read.ids)
    for image, text in corpus or ():
        read.images.extend([image])
        read.texts.extend([text])
    for batch in negatives:
        written.add(batch)
    is_read = np.arange(len(read.images.codes)) >= (0 if corpus is None else num_own)
    if not is_read.any():
        raise DataError("there is no caption to train the text-only classifier on")
    if len(numbers) + END >= 1 << WORD_BITS:
        raise DataError(
            f"at most {1 << WORD_BITS:,} different words can be counted, got {len(numbers):,}; check that these are texts"
        )
    caption_ids = np.array(read.ids, np.int64)
    return WordPairs(
        captions=read.texts.whole(),
        caption_ids=caption_ids,
        image=np.array(read.images.codes, np.int32),
        images=list(read.images.numbers),
        is_read=is_read,
        negatives=written.texts.whole(),
        caption=_find_captions(caption_ids, np.array(written.caption_ids, np.int64)),
        cell=np.array(written.cells.codes, np.int16),
        cells=list(written.cells.numbers),
        candidate=np.array(written.candidates, np.int32),
        attempt=np.array(written.attempts, np.int32),
        lm_gap=np.array(written.lm_gaps, np.float64),
        num_words=len(numbers) + END + 1,
    )


@dataclass
class _Growing:
    """Texts being read; a new word gets the next number in `numbers`."""

    numbers: dict[str, int]
    words: array[int] = field(default_factory=lambda: array("i"))
    lengths: array[int] = field(default_factory=lambda: array("i"))

    def extend(self, texts: Iterable[str]) -> None:
        number, words, numbers = self.numbers.setdefault, self.words, self.numbers
        for text in texts:
            before = len(words)
            words.extend((START,) * NUM_STARTS)
            words.extend([number(word, len(numbers) + END + 1) for word in tokenize(text.lower())])
            words.append(END)
            self.lengths.append(len(words) - before)

    def whole(self) -> Texts:
        ends = np.concatenate([[0], np.cumsum(np.array(self.lengths, np.int64))])
        return Texts(np.frombuffer(self.words, np.int32) if self.words else np.empty(0, np.int32), ends)


@dataclass
class _Codes:
    """A column of names as numbers, in the order of their first appearance."""

    numbers: dict[Any, int] = field(default_factory=dict)
    codes: array[int] = field(default_factory=lambda: array("i"))

    def extend(self, names: Iterable[Any]) -> None:
        self.codes.extend([self.numbers.setdefault(name, len(self.numbers)) for name in names])


@dataclass
class _CaptionColumns:
    """Columns of captions being read."""

    texts: _Growing
    ids: array[int] = field(default_factory=lambda: array("q"))
    images: _Codes = field(default_factory=_Codes)

    def add(self, batch: pa.RecordBatch) -> None:
        self.ids.extend(batch["caption_id"].to_pylist())
        self.images.extend(batch["image_id"].to_pylist())
        self.texts.extend(batch["caption"].to_pylist())


@dataclass
class _NegativeColumns:
    """Columns of negatives being read."""

    texts: _Growing
    caption_ids: array[int] = field(default_factory=lambda: array("q"))
    cells: _Codes = field(default_factory=_Codes)
    candidates: array[int] = field(default_factory=lambda: array("i"))
    attempts: array[int] = field(default_factory=lambda: array("i"))
    lm_gaps: array[float] = field(default_factory=lambda: array("d"))

    def add(self, batch: pa.RecordBatch) -> None:
        self.texts.extend(batch["text"].to_pylist())
        self.caption_ids.extend(batch["caption_id"].to_pylist())
        self.cells.extend(zip(batch["type"].to_pylist(), batch["generator"].to_pylist(), strict=True))
        self.candidates.extend(batch["candidate"].to_pylist())
        self.attempts.extend(batch["attempt"].to_pylist())
        known = "lm_gap" in batch.schema.names
        self.lm_gaps.extend(batch["lm_gap"].to_numpy(zero_copy_only=False) if known else [math.nan] * batch.num_rows)


def _find_captions(caption_ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of each wanted id in `caption_ids`."""
    order = np.argsort(caption_ids, kind="stable")
    places = order[np.minimum(np.searchsorted(caption_ids[order], wanted), len(order) - 1)] if len(order) else wanted
    strangers = wanted[caption_ids[places] != wanted] if len(order) else wanted
    if len(strangers):
        raise DataError(f"{len(strangers)} negatives have caption ids that no caption has, such as {strangers[0]}")
    return places.astype(np.int32)
