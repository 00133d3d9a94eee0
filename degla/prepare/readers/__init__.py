"""Readers turn a card's files into images with captions. One module each; a card names its reader.

A reader is a `Source`: it knows the number of images and reads any range of them, so that several processes can work on units in
any order. Bad files are found when the source is opened. Read `table` first.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from degla.catalog import Card
from degla.errors import ConfigError
from degla.prepare.config import PrepareConfig


@dataclass(frozen=True)
class SourceImage:
    """One image with its captions as the source has them.

    `data` is the encoded file. It is None if the image has a `problem`, or in a source of captions only. `scene` is the JSON of a
    mini-world scene.
    """

    image_id: str
    source: str
    captions: list[str]
    data: bytes | None = None
    problem: str | None = None
    scene: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A caption row that was left out, and why."""

    where: str
    image_id: str
    reason: str


class Source(Protocol):
    """A dataset that is read in ranges of images."""

    skipped: list[Skipped]

    @property
    def has_images(self) -> bool:
        """False for a source of captions only."""

    def __len__(self) -> int:
        """Number of images (or of captioned ids, in a source of captions only)."""

    def read(self, start: int, stop: int) -> Iterator[SourceImage]:
        """The images [start, stop), always the same for the same source."""


@dataclass
class FolderSource:
    """Captions from a file, images from a folder: what the COCO and table readers make.

    Args:
        captions: image id to its captions, in the order of the file.
        file_names: image id to the file's path relative to the folder.
        folder: the image folder; None for captions only.
    """

    captions: dict[str, list[str]]
    file_names: dict[str, str]
    folder: Path | None
    skipped: list[Skipped] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = list(self.captions)

    @property
    def has_images(self) -> bool:
        return self.folder is not None

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, start: int, stop: int) -> Iterator[SourceImage]:
        for image_id in self._ids[start:stop]:
            name = self.file_names[image_id]
            data, problem = self._load(name)
            yield SourceImage(image_id, name, self.captions[image_id], data, problem)

    def _load(self, name: str) -> tuple[bytes | None, str | None]:
        if self.folder is None:
            return None, None
        try:
            return (self.folder / name).read_bytes(), None
        except IsADirectoryError:
            return None, "is a folder"
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null byte or a surrogate in the name
            return None, "no such file"
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return None, "no such file"


def open_source(config: PrepareConfig) -> Source:
    """Open the dataset that the config names.

    Raises:
        ConfigError: the card names an unknown reader, or an option that its reader lacks.
        DataError: the caption file is broken.
        MissingInputError: a card or file is missing.
    """
    from degla.prepare.readers.coco import open_coco
    from degla.prepare.readers.miniworld import open_miniworld
    from degla.prepare.readers.table import open_table

    readers: dict[str, Callable[[Card, Path | None, Path | None], Source]] = {
        "coco": open_coco,
        "miniworld": open_miniworld,
        "table": open_table,
    }
    card = config.card()
    if card.reader not in readers:
        raise ConfigError(f"card {card.name!r}: unknown reader {card.reader!r}; expected one of {', '.join(readers)}")
    return readers[card.reader](card, config.captions_path(), config.images_path())


def group_captions(rows: Iterator[tuple[str, str, str]], skipped: list[Skipped]) -> dict[str, list[str]]:
    """Captions by image id, in order of appearance; empty ones go to `skipped`.

    Args:
        rows: (where in the file, image id, caption) of every row.
    """
    captions: dict[str, list[str]] = {}
    for where, image_id, caption in rows:
        folded = " ".join(caption.split())
        if folded:
            captions.setdefault(image_id, []).append(folded)
        else:
            skipped.append(Skipped(where, image_id, "empty caption"))
    return captions
