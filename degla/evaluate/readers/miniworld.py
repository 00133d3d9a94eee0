"""The mini world's own benchmarks, drawn on demand: no files.

Their protocols are those of SugarCrepe, ARO and zero-shot classification; their names are the mini world's own.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

import numpy as np
from pydantic import Field

from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import (
    Benchmark,
    BenchmarkImage,
    BenchmarkSet,
    ChoiceItem,
    ChoiceSet,
    ClassificationSet,
    RetrievalSet,
)
from degla.evaluate.readers.registry import reader
from degla.miniworld.benchmarks import (
    CAPTION_CHOICE_SIZE,
    RETRIEVAL_SIZE,
    CaptionChoiceKind,
    ClassificationKind,
    caption_choice,
    classification,
    retrieval,
)
from degla.outcomes.averages import BY_DEFINITION

RetrievalKind = Literal["retrieval"]
Kind = CaptionChoiceKind | ClassificationKind | RetrievalKind

_ZERO_SHOT = get_args(ClassificationKind)


class MiniworldOptions(Config):
    """Options of a card with `reader: miniworld`."""

    kinds: tuple[Kind, ...] = Field(min_length=1)
    """Which sets to make."""
    split: Literal["validation", "test"] = "test"
    """Choices are made on `validation`; `test` is for the scorecard."""
    size: int | None = Field(None, ge=1)
    """Items of each set; empty takes the usual number (500 choices, 640 or 480 images to classify, 400 pairs to retrieve)."""


@reader("miniworld", MiniworldOptions)
def read_miniworld(card: Card, options: MiniworldOptions) -> Benchmark:
    """Draw the sets that the card's options name. Raises ConfigError at an unknown option or kind."""
    notes = [f"{options.size:,} items a set"] if options.size else []
    notes += ["validation split"] if options.split == "validation" else []
    return Benchmark(tuple(_make(kind, options) for kind in options.kinds), BY_DEFINITION["miniworld"], tuple(notes))


def _make(kind: Kind, options: MiniworldOptions) -> BenchmarkSet:
    if kind == "retrieval":
        return _retrieval(options)
    if kind in _ZERO_SHOT:
        return _classification(cast(ClassificationKind, kind), options)
    data = caption_choice(cast(CaptionChoiceKind, kind), options.split, options.size or CAPTION_CHOICE_SIZE)
    items = tuple(ChoiceItem(str(number), image, candidates) for number, (image, candidates) in enumerate(data.items))
    return ChoiceSet(kind, _images(kind, options, data.images), items, ties_are_right=kind == "aro_order")


def _classification(kind: ClassificationKind, options: MiniworldOptions) -> ClassificationSet:
    data = classification(kind, options.split, options.size)
    prompts = tuple(map(tuple, data.class_prompts))
    images = _images(kind, options, data.images)
    return ClassificationSet(kind, images, data.labels, tuple(data.class_names), prompts, tuple(data.seen_classes))


def _retrieval(options: MiniworldOptions) -> RetrievalSet:
    data = retrieval(options.split, options.size or RETRIEVAL_SIZE)
    return RetrievalSet("retrieval", _images("retrieval", options, data.images), tuple(data.texts), data.text_image)


def _images(kind: str, options: MiniworldOptions, pixels: np.ndarray) -> tuple[BenchmarkImage, ...]:
    prefix = f"miniworld/{options.split}/{options.size or 'usual'}/{kind}"
    return tuple(BenchmarkImage(f"{prefix}/{number}", image) for number, image in enumerate(pixels))
