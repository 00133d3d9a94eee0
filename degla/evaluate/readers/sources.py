"""What the readers of people's own files share: records of `degla.sources`, and the images that they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from degla.catalog import Card
from degla.evaluate.benchmark import BenchmarkImage
from degla.sources.folders import ImageFolders
from degla.sources.options import SourceOptions
from degla.sources.records import Record
from degla.sources.source import Source, open_source

KARPATHYS_TEST = ("test",)
"""The split of Karpathy's files that models are scored on."""


def open_files(card: Card, role: str, options: SourceOptions, **named: object) -> Source:
    """The records of a card's file or folder of captions.

    Args:
        card: names the file.
        role: of the file.
        options: of the reader; those that are its own are left out.
        named: options under other names of the reader.
    """
    given = {name: getattr(options, name) for name in options.model_fields_set & SourceOptions.model_fields.keys()}
    named = {name: value for name, value in named.items() if value}
    source = open_source(card.file(role), SourceOptions.model_validate({**given, **named}))
    if source.recognised.format.name == "karpathy":
        source.preferred = KARPATHYS_TEST
    return source


def left_out(source: Source) -> list[str]:
    """Notes on what a source left out."""
    reasons = Counter(each.reason for each in source.skipped)
    notes = [f"{count:,} left out: {reason}" for reason, count in reasons.most_common()]
    if source.left_out:
        notes.append(f"splits: {', '.join(filter(None, source.splits))}")
    return notes


def record_images(card: Card, records: Sequence[Record]) -> tuple[tuple[BenchmarkImage, ...], list[int]]:
    """The distinct images of records, and for each record the index of its image.

    Raises:
        MissingInputError: the images lie in a folder, which is not there.
        DataError: a name is of a file outside the folder.
    """
    first = {record.image: record for record in reversed(records)}
    order = {image: index for index, image in enumerate(dict.fromkeys(record.image for record in records))}
    folders = None if all(record.inside for record in records) else ImageFolders([card.file("images")])
    images = tuple(_image(first[image], folders) for image in order)
    return images, [order[record.image] for record in records]


def _image(record: Record, folders: ImageFolders | None) -> BenchmarkImage:
    if record.inside is not None:
        return BenchmarkImage(record.image, record.inside)
    assert folders is not None
    return BenchmarkImage(record.file, folders.path(record.file))
