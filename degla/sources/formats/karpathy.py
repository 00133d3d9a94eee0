"""Format `karpathy`: `dataset_coco.json`, `dataset_flickr8k.json`, `dataset_flickr30k.json` of Karpathy and Fei-Fei (2015):
images with their split and sentences. `splits` chooses: models are trained on [train, restval] and scored on [test]."""

from __future__ import annotations

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
    return any(entry.key == "images" and isinstance(entry.value, dict) and "sentences" in entry.value for entry in head.entries)


def _read(files: Sequence[Path], options: SourceOptions, guessed: frozenset[str]) -> Iterator[Record | Skipped]:
    for path in files:
        for entry in entries_of(path, options):
            if entry.key == "images":
                yield _record(entry.value, entry.number, entry.where)


def _record(image: Any, number: int, where: str) -> Record:
    name, split = text_fields(image, ("filename", "split"), where)
    folder = image.get("filepath") or ""
    sentences = image.get("sentences")
    if not isinstance(folder, str) or not isinstance(sentences, list):
        raise DataError(f"{where}: filepath is {shown(folder)} and sentences {shown(sentences)}, expected a text and a list")
    captions = tuple(text_fields(each, ("raw",), f"{where}: sentences[{place}]")[0] for place, each in enumerate(sentences))
    file = f"{folder}/{name}" if folder else name
    return Record(where, number, file, captions, split=split, file=file)


KARPATHY = Format("karpathy", "Karpathy's dataset_*.json: images with splits and sentences", _claims, with_encoding, _read)
