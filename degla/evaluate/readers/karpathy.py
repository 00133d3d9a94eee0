"""Retrieval on Karpathy's test splits of COCO and Flickr30k (Karpathy and Fei-Fei 2015), in the JSON list that BLIP and ARO read:
objects of `image` (a path) and `caption` (a list).

Text retrieval counts an image if any of its captions is among the K nearest, image retrieval a caption if its image is. All
captions are used unchanged: COCO's test images have 25,010 captions, some more than five, and loaders that cut to five have
25,000; ARO's code cuts captions to 30 words. Either is an option here, stated in the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from degla.catalog import Card
from degla.config import Config
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, RetrievalSet, file_images
from degla.evaluate.readers.official import absences
from degla.evaluate.readers.registry import reader
from degla.text_files import read_json, text_fields, text_list


class KarpathyOptions(Config):
    """Options of a card with `reader: karpathy`."""

    captions_per_image: int | None = Field(None, ge=1)
    """Only the first so many captions of each image; empty takes all."""
    max_words: int | None = Field(None, ge=1)
    """Only the first so many words of each caption; empty takes all."""


@reader("karpathy", KarpathyOptions)
def read_karpathy(card: Card, options: KarpathyOptions) -> Benchmark:
    """Files: `annotations`, the JSON list; `images`, the folder of the images (see `image_root`).

    Raises:
        DataError: the file is not a list of that form; the item's number and field are named.
    """
    path = card.file("annotations")
    names, texts, owners = [], [], []
    for index, (image, captions) in enumerate(caption_lists(path)):
        names.append(image)
        for caption in captions[: options.captions_per_image]:
            texts.append(" ".join(caption.split(" ")[: options.max_words]) if options.max_words else caption)
            owners.append(index)
    images, positions = file_images(image_root(card.file("images"), names), names)
    if len(images) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: image {twice!r} is listed more than once. Put all its captions into one entry.")
    absent, notes = absences(card, {"captions": len(names)})
    if options.captions_per_image:
        notes.append(f"the first {options.captions_per_image} captions of each image")
    if options.max_words:
        notes.append(f"captions cut to {options.max_words} words")
    owner_T = np.array(positions, dtype=np.int64)[owners]
    retrieval = RetrievalSet("captions", images, tuple(texts), owner_T, equal_texts_are_right=False)
    return Benchmark((retrieval,), (), tuple(notes), absent)


def image_root(folder: Path, names: Sequence[str]) -> Path:
    """The folder that the image paths start from: `folder`, or the one above it if all paths begin with its name
    (`val2014/COCO_val2014_000000391895.jpg`)."""
    return folder.parent if {name.partition("/")[0] for name in names} == {folder.name} else folder


def caption_lists(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Each image's path and captions. Raises DataError if the file is not a list of that form."""
    return [_row(entry, f"{path}, item {number}") for number, entry in enumerate(read_json(path, list))]


def _row(entry: Any, where: str) -> tuple[str, tuple[str, ...]]:
    (image,) = text_fields(entry, ("image",), where)
    return image, text_list(entry, "caption", where)
