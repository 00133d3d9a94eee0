"""True and false captions of images from your own table, so that a new benchmark is a card and not code.

A file is JSONL, a JSON list or object of objects, CSV or TSV; the card's options say under which names an item has its image, its
true caption and its false ones, and how a tie counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from degla.catalog import Card
from degla.config import Config
from degla.errors import DataError
from degla.evaluate.benchmark import Average, Benchmark, ChoiceItem, ChoiceSet, file_images
from degla.evaluate.readers.official import absences
from degla.evaluate.readers.registry import reader
from degla.text_files import DELIMITERS, check_distinct, read_json, read_json_lines, shown, stream_delimited, text_fields


class PairsOptions(Config):
    """Options of a card with `reader: pairs`."""

    image: str = "image"
    """Field or column with the image's file name."""
    caption: str = "caption"
    """Field or column with the true caption."""
    negatives: tuple[str, ...] = Field(("negative",), min_length=1)
    """Fields or columns with the false captions; in JSON a field may also hold a list of them."""
    id: str = "id"
    """Field or column with the item's id; if absent, the item's key or number is its id."""
    subset: str = ""
    """Field or column that names the set an item belongs to; empty makes one set, named after the file."""
    group: str = ""
    """Field or column that names an item's group: `macro_accuracy` is then the mean over groups."""
    ties: Literal["wrong", "right"] = "wrong"
    """Whether an image as near to a false caption as to the true one is right."""


Item = tuple[str, str, str, tuple[str, ...], str | None]
"""Set, id, image, candidates (the true one first), group."""


@reader("pairs", PairsOptions)
def read_pairs(card: Card, options: PairsOptions) -> Benchmark:
    """Files: `annotations`, the table; `images`, their folder.

    Raises:
        DataError: the file is of another format, a field is missing or empty, or an id comes twice; the item is named.
    """
    path = card.file("annotations")
    items = [_item(entry, key, f"{path}, item {key!r}", path.stem, options) for key, entry in _entries(path, options)]
    of_set: dict[str, list[Item]] = {}
    for item in items:
        of_set.setdefault(item[0], []).append(item)
    for own in of_set.values():
        check_distinct([key for _, key, *_ in own], path)
    folder = card.file("images")
    sets = tuple(_set(name, own, folder, options) for name, own in of_set.items())
    absent, notes = absences(card, {item.name: len(item.items) for item in sets})
    over = tuple(f"{name}/accuracy" for name in of_set)
    averages = (Average("mean_of_sets/accuracy", over), Average("all_items/accuracy", over, pooled=True))
    return Benchmark(sets, averages if len(sets) > 1 else (), tuple(notes), absent)


def _set(name: str, items: list[Item], folder: Path, options: PairsOptions) -> ChoiceSet:
    images, positions = file_images(folder, [image for _, _, image, _, _ in items])
    choices = [
        ChoiceItem(key, position, candidates, group)
        for (_, key, _, candidates, group), position in zip(items, positions, strict=True)
    ]
    return ChoiceSet(name, images, tuple(choices), ties_are_right=options.ties == "right")


def _entries(path: Path, options: PairsOptions) -> list[tuple[str, Any]]:
    """Each item with its key or number."""
    if path.suffix == ".jsonl":
        return [(str(number), entry) for number, (_, entry) in enumerate(read_json_lines(path), start=1)]
    if path.suffix == ".json":
        content = read_json(path, (dict, list))
        pairs = content.items() if isinstance(content, dict) else enumerate(content, start=1)
        return [(str(key), entry) for key, entry in pairs]
    if path.suffix in DELIMITERS:
        columns = [name for name in (options.image, options.caption, *options.negatives, options.subset, options.group) if name]
        rows = stream_delimited(path, DELIMITERS[path.suffix], columns, (options.id,))
        return [(values[-1] or str(number), dict(zip(columns, values, strict=False))) for number, values in rows]
    raise DataError(f"{path}: expected a .jsonl, .json, .csv or .tsv file")


def _item(entry: Any, key: str, where: str, whole: str, options: PairsOptions) -> Item:
    image, caption = text_fields(entry, (options.image, options.caption), where)
    negatives: list[str] = []
    for name in options.negatives:
        value = entry.get(name)
        negatives += value if isinstance(value, list) and value else text_fields(entry, (name,), where)
    if not all(isinstance(text, str) and text.strip() for text in negatives):
        raise DataError(f"{where}: the false captions are {shown(negatives)}, expected texts")
    subset = text_fields(entry, (options.subset,), where)[0] if options.subset else whole
    group = text_fields(entry, (options.group,), where)[0] if options.group else None
    return subset, str(entry.get(options.id, key)), image, (caption, *negatives), group
