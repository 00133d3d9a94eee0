"""Word order: each caption against four reorderings of it, after ARO's COCO-Order and Flickr30k-Order (Yuksekgonul et al. 2023).

Candidates come in two ways, under two names, and are not comparable. ARO draws its own in each installation, with spaCy's
tags and NLTK's tokens: `read_aro_order` reads them frozen in a file that says with which versions it was made.
`read_caption_order` draws them with degla's tagger and a seed of its own for each caption, so that they are the same
everywhere; their hash is in the notes.

The four are: nouns among nouns and adjectives among adjectives; all other words among themselves; the words within each three;
the threes. A candidate is in lower case, without `.!"()*#:;~`, at most 30 words. Right if no reordering is nearer to the image,
ties included, so that a reordering that left the caption as it was is never held against the model; the accuracy with ties
wrong stands beside it. Captions longer than the model's context are cut; ARO's code stops at them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from pydantic import Field

from degla import checksums
from degla.catalog import Card
from degla.config import Config
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, ChoiceItem, ChoiceSet, file_images
from degla.evaluate.readers.karpathy import caption_lists
from degla.evaluate.readers.registry import reader
from degla.evaluate.readers.sources import record_images
from degla.evaluate.readers.word_order import candidate_rows
from degla.outcomes.known import absences
from degla.sources.options import SourceOptions
from degla.text.tags import Tagger
from degla.text.tokens import tokenize
from degla.text_files import read_json_lines

MAX_WORDS = 30
CANDIDATES = 5

_PUNCTUATION = re.compile(r'[.!"()*#:;~]')
_NOUNS, _ADJECTIVES = ("NN0", "NN1", "NN2", "NP0"), ("AJ0", "AJC", "AJS")


class CaptionOrderOptions(SourceOptions):
    """Options of a card with `reader: caption_order`."""

    set_name: str = "word_order"
    """Name of the set in the scores."""
    seed: int = 1
    """Another number draws other reorderings."""
    max_images: int | None = Field(None, ge=1)
    """Only the first so many images."""


class AroOrderOptions(Config):
    """Options of a card with `reader: aro_order`."""

    set_name: str
    """Name of the set in the scores: `coco_order` or `flickr30k_order`."""


@reader("caption_order", CaptionOrderOptions)
def read_caption_order(card: Card, options: CaptionOrderOptions) -> Benchmark:
    """Files: `annotations`, captions (see `degla.evaluate.readers.karpathy`); `images`, their folder.

    Raises:
        DataError: the file is not a list of that form; the item's number and field are named.
    """
    every, left = caption_lists(card, options)
    rows = every[: options.max_images]
    texts = [(f"{index}-{place}", row, text) for index, row in enumerate(rows) for place, text in enumerate(row.captions)]
    candidates = reorderings([text for _, _, text in texts], options.seed)
    rows_of_file = zip(texts, candidates, strict=True)
    frozen = "".join(
        json.dumps({"id": key, "image": row.file or row.image, "candidates": own}, ensure_ascii=False) + "\n"
        for (key, row, _), own in rows_of_file
    )
    mark = hashlib.sha256(frozen.encode()).hexdigest()
    images, positions = record_images(card, [row for _, row, _ in texts])
    items = tuple(ChoiceItem(key, position, own) for (key, _, _), position, own in zip(texts, positions, candidates, strict=True))
    absent, notes = absences(card, {options.set_name: len(items)})
    if options.max_images:
        absent, notes = {}, [f"the first {options.max_images:,} images of the file"]
    notes.append(f"candidates {mark[:16]}, drawn with degla's tagger: scores are not comparable with ARO's")
    return Benchmark((ChoiceSet(options.set_name, images, items, True, True),), (), (*notes, *left), absent, frozen)


@reader("aro_order", AroOrderOptions)
def read_aro_order(card: Card, options: AroOrderOptions) -> Benchmark:
    """Files: `annotations`, JSONL: first `{"made_with": {"spacy": ..., "en_core_web_sm": ..., "nltk": ...}}`, then a line a
    caption with `id`, `image` and `candidates` (the caption first, then the four in ARO's order); `images`, their folder.

    Raises:
        DataError: the first line does not say what made the file, or a line is malformed; file and line are named.
    """
    path = card.file("annotations")
    lines = read_json_lines(path)
    made_with = _made_with(path, lines)
    rows = candidate_rows(path, lines[1:])
    wrong = next((key for key, _, candidates in rows if len(candidates) != CANDIDATES), None)
    if wrong is not None:
        raise DataError(f"{path}, item {wrong!r}: expected {CANDIDATES} candidates, the caption and four reorderings")
    names = [image for _, image, _ in rows]
    images, positions = file_images(card.file("images"), names)
    items = tuple(ChoiceItem(key, at, candidates) for (key, _, candidates), at in zip(rows, positions, strict=True))
    absent, notes = absences(card, {options.set_name: len(items)})
    versions = ", ".join(f"{name} {version}" for name, version in made_with.items())
    notes.append(f"candidates {checksums.of_file(path)[:16]}, made with {versions}")
    return Benchmark((ChoiceSet(options.set_name, images, items, True, True),), (), tuple(notes), absent)


def reorderings(captions: Sequence[str], seed: int) -> list[tuple[str, ...]]:
    """For each caption itself and its four reorderings, as candidates. A caption's own draw depends on it and on the seed
    alone."""
    tagger = Tagger()
    return [_reorder(caption, tagger, Random(f"{seed} {caption}")) for caption in captions]


def plain(caption: str) -> str:
    """A caption as ARO's code shows it to a model: lower case, without some punctuation, at most 30 words."""
    words = _PUNCTUATION.sub(" ", caption.lower()).split()
    return " ".join(words[:MAX_WORDS])


def _reorder(caption: str, tagger: Tagger, rng: Random) -> tuple[str, ...]:
    tokens = tokenize(caption)
    tags, _ = tagger.tag(tokens)
    nouns, adjectives = ([i for i, tag in enumerate(tags) if tag in kind] for kind in (_NOUNS, _ADJECTIVES))
    others = [i for i in range(len(tokens)) if i not in {*nouns, *adjectives}]
    threes = [list(range(start, min(start + 3, len(tokens)))) for start in range(0, len(tokens), 3)]
    orders = (
        _exchanged(len(tokens), [nouns, adjectives], rng.shuffle),
        _exchanged(len(tokens), [others], rng.shuffle),
        _exchanged(len(tokens), threes, rng.shuffle),
        [place for three in rng.sample(threes, len(threes)) for place in three],
    )
    return (plain(caption), *(plain(" ".join(tokens[place] for place in order)) for order in orders))


def _exchanged(count: int, groups: Sequence[Sequence[int]], shuffle: Callable[[list[int]], None]) -> list[int]:
    """The places 0..count-1, those of each group shuffled among themselves."""
    order = list(range(count))
    for group in groups:
        shuffled = list(group)
        shuffle(shuffled)
        for place, other in zip(group, shuffled, strict=True):
            order[place] = other
    return order


def _made_with(path: Path, lines: Sequence[tuple[str, Any]]) -> dict[str, str]:
    first = lines[0][1] if lines else None
    found = first.get("made_with") if isinstance(first, Mapping) else None
    if found is None:
        raise DataError(
            f"{path}, line 1: expected made_with, the versions of spacy, en_core_web_sm and nltk that made the candidates."
            f" Candidates from another tagger are not ARO's: use a card with `reader: word_order` for them."
        )
    lacking = [name for name in ("spacy", "en_core_web_sm", "nltk") if not isinstance(found, dict) or not found.get(name)]
    if lacking:
        raise DataError(f"{path}, line 1: made_with does not name the version of {lacking[0]}")
    return {name: str(version) for name, version in found.items()}
