"""Reader `coco`: COCO's caption annotations (`captions_*.json`) and an image folder (cocodataset.org, "data format")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from degla.catalog import Card
from degla.errors import DataError
from degla.prepare.readers import FolderSource, Skipped, group_captions
from degla.text_files import read_json, shown, text_fields


def open_coco(card: Card, captions_path: Path | None, images_path: Path | None) -> FolderSource:
    """Open a COCO annotation file. Captions are grouped by image, in order of the annotations.

    Raises:
        DataError: the file is not COCO's JSON, or an annotation names an unlisted image; names file and entry.
    """
    if captions_path is None:
        raise DataError(f"card {card.name!r}: the coco reader needs a `captions` file")
    images, annotations = _lists(read_json(captions_path, dict), captions_path)
    file_names = {}
    for number, image in enumerate(images):
        where = f"{captions_path}: images[{number}]"
        (file_name,) = text_fields(image, ("file_name",), where)
        file_names[_id(image, "id", where)] = file_name
    skipped: list[Skipped] = []
    captions = group_captions(_rows(annotations, file_names, captions_path), skipped)
    return FolderSource(captions, file_names, images_path, skipped)


def _lists(data: dict[str, Any], path: Path) -> list[Any]:
    lists = [data.get(name) for name in ("images", "annotations")]
    if not all(isinstance(each, list) for each in lists):
        raise DataError(f"{path}: is not a COCO annotation file: expected an object with the lists `images` and `annotations`")
    return lists


def _rows(annotations: list[Any], file_names: dict[str, str], path: Path) -> Iterator[tuple[str, str, str]]:
    for number, annotation in enumerate(annotations):
        where = f"{path}: annotations[{number}]"
        image_id = _id(annotation, "image_id", where)
        if image_id not in file_names:
            raise DataError(f"{where} is of image {image_id}, which `images` does not list")
        caption = annotation.get("caption", False)
        if not isinstance(caption, str | None):
            found = f"is {shown(caption)}" if "caption" in annotation else "is missing"
            raise DataError(f"{where}: caption {found}, expected a text")
        yield f"annotations[{number}]", image_id, caption or ""


def _id(entry: Any, key: str, where: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DataError(f"{where}: {key!r} is {shown(value)}, expected a number or a name: {shown(entry)}")
    return str(value)
