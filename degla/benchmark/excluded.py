"""Images that a model was trained on: no item may show one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from degla.artifacts import MANIFEST, Artifact
from degla.errors import DataError, InputError, MissingInputError
from degla.sources.folders import IMAGE_SUFFIXES
from degla.sources.names import image_key
from degla.sources.source import open_source

_TABLES = {"prepare": "captions.parquet", "filter": "training.parquet"}


def excluded_images(places: Iterable[Path]) -> set[str]:
    """The keys (`degla.sources.names.image_key`) of all images that these name.

    Args:
        places: artifacts of prepare, filter or train; files or folders of captions in any form of `docs/data.md`; folders of
            images; text files with the name of an image in each line.

    Raises:
        MissingInputError: a place, or an artifact that a train artifact was made from, does not exist.
        DataError: a place names no image.
    """
    found: set[str] = set()
    for place in places:
        keys = set(map(image_key, _names(place)))
        if not keys:
            raise DataError(f"{place}: names no image to exclude")
        found |= keys
    return found


def _names(place: Path) -> Iterator[str]:
    if not place.exists():
        raise MissingInputError(f"{place} does not exist; give the training artifact, captions, images or a list of their names")
    if (place / MANIFEST).is_file():
        yield from _of_artifact(Artifact.load(place.absolute()))
    elif place.is_dir() and (images := [path.name for path in place.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]):
        yield from images
    else:
        yield from _of_file(place)


def _of_artifact(artifact: Artifact) -> Iterator[str]:
    if artifact.stage == "train":
        source = artifact.path.parent.parent / "filter" / artifact.manifest.inputs["filter"]
        artifact = Artifact.load(source)
    if artifact.stage not in _TABLES:
        raise DataError(f"{artifact.path} is an artifact of {artifact.stage}; give one of prepare, filter or train")
    with pq.ParquetFile(artifact.file(_TABLES[artifact.stage])) as file:
        for batch in file.iter_batches(columns=["image_id"]):
            yield from batch["image_id"].to_pylist()


def _of_file(path: Path) -> Iterator[str]:
    """Images of captions; of a file that holds none, its lines."""
    try:
        named = [record.image for record in open_source(path) if record.image]
    except InputError:
        named = []
    if named or path.is_dir():
        yield from named
        return
    try:
        yield from filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines()))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: neither captions nor a list of image names") from error
