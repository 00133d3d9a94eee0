"""SugarCrepe (Hsieh et al. 2023) from its official files: seven JSON files of id -> filename, caption, negative_caption.

Score: the image is strictly nearer to the caption than to the negative one, as in the benchmark's own main_eval.py; the
accuracy in which a tie is right is that of CLIP_benchmark, which takes the argmax with the caption first. Averages:
`degla.outcomes.averages`.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import Benchmark, ChoiceItem, ChoiceSet, file_images
from degla.evaluate.readers.official import readable_sets
from degla.evaluate.readers.registry import reader
from degla.outcomes.averages import BY_DEFINITION, SugarCrepeSubset
from degla.outcomes.known import absences
from degla.text_files import read_json, text_fields

SUBSETS: tuple[SugarCrepeSubset, ...] = get_args(SugarCrepeSubset)


class SugarCrepeOptions(Config):
    """Options of a card with `reader: sugarcrepe`."""

    subsets: tuple[SugarCrepeSubset, ...] = SUBSETS
    """Which of the seven files to read."""


@reader("sugarcrepe", SugarCrepeOptions)
def read_sugarcrepe(card: Card, options: SugarCrepeOptions) -> Benchmark:
    """Files: `annotations`, the folder of the JSON files; `images`, COCO's val2017 folder.

    Raises:
        MissingInputError: none of the files exists.
        DataError: an item lacks a field; file, id and field are named.
    """
    annotations, images = card.file("annotations"), card.file("images")
    sets, lacking = readable_sets(options.subsets, lambda name: _read_subset(annotations / f"{name}.json", images))
    absent, notes = absences(card, {item.name: len(item.items) for item in sets}, SUBSETS)
    return Benchmark(sets, BY_DEFINITION["sugarcrepe"], (*notes, *lacking), absent)


def _read_subset(path: Path, images: Path) -> ChoiceSet:
    entries = read_json(path, dict)
    fields = ("filename", "caption", "negative_caption")
    rows = {key: text_fields(entry, fields, f"{path}, item {key!r}") for key, entry in entries.items()}
    pictures, positions = file_images(images, [filename for filename, _, _ in rows.values()])
    items = [
        ChoiceItem(key, position, (caption, negative))
        for (key, (_, caption, negative)), position in zip(rows.items(), positions, strict=True)
    ]
    return ChoiceSet(path.stem, pictures, tuple(items), both_tie_rules=True)
