"""True and false captions of images from your own table, so that a new benchmark is a card and not code.

A file is in any form of `docs/data.md` that holds negatives; the card's options say under which names an item has its image, its
true caption and its false ones, if they are not recognised, and how a tie counts.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from degla.catalog import Card
from degla.errors import DataError
from degla.evaluate.benchmark import Benchmark, ChoiceItem, ChoiceSet
from degla.evaluate.readers.registry import reader
from degla.evaluate.readers.sources import left_out, open_files, record_images
from degla.outcomes.averages import Average
from degla.outcomes.known import absences
from degla.sources.options import Column, SourceOptions
from degla.sources.records import Record
from degla.sources.source import is_unicode
from degla.text_files import check_distinct, shown, text_fields


class PairsOptions(SourceOptions):
    """Options of a card with `reader: pairs`."""

    image: Column = ""
    """Field or column with the image's file name; empty recognises it."""
    caption: Column = ""
    """Field or column with the true caption; empty recognises it."""
    negatives: tuple[Column, ...] = ()
    """Fields or columns with the false captions, or lists of them; empty recognises them."""
    id: str = "id"
    """Field or column with the item's id; if absent, the item's key or number is its id."""
    subset: str = ""
    """Field or column that names the set an item belongs to; empty makes one set, named after the file."""
    group: str = ""
    """Field or column that names an item's group: `macro_accuracy` is then the mean over groups."""
    ties: Literal["wrong", "right"] = "wrong"
    """Whether an image as near to a false caption as to the true one is right."""


class Item(NamedTuple):
    """An item and the set that it belongs to."""

    subset: str
    id: str
    record: Record
    group: str | None


@reader("pairs", PairsOptions)
def read_pairs(card: Card, options: PairsOptions) -> Benchmark:
    """Files: `annotations`, the table; `images`, their folder, if the table does not hold them.

    Raises:
        DataError: the file is of another format, a field is missing or empty, or an id comes twice; the item is named.
    """
    path = card.file("annotations")
    columns = {"image_column": options.image, "caption_column": options.caption, "negative_column": options.negatives}
    more = tuple(filter(None, (options.id, options.subset, options.group)))
    source = open_files(card, "annotations", options, more_columns=more, **columns)
    items = [_item(record, path.stem, options) for record in source]
    of_set: dict[str, list[Item]] = {}
    for item in items:
        of_set.setdefault(item.subset, []).append(item)
    for own in of_set.values():
        check_distinct([item.id for item in own], path)
    sets = tuple(_set(card, name, own, options) for name, own in of_set.items())
    absent, notes = absences(card, {item.name: len(item.items) for item in sets})
    over = tuple(f"{name}/accuracy" for name in of_set)
    averages = (Average("mean_of_sets/accuracy", over), Average("all_items/accuracy", over, pooled=True))
    return Benchmark(sets, averages if len(sets) > 1 else (), (*notes, *left_out(source)), absent)


def _set(card: Card, name: str, items: list[Item], options: PairsOptions) -> ChoiceSet:
    images, positions = record_images(card, [item.record for item in items])
    choices = [
        ChoiceItem(item.id, position, _candidates(item.record), item.group)
        for item, position in zip(items, positions, strict=True)
    ]
    return ChoiceSet(name, images, tuple(choices), ties_are_right=options.ties == "right")


def _item(record: Record, whole: str, options: PairsOptions) -> Item:
    if len(record.captions) != 1 or not record.image:
        found = f"{len(record.captions)} captions and the image {record.image!r}"
        raise DataError(f"{record.where}: found {found}, expected a true caption of an image")
    subset = text_fields(record.fields, (options.subset,), record.where)[0] if options.subset else whole
    group = text_fields(record.fields, (options.group,), record.where)[0] if options.group else None
    return Item(subset, str(record.fields.get(options.id) or record.number), record, group)


def _candidates(record: Record) -> tuple[str, ...]:
    """The true caption and the false ones."""
    false = tuple(negative.text for negative in record.negatives if negative.text)
    if not false or not all(map(is_unicode, false)):
        raise DataError(f"{record.where}: the false captions {shown([each.text for each in record.negatives])} are not all texts")
    return (*record.captions, *false)
