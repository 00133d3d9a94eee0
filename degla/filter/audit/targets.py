"""What is audited: the pairs of a file of negatives, or of a filter artifact, and what else is said of their images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from degla.artifacts import MANIFEST
from degla.errors import DataError
from degla.filter.export import find_artifact, is_experiment
from degla.schemas import TRAINING, check_table
from degla.sources.names import image_key
from degla.sources.records import Record
from degla.sources.source import is_unicode, open_source


class Pair(NamedTuple):
    """A caption and one negative."""

    image: str
    """What is the same in all ways to name the image (`image_key`); the caption if the file names none."""
    name: str
    """The image as the file names it; empty if it does not."""
    caption: str
    type: str
    generator: str
    text: str


def target_pairs(target: str, overrides: Sequence[str] = ()) -> Iterator[Pair]:
    """The pairs of a file of negatives in any form of `docs/data.md`, of a filter artifact, or of an experiment's.

    What a file does not say of type and generator is its name and `-`.

    Raises:
        DataError: a file is malformed, of an unknown format, or holds no negatives.
        MissingInputError: the file, artifact or experiment was not found.
    """
    return _file_pairs(Path(target)) if _is_source(target) else _artifact_pairs(target, overrides)


def target_captions(target: str, overrides: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Image and text of each caption of a filter artifact, with or without negatives; none of a file."""
    if not _is_source(target):
        for image, caption, _ in _artifact_rows(target, overrides):
            yield image_key(image), caption


def read_corpus(path: Path) -> list[tuple[str, str]]:
    """Image and text of each caption of a file or folder, in any form of `docs/data.md`."""
    return [(image_of(record, caption), caption) for record in open_source(path) for caption in record.captions]


def image_of(record: Record, caption: str) -> str:
    """The key of a record's image, or its caption if it names none."""
    return image_key(record.image) if record.image else caption


def _is_source(target: str) -> bool:
    """Whether it is a file or folder of others, and no artifact or experiment."""
    path = Path(target)
    if path.is_dir():
        return not (path / MANIFEST).is_file() and not is_experiment(target)
    return path.is_file() and path.suffix not in (".yaml", ".yml")


def _file_pairs(path: Path) -> Iterator[Pair]:
    source = open_source(path)
    if not source.recognised.options.negative_columns():
        raise DataError(f"{path}: holds no negatives. `python -m degla.prepare sniff {path}` shows what is recognised.")
    for record, caption, negative in source.pairs():
        kind = negative.type or record.fields.get("type") or path.stem
        generator = negative.generator or record.fields.get("generator") or "-"
        if not is_unicode(negative.text):
            raise DataError(f"{record.where}: a negative is not Unicode text (an unpaired surrogate)")
        if caption and negative.text:
            yield Pair(image_of(record, caption), record.image, caption, str(kind), str(generator), negative.text)


def _artifact_pairs(target: str, overrides: Sequence[str]) -> Iterator[Pair]:
    for image, caption, negatives in _artifact_rows(target, overrides):
        for each in negatives:
            yield Pair(image_key(image), image, caption, each["type"], each["generator"], each["text"])


def _artifact_rows(target: str, overrides: Sequence[str]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    path = find_artifact(target, overrides).file("training.parquet")
    columns = ["image_id", "caption", "negatives"]
    check_table(path, TRAINING, columns)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=columns):
            yield from ((row["image_id"], row["caption"], row["negatives"]) for row in batch.to_pylist())


def batches(pairs: Iterable[Pair], size: int = 20_000) -> Iterator[list[Pair]]:
    """The pairs, `size` at a time."""
    held: list[Pair] = []
    for pair in pairs:
        held.append(pair)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
