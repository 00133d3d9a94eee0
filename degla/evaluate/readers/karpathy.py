"""Retrieval on Karpathy's test splits of COCO and Flickr30k (Karpathy and Fei-Fei 2015): the JSON list that BLIP and ARO read,
objects of `image` (a path) and `caption` (a list); Karpathy's own `dataset_*.json`, of which `test` is taken; CLIP_benchmark's
files in COCO's form; or any other of `docs/data.md`.

Text retrieval counts an image if any of its captions is among the K nearest, image retrieval a caption if its image is. All
captions are used unchanged: COCO's test images have 25,010 captions, some more than five, and loaders that cut to five have
25,000; ARO's code cuts captions to 30 words. Either is an option here, stated in the scores.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from degla.catalog import Card
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, RetrievalSet
from degla.evaluate.readers.registry import reader
from degla.evaluate.readers.sources import left_out, open_files, record_images
from degla.outcomes.known import absences
from degla.sources.options import SourceOptions
from degla.sources.records import Record


class KarpathyOptions(SourceOptions):
    """Options of a card with `reader: karpathy`."""

    captions_per_image: int | None = Field(None, ge=1)
    """Only the first so many captions of each image; empty takes all."""
    max_words: int | None = Field(None, ge=1)
    """Only the first so many words of each caption; empty takes all."""


@reader("karpathy", KarpathyOptions)
def read_karpathy(card: Card, options: KarpathyOptions) -> Benchmark:
    """Files: `annotations`, in any form of `docs/data.md`; `images`, the folder of the images.

    Raises:
        DataError: see `caption_lists`.
    """
    rows, left = caption_lists(card, options)
    images, _ = record_images(card, rows)
    texts, owners = [], []
    for index, record in enumerate(rows):
        for caption in record.captions[: options.captions_per_image]:
            texts.append(" ".join(caption.split(" ")[: options.max_words]) if options.max_words else caption)
            owners.append(index)
    absent, notes = absences(card, {"captions": len(rows)})
    if options.captions_per_image:
        notes.append(f"the first {options.captions_per_image} captions of each image")
    if options.max_words:
        notes.append(f"captions cut to {options.max_words} words")
    owner_T = np.array(owners, dtype=np.int64)
    retrieval = RetrievalSet("captions", images, tuple(texts), owner_T, equal_texts_are_right=False)
    return Benchmark((retrieval,), (), (*notes, *left), absent)


def caption_lists(card: Card, options: SourceOptions) -> tuple[list[Record], list[str]]:
    """A record with all captions of each image, and notes on what was left out.

    Raises:
        DataError: the file is in no known form, or a list of captions is of an image that had one before.
    """
    source = open_files(card, "annotations", options)
    of_image: dict[str, Record] = {}
    for record in source:
        before = of_image.get(record.image)
        if before and len(record.captions) > 1:
            raise DataError(f"{record.where}: the image {record.image!r} comes twice; it is at {before.where} too")
        if record.captions:
            captions = (*before.captions, *record.captions) if before else record.captions
            of_image[record.image] = record._replace(captions=captions)
    return list(of_image.values()), left_out(source)
