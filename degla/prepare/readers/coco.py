"""Reader `coco`: COCO's caption annotations (`captions_*.json`) and an image folder (cocodataset.org, "data format")."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from degla.catalog import Card
from degla.errors import DataError
from degla.prepare.readers import FolderSource, Skipped, group_captions


def open_coco(card: Card, captions_path: Path | None, images_path: Path | None) -> FolderSource:
    """Open a COCO annotation file. Captions are grouped by image, in order of the annotations.

    Raises:
        DataError: the file is not COCO's JSON, or an annotation names an image that is not listed.
    """
    if captions_path is None:
        raise DataError(f"card {card.name!r}: the coco reader needs a `captions` file")
    data = _load(captions_path)
    file_names = {str(_get(image, "id", captions_path)): _get(image, "file_name", captions_path) for image in data["images"]}
    skipped: list[Skipped] = []
    captions = group_captions(_rows(data["annotations"], file_names, captions_path), skipped)
    return FolderSource(captions, file_names, images_path, skipped)


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not JSON: {error}") from error
    if not isinstance(data, dict) or not {"images", "annotations"} <= data.keys():
        raise DataError(f"{path}: is not a COCO annotation file: expected an object with `images` and `annotations`")
    return data


def _rows(annotations: list[dict[str, Any]], file_names: dict[str, str], path: Path) -> Iterator[tuple[str, str, str]]:
    for number, annotation in enumerate(annotations):
        image_id = str(_get(annotation, "image_id", path))
        if image_id not in file_names:
            raise DataError(f"{path}: annotations[{number}] is of image {image_id}, which `images` does not list")
        yield f"annotations[{number}]", image_id, str(_get(annotation, "caption", path))


def _get(entry: Any, key: str, path: Path) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise DataError(f"{path}: an entry lacks {key!r}: {str(entry)[:120]}")
    return entry[key]
