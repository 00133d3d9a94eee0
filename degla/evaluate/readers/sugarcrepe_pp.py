"""SugarCrepe++ (Dumpala et al. 2024, arXiv 2406.11171) from its official files: five JSON lists of id, filename, caption,
caption2, negative_caption; the second caption is a paraphrase of the first.

Image to text (ITT): the image is strictly nearer to both captions than to the negative one. Text only (TOT): the captions are
strictly nearer to each other than either is to the negative one (the repository's code, which its README words loosely).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import Benchmark, ParaphraseItem, ParaphraseSet, file_images
from degla.evaluate.readers.official import readable_sets
from degla.evaluate.readers.registry import reader
from degla.outcomes.averages import BY_DEFINITION, SugarCrepePlusSubset
from degla.outcomes.known import absences
from degla.text_files import read_json, text_fields

SUBSETS: tuple[SugarCrepePlusSubset, ...] = get_args(SugarCrepePlusSubset)


class SugarCrepePlusOptions(Config):
    """Options of a card with `reader: sugarcrepe_pp`."""

    subsets: tuple[SugarCrepePlusSubset, ...] = SUBSETS
    """Which of the five files to read."""


@reader("sugarcrepe_pp", SugarCrepePlusOptions)
def read_sugarcrepe_pp(card: Card, options: SugarCrepePlusOptions) -> Benchmark:
    """Files: `annotations`, the folder of the JSON files; `images`, COCO's val2017 folder, which the text-only test does without.

    Raises:
        MissingInputError: none of the JSON files exists.
        DataError: an item lacks a field; file, id and field are named.
    """
    annotations, images = card.file("annotations"), card.path("images")
    sets, lacking = readable_sets(options.subsets, lambda name: _read_subset(annotations / f"{name}.json", images))
    absent, notes = absences(card, {item.name: len(item.items) for item in sets}, SUBSETS)
    return Benchmark(sets, BY_DEFINITION["sugarcrepe_pp"], (*notes, *lacking), absent)


def _read_subset(path: Path, images: Path) -> ParaphraseSet:
    fields = ("filename", "caption", "caption2", "negative_caption")
    rows = []
    for number, entry in enumerate(read_json(path, list)):
        key = str(entry["id"]) if isinstance(entry, Mapping) and "id" in entry else str(number)
        rows.append((key, *text_fields(entry, fields, f"{path}, item {key!r}")))
    pictures, positions = file_images(images, [filename for _, filename, *_ in rows])
    items = [
        ParaphraseItem(key, position, (caption, caption2), negative)
        for (key, _, caption, caption2, negative), position in zip(rows, positions, strict=True)
    ]
    return ParaphraseSet(path.stem, pictures, tuple(items))
