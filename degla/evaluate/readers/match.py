"""Images to match with captions, a few at a time, from any table: Winoground, BiVLC, COLA, ColorSwap, MMVP-VLM, EqBen, VisMin, or
one's own. The card names the columns.

Caption k of an item belongs to its image k. Scores (Thrush et al. 2022, arXiv 2204.03162, section 3.2), each strict: `text`, for
each image its own caption is the nearest; `image`, for each caption its own image is; `group`, both. All three are reported;
`definition` says which of them the authors' own code computes. See `degla.evaluate.protocols.match_margins`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from degla.catalog import Card
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, MatchItem, MatchSet
from degla.evaluate.readers.registry import reader
from degla.evaluate.readers.sources import check_columns, image_records, left_out, open_files, record_images, row_text
from degla.outcomes.averages import averages_of_sets
from degla.outcomes.items import MATCH_GROUP, MATCH_IMAGE, MATCH_TEXT, TEXT_ORIGINAL, TEXT_REWRITTEN
from degla.outcomes.known import absences
from degla.sources.options import Column, SourceOptions
from degla.sources.records import Record
from degla.text_files import check_distinct, columns_of


class MatchOptions(SourceOptions):
    """Options of a card with `reader: match`."""

    images: tuple[Column, ...] = Field(("image_0", "image_1"), min_length=1)
    """Columns with the images, by name or by number from 1."""
    captions: tuple[Column, ...] = Field(("caption_0", "caption_1"), min_length=1)
    """Columns with the captions; the first belongs to the first image."""
    rows: int = Field(1, ge=1)
    """Rows of the table that make one item: with 2, two rows of one image and one caption each (MMVP-VLM)."""
    id: Column = "id"
    """Column with the item's id; if there is none, its number from 1 is its id."""
    subset: str = ""
    """Column that names the set an item belongs to, or a text with columns, such as `{type}_{subtype}`; empty makes one set."""
    image_name: str = ""
    """The file's name as a text with columns, such as `{image}.png` or `{2}/{1}.jpg`; `{image}` is the image's own column, of a
    URL its last part. Empty takes `{image}`."""
    array_channels: Literal["", "rgb", "bgr"] = ""
    """The order of colours of images that are NumPy arrays (`.npy`, uint8 of height, width, 3); the files do not say it."""
    template: str = "{}"
    """The text that a caption is scored in, such as `a photo of {}`."""
    rewritten: bool = False
    """Whether the second caption is a rewrite of the first, and the second image made from it (BiVLC): `text_original` and
    `text_rewritten`, whether each image chose its own caption, then stand beside `text`."""
    definition: str = ""
    """What the authors' own code computes; it stands in the notes of the scores."""

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if "{}" not in template:
            raise ValueError(f"template needs {{}} in place of the caption; got {template!r}")
        return template


class Item(NamedTuple):
    """An item, and the set that it belongs to."""

    subset: str
    id: str
    images: list[Record]
    captions: tuple[str, ...]


@reader("match", MatchOptions)
def read_match(card: Card, options: MatchOptions) -> Benchmark:
    """Files: `annotations`, the table; `images`, their folder, if the table does not hold them.

    Raises:
        DataError: a column does not exist or is empty, an item has not as many captions as images, or an id comes twice; the row
            is named.
    """
    path = card.file("annotations")
    named = [name for text in filter(None, (options.subset, options.image_name)) for name in columns_of(text)]
    more = (*options.images[1:], options.id, *(name for name in named if name != "image"))
    columns = {"image_column": options.images[0], "caption_column": options.captions}
    source = open_files(card, "annotations", options, more_columns=more, **columns)
    check_columns(source, (*options.images, *more))
    records = list(source)
    if len(records) % options.rows:
        raise DataError(f"{path}: {len(records)} rows cannot make items of {options.rows} rows each")
    parts = [records[start : start + options.rows] for start in range(0, len(records), options.rows)]
    of_set: dict[str, list[Item]] = {}
    for number, rows in enumerate(parts, 1):
        item = _item(rows, number, card.name, options)
        of_set.setdefault(item.subset, []).append(item)
    sets = tuple(_set(card, name, items, options) for name, items in of_set.items())
    absent, notes = absences(card, {each.name: len(each.items) for each in sets})
    if options.definition:
        notes.append(f"defined by {options.definition}")
    kinds = (MATCH_TEXT, MATCH_IMAGE, MATCH_GROUP, *((TEXT_ORIGINAL, TEXT_REWRITTEN) if options.rewritten else ()))
    metrics = [f"{kind}_accuracy" for kind in kinds]
    return Benchmark(sets, averages_of_sets(list(of_set), metrics), (*notes, *left_out(source)), absent)


def _set(card: Card, name: str, items: list[Item], options: MatchOptions) -> MatchSet:
    check_distinct([item.id for item in items], card.file("annotations"))
    images, positions = record_images(card, [image for item in items for image in item.images])
    images = tuple(replace(image, channels=options.array_channels) for image in images)
    taken = iter(positions)
    matches = [MatchItem(item.id, tuple(next(taken) for _ in item.images), item.captions) for item in items]
    return MatchSet(name, images, tuple(matches), options.rewritten)


def _item(rows: list[Record], number: int, whole: str, options: MatchOptions) -> Item:
    first = rows[0]
    images = [image for row in rows for image in image_records(row, options.images, options.image_name)]
    captions = tuple(options.template.replace("{}", caption) for row in rows for caption in row.captions)
    if len(captions) != len(images) or len(images) < 2:
        raise DataError(f"{first.where}: found {len(images)} images and {len(captions)} captions, expected two or more of each")
    subsets = {row_text(options.subset, row) if options.subset else whole for row in rows}
    if len(subsets) > 1:
        raise DataError(f"{first.where}: the {options.rows} rows of an item are of the sets {', '.join(sorted(subsets))}")
    key = first.fields.get(options.id)
    return Item(subsets.pop(), str(number if key is None else key), images, captions)
