"""Reader `captions`: all that `degla.sources` reads: captions in any of its formats, images in folders or in the same files."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from degla.errors import DataError
from degla.files import write_text_atomic
from degla.prepare.config import PrepareConfig, advice
from degla.prepare.readers import SourceImage
from degla.sources.folders import ImageFolders
from degla.sources.listing import ListedImage, Listing, write_listing
from degla.sources.records import Skipped
from degla.sources.source import Source, open_source

logger = logging.getLogger(__name__)

KARPATHYS_TRAINING = ("train", "restval")
"""The splits of Karpathy's files that models are trained on, by his and all later work."""

_LISTED = 5
_LISTING, _SKIPPED = "source.arrow", "source.skipped.json"


@dataclass
class ListedSource:
    """The images of a listing, with their bytes."""

    listing: Listing
    has_images: bool
    skipped: list[Skipped]

    def __len__(self) -> int:
        return len(self.listing)

    def read(self, start: int, stop: int) -> Iterator[SourceImage]:
        for image in self.listing.read(start, stop):
            data, problem = _load(image) if self.has_images else (None, None)
            yield SourceImage(image.image, image.name, image.captions, data, problem)


def open_captions(config: PrepareConfig, folder: Path) -> ListedSource:
    """Open the captions that the config names. They are read once and listed in `folder`.

    Raises:
        DataError: see `degla.sources.source.recognise` and `degla.sources.listing.write_listing`.
    """
    files = config.caption_files()
    if not files:
        raise DataError(f"card {config.dataset!r}: its reader needs a `captions` file; set prepare.captions")
    folders, listing, skipped = config.image_folders(), folder / _LISTING, folder / _SKIPPED
    if not skipped.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with advice(files):
            source = _source(files, config)
            repeated = write_listing(source, ImageFolders(folders) if folders else None, listing)
        _say(source, repeated)
        left_out = [each._replace(where=_short(each.where, files)) for each in source.skipped]
        write_text_atomic(skipped, json.dumps(left_out))  # last: the listing is whole
    images = Listing(listing)
    has_images = bool(folders) or (config.images != "none" and images.has_bytes)
    return ListedSource(images, has_images, [Skipped(*row) for row in json.loads(skipped.read_text())])


def _source(files: list[Path], config: PrepareConfig) -> Source:
    source = open_source(files, config.source_options())
    if source.recognised.format.name == "karpathy" and not source.recognised.options.splits:
        return replace(source, preferred=KARPATHYS_TRAINING)
    return source


def _say(source: Source, repeated: int) -> None:
    """Log what was left out, the splits, and captions that repeat."""
    if any(source.splits):
        taken = ", ".join(f"{name or '(none)'} {count:,}" for name, count in source.splits.items())
        left = ", ".join(f"{name} {count:,}" for name, count in source.left_out.items())
        logger.info("splits read: %s%s", taken, f"; left out: {left}" if left else "; choose with prepare.options.splits")
    for reason, count in Counter(each.reason for each in source.skipped).most_common(_LISTED):
        first = next(each.where for each in source.skipped if each.reason == reason)
        logger.warning("left out: %s: %s (first: %s)", f"{count:,}", reason, first)
    if repeated:
        logger.warning("%s captions repeat one of their image", f"{repeated:,}")


def _short(where: str, files: list[Path]) -> str:
    """The place without the folders, which are no part of the data."""
    return next((where.removeprefix(f"{path.parent}/") for path in files if where.startswith(str(path))), where)


def _load(image: ListedImage) -> tuple[bytes | None, str | None]:
    if image.bytes is None:
        return None, image.problem
    try:
        return image.bytes.read(), None
    except FileNotFoundError:
        return None, "no such file"
