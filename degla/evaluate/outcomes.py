"""What a model did on each item of a benchmark: one table row per item, from which every metric is computed.

Called by `degla.evaluate.stage`; `degla.evaluate.measures` reads the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from degla.errors import DataError
from degla.evaluate import scoring
from degla.evaluate.encoding import EncodedImages, Encoder
from degla.evaluate.records import STATUS_OK, BenchmarkSet, ChoiceSet, ClassificationSet, RetrievalSet

CHOICE, CLASSIFICATION = "choice", "classification"
TEXT_RETRIEVAL, IMAGE_RETRIEVAL = "text_retrieval", "image_retrieval"

ITEMS = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # choice, classification, text_retrieval, image_retrieval
        pa.field("item", pa.string(), nullable=False),  # unique within set and kind
        pa.field("image", pa.string(), nullable=False),  # id of the item's image
        pa.field("status", pa.string(), nullable=False),  # ok, or why the item was not scored: missing, undecodable
        pa.field("correct", pa.bool_()),  # null unless status is ok; retrieval: rank 1
        pa.field("margin", pa.float64()),  # cosine with the true answer minus the largest with a wrong one
        pa.field("rank", pa.int64()),  # retrieval only: place of the (first) true answer, 1 is best
        pa.field("label", pa.string()),  # classification only: the image's class
        pa.field("predicted", pa.string()),  # classification only
        pa.field("seen", pa.bool_()),  # classification only, where known: fine-tuning showed the class
        pa.field("targets", pa.int64(), nullable=False),  # right answers among the candidates
        pa.field("candidates", pa.int64(), nullable=False),  # answers to choose from
        pa.field("truncated", pa.bool_(), nullable=False),  # a text of the item was cut to the model's context
    ]
)

Row = dict[str, Any]


def score_set(benchmark_set: BenchmarkSet, encoder: Encoder) -> pa.Table:
    """The ITEMS rows of one set under one model, in the order of the set.

    Raises:
        DataError: not one image of the set is there and can be read.
    """
    rows = _SCORERS[type(benchmark_set)](benchmark_set, encoder)
    return pa.Table.from_pylist(list(rows), schema=ITEMS)


def _encoded(benchmark_set: BenchmarkSet, encoder: Encoder) -> EncodedImages:
    images = encoder.images(benchmark_set.images)
    if len(images.problems) == len(benchmark_set.images):
        raise DataError(
            f"{benchmark_set.name}: none of its {len(benchmark_set.images):,} images is there and can be read; the first:"
            f" {images.problems[0]}. Check the path of the images, or leave the set out."
        )
    return images


def _choice_rows(choice: ChoiceSet, encoder: Encoder) -> Iterable[Row]:
    images = _encoded(choice, encoder)
    texts = encoder.texts([text for item in choice.items for text in item.candidates])
    start = 0
    for item in choice.items:
        own = slice(start, start + len(item.candidates))
        start = own.stop
        row = _row(choice.name, CHOICE, item.id, choice.images[item.image].id, images, item.image)
        row |= _choice_odds(item.candidates, choice.ties_are_right) | {"truncated": bool(texts.truncated[own].any())}
        if row["status"] == STATUS_OK:
            margin = scoring.choice_margin(images.features[item.image], texts.features[own])
            row |= {"margin": margin, "correct": scoring.choice_is_right(margin, choice.ties_are_right)}
        yield row


def _choice_odds(candidates: Sequence[str], ties_are_right: bool) -> dict[str, int]:
    """A false caption equal to the true one always ties: it makes a strict choice hopeless, and is no choice otherwise."""
    hopeless = not ties_are_right and candidates[0] in candidates[1:]
    return {"targets": 0 if hopeless else 1, "candidates": len(set(candidates))}


def _classification_rows(data: ClassificationSet, encoder: Encoder) -> Iterable[Row]:
    images = _encoded(data, encoder)
    texts = encoder.texts([prompt for prompts in data.class_prompts for prompt in prompts])
    stops = np.cumsum([len(prompts) for prompts in data.class_prompts])
    per_class = np.split(texts.features, stops[:-1])
    predicted, margins = scoring.classify(images.features, np.stack(list(map(scoring.class_embedding, per_class))), data.labels)
    cut = [bool(part.any()) for part in np.split(texts.truncated, stops[:-1])]
    for index, label in enumerate(data.labels.tolist()):
        image = data.images[index]
        row = _row(data.name, CLASSIFICATION, image.id, image.id, images, index)
        row |= {"label": data.class_names[label], "seen": data.seen_classes[label] if data.seen_classes else None}
        row |= {"targets": 1, "candidates": len(data.class_names), "truncated": cut[label]}
        if row["status"] == STATUS_OK:
            guess = int(predicted[index])
            row |= {"margin": margins[index], "predicted": data.class_names[guess], "correct": guess == label}
        yield row


def _retrieval_rows(data: RetrievalSet, encoder: Encoder) -> Iterable[Row]:
    """Images that cannot be read leave the pool with their captions; the metrics then say how many are missing."""
    images = _encoded(data, encoder)
    texts = encoder.texts(data.texts)
    keep_M = np.array([index not in images.problems for index in range(len(data.images))])
    keep_T = keep_M[data.text_image]
    image_MD, text_TD = images.features[keep_M], texts.features[keep_T]
    text_image_T = (np.cumsum(keep_M) - 1)[data.text_image[keep_T]]
    best = _spread(keep_M, scoring.text_retrieval_ranks(image_MD, text_TD, text_image_T))
    ranks = _spread(keep_T, scoring.image_retrieval_ranks(image_MD, text_TD, text_image_T))
    captions = Counter(data.text_image.tolist())
    for index, image in enumerate(data.images):
        odds = {"targets": captions[index], "candidates": int(keep_T.sum()), "truncated": False}
        yield _row(data.name, TEXT_RETRIEVAL, image.id, image.id, images, index) | odds | _rank(best[index])
    for index, owner in enumerate(data.text_image.tolist()):
        odds = {"targets": 1, "candidates": int(keep_M.sum()), "truncated": bool(texts.truncated[index])}
        image = data.images[owner]
        yield _row(data.name, IMAGE_RETRIEVAL, f"{image.id}#{index}", image.id, images, owner) | odds | _rank(ranks[index])


def _spread(keep: np.ndarray, ranks: np.ndarray) -> list[int | None]:
    remaining = iter(ranks.tolist())
    return [next(remaining) if kept else None for kept in keep]


def _rank(rank: int | None) -> Row:
    return {"rank": rank, "correct": None if rank is None else rank == 1}


def _row(name: str, kind: str, item: str, image: str, images: EncodedImages, index: int) -> Row:
    problem = images.problems.get(index)
    return {"set": name, "kind": kind, "item": item, "image": image, "status": problem.status if problem else STATUS_OK}


_SCORERS: dict[type, Callable[[Any, Encoder], Iterable[Row]]] = {
    ChoiceSet: _choice_rows,
    ClassificationSet: _classification_rows,
    RetrievalSet: _retrieval_rows,
}
