"""Benchmark items among the pairs: the same text, or the same image. What a model was trained on, it must not be scored on.

Read are the files of every benchmark card whose texts `_FIELDS` knows, where the files are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from degla.catalog import Card, card_names, load_card
from degla.database import Database
from degla.errors import InputError, MissingInputError
from degla.sources.names import image_key
from degla.sources.options import Column, SourceOptions
from degla.sources.source import Source, recognise
from degla.text.edits import what_is_said

_PAIR = ("caption", "negative_caption")
_VG = ("image_path", ("true_caption", "false_caption"))
_FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sugarcrepe": ("filename", _PAIR),
    "sugarcrepe_pp": ("filename", ("caption", "caption2", "negative_caption")),
    "valse": ("image_file", ("caption", "foil")),
    "aro_vg_relation": _VG,
    "aro_vg_attribution": _VG,
    "aro_order": ("image", ("candidates",)),
    "caption_order": ("image", ("caption",)),
}
"""Reader to the fields of an item's image and texts; cards of the reader `match` name theirs."""
_OF_VISUAL_GENOME = ("aro_vg_relation", "aro_vg_attribution", "cola")
"""Cards whose images have numbers of Visual Genome: the same number is another photo in COCO."""
_COCO_NAME = r"(^|[_/\\])[0-9]{12}(\.[A-Za-z]+)?$"

NOT_THERE = "not at"
"""Begins the reason for a benchmark whose files do not exist."""


class Overlap(NamedTuple):
    """What a target shares with one benchmark."""

    benchmark: str
    texts: int
    """Different texts of the benchmark."""
    images: int
    negatives: int
    """Pairs whose negative is a text of the benchmark."""
    captions: int
    """Captions of the target, each once for an image, that are a text of the benchmark."""
    shared_images: int
    note: str
    """What of the benchmark is missing."""


def benchmark_overlaps(database: Database) -> tuple[list[Overlap], dict[str, str]]:
    """What the table `card_pairs` shares with each benchmark; and card to why it was not compared."""
    found: list[Overlap] = []
    absent: dict[str, str] = {}
    for name in card_names():
        card = load_card(name)
        if card.kind == "benchmark" and (card.reader in _FIELDS or card.reader == "match") and card.options.get("captions", 1):
            if name.startswith(("match", "choice", "word_order")):
                continue  # templates for a table of one's own
            try:
                found.append(_overlap(database, card))
            except MissingInputError:
                absent[name] = f"{NOT_THERE} {card.path('annotations')}"
            except InputError as error:
                absent[name] = str(error)
    return found, absent


def _overlap(database: Database, card: Card) -> Overlap:
    path = card.file("annotations")
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    wanted = card.files["annotations"].members
    files = [each for each in files if not wanted or each.name in wanted]
    if not files:
        raise MissingInputError(f"{path} holds no file of {card.name}")
    texts, images = set[str](), set[str]()
    for item_images, item_texts in (item for each in files for item in _items(card, each)):
        images.update(map(image_key, item_images))
        texts.update(map(what_is_said, item_texts))
    database.register("item_texts", pa.table({"said": pa.array(sorted(texts), pa.string())}))
    database.register("item_images", pa.table({"image": pa.array(sorted(images), pa.string())}))
    elsewhere = card.name in _OF_VISUAL_GENOME
    not_coco = f"and not regexp_matches(name, {database.literal(_COCO_NAME)})" if elsewhere else ""
    negatives, captions, shared = (
        database.rows(query)[0][0] for query in (_NEGATIVES, _CAPTIONS, _IMAGES.format(not_coco=not_coco))
    )
    missing = len(wanted) - len(files) if wanted else 0
    note = f"{missing} of its {len(wanted)} files are not there" if missing else ""
    return Overlap(card.name, len(texts), len(images), negatives, captions, shared, note)


def _items(card: Card, path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """The names of the images, and the texts, of each item."""
    if card.reader == "match":
        images, texts = card.options["images"], card.options["captions"]
    else:
        image, texts = _FIELDS[card.reader]
        images = [image]
    options = SourceOptions(image_column=images[0], caption_column=tuple(texts), more_columns=tuple(images[1:]))
    for record in Source(recognise(path, options)):
        more = [_name(record.fields, column) for column in images[1:]]
        yield [name for name in (record.image, *more) if name], list(record.captions)


def _name(fields: Any, column: Column) -> str:
    value = fields.get(column)
    return value if isinstance(value, str) else ""


_NEGATIVES = "select count(*) from card_pairs semi join item_texts using (said)"
_CAPTIONS = """
select count(*) from (select distinct image, caption_said as said from card_pairs) semi join item_texts using (said)
"""
_IMAGES = "select count(distinct image) from card_pairs semi join item_images using (image) where name <> '' {not_coco}"
