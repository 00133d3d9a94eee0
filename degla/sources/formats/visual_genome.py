"""Format `visual_genome`: `region_descriptions.json`: images with regions; the phrase of a region is a caption of its image.

The images are `<id>.jpg` in the folders `VG_100K` and `VG_100K_2`: give both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from degla.errors import DataError
from degla.sources.format import Format, Head, entries_of, with_encoding
from degla.sources.options import SourceOptions
from degla.sources.records import Record, Skipped
from degla.text_files import shown


def _claims(head: Head) -> bool:
    rows = [entry.value for entry in head.entries if isinstance(entry.value, dict)]
    return any(isinstance(row.get("regions"), list) for row in rows)


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        for number, entry in enumerate(entries_of(path, options), 1):
            image_id = _image_id(entry.value, entry.where)
            phrases = tuple(_phrase(region, entry.where) for region in entry.value["regions"])
            yield Record(entry.where, number, image_id, phrases, file=f"{image_id}.jpg")


def _image_id(image: Any, where: str) -> str:
    if not isinstance(image, dict) or not isinstance(image.get("regions"), list):
        raise DataError(f"{where} is {shown(image)}, expected an object with id and regions")
    found = image.get("image_id", image.get("id"))
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise DataError(f"{where}: id is {shown(found)}, expected a number or a name")
    return str(found)


def _phrase(region: Any, where: str) -> str:
    phrase = region.get("phrase") if isinstance(region, dict) else None
    if not isinstance(phrase, str):
        raise DataError(f"{where}: a region has the phrase {shown(phrase)}, expected a text")
    return phrase


VISUAL_GENOME = Format("visual_genome", "Visual Genome's region_descriptions.json", _claims, with_encoding, _read)
