"""Readers turn a card's files into images with captions. One module each; a card names its reader.

A reader is a `Source`: it knows the number of images and reads any range of them, so that several processes can work on units in
any order. Bad files are found when the source is opened. Read `table` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from degla.errors import ConfigError
from degla.prepare.config import PrepareConfig
from degla.sources.records import Skipped


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


def open_source(config: PrepareConfig, folder: Path) -> Source:
    """Open the dataset that the config names.

    Args:
        config: the stage's.
        folder: where a reader keeps what it has read, for the next time and for other processes.

    Raises:
        ConfigError: the card names a reader that does not exist, or the reader does not know one of its options.
        DataError: a file is broken.
        MissingInputError: a card or file is missing.
    """
    from degla.prepare.readers.captions import open_captions
    from degla.prepare.readers.miniworld import open_miniworld

    readers: dict[str, Callable[[PrepareConfig, Path], Source]] = {"captions": open_captions, "miniworld": open_miniworld}
    card = config.card()
    if card.reader not in readers:
        raise ConfigError(f"card {card.name!r}: no reader {card.reader!r}; there are {', '.join(readers)}")
    return readers[card.reader](config, folder)
