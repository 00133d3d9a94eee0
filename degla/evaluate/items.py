"""What a model did on each item of a benchmark: one table row per item, from which every metric is computed.

Arithmetic on stored features: loads no model.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from degla.errors import MissingInputError
from degla.evaluate import linear_probe, protocols
from degla.evaluate.benchmark import (
    BenchmarkSet,
    ChoiceSet,
    ClassificationSet,
    LabelledRetrievalSet,
    LinearProbeSet,
    MatchSet,
    ParaphraseSet,
    RetrievalSet,
    Together,
)
from degla.evaluate.features.store import ImageFeatures, StoredFeatures, TextFeatures
from degla.outcomes import guessing
from degla.outcomes.items import (
    CHOICE,
    CLASSIFICATION,
    IMAGE_RETRIEVAL,
    ITEMS,
    ITT,
    LINEAR_PROBE,
    MATCH_GROUP,
    MATCH_IMAGE,
    MATCH_TEXT,
    STATUS_MISSING,
    STATUS_OK,
    TEXT_ORIGINAL,
    TEXT_RETRIEVAL,
    TEXT_REWRITTEN,
    TOT,
)

logger = logging.getLogger(__name__)

_LARGEST = 1 << 62  # of the numbers of answers of a group: its chance is then 0 to 18 digits

Row = dict[str, Any]


def score_set(benchmark_set: BenchmarkSet, features: StoredFeatures) -> pa.Table:
    """The ITEMS rows of one set under one model, in the order of the set.

    Raises:
        MissingInputError: the set has no items, or none whose images can be read.
        DataError: an image or text was not encoded.
    """
    images = features.images(benchmark_set.images)
    rows: list[Row] = []
    if len(images.problems) < len(benchmark_set.images) or isinstance(benchmark_set, ParaphraseSet):
        rows = list(_SCORERS[type(benchmark_set)](benchmark_set, images, features.texts(list(texts_of(benchmark_set)))))
    if not any(row["status"] == STATUS_OK for row in rows):
        problem = next(iter(images.problems.values()), None)
        found = f"no item can be scored; the first unreadable image: {problem}" if problem else "it has no items"
        raise MissingInputError(f"{benchmark_set.name}: {found}. Check the benchmark's paths, or leave the set out.")
    return pa.Table.from_pylist(rows, schema=ITEMS)


def texts_of(benchmark_set: BenchmarkSet) -> Iterator[str]:
    """Every text of the set, in the order that scoring takes them."""
    if isinstance(benchmark_set, ChoiceSet):
        yield from (text for item in benchmark_set.items for text in item.candidates)
    elif isinstance(benchmark_set, ParaphraseSet):
        yield from (text for item in benchmark_set.items for text in (*item.captions, item.negative))
    elif isinstance(benchmark_set, MatchSet):
        yield from (text for item in benchmark_set.items for text in item.captions)
    elif isinstance(benchmark_set, ClassificationSet):
        yield from (prompt for prompts in benchmark_set.class_prompts for prompt in prompts)
    elif isinstance(benchmark_set, RetrievalSet | LabelledRetrievalSet):
        yield from benchmark_set.texts


def _choice_rows(choice: ChoiceSet, images: ImageFeatures, texts: TextFeatures) -> Iterable[Row]:
    other = "correct_ties_wrong" if choice.ties_are_right else "correct_ties_right"
    start, rows = 0, []
    for item in choice.items:
        own = slice(start, start + len(item.candidates))
        start = own.stop
        row = _row(choice, CHOICE, item.id, images, item.image)
        row |= _choice_odds(item.candidates, choice.ties_are_right)
        row |= _cut(texts, own, [text != item.candidates[0] for text in item.candidates])
        row["label"] = item.group
        if row["status"] == STATUS_OK:
            margin = protocols.choice_margin(images.features[item.image], texts.features[own])
            row |= {"margin": margin, "correct": _chosen(margin, choice.ties_are_right, row)}
            if choice.both_tie_rules:
                row[other] = _chosen(margin, not choice.ties_are_right, row)
        rows.append(row)
    return [*rows, *(_together(each, [rows[index] for index in each.items]) for each in choice.together)]


def _together(group: Together, rows: Sequence[Row]) -> Row:
    """The row of a group of items, right if all of them are; one whose image is missing makes the group missing."""
    first = next((row for row in rows if row["status"] != STATUS_OK), rows[0])
    joined = {key: first[key] for key in ("set", "image", "status")} | {"kind": group.kind, "item": group.id}
    joined |= {key: min(math.prod(row[key] for row in rows), _LARGEST) for key in ("targets", "candidates")}
    joined |= {key: any(row[key] for row in rows) for key in ("truncated", "indistinct")}
    if first["status"] == STATUS_OK:
        margin = float(np.min([row["margin"] for row in rows]))  # not a number if one is none
        joined |= {"correct": all(row["correct"] for row in rows), "margin": margin}
    return joined


def _chosen(margin: float, ties_are_right: bool, row: Row) -> bool:
    """A tie is right only between texts that the model was given whole: a rule for ties is about equal texts."""
    return protocols.choice_is_right(margin, ties_are_right and not row["indistinct"])


def _choice_odds(candidates: Sequence[str], ties_are_right: bool) -> dict[str, int]:
    """A false caption equal to the true one always ties: it makes a strict choice hopeless, and is no choice otherwise."""
    hopeless = not ties_are_right and candidates[0] in candidates[1:]
    return {"targets": 0 if hopeless else 1, "candidates": len(set(candidates))}


def _paraphrase_rows(data: ParaphraseSet, images: ImageFeatures, texts: TextFeatures) -> Iterable[Row]:
    """Image to text, then text to text, which asks for no image and so misses none."""
    found = _grouped(data, texts, [(0, 0, 1)] * len(data.items))
    for kind in (ITT, TOT):
        for item, triple_3D, cut in found:
            row = _row(data, kind, item.id, images, item.image)
            # by chance the negative comes last of three, and the two captions' cosine first of three
            row |= {"targets": 1, "candidates": 3} | cut
            if kind == TOT:
                row |= {"status": STATUS_OK} | _strictly(protocols.text_to_text_margin(triple_3D))
            elif row["status"] == STATUS_OK:
                row |= _strictly(protocols.image_to_text_margin(images.features[item.image], triple_3D))
            yield row


def _match_rows(data: MatchSet, images: ImageFeatures, texts: TextFeatures) -> Iterable[Row]:
    """The three scores of Winoground, and of rewrites `text` of each image; an item that lacks a needed image is missing."""
    found = _grouped(data, texts, [range(len(item.captions)) for item in data.items])
    for kind in (MATCH_TEXT, MATCH_IMAGE, MATCH_GROUP):
        for item, text_ND, cut in found:
            lacking = next((index for index in item.images if index in images.problems), item.images[0])
            row = _row(data, kind, item.id, images, lacking)
            row["targets"], row["candidates"] = guessing.match_chance(len(item.captions))[kind]
            row |= cut
            if row["status"] == STATUS_OK:
                row |= _strictly(protocols.match_margins(images.features[list(item.images)], text_ND)[kind])
            yield row
    for place, kind in enumerate((TEXT_ORIGINAL, TEXT_REWRITTEN) if data.rewritten else ()):
        for item, text_ND, cut in found:
            row = _row(data, kind, item.id, images, item.images[place])
            row |= {"targets": 1, "candidates": len(item.captions)} | cut
            if row["status"] == STATUS_OK:
                own_first_ND = np.roll(text_ND, -place, axis=0)
                row |= _strictly(protocols.choice_margin(images.features[item.images[place]], own_first_ND))
            yield row


def _grouped(
    data: ParaphraseSet | MatchSet, texts: TextFeatures, answers: Sequence[Sequence[int]]
) -> list[tuple[Any, np.ndarray, Row]]:
    """Each item with the features of its texts, one for each of its `answers`, and what was cut of them."""
    stops = np.cumsum([len(own) for own in answers]).tolist()
    parts = [slice(stop - len(own), stop) for own, stop in zip(answers, stops, strict=True)]
    cut = [_cut(texts, part, own) for part, own in zip(parts, answers, strict=True)]
    return [(item, texts.features[part], each) for item, part, each in zip(data.items, parts, cut, strict=True)]


def _cut(texts: TextFeatures, own: slice, answers: Sequence[int]) -> Row:
    """Whether one of an item's texts was cut, and so much that texts of different answers (by number) have equal tokens."""
    truncated = bool(texts.truncated[own].any())
    return {"truncated": truncated, "indistinct": truncated and bool(_indistinct(texts, own, answers).any())}


def _indistinct(texts: TextFeatures, own: slice, answers: Sequence[int] | np.ndarray) -> np.ndarray:
    """Which of some texts were cut to the tokens, and so the feature, of a text of another answer; bool (T,)."""
    cut_T, keys = texts.truncated[own], [feature.tobytes() for feature in texts.features[own]]
    meanings: dict[bytes, set[int]] = {}
    for key, answer in zip(keys, answers, strict=True):
        meanings.setdefault(key, set()).add(int(answer))
    return cut_T & np.array([len(meanings[key]) > 1 for key in keys], dtype=bool)


def _strictly(margin: float) -> Row:
    return {"margin": margin, "correct": protocols.choice_is_right(margin, ties_are_right=False)}


def _classification_rows(data: ClassificationSet, images: ImageFeatures, texts: TextFeatures) -> Iterable[Row]:
    stops = np.cumsum([len(prompts) for prompts in data.class_prompts])
    per_class = np.split(texts.features, stops[:-1])
    predicted, margins = protocols.classify(
        images.features, np.stack(list(map(protocols.class_embedding, per_class))), data.labels
    )
    prompt_class = np.repeat(np.arange(len(per_class)), [len(prompts) for prompts in data.class_prompts])
    cut = [bool(part.any()) for part in np.split(texts.truncated, stops[:-1])]
    alike = [bool(part.any()) for part in np.split(_indistinct(texts, slice(None), prompt_class), stops[:-1])]
    names = _distinct(data.class_names)
    for index, label in enumerate(data.labels.tolist()):
        row = _class_row(data, names, CLASSIFICATION, images, index, int(predicted[index]))
        row |= {
            "seen": data.seen_classes[label] if data.seen_classes else None,
            "truncated": cut[label],
            "indistinct": alike[label],
        }
        if row["status"] == STATUS_OK:
            row |= {"margin": margins[index], "correct": row["correct"] and not (alike[label] and margins[index] == 0)}
        yield row


def _probe_rows(data: LinearProbeSet, images: ImageFeatures, texts: TextFeatures) -> Iterable[Row]:
    """The scored images only; training images that cannot be read are left out of the fit, and the log says so."""
    there = np.array([index not in images.problems for index in range(len(data.images))])
    fit, scored = data.training & there, ~data.training & there
    if not scored.any() or len(set(data.labels[fit])) < 2:
        raise MissingInputError(
            f"{data.name}: {int(fit.sum()):,} images to fit on and {int(scored.sum()):,} to score can be read; a linear probe"
            f" needs two classes to fit on and an image to score. Check the path of the images, or leave the set out."
        )
    if fit.sum() < data.training.sum():
        logger.warning("%s: %s training images cannot be read", data.name, f"{int(data.training.sum() - fit.sum()):,}")
    predicted = np.full(len(data.images), -1)
    predicted[scored] = linear_probe.predict(images.features[fit], data.labels[fit], images.features[scored])
    names, uncut = _distinct(data.class_names), {"truncated": False, "indistinct": False}
    for index in np.flatnonzero(~data.training).tolist():
        yield _class_row(data, names, LINEAR_PROBE, images, index, int(predicted[index])) | uncut


def _class_row(
    data: ClassificationSet | LinearProbeSet, names: Sequence[str], kind: str, images: ImageFeatures, index: int, predicted: int
) -> Row:
    label = int(data.labels[index])
    row = _row(data, kind, data.images[index].id, images, index)
    row |= {"label": names[label], "targets": 1, "candidates": len(names)}
    if row["status"] == STATUS_OK:
        row |= {"predicted": names[predicted] if predicted >= 0 else None, "correct": predicted == label}
    return row


def _distinct(class_names: Sequence[str]) -> list[str]:
    """The names, with the class's number if several have one: two of ImageNet's classes are called missile, two sunglasses."""
    counts = Counter(class_names)
    return [name if counts[name] == 1 else f"{name} ({number})" for number, name in enumerate(class_names)]


def _retrieval_rows(data: RetrievalSet, images: ImageFeatures, texts: TextFeatures) -> Iterable[Row]:
    """Images that cannot be read leave the pool with their captions; the metrics then say how many are missing."""
    keep_M = np.array([index not in images.problems for index in range(len(data.images))])
    keep_T = keep_M[data.text_image]
    numbers: dict[str, int] = {}
    text_T = np.array([numbers.setdefault(text, len(numbers)) for text in data.texts])
    alike_T = _indistinct(texts, slice(None), text_T)
    same_T = np.unique(text_T[keep_T], return_inverse=True)[1] if data.equal_texts_are_right else np.arange(keep_T.sum())
    image_MD, text_TD = images.features[keep_M], texts.features[keep_T]
    text_image_T = (np.cumsum(keep_M) - 1)[data.text_image[keep_T]]
    best = _spread(keep_M, protocols.text_retrieval_ranks(image_MD, text_TD, text_image_T, same_T))
    ranks = _spread(keep_T, protocols.image_retrieval_ranks(image_MD, text_TD, text_image_T, same_T))
    targets_M, targets_T = _num_right(text_image_T, same_T)
    captions, owners = _spread(keep_M, targets_M), _spread(keep_T, targets_T)
    unclear = set(data.text_image[alike_T].tolist())
    for index, image in enumerate(data.images):
        odds = {
            "targets": captions[index] or 0,
            "candidates": int(keep_T.sum()),
            "truncated": False,
            "indistinct": index in unclear,
        }
        yield _row(data, TEXT_RETRIEVAL, image.id, images, index) | odds | _rank(best[index])
    for index, owner in enumerate(data.text_image.tolist()):
        odds = {"targets": owners[index] or 0, "candidates": int(keep_M.sum())}
        odds |= {"truncated": bool(texts.truncated[index]), "indistinct": bool(alike_T[index])}
        yield _row(data, IMAGE_RETRIEVAL, f"{data.images[owner].id}#{index}", images, owner) | odds | _rank(ranks[index])


def _labelled_rows(data: LabelledRetrievalSet, images: ImageFeatures, texts: TextFeatures) -> Iterable[Row]:
    """The queries in both directions. Images that cannot be read leave the pool with their captions. A query that loses itself or
    a right answer is missing; so is a lost image that is no query, because the pool is then not the benchmark's."""
    keep_M = np.array([index not in images.problems for index in range(len(data.images))])
    keep_T = keep_M[data.text_image]
    odds = {"targets": 0, "candidates": int(keep_T.sum()), "truncated": False, "indistinct": False}
    for index in sorted(set(images.problems) - set(data.right_texts)):
        yield _row(data, TEXT_RETRIEVAL, data.images[index].id, images, index) | odds
    alike_T = _indistinct(texts, slice(None), np.unique(data.texts, return_inverse=True)[1])
    found = _found(data.right_texts, images.features, texts.features, keep_M, keep_T)
    for image, own in data.right_texts.items():
        odds |= {"targets": len(own), "indistinct": bool(alike_T[[text for text in own if text >= 0]].any())}
        yield _row(data, TEXT_RETRIEVAL, data.images[image].id, images, image) | odds | found[image]
    found = _found(data.right_images, texts.features, images.features, keep_T, keep_M)
    odds["candidates"] = int(keep_M.sum())
    for text, own in data.right_images.items():
        image = int(data.text_image[text])
        odds |= {"targets": len(own), "truncated": bool(texts.truncated[text]), "indistinct": bool(alike_T[text])}
        yield _row(data, IMAGE_RETRIEVAL, f"{data.images[image].id}#{text}", images, image) | odds | found[text]


def _found(
    right: Mapping[int, tuple[int, ...]], query_QD: np.ndarray, answer_AD: np.ndarray, keep_Q: np.ndarray, keep_A: np.ndarray
) -> dict[int, Row]:
    """How well each query found its right answers, in the pool of those that are kept; or that it is missing."""
    place_A = np.cumsum(keep_A) - 1
    there = {query: [answer for answer in own if answer >= 0] for query, own in right.items()}
    asked = [query for query, own in there.items() if keep_Q[query] and keep_A[own].all()]
    places = [place_A[there[query]].tolist() for query in asked]
    found = protocols.labelled_retrieval(query_QD[asked], answer_AD[keep_A], places, [right[query].count(-1) for query in asked])
    each = zip(asked, found.rank.tolist(), found.r_precision.tolist(), found.average_precision.tolist(), strict=True)
    scored = {
        query: _rank(rank) | {"r_precision": precision, "average_precision": average} for query, rank, precision, average in each
    }
    lost = {query: {"status": STATUS_MISSING} for query in right if keep_Q[query]}  # a lost query has the status of its image
    return {query: scored.get(query) or lost.get(query, {}) for query in right}


def _num_right(text_image_T: np.ndarray, text_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of right captions of each image (M,), and of right images of each caption (T,); equal `text_T` share theirs."""
    image_P, text_P = np.unique(np.stack([text_image_T, text_T]), axis=1)  # the pairs that are right
    captions_U, images_U = np.bincount(text_T), np.bincount(text_P)
    return np.bincount(image_P, weights=captions_U[text_P]).astype(np.int64), images_U[text_T]


def _spread(keep: np.ndarray, ranks: np.ndarray) -> list[int | None]:
    remaining = iter(ranks.tolist())
    return [next(remaining) if kept else None for kept in keep]


def _rank(rank: int | None) -> Row:
    return {"rank": rank, "correct": None if rank is None else rank == 1}


def _row(data: BenchmarkSet, kind: str, item: str, images: ImageFeatures, index: int) -> Row:
    problem = images.problems.get(index)
    status = problem.status if problem else STATUS_OK
    return {"set": data.name, "kind": kind, "item": item, "image": data.images[index].id, "status": status}


_SCORERS: dict[type, Callable[[Any, ImageFeatures, TextFeatures], Iterable[Row]]] = {
    ChoiceSet: _choice_rows,
    ParaphraseSet: _paraphrase_rows,
    MatchSet: _match_rows,
    ClassificationSet: _classification_rows,
    LinearProbeSet: _probe_rows,
    RetrievalSet: _retrieval_rows,
    LabelledRetrievalSet: _labelled_rows,
}
