"""Winoground (Thrush et al. 2022, arXiv 2204.03162) from its own files: `examples.jsonl` with id, caption_0, caption_1, image_0
and image_1, and the folder of images.

Scores of an item: text, image and group, each strict; see `degla.evaluate.protocols.match_margins`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from degla.catalog import Card
from degla.config import Config
from degla.evaluate.benchmark import Benchmark, MatchItem, MatchSet, file_images
from degla.evaluate.readers.official import absences
from degla.evaluate.readers.registry import reader
from degla.text_files import read_json_lines, text_fields

_FIELDS = ("image_0", "image_1", "caption_0", "caption_1")


class WinogroundOptions(Config):
    """Options of a card with `reader: winoground`."""

    image_suffix: str = ".png"
    """Ending of the image files, which the examples leave out."""


@reader("winoground", WinogroundOptions)
def read_winoground(card: Card, options: WinogroundOptions) -> Benchmark:
    """Files: `annotations`, examples.jsonl; `images`, the folder of the unpacked images.

    Raises:
        DataError: a line is malformed; file, line and field are named.
    """
    path = card.file("annotations")
    rows = [(_id(entry, where), text_fields(entry, _FIELDS, where)) for where, entry in read_json_lines(path)]
    names = [_file(name, options.image_suffix) for _, fields in rows for name in fields[:2]]
    images, positions = file_images(card.file("images"), names)
    items = tuple(
        MatchItem(key, (positions[2 * index], positions[2 * index + 1]), (fields[2], fields[3]))
        for index, (key, fields) in enumerate(rows)
    )
    absent, notes = absences(card, {"winoground": len(items)})
    return Benchmark((MatchSet("winoground", images, items),), (), tuple(notes), absent)


def _file(name: str, suffix: str) -> str:
    return name if Path(name).suffix else f"{name}{suffix}"


def _id(entry: Any, where: str) -> str:
    number = where.rpartition(" ")[2]
    return str(entry.get("id", number)) if isinstance(entry, Mapping) else number
