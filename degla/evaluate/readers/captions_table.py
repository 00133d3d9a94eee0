"""Retrieval from images and their captions: a CSV or TSV table with a header, or a caption file as COCO publishes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from degla.catalog import Card
from degla.config import Config
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, RetrievalSet, file_images
from degla.evaluate.readers.registry import reader
from degla.text_files import DELIMITERS, read_json, shown, stream_delimited


class CaptionsTableOptions(Config):
    """Options of a card with `reader: captions_table`."""

    image_column: str = "image"
    """Column of a table with the image's file name."""
    caption_column: str = "caption"
    """Column of a table with the caption."""
    max_images: int | None = Field(None, ge=1)
    """Number of images to take, in the order of the file, with all their captions; a smaller pool is easier."""


@reader("captions_table", CaptionsTableOptions)
def read_captions_table(card: Card, options: CaptionsTableOptions) -> Benchmark:
    """Files: `captions`, a `.csv`, `.tsv` or (COCO) `.json` file; `images`, their folder.

    Raises:
        DataError: the file is of another format, lacks a column, or holds an empty name or caption; the place is named.
    """
    path = card.file("captions")
    rows = _coco_rows(path) if path.suffix == ".json" else _table_rows(path, options)
    chosen = set(list(dict.fromkeys(name for name, _ in rows))[: options.max_images])
    notes = [f"the first {options.max_images:,} images of the file"] if options.max_images else []
    rows = [row for row in rows if row[0] in chosen]
    images, owners = file_images(card.file("images"), [name for name, _ in rows])
    texts = tuple(caption for _, caption in rows)
    return Benchmark((RetrievalSet("captions", images, texts, np.array(owners, dtype=np.int64)),), notes=tuple(notes))


def _table_rows(path: Path, options: CaptionsTableOptions) -> list[tuple[str, str]]:
    if path.suffix not in DELIMITERS:
        raise DataError(f"{path}: expected a .csv, .tsv or (COCO) .json file")
    rows = stream_delimited(path, DELIMITERS[path.suffix], (options.image_column, options.caption_column))
    return [_pair(image, caption, f"{path}, row {number}") for number, (image, caption) in rows]


def _coco_rows(path: Path) -> list[tuple[str, str]]:
    content = read_json(path, dict)
    try:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        captions: dict[Any, list[str]] = {key: [] for key in names}
        for annotation in content["annotations"]:
            captions[annotation["image_id"]].append(annotation["caption"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a COCO caption file (images with id and file_name, annotations with image_id and caption): {error!r}"
        ) from error
    return [_pair(name, caption, f"{path}, image {key}") for key, name in names.items() for caption in captions[key]]


def _pair(image: Any, caption: Any, where: str) -> tuple[str, str]:
    if not all(isinstance(text, str) and text.strip() for text in (image, caption)):
        raise DataError(f"{where}: image is {shown(image)} and caption is {shown(caption)}; expected texts for both")
    return image, caption
