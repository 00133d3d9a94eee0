"""Format `coco`: COCO's caption annotations, `captions_*.json` (cocodataset.org, "data format"), and files of its form: nocaps,
CLIP_benchmark's Karpathy splits. Several files are read as one; an image may stand in more than one of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from degla.errors import DataError
from degla.sources.format import Format, Head, entries_of, with_encoding
from degla.sources.options import SourceOptions
from degla.sources.records import Record, Skipped
from degla.text_files import shown, text_fields


def _claims(head: Head) -> bool:
    if head.json_shape != "object":
        return False
    return any(
        isinstance(entry.value, dict)
        and (
            (entry.key == "images" and "id" in entry.value)
            or (entry.key == "annotations" and entry.value.keys() >= {"image_id", "id"} and "file_name" not in entry.value)
        )
        for entry in head.entries
    )


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    names = _file_names(files, options)
    captioned = 0
    for path in files:
        for entry in entries_of(path, options):
            if entry.key == "annotations":
                captioned += 1
                yield _record(entry.value, entry.number, entry.where, names)
    if not captioned:
        raise DataError(
            f"{files[0]}: `annotations` is empty: this is a list of images (image_info_*). Their captions are not published, or"
            f" stand in a file of their own."
        )


def _file_names(files: Sequence[Path], options: SourceOptions) -> dict[str, str]:
    """Image id to file name. Raises DataError if an id is of two files."""
    names: dict[str, str] = {}
    for path in files:
        own: set[str] = set()
        for entry in entries_of(path, options):
            if entry.key != "images":
                continue
            image_id = _id(entry.value, "id", entry.where)
            name = _file_name(entry.value, entry.where)
            if image_id in own or names.setdefault(image_id, name) != name:
                raise DataError(
                    f"{entry.where}: the id {image_id} comes twice: {names[image_id]} and {name}. Give each image its own."
                )
            own.add(image_id)
    return names


def _file_name(image: Any, where: str) -> str:
    if "file_name" not in image and isinstance(image.get("coco_url"), str):  # nocaps' test images
        return image["coco_url"].rpartition("/")[2]
    return unicodedata.normalize("NFC", text_fields(image, ("file_name",), where)[0])


def _record(annotation: Any, number: int, where: str, names: dict[str, str]) -> Record:
    image_id = _id(annotation, "image_id", where)
    if names and image_id not in names:
        raise DataError(f"{where} is of image {image_id}, which `images` does not list")
    caption = annotation.get("caption", False)
    if not isinstance(caption, str | None):
        found = f"is {shown(caption)}" if "caption" in annotation else "is missing"
        raise DataError(f"{where}: caption {found}, expected a text. Is it captions_*.json, and not instances_*.json?")
    return Record(where, number, image_id, (caption or "",), file=names.get(image_id, image_id))


def _id(entry: Any, key: str, where: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DataError(f"{where}: {key!r} is {shown(value)}, expected a number or a name: {shown(entry)}")
    return str(value)


COCO = Format("coco", "COCO's captions_*.json, nocaps, and their form", _claims, with_encoding, _read)
