"""SugarCrepe (Hsieh et al. 2023) from its official files: seven JSON files of id -> filename, caption, negative_caption.

Score: the image is strictly nearer to the caption than to the negative one. Averages: every one that is in use, because papers
rarely say which they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from degla.catalog import Card
from degla.config import Config, validate
from degla.errors import DataError
from degla.evaluate.readers.json_files import read_json, text_fields
from degla.evaluate.records import Average, Benchmark, ChoiceItem, ChoiceSet, file_images

Subset = Literal["replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att", "add_obj", "add_att"]
SUBSETS: tuple[Subset, ...] = get_args(Subset)
CATEGORIES = ("replace", "swap", "add")


class SugarCrepeOptions(Config):
    """Options of a card with `reader: sugarcrepe`."""

    subsets: tuple[Subset, ...] = SUBSETS
    """Which of the seven files to read."""


def read_sugarcrepe(card: Card, paths: Mapping[str, str]) -> Benchmark:
    """Files: `annotations`, the folder of the JSON files; `images`, COCO's val2017 folder.

    Raises:
        InputError: a file is missing, or an item lacks a field; file, id and field are named.
    """
    options = validate(SugarCrepeOptions, card.options, f"card {card.name!r}, options")
    annotations = card.file("annotations", paths.get("annotations"))
    images = card.file("images", paths.get("images"))
    sets = tuple(_read_subset(annotations / f"{name}.json", images) for name in options.subsets)
    return Benchmark(sets, _averages(), _notes(card, sets))


def _read_subset(path: Path, images: Path) -> ChoiceSet:
    entries = read_json(path, dict)
    fields = ("filename", "caption", "negative_caption")
    rows = {key: text_fields(entry, fields, f"{path}, item {key!r}") for key, entry in entries.items()}
    if not rows:
        raise DataError(f"{path} holds no items")
    pictures, positions = file_images(images, [filename for filename, _, _ in rows.values()])
    items = [
        ChoiceItem(key, position, (caption, negative))
        for (key, (_, caption, negative)), position in zip(rows.items(), positions, strict=True)
    ]
    return ChoiceSet(path.stem, pictures, tuple(items))


def _averages() -> tuple[Average, ...]:
    of_category = {name: tuple(f"{subset}/accuracy" for subset in SUBSETS if subset.startswith(name)) for name in CATEGORIES}
    every = tuple(f"{subset}/accuracy" for subset in SUBSETS)
    return (
        *(Average(f"{name}/accuracy_macro", over) for name, over in of_category.items()),
        *(Average(f"{name}/accuracy_micro", over, pooled=True) for name, over in of_category.items()),
        Average("mean_of_7/accuracy", every),
        Average("mean_of_categories/accuracy", tuple(f"{name}/accuracy_micro" for name in CATEGORIES)),
        Average("all_items/accuracy", every, pooled=True),
    )


def _notes(card: Card, sets: tuple[ChoiceSet, ...]) -> tuple[str, ...]:
    official = sum(card.counts.get(item.name, 0) for item in sets)
    found = sum(len(item.items) for item in sets)
    notes = []
    if official and found != official:
        notes.append(f"{found:,} of {official:,} official items")
    if len(sets) < len(SUBSETS):
        notes.append(f"{len(sets)} of {len(SUBSETS)} subsets")
    return tuple(notes)
