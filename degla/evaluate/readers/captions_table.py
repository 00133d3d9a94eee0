"""Retrieval from images and their captions in any form that `degla.sources` reads: tables, JSON, Parquet, tars."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from degla.catalog import Card
from degla.evaluate.benchmark import Benchmark, RetrievalSet
from degla.evaluate.readers.registry import reader
from degla.evaluate.readers.sources import left_out, open_files, record_images
from degla.sources.options import SourceOptions


class CaptionsTableOptions(SourceOptions):
    """Options of a card with `reader: captions_table`."""

    max_images: int | None = Field(None, ge=1)
    """Number of images to take, in the order of the file, with all their captions; a smaller pool is easier."""


@reader("captions_table", CaptionsTableOptions)
def read_captions_table(card: Card, options: CaptionsTableOptions) -> Benchmark:
    """Files: `captions`, in any form; `images`, their folder, if the captions' file does not hold them.

    Raises:
        InputError: see `degla.sources.source.open_source`.
    """
    source = open_files(card, "captions", options)
    records = [record for record in source if record.captions]
    images, positions = record_images(card, records)
    images = images[: options.max_images]
    taken = [(record.captions, position) for record, position in zip(records, positions, strict=True) if position < len(images)]
    texts = tuple(caption for captions, _ in taken for caption in captions)
    owners = np.repeat(np.array([position for _, position in taken], dtype=np.int64), [len(captions) for captions, _ in taken])
    notes = [f"the first {options.max_images:,} images of the file"] if options.max_images else []
    return Benchmark((RetrievalSet("captions", images, texts, owners),), notes=(*notes, *left_out(source)))
