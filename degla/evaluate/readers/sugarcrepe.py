"""SugarCrepe (Hsieh et al. 2023) from its official files: seven JSON files of id -> filename, caption, negative_caption.

Score: the image is strictly nearer to the caption than to the negative one, as in the benchmark's own main_eval.py; the
accuracy in which a tie is right is that of CLIP_benchmark, which takes the argmax with the caption first. Averages: every one
that is in use, because papers rarely say which they mean: `mean_of_7` (the tables' AVG), per category over subsets (macro:
DeGLA's table) and over items (micro), `mean_of_categories` over the latter (vl_compo, FSC-CLIP, READ-CLIP), `all_items`
(SugarCrepe's own table 5).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import Average, Benchmark, ChoiceItem, ChoiceSet, file_images
from degla.evaluate.readers.official import absences, readable_sets
from degla.evaluate.readers.registry import reader
from degla.text_files import read_json, text_fields

Subset = Literal["replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att", "add_obj", "add_att"]
SUBSETS: tuple[Subset, ...] = get_args(Subset)
CATEGORIES = ("replace", "swap", "add")


class SugarCrepeOptions(Config):
    """Options of a card with `reader: sugarcrepe`."""

    subsets: tuple[Subset, ...] = SUBSETS
    """Which of the seven files to read."""


def _averages() -> tuple[Average, ...]:
    of_category = {name: tuple(f"{subset}/accuracy" for subset in SUBSETS if subset.startswith(name)) for name in CATEGORIES}
    every = tuple(f"{subset}/accuracy" for subset in SUBSETS)
    return (
        *(Average(f"{name}/accuracy_macro", over) for name, over in of_category.items()),
        *(Average(f"{name}/accuracy_micro", over, pooled=True) for name, over in of_category.items()),
        Average("mean_of_7/accuracy", every),
        Average("mean_of_7/accuracy_ties_right", tuple(f"{path}_ties_right" for path in every)),
        Average("mean_of_categories/accuracy", tuple(f"{name}/accuracy_micro" for name in CATEGORIES)),
        Average("all_items/accuracy", every, pooled=True),
    )


AVERAGES = _averages()


@reader("sugarcrepe", SugarCrepeOptions, AVERAGES)
def read_sugarcrepe(card: Card, options: SugarCrepeOptions) -> Benchmark:
    """Files: `annotations`, the folder of the JSON files; `images`, COCO's val2017 folder.

    Raises:
        MissingInputError: none of the files exists.
        DataError: an item lacks a field; file, id and field are named.
    """
    annotations, images = card.file("annotations"), card.file("images")
    sets, lacking = readable_sets(options.subsets, lambda name: _read_subset(annotations / f"{name}.json", images))
    absent, notes = absences(card, {item.name: len(item.items) for item in sets}, SUBSETS)
    return Benchmark(sets, AVERAGES, (*notes, *lacking), absent)


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
