"""ECCV-Caption (Chun et al. 2022, arXiv 2204.03359): retrieval on COCO's test split with all the answers that people found right.

Queries are the images and captions that were annotated, the pool is the whole split: 5,000 images and 25,000 captions. Metrics as
in `eccv_caption/_metrics.py`: recall@K, R-precision and mAP@R. Right captions outside the pool (COCO's sixth ones) count as not
found, as they do there. `cxc` is the same with the answers of Crisscrossed Captions (Parekh et al. 2021, arXiv 2004.15020).

COCO's own file gives captions and their ids, which Karpathy's lists lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from degla.catalog import Card
from degla.config import Config
from degla.errors import DataError, MissingInputError
from degla.evaluate.benchmark import Benchmark, LabelledRetrievalSet, file_images
from degla.evaluate.readers.registry import reader
from degla.outcomes.known import absences
from degla.text_files import read_json, shown


class EccvCaptionOptions(Config):
    """Options of a card with `reader: eccv_caption`."""

    answers: tuple[Literal["eccv", "cxc"], ...] = Field(("eccv",), min_length=1)
    """Whose answers: a set for each."""


@reader("eccv_caption", EccvCaptionOptions)
def read_eccv_caption(card: Card, options: EccvCaptionOptions) -> Benchmark:
    """Files: `annotations`, COCO's captions_val2014.json; `labels`, the folder of ECCV-Caption's data; `images`, val2014.

    Raises:
        MissingInputError: a file of labels does not exist.
        DataError: a file is not of its form, or names an image or caption that COCO's file lacks.
    """
    folder = card.file("labels")
    names, owners, texts = _coco(card.file("annotations"))
    test = _test_ids(folder / "coco_test_ids.npy")
    if lacking := next((key for key in test if key not in owners), None):
        raise DataError(f"{card.file('annotations')} lacks caption {lacking}, which is in the test split")
    images, positions = file_images(card.file("images"), [names[owners[key]] for key in test])
    text_place = {key: place for place, key in enumerate(test)}
    image_place = {owners[key]: place for key, place in zip(test, positions, strict=True)}
    sets = []
    for answers in options.answers:
        right_texts = _right(folder / f"{answers}_image_to_caption.json", image_place, text_place)
        right_images = _right(folder / f"{answers}_caption_to_image.json", text_place, image_place)
        pool = tuple(texts[key] for key in test)
        sets.append(LabelledRetrievalSet(answers, images, pool, np.array(positions, dtype=np.int64), right_texts, right_images))
    absent, notes = absences(card, {each.name: len(each.right_texts) + len(each.right_images) for each in sets})
    lost = sum(own.count(-1) for each in sets for own in each.right_texts.values())
    notes += [f"{lost:,} right captions are not among the {len(test):,} of the pool and count as not found"] if lost else []
    return Benchmark(tuple(sets), (), tuple(notes), absent)


def _coco(path: Path) -> tuple[dict[int, str], dict[int, int], dict[int, str]]:
    """Of COCO's file: image id to file name, and caption id to image id and to text."""
    content = read_json(path, dict)
    try:
        names = {int(each["id"]): str(each["file_name"]) for each in content["images"]}
        owners = {int(each["id"]): int(each["image_id"]) for each in content["annotations"]}
        texts = {int(each["id"]): " ".join(each["caption"].split()) for each in content["annotations"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not of COCO's form (images, annotations with id, image_id and caption): {error!r}") from error
    if strange := next((key for key, image in owners.items() if image not in names), None):
        raise DataError(f"{path}: caption {strange} is of image {owners[strange]}, which is not among its images")
    return names, owners, texts


def _test_ids(path: Path) -> list[int]:
    """The captions of the pool, in their order."""
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} does not exist") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not a file of NumPy's with the ids of captions: {error}") from error
    if found.ndim != 1 or found.dtype.kind not in "iu" or len(np.unique(found)) != len(found):
        raise DataError(f"{path}: expected a list of distinct ids, found {found.dtype} of shape {found.shape}")
    return found.tolist()


def _right(path: Path, queries: Mapping[int, int], answers: Mapping[int, int]) -> dict[int, tuple[int, ...]]:
    """The place of each query to those of its right answers; -1 for an answer that is not in the pool."""
    found = {}
    for key, own in read_json(path, dict).items():
        ids = _ids(own, f"{path}, {key}")
        if not key.isdecimal() or int(key) not in queries:
            raise DataError(f"{path}: {shown(key)} is not in the test split")
        found[queries[int(key)]] = tuple(answers.get(each, -1) for each in dict.fromkeys(ids))
    return found


def _ids(value: Any, where: str) -> list[int]:
    if not isinstance(value, list) or not value or not all(str(each).isdecimal() for each in value):
        raise DataError(f"{where}: {shown(value)} is no list of ids")
    return [int(each) for each in value]
